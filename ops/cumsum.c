/* cumsum: y_i = sum_(j <= i) x_j along an axis.
 *
 *     dx_i = sum_(j >= i) dy_j, the same from the other end
 *
 * Floating sums are compensated in f64 and each is rounded once; integer sums wrap around. */
#include "ops/reduce.h"
#include "core/dtype.h"

#include <math.h>
#include <string.h>

struct cumsum {
    int  axis;
    bool backwards;
};

struct cumsum_run {
    reel_lines x, y;
};

static bool cumsum_shape(reel_call *call, reel_output *out)
{
    int axis;
    if (!reel_check_axis(call, 0, ((const struct cumsum *)call->attributes)->axis, &axis))
        return false;
    out->dtype = call->in[0].dtype;
    out->shape = reel_make_shape(call->in[0].rank, call->in[0].shape);
    return true;
}

/* The sum so far is sum + error, two numbers without rounding (Knuth's two-sum). */
static void cumsum_part(void *context, int64_t begin, int64_t end)
{
    const struct cumsum_run *run = context;
    double block[REEL_LINE_BLOCK];
    for (int64_t i = begin; i < end; i++) {
        reel_line from = reel_line_at(&run->x, i), to = reel_line_at(&run->y, i);
        double sum = 0, error = 0;
        for (int64_t n; (n = reel_line_read(&from, block)) > 0;) {
            for (int64_t j = 0; j < n; j++) {
                double rounded = sum + block[j], of_x = rounded - sum, of_sum = rounded - of_x;
                error += (block[j] - of_x) + (sum - of_sum);
                sum = rounded;
                block[j] = isfinite(sum) ? sum + error : sum;
            }
            reel_line_write(&to, block, n);
        }
    }
}

static void cumsum_integers(void *context, int64_t begin, int64_t end)
{
    const struct cumsum_run *run = context;
    const reel_array *x = run->x.array, *y = run->y.array;
    int64_t size = (int64_t)reel_dtype_size(x->dtype);
    for (int64_t i = begin; i < end; i++) {
        reel_line from = reel_line_at(&run->x, i), into = reel_line_at(&run->y, i);
        const char *read = (const char *)x->data + from.start * size;
        char *write = (char *)y->data + into.start * size;
        uint64_t sum = 0;
        for (int64_t j = 0; j < run->x.length; j++) {
            int64_t value;
            reel_convert(REEL_I64, &value, x->dtype, read + j * run->x.along_stride[0] * size, 1);
            sum += (uint64_t)value;
            void *to = write + j * run->y.along_stride[0] * size;
            memcpy(to, &sum, (size_t)size);             /* little-endian: the low bytes                */
        }
    }
}

/* The same array with one axis the other way round. */
static reel_array cumsum_reversed(const reel_array *x, int axis, int64_t strides[REEL_MAX_RANK])
{
    reel_array turned = *x;
    memcpy(strides, x->strides, (size_t)x->rank * sizeof *strides);
    turned.data = (char *)x->data + (x->shape[axis] - 1) * strides[axis] * (int64_t)reel_dtype_size(x->dtype);
    turned.strides = strides;
    strides[axis] = -strides[axis];
    return turned;
}

static bool cumsum_forward(const reel_call *call)
{
    const struct cumsum *cumsum = call->attributes;
    reel_array x = call->in[0], y = call->out[0];
    int64_t x_strides[REEL_MAX_RANK], y_strides[REEL_MAX_RANK];
    int axis;
    reel_normal_axis(cumsum->axis, x.rank, &axis);
    if (x.count == 0)
        return true;
    if (cumsum->backwards) {
        x = cumsum_reversed(&x, axis, x_strides);
        y = cumsum_reversed(&y, axis, y_strides);
    }
    struct cumsum_run run = {reel_lines_of(&x, 1u << axis), reel_lines_of(&y, 1u << axis)};
    reel_each_line(call, &run.x, reel_dtype_is_float(x.dtype) ? cumsum_part : cumsum_integers, &run);
    return true;
}

extern const reel_op reel_op_cumsum;

static reel_tensor cumsum_apply(REEL_PLACE, reel_tensor x, int axis, bool backwards)
{
    struct cumsum cumsum;
    memset(&cumsum, 0, sizeof cumsum);
    cumsum.axis = axis;
    cumsum.backwards = backwards;
    return reel_apply_one(file, line, &reel_op_cumsum, REEL_TENSORS(x), &cumsum);
}

static void cumsum_vjp(const reel_call *call, const reel_tensor dy[], reel_tensor dx[], const bool wanted[])
{
    (void)wanted;
    const struct cumsum *cumsum = call->attributes;
    dx[0] = cumsum_apply(REEL_HERE, dy[0], cumsum->axis, !cumsum->backwards);
}

static void cumsum_reference(const void *attributes, const reel_reference_array *in, int inputs,
                             reel_reference_array *out, int outputs)
{
    (void)inputs;
    (void)outputs;
    const struct cumsum *cumsum = attributes;
    int axis = cumsum->axis < 0 ? cumsum->axis + in->rank : cumsum->axis;
    int64_t inner = 1, n = in->shape[axis];
    for (int i = axis + 1; i < in->rank; i++)
        inner *= in->shape[i];
    for (int64_t i = 0; i < out->count; i++) {
        int64_t position = i / inner % n, line = i - position * inner;
        int64_t first = cumsum->backwards ? position : 0, last = cumsum->backwards ? n - 1 : position;
        long double sum = 0;
        for (int64_t j = first; j <= last; j++)
            sum += in->value[line + j * inner];
        out->value[i] = (double)sum;
    }
}

static const struct cumsum cumsum_last = {-1, false}, cumsum_first = {0, false}, cumsum_back = {1, true},
                           cumsum_far = {3, false};
static const reel_sample cumsum_samples[] = {
    {.note = "the last axis", .in = {{.shape = REEL_SIZES(3, 4)}}, .attributes = &cumsum_last},
    {.note = "the first axis", .in = {{.shape = REEL_SIZES(4, 2, 2)}}, .attributes = &cumsum_first},
    {.note = "backwards", .in = {{.shape = REEL_SIZES(2, 5, 2)}}, .attributes = &cumsum_back},
    {.note = "longer than a block", .in = {{.shape = REEL_SIZES(2, 300)}}, .attributes = &cumsum_last},
    {.note = "integers", .in = {{.shape = REEL_SIZES(2, 4), .dtype = REEL_I32}}, .attributes = &cumsum_back},
    {.note = "empty", .in = {{.shape = REEL_SIZES(2, 0)}}, .attributes = &cumsum_back},
    {.note = "transposed", .in = {{.shape = REEL_SIZES(4, 3), .layout = REEL_TRANSPOSED}},
     .attributes = &cumsum_back},
    {.note = "reversed", .in = {{.shape = REEL_SIZES(7), .layout = REEL_REVERSED}},
     .attributes = &cumsum_last},
    {.note = "stretched", .in = {{.shape = REEL_SIZES(3, 2), .layout = REEL_STRETCHED}},
     .attributes = &cumsum_first},
    {.note = "a scalar", .attributes = &cumsum_last, .error = "axis -1 of a scalar"},
    {.note = "no such axis", .in = {{.shape = REEL_SIZES(3)}}, .attributes = &cumsum_far,
     .error = "axis 3 is not in"},
};

const reel_op reel_op_cumsum = {
    .size = sizeof(reel_op), .name = "cumsum", .inputs = 1, .outputs = 1, .attributes = sizeof(struct cumsum),
    .flags = REEL_OUTPUT_UNREAD | REEL_INPUTS_UNREAD,
    .shape = cumsum_shape, .forward = cumsum_forward, .vjp = cumsum_vjp,
    .example = "reel_cumsum(a, -1)",
    .formula = "y_i = sum_(j <= i) x_j; dx_i = sum_(j >= i) dy_j", REEL_TRUTH(cumsum_reference),
    REEL_SAMPLES(cumsum_samples),
};

reel_tensor reel_cumsum_at(REEL_PLACE, reel_tensor x, int axis)
{
    return cumsum_apply(file, line, x, axis, false);
}
