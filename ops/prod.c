/* prod: y = prod x_i along some axes.
 *
 *     dx_i = dy prod_(j != i) x_j
 *
 * Floating products are made in long double and rounded once; integer products wrap around. The VJP does not
 * divide by x_i, which may be 0: it multiplies in pairs, pairs of pairs and so on up a tree, and comes down
 * again with each half times its brother. All of that is recorded, so that it can be differentiated again. */
#include "ops/reduce.h"
#include "core/dtype.h"
#include "ops/widen.h"

#include <string.h>

enum { PROD_LEVELS = 64 };

struct prod_run {
    reel_lines        x;
    const reel_array *y;
};

static void prod_part(void *context, int64_t begin, int64_t end)
{
    const struct prod_run *run = context;
    int64_t size = (int64_t)reel_dtype_size(run->y->dtype);
    for (int64_t i = begin; i < end; i++) {
        double block[REEL_LINE_BLOCK];
        long double product = 1;
        reel_line line = reel_line_at(&run->x, i);
        for (int64_t n; (n = reel_line_read(&line, block)) > 0;)
            for (int64_t j = 0; j < n; j++)
                product *= block[j];
        double rounded = (double)product;
        reel_convert(run->y->dtype, (char *)run->y->data + i * size, REEL_F64, &rounded, 1);
    }
}

static void prod_integers(void *context, int64_t begin, int64_t end)
{
    const struct prod_run *run = context;
    const reel_array *x = run->x.array;
    int64_t size = (int64_t)reel_dtype_size(x->dtype);
    for (int64_t i = begin; i < end; i++) {
        uint64_t product = 1;
        reel_line line = reel_line_at(&run->x, i);
        for (; line.walk.more; reel_walk_next(&line.walk))
            for (int64_t j = 0; j < line.walk.length; j++) {
                int64_t element = line.start + line.walk.offset[0] + j * line.walk.step[0], value;
                reel_convert(REEL_I64, &value, x->dtype, (const char *)x->data + element * size, 1);
                product *= (uint64_t)value;
            }
        memcpy((char *)run->y->data + i * size, &product, (size_t)size);    /* little-endian: the low bytes */
    }
}

static bool prod_shape(reel_call *call, reel_output *out)
{
    return reel_reduce_shape(call, out, REEL_FLOATS | REEL_INTEGERS);
}

static bool prod_forward(const reel_call *call)
{
    const reel_array *x = &call->in[0];
    struct prod_run run = {reel_lines_of(x, reel_reduce_axes(call->attributes, x->rank)), &call->out[0]};
    reel_each_line(call, &run.x, reel_dtype_is_float(x->dtype) ? prod_part : prod_integers, &run);
    return true;
}

/* ---- VJP ------------------------------------------------------------------------------------------- */

/* The axes that are reduced go last. */
static reel_axes prod_order(unsigned set, int rank)
{
    reel_axes order = {.count = rank};
    int next = 0;
    for (int reduced = 0; reduced <= 1; reduced++)
        for (int i = 0; i < rank; i++)
            if ((int)(set >> i & 1) == reduced)
                order.axis[next++] = i;
    return order;
}

static reel_axes prod_order_back(const reel_axes *order)
{
    reel_axes back = {.count = order->count};
    for (int i = 0; i < order->count; i++)
        back.axis[order->axis[i]] = i;
    return back;
}

/* The upper or the lower half of each line. */
static reel_tensor prod_half(reel_tensor lines, int64_t length, int which)
{
    return reel_slice(lines, 1, which * (length / 2), (which + 1) * (length / 2), 1);
}

/* dx of x [lines, n] from dy [lines, 1]: lines are filled up with ones to a power of two. */
static reel_tensor prod_gradient(reel_tensor x, reel_tensor dy, int64_t n)
{
    reel_tensor left[PROD_LEVELS], right[PROD_LEVELS];
    int64_t whole = 1;
    while (whole < n)
        whole *= 2;
    reel_tensor level = whole == n ? x : reel_pad(x, .after = {0, whole - n}, .value = 1), gradient = dy;
    int levels = 0;
    for (int64_t length = whole; length > 1; length /= 2, levels++) {
        left[levels] = prod_half(level, length, 0);
        right[levels] = prod_half(level, length, 1);
        level = reel_mul(left[levels], right[levels]);
    }
    while (levels-- > 0)
        gradient = reel_concatenate(
            REEL_TENSORS(reel_mul(gradient, right[levels]), reel_mul(gradient, left[levels])), 1);
    return whole == n ? gradient : reel_slice(gradient, 1, 0, n, 1);
}

static void prod_vjp(const reel_call *call, const reel_tensor dy[], reel_tensor dx[], const bool wanted[])
{
    (void)wanted;
    reel_shape shape = reel_shape_of(call->input[0]);
    if (reel_count(call->input[0]) == 0)
        return;
    int64_t lines = reel_count(dy[0]), n = reel_count(call->input[0]) / lines;
    reel_axes order = prod_order(reel_reduce_axes(call->attributes, shape.rank), shape.rank);
    reel_axes back = prod_order_back(&order);
    reel_tensor x = reel_permute(reel_widened(call->input[0]), order);
    reel_shape ordered = reel_shape_of(x);
    reel_tensor gradient = prod_gradient(reel_reshape(x, REEL_SHAPE(lines, n)),
                                         reel_reshape(reel_widened(dy[0]), REEL_SHAPE(lines, 1)), n);
    dx[0] = reel_narrowed(reel_permute(reel_reshape(gradient, ordered), back), dy[0]);
}

/* ---- Record ---------------------------------------------------------------------------------------- */

static void prod_reference(const void *attributes, const reel_reference_array *in, int inputs,
                           reel_reference_array *out, int outputs)
{
    (void)inputs;
    (void)outputs;
    unsigned set = reel_reduce_axes(attributes, in->rank);
    for (int64_t i = 0; i < out->count; i++) {
        long double product = 1;
        for (int64_t k = 0; k < in->count; k++) {
            int64_t rest = k, element = 0, stride = 1;
            for (int axis = in->rank - 1; axis >= 0; rest /= in->shape[axis], axis--)
                if (!(set >> axis & 1)) {
                    element += rest % in->shape[axis] * stride;
                    stride *= in->shape[axis];
                }
            product *= element == i ? in->value[k] : 1;
        }
        out->value[i] = (double)product;
    }
}

static const reel_sample prod_samples[] = {
    {.note = "all axes", .in = {{.shape = REEL_SIZES(2, 3)}}, .attributes = &reel_reduce_all},
    {.note = "the last axis", .in = {{.shape = REEL_SIZES(4, 5)}}, .attributes = &reel_reduce_last},
    {.note = "the first axis, kept", .in = {{.shape = REEL_SIZES(3, 4)}},
     .attributes = &reel_reduce_first_kept},
    {.note = "the outer axes", .in = {{.shape = REEL_SIZES(2, 3, 2)}}, .attributes = &reel_reduce_outer},
    {.note = "a scalar", .attributes = &reel_reduce_all},
    {.note = "longer than a block", .in = {{.shape = REEL_SIZES(2, 301), .low = .9, .high = 1.1}},
     .attributes = &reel_reduce_last},
    {.note = "no lines", .in = {{.shape = REEL_SIZES(0, 3)}}, .attributes = &reel_reduce_last},
    {.note = "transposed", .in = {{.shape = REEL_SIZES(4, 3), .layout = REEL_TRANSPOSED}},
     .attributes = &reel_reduce_last},
    {.note = "reversed", .in = {{.shape = REEL_SIZES(7), .layout = REEL_REVERSED}},
     .attributes = &reel_reduce_all},
    {.note = "of nothing", .in = {{.shape = REEL_SIZES(2, 0)}}, .attributes = &reel_reduce_last},
    {.note = "a zero, two zeros",
     .in = {{.shape = REEL_SIZES(2, 3), .values = (const double[]){2, 0, 3, 0, 5, 0}}},
     .attributes = &reel_reduce_last},
    {.note = "overflow on the way",
     .in = {{.shape = REEL_SIZES(3), .values = (const double[]){3e4, 3e4, 1e-4}}},
     .attributes = &reel_reduce_all, .kink = true},
    {.note = "integers", .in = {{.shape = REEL_SIZES(3, 2), .low = -4, .high = 5, .dtype = REEL_I32}},
     .attributes = &reel_reduce_last},
    {.note = "no such axis", .in = {{.shape = REEL_SIZES(3)}}, .attributes = &reel_reduce_bad,
     .error = "axis 5 is not in [-1, 1)"},
};

const reel_op reel_op_prod = {
    .size = sizeof(reel_op), .name = "prod", .inputs = 1, .outputs = 1, .attributes = sizeof(reel_reduce),
    .flags = REEL_OUTPUT_UNREAD, .shape = prod_shape, .forward = prod_forward, .vjp = prod_vjp,
    .example = "reel_prod(a)",
    .formula = "y = prod x; dx_i = dy times all others, stretched", REEL_TRUTH(prod_reference),
    REEL_SAMPLES(prod_samples),
};

reel_tensor reel_prod_at(REEL_PLACE, const reel_reduce_options *options)
{
    return reel_reduce_apply(file, line, &reel_op_prod, options);
}
