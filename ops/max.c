/* max and min along some axes.
 *
 *     y = max x_i        dx_i = dy / t where x_i = y, t times, else 0
 *     y = min x_i        dx_i = dy / t where x_i = y, t times, else 0
 *
 * NaN in a line makes NaN. The shares 1 / t come from ops of their own, constant almost everywhere. */
#include "core/dtype.h"
#include "ops/extreme.h"

#include <math.h>

/* ---- The extreme of a line ------------------------------------------------------------------------- */

/* i64 is compared as it is: not every one is a double. */
static reel_extreme extreme_of_i64(const reel_lines *lines, int64_t index, bool smallest)
{
    reel_extreme best = {.position = -1};
    reel_line line = reel_line_at(lines, index);
    int64_t at = 0;
    for (; line.walk.more; reel_walk_next(&line.walk)) {
        const int64_t *x = (const int64_t *)lines->array->data + line.start + line.walk.offset[0];
        for (int64_t j = 0; j < line.walk.length; j++, at++) {
            int64_t value = x[j * line.walk.step[0]];
            if (best.position < 0 || (smallest ? value < best.exact : value > best.exact))
                best = (reel_extreme){(double)value, value, at};
        }
    }
    return best;
}

reel_extreme reel_extreme_of(const reel_lines *lines, int64_t index, bool smallest)
{
    if (lines->array->dtype == REEL_I64)
        return extreme_of_i64(lines, index, smallest);
    reel_extreme best = {.position = -1};
    reel_line line = reel_line_at(lines, index);
    double block[REEL_LINE_BLOCK];
    int64_t at = 0;
    for (int64_t n; (n = reel_line_read(&line, block)) > 0; at += n)
        for (int64_t j = 0; j < n; j++) {
            bool better = smallest ? !(block[j] >= best.value) : !(block[j] <= best.value);
            if (best.position >= 0 && !better)
                continue;
            best = (reel_extreme){.value = block[j], .position = at + j};
            if (isnan(block[j]))
                return best;
        }
    return best;
}

/* ---- Forward --------------------------------------------------------------------------------------- */

struct max_run {
    reel_lines        x;
    const reel_array *y;
    reel_lines        share;                        /* of the output of max_share and min_share    */
    bool              smallest;
};

static bool max_shape(reel_call *call, reel_output *out)
{
    if (!reel_reduce_shape(call, out, REEL_FLOATS | REEL_INTEGERS))
        return false;
    int64_t lines = reel_shape_count(out->shape.rank, out->shape.size);
    return lines == 0 || call->in[0].count > 0 ||
           reel_call_error(call, "%s has no elements to choose from", reel_describe(call->input[0]).text);
}

static void max_part(void *context, int64_t begin, int64_t end)
{
    const struct max_run *run = context;
    reel_dtype dtype = run->y->dtype;
    for (int64_t i = begin; i < end; i++) {
        reel_extreme best = reel_extreme_of(&run->x, i, run->smallest);
        char *y = (char *)run->y->data + i * (int64_t)reel_dtype_size(dtype);
        if (dtype == REEL_I64)
            reel_convert(dtype, y, REEL_I64, &best.exact, 1);
        else
            reel_convert(dtype, y, REEL_F64, &best.value, 1);
    }
}

static bool max_run(const reel_call *call, bool smallest)
{
    const reel_array *x = &call->in[0];
    unsigned set = reel_reduce_axes(call->attributes, x->rank);
    struct max_run run = {.x = reel_lines_of(x, set), .y = &call->out[0], .smallest = smallest};
    reel_each_line(call, &run.x, max_part, &run);
    return true;
}

static bool max_forward(const reel_call *call)
{
    return max_run(call, false);
}

static bool min_forward(const reel_call *call)
{
    return max_run(call, true);
}

/* ---- The shares: 1 / t at the t places where x is the extreme of its line, else 0 ------------------ */

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
        double best = reel_extreme_of(&run->x, i, run->smallest).value;
        int64_t ties = 0, n;
        reel_line line = reel_line_at(&run->x, i), out = reel_line_at(&run->share, i);
        while ((n = reel_line_read(&line, block)) > 0)
            for (int64_t j = 0; j < n; j++)
                ties += block[j] == best;
        line = reel_line_at(&run->x, i);
        while ((n = reel_line_read(&line, block)) > 0) {
            for (int64_t j = 0; j < n; j++)
                block[j] = isnan(best) ? best : block[j] == best ? 1. / (double)ties : 0;
            reel_line_write(&out, block, n);
        }
    }
}

static bool max_share_run(const reel_call *call, bool smallest)
{
    const reel_array *x = &call->in[0];
    unsigned set = reel_reduce_axes(call->attributes, x->rank);
    struct max_run run = {.x = reel_lines_of(x, set), .share = reel_lines_of(&call->out[0], set),
                          .smallest = smallest};
    if (x->count > 0)
        reel_each_line(call, &run.x, max_share_part, &run);
    return true;
}

static bool max_share_forward(const reel_call *call)
{
    return max_share_run(call, false);
}

static bool min_share_forward(const reel_call *call)
{
    return max_share_run(call, true);
}

/* ---- References ------------------------------------------------------------------------------------ */

/* `sign` is -1 for the smallest: min x = - max -x. */
static void max_share_by_pairs(const reel_reduce *reduce, const reel_reference_array *in,
                               reel_reference_array *out, double sign)
{
    unsigned set = reel_reduce_axes(reduce, in->rank);
    for (int64_t i = 0; i < in->count; i++) {
        int64_t ties = 0, larger = 0;
        bool nan = false;
        for (int64_t j = 0; j < in->count; j++) {
            bool same_line = true;
            for (int64_t axis = in->rank - 1, a = i, b = j; axis >= 0; axis--) {
                same_line &= set >> axis & 1 || a % in->shape[axis] == b % in->shape[axis];
                a /= in->shape[axis];
                b /= in->shape[axis];
            }
            ties += same_line && in->value[j] == in->value[i];
            larger += same_line && sign * in->value[j] > sign * in->value[i];
            nan |= same_line && isnan(in->value[j]);
        }
        out->value[i] = nan ? NAN : larger ? 0 : 1. / (double)ties;
    }
}

static void max_share_reference(const void *attributes, const reel_reference_array *in, int inputs,
                                reel_reference_array *out, int outputs)
{
    (void)inputs;
    (void)outputs;
    max_share_by_pairs(attributes, in, out, 1);
}

static void min_share_reference(const void *attributes, const reel_reference_array *in, int inputs,
                                reel_reference_array *out, int outputs)
{
    (void)inputs;
    (void)outputs;
    max_share_by_pairs(attributes, in, out, -1);
}

static void max_visit(double *out, int64_t element, double value)
{
    if (isnan(value) || value > out[element])
        out[element] = value;
}

static void min_visit(double *out, int64_t element, double value)
{
    if (isnan(value) || value < out[element])
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

static void min_reference(const void *attributes, const reel_reference_array *in, int inputs,
                          reel_reference_array *out, int outputs)
{
    (void)inputs;
    (void)outputs;
    for (int64_t i = 0; i < out->count; i++)
        out->value[i] = INFINITY;
    reel_reference_reduce(attributes, in, min_visit, out->value);
}

/* ---- The ops --------------------------------------------------------------------------------------- */

static const reel_sample max_share_samples[] = {
    {.note = "the last axis", .in = {{.shape = REEL_SIZES(4, 5)}}, .attributes = &reel_reduce_last},
    {.note = "ties", .in = {{.shape = REEL_SIZES(4), .values = (const double[]){2, 1, 2, 1}}},
     .attributes = &reel_reduce_all, .kink = true},
    {.note = "transposed", .in = {{.shape = REEL_SIZES(4, 3), .layout = REEL_TRANSPOSED}},
     .attributes = &reel_reduce_first_kept},
    {.note = "a scalar", .attributes = &reel_reduce_all},
    {.note = "empty", .in = {{.shape = REEL_SIZES(0, 3)}}, .attributes = &reel_reduce_last},
    {.note = "no such axis", .in = {{.shape = REEL_SIZES(3)}}, .attributes = &reel_reduce_bad,
     .error = "axis 5 is not in [-1, 1)"},
};

static const reel_sample max_samples[] = {
    REEL_REDUCE_SAMPLES,
    {.note = "ties", .in = {{.shape = REEL_SIZES(4), .values = (const double[]){2, 1, 2, 1}}},
     .attributes = &reel_reduce_all, .kink = true},
    {.note = "i64", .in = {{.shape = REEL_SIZES(2, 3), .dtype = REEL_I64}}, .attributes = &reel_reduce_last},
    {.note = "of nothing", .in = {{.shape = REEL_SIZES(2, 0)}}, .attributes = &reel_reduce_last,
     .error = "[2,0] f32 has no elements to choose from"},
};

/* Each op with its shares: WORD is max or min. */
#define MAX_OPS(WORD, LARGEST)                                                                       \
    const reel_op reel_op_##WORD##_share = {                                                         \
        .size = sizeof(reel_op), .name = #WORD "_share", .inputs = 1, .outputs = 1,                  \
        .attributes = sizeof(reel_reduce), .flags = REEL_NO_GRADIENT, .shape = max_share_shape,      \
        .forward = WORD##_share_forward,                                                             \
        .formula = "y_i = 1 / t where x_i is the " LARGEST " of its line, t times, else 0",          \
        REEL_TRUTH(WORD##_share_reference), REEL_SAMPLES(max_share_samples),                         \
    };                                                                                               \
                                                                                                     \
    static void WORD##_vjp(const reel_call *call, const reel_tensor dy[], reel_tensor dx[],          \
                           const bool wanted[])                                                      \
    {                                                                                                \
        (void)wanted;                                                                                \
        reel_tensor share = reel_apply_one(REEL_HERE, &reel_op_##WORD##_share, REEL_TENSORS(call->input[0]), \
                                           call->attributes);                                        \
        dx[0] = reel_mul(share, reel_reduce_restore(call, dy[0]));                                   \
    }                                                                                                \
                                                                                                     \
    const reel_op reel_op_##WORD = {                                                                 \
        .size = sizeof(reel_op), .name = #WORD, .inputs = 1, .outputs = 1,                           \
        .attributes = sizeof(reel_reduce), .flags = REEL_OUTPUT_UNREAD, .shape = max_shape,          \
        .forward = WORD##_forward, .vjp = WORD##_vjp, .example = "reel_" #WORD "(a)",                \
        .formula = "y = " #WORD " x; dx_i = dy / t where x_i = y, t times, else 0",                  \
        REEL_TRUTH(WORD##_reference), REEL_SAMPLES(max_samples),                                     \
    };                                                                                               \
                                                                                                     \
    reel_tensor reel_##WORD##_at(REEL_PLACE, const reel_reduce_options *options)                     \
    {                                                                                                \
        return reel_reduce_apply(file, line, &reel_op_##WORD, options);                              \
    }

MAX_OPS(max, "largest")
MAX_OPS(min, "smallest")
