/* max: y = max x_i along some axes. dx_i = dy / t where x_i = y, t times, else 0. NaN in a line makes NaN.
 *
 * The shares 1 / t come from an op of their own, constant almost everywhere. */
#include "core/dtype.h"
#include "ops/reduce.h"

#include <math.h>
#include <string.h>

struct max_run {
    reel_lines        x;
    const reel_array *y;
    reel_lines        share;                        /* of the output of max_share                  */
};

static bool max_shape(reel_call *call, reel_output *out)
{
    if (!reel_reduce_shape(call, out, REEL_FLOATS | REEL_INTEGERS))
        return false;
    int64_t lines = reel_shape_count(out->shape.rank, out->shape.size);
    return lines == 0 || call->in[0].count > 0 ||
           reel_call_error(call, "the largest of no elements, %s", reel_describe(call->input[0]).text);
}

/* The largest element's address: the first NaN, or the first of the largest. i64 is compared as it is. */
static const char *max_place(const reel_lines *lines, int64_t index)
{
    const reel_array *x = lines->array;
    int64_t size = (int64_t)reel_dtype_size(x->dtype);
    const char *best = NULL;
    double best_value = 0;
    reel_line line = reel_line_at(lines, index);
    for (; line.walk.more; reel_walk_next(&line.walk))
        for (int64_t j = 0; j < line.walk.length; j++) {
            const char *at = (const char *)x->data + (line.start + line.walk.offset[0] + j * line.walk.step[0]) * size;
            double value;
            reel_convert(REEL_F64, &value, x->dtype, at, 1);
            bool larger = x->dtype == REEL_I64 && best ? *(const int64_t *)at > *(const int64_t *)best
                                                       : value > best_value;
            if (isnan(value))
                return at;
            if (!best || larger) {
                best = at;
                best_value = value;
            }
        }
    return best;
}

static void max_part(void *context, int64_t begin, int64_t end)
{
    const struct max_run *run = context;
    size_t size = reel_dtype_size(run->y->dtype);
    for (int64_t i = begin; i < end; i++)
        memcpy((char *)run->y->data + i * (int64_t)size, max_place(&run->x, i), size);
}

static bool max_forward(const reel_call *call)
{
    const reel_array *x = &call->in[0];
    struct max_run run = {.x = reel_lines_of(x, reel_reduce_axes(call->attributes, x->rank)), .y = &call->out[0]};
    reel_each_line(call, &run.x, max_part, &run);
    return true;
}

/* ---- max_share: 1 / t at the t places where x is the largest of its line, else 0 ----------------------------- */

static bool max_share_shape(reel_call *call, reel_output *out)
{
    unsigned set;
    if (!reel_check_dtype(call, 0, REEL_FLOATS) || !reel_reduce_set(call, &set))
        return false;
    out->dtype = call->in[0].dtype;
    out->shape = reel_make_shape(call->in[0].rank, call->in[0].shape);
    return true;
}

static void max_share_part(void *context, int64_t begin, int64_t end)
{
    const struct max_run *run = context;
    double block[REEL_LINE_BLOCK];
    for (int64_t i = begin; i < end; i++) {
        double largest;
        reel_convert(REEL_F64, &largest, run->x.array->dtype, max_place(&run->x, i), 1);
        int64_t ties = 0, n;
        reel_line line = reel_line_at(&run->x, i), out = reel_line_at(&run->share, i);
        while ((n = reel_line_read(&line, block)) > 0)
            for (int64_t j = 0; j < n; j++)
                ties += block[j] == largest;
        line = reel_line_at(&run->x, i);
        while ((n = reel_line_read(&line, block)) > 0) {
            for (int64_t j = 0; j < n; j++)
                block[j] = isnan(largest) ? largest : block[j] == largest ? 1. / (double)ties : 0;
            reel_line_write(&out, block, n);
        }
    }
}

static bool max_share_forward(const reel_call *call)
{
    const reel_array *x = &call->in[0];
    unsigned set = reel_reduce_axes(call->attributes, x->rank);
    struct max_run run = {.x = reel_lines_of(x, set), .share = reel_lines_of(&call->out[0], set)};
    if (x->count > 0)
        reel_each_line(call, &run.x, max_share_part, &run);
    return true;
}

static void max_share_reference(const void *attributes, const reel_reference_array *in, int inputs,
                                reel_reference_array *out, int outputs)
{
    (void)inputs;
    (void)outputs;
    unsigned set = reel_reduce_axes(attributes, in->rank);
    for (int64_t i = 0; i < in->count; i++) {
        int64_t ties = 0, larger = 0;
        for (int64_t j = 0; j < in->count; j++) {
            bool same_line = true;
            for (int64_t axis = in->rank - 1, a = i, b = j; axis >= 0; axis--) {
                same_line &= set >> axis & 1 || a % in->shape[axis] == b % in->shape[axis];
                a /= in->shape[axis];
                b /= in->shape[axis];
            }
            ties += same_line && in->value[j] == in->value[i];
            larger += same_line && in->value[j] > in->value[i];
        }
        out->value[i] = larger ? 0 : 1. / (double)ties;
    }
}

static const reel_sample max_share_samples[] = {
    {.note = "the last axis", .in = {{.shape = REEL_SIZES(4, 5)}}, .attributes = &reel_reduce_last},
    {.note = "ties", .in = {{.shape = REEL_SIZES(4), .values = (const double[]){2, 1, 2, 0}}},
     .attributes = &reel_reduce_all, .kink = true},
    {.note = "transposed", .in = {{.shape = REEL_SIZES(4, 3), .layout = REEL_TRANSPOSED}},
     .attributes = &reel_reduce_first_kept},
    {.note = "a scalar", .attributes = &reel_reduce_all},
    {.note = "empty", .in = {{.shape = REEL_SIZES(0, 3)}}, .attributes = &reel_reduce_last},
};

const reel_op reel_op_max_share = {
    .size = sizeof(reel_op), .name = "max_share", .inputs = 1, .outputs = 1, .attributes = sizeof(reel_reduce),
    .flags = REEL_NO_GRADIENT, .shape = max_share_shape, .forward = max_share_forward,
    .formula = "y_i = 1 / t where x_i is the largest of its line, t times, else 0",
    .reference = max_share_reference, REEL_SAMPLES(max_share_samples),
};

/* ---- max ------------------------------------------------------------------------------------------------------ */

static void max_vjp(const reel_call *call, const reel_tensor dy[], reel_tensor dx[], const bool wanted[])
{
    (void)wanted;
    reel_tensor share = reel_apply_one(REEL_HERE, &reel_op_max_share, REEL_TENSORS(call->input[0]), call->attributes);
    dx[0] = reel_mul(share, reel_reduce_restore(call, dy[0]));
}

static void max_visit(double *out, int64_t element, double value)
{
    if (isnan(value) || value > out[element])
        out[element] = value;
}

static void max_reference(const void *attributes, const reel_reference_array *in, int inputs,
                          reel_reference_array *out, int outputs)
{
    (void)inputs;
    (void)outputs;
    for (int64_t i = 0; i < out->count; i++)
        out->value[i] = -INFINITY;
    reel_reference_reduce(attributes, in, max_visit, out->value);
}

static const reel_sample max_samples[] = {
    REEL_REDUCE_SAMPLES,
    {.note = "ties", .in = {{.shape = REEL_SIZES(4), .values = (const double[]){2, 1, 2, 0}}},
     .attributes = &reel_reduce_all, .kink = true},
    {.note = "of nothing", .in = {{.shape = REEL_SIZES(2, 0)}}, .attributes = &reel_reduce_last,
     .error = "the largest of no elements"},
};

const reel_op reel_op_max = {
    .size = sizeof(reel_op), .name = "max", .inputs = 1, .outputs = 1, .attributes = sizeof(reel_reduce),
    .flags = REEL_OUTPUT_UNREAD, .shape = max_shape, .forward = max_forward, .vjp = max_vjp,
    .formula = "y = max x; dx_i = dy / t where x_i = y, t times, else 0", .reference = max_reference,
    REEL_SAMPLES(max_samples),
};

reel_tensor reel_max_at(REEL_PLACE, reel_reduce_options options)
{
    return reel_reduce_apply(file, line, &reel_op_max, &options);
}
