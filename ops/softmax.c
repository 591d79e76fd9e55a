/* softmax, log_softmax and logsumexp. With m = max x and s = sum e^(x_i - m) along the axis:
 *
 *     softmax      y_i = e^(x_i - m) / s            dx = y (dy - sum dy y)
 *     log_softmax  y_i = (x_i - m) - log s          dx = dy - e^y sum dy
 *     logsumexp    y = m + log s                    dx_i = e^(x_i - y) dy
 *
 * Computed in f64 with compensated sums and rounded once. A line of -inf alone gives NaN, NaN and -inf. */
#include "core/dtype.h"
#include "ops/reduce.h"

#include <math.h>

struct softmax {
    int axis;
};

struct softmax_run {
    reel_lines x, y;
    bool       log;
};

struct softmax_sums {
    double largest, sum;
};

static double line_largest(const reel_lines *lines, int64_t index)
{
    double block[REEL_LINE_BLOCK], largest = -INFINITY;
    reel_line line = reel_line_at(lines, index);
    for (int64_t n; (n = reel_line_read(&line, block)) > 0;)
        for (int64_t i = 0; i < n; i++)
            if (!(block[i] <= largest))
                largest = isnan(largest) ? largest : block[i];
    return largest;
}

static struct softmax_sums line_sums(const reel_lines *lines, int64_t index)
{
    double block[REEL_LINE_BLOCK], largest = line_largest(lines, index);
    reel_sum_lanes lanes = {0};
    reel_line line = reel_line_at(lines, index);
    for (int64_t n; (n = reel_line_read(&line, block)) > 0;) {
        for (int64_t i = 0; i < n; i++)
            block[i] = exp(block[i] - largest);
        reel_sum_add(&lanes, block, n);
    }
    return (struct softmax_sums){largest, reel_sum_total(&lanes)};
}

static void softmax_part(void *context, int64_t begin, int64_t end)
{
    const struct softmax_run *run = context;
    double block[REEL_LINE_BLOCK];
    for (int64_t index = begin; index < end; index++) {
        struct softmax_sums s = line_sums(&run->x, index);
        double log_sum = log(s.sum);
        reel_line from = reel_line_at(&run->x, index), to = reel_line_at(&run->y, index);
        for (int64_t n; (n = reel_line_read(&from, block)) > 0;) {
            for (int64_t i = 0; i < n; i++)
                block[i] = run->log ? (block[i] - s.largest) - log_sum : exp(block[i] - s.largest) / s.sum;
            reel_line_write(&to, block, n);
        }
    }
}

static bool softmax_shape(reel_call *call, reel_output *out)
{
    int axis;
    if (!reel_check_dtype(call, 0, REEL_FLOATS) ||
        !reel_check_axis(call, 0, ((const struct softmax *)call->attributes)->axis, &axis))
        return false;
    out->dtype = call->in[0].dtype;
    out->shape = reel_make_shape(call->in[0].rank, call->in[0].shape);
    return true;
}

static bool softmax_run(const reel_call *call, bool log)
{
    const reel_array *x = &call->in[0];
    int axis;
    reel_normal_axis(((const struct softmax *)call->attributes)->axis, x->rank, &axis);
    struct softmax_run run = {reel_lines_of(x, 1u << axis), reel_lines_of(&call->out[0], 1u << axis), log};
    if (x->count > 0)
        reel_each_line(call, &run.x, softmax_part, &run);
    return true;
}

static bool softmax_forward(const reel_call *call)
{
    return softmax_run(call, false);
}

static bool log_softmax_forward(const reel_call *call)
{
    return softmax_run(call, true);
}

static reel_tensor sum_along(const reel_call *call, reel_tensor x)
{
    int axis = ((const struct softmax *)call->attributes)->axis;
    return reel_sum(x, .axes = REEL_AXES(axis), .keepdims = true);
}

static void softmax_vjp(const reel_call *call, const reel_tensor dy[], reel_tensor dx[], const bool wanted[])
{
    (void)wanted;
    reel_tensor y = call->output[0];
    dx[0] = reel_mul(y, reel_sub(dy[0], sum_along(call, reel_mul(dy[0], y))));
}

static void log_softmax_vjp(const reel_call *call, const reel_tensor dy[], reel_tensor dx[], const bool wanted[])
{
    (void)wanted;
    dx[0] = reel_sub(dy[0], reel_mul(reel_exp(call->output[0]), sum_along(call, dy[0])));
}

/* By long double, line by line: e^x_i over the sum of them, after the largest is taken off. */
static void softmax_by_lines(const struct softmax *softmax, const reel_reference_array *in,
                             reel_reference_array *out, bool log)
{
    int axis = softmax->axis < 0 ? softmax->axis + in->rank : softmax->axis;
    int64_t inner = 1, classes = in->shape[axis];
    for (int i = axis + 1; i < in->rank; i++)
        inner *= in->shape[i];
    for (int64_t i = 0; i < in->count; i++) {
        int64_t first = i / (inner * classes) * inner * classes + i % inner;
        long double largest = -INFINITY, sum = 0;
        for (int64_t c = 0; c < classes; c++)
            largest = fmaxl(largest, in->value[first + c * inner]);
        for (int64_t c = 0; c < classes; c++)
            sum += expl(in->value[first + c * inner] - largest);
        long double z = in->value[i] - largest;
        out->value[i] = (double)(log ? z - logl(sum) : expl(z) / sum);
    }
}

static void softmax_reference(const void *attributes, const reel_reference_array *in, int inputs,
                              reel_reference_array *out, int outputs)
{
    (void)inputs;
    (void)outputs;
    softmax_by_lines(attributes, in, out, false);
}

static void log_softmax_reference(const void *attributes, const reel_reference_array *in, int inputs,
                                  reel_reference_array *out, int outputs)
{
    (void)inputs;
    (void)outputs;
    softmax_by_lines(attributes, in, out, true);
}

static const struct softmax softmax_last = {-1}, softmax_first = {0}, softmax_middle = {1}, softmax_bad = {2};
static const reel_sample softmax_samples[] = {
    {.note = "rows", .in = {{.shape = REEL_SIZES(3, 4), .low = -4, .high = 4}}, .attributes = &softmax_last},
    {.note = "columns", .in = {{.shape = REEL_SIZES(3, 4), .low = -4, .high = 4}}, .attributes = &softmax_first},
    {.note = "a middle axis", .in = {{.shape = REEL_SIZES(2, 3, 2)}}, .attributes = &softmax_middle},
    {.note = "one class", .in = {{.shape = REEL_SIZES(3, 1)}}, .attributes = &softmax_last},
    {.note = "empty", .in = {{.shape = REEL_SIZES(0, 3)}}, .attributes = &softmax_last},
    {.note = "longer than a block", .in = {{.shape = REEL_SIZES(2, 300)}}, .attributes = &softmax_last},
    {.note = "far apart", .in = {{.shape = REEL_SIZES(3), .values = (const double[]){-500, 0, 600}}},
     .attributes = &softmax_last},
    {.note = "transposed", .in = {{.shape = REEL_SIZES(4, 3), .layout = REEL_TRANSPOSED}}, .attributes = &softmax_last},
    {.note = "no such axis", .in = {{.shape = REEL_SIZES(4, 3)}}, .attributes = &softmax_bad, .error = "axis 2 is not in"},
    {.note = "a scalar", .attributes = &softmax_last, .error = "axis -1 of a scalar"},
};

const reel_op reel_op_softmax = {
    .size = sizeof(reel_op), .name = "softmax", .inputs = 1, .outputs = 1, .attributes = sizeof(struct softmax),
    .flags = REEL_INPUTS_UNREAD, .shape = softmax_shape, .forward = softmax_forward, .vjp = softmax_vjp,
    .example = "reel_softmax(a, -1)",
    .formula = "y = softmax(x); dx = y (dy - sum dy y)", REEL_TRUTH(softmax_reference), REEL_SAMPLES(softmax_samples),
};

const reel_op reel_op_log_softmax = {
    .size = sizeof(reel_op), .name = "log_softmax", .inputs = 1, .outputs = 1, .attributes = sizeof(struct softmax),
    .flags = REEL_INPUTS_UNREAD, .shape = softmax_shape, .forward = log_softmax_forward, .vjp = log_softmax_vjp,
    .example = "reel_log_softmax(a, -1)",
    .formula = "y = x - log sum exp x; dx = dy - exp(y) sum dy", REEL_TRUTH(log_softmax_reference),
    REEL_SAMPLES(softmax_samples),
};

reel_tensor reel_softmax_at(REEL_PLACE, reel_tensor x, int axis)
{
    return reel_apply_one(file, line, &reel_op_softmax, REEL_TENSORS(x), &(const struct softmax){axis});
}

reel_tensor reel_log_softmax_at(REEL_PLACE, reel_tensor x, int axis)
{
    return reel_apply_one(file, line, &reel_op_log_softmax, REEL_TENSORS(x), &(const struct softmax){axis});
}

/* ---- logsumexp -------------------------------------------------------------------------------------------------- */

struct logsumexp_run {
    reel_lines        x;
    const reel_array *y;
};

/* An infinite largest element is the answer: e^(inf - inf) would spoil it. */
static void logsumexp_part(void *context, int64_t begin, int64_t end)
{
    const struct logsumexp_run *run = context;
    int64_t size = (int64_t)reel_dtype_size(run->y->dtype);
    for (int64_t i = begin; i < end; i++) {
        double y = line_largest(&run->x, i);
        if (isfinite(y)) {
            struct softmax_sums s = line_sums(&run->x, i);
            y = s.largest + log(s.sum);
        }
        reel_convert(run->y->dtype, (char *)run->y->data + i * size, REEL_F64, &y, 1);
    }
}

static bool logsumexp_shape(reel_call *call, reel_output *out)
{
    return reel_reduce_shape(call, out, REEL_FLOATS);
}

static bool logsumexp_forward(const reel_call *call)
{
    const reel_array *x = &call->in[0];
    struct logsumexp_run run = {reel_lines_of(x, reel_reduce_axes(call->attributes, x->rank)), &call->out[0]};
    reel_each_line(call, &run.x, logsumexp_part, &run);
    return true;
}

static void logsumexp_vjp(const reel_call *call, const reel_tensor dy[], reel_tensor dx[], const bool wanted[])
{
    (void)wanted;
    reel_tensor p = reel_exp(reel_sub(call->input[0], reel_reduce_restore(call, call->output[0])));
    dx[0] = reel_mul(p, reel_reduce_restore(call, dy[0]));
}

static void logsumexp_visit(double *out, int64_t element, double value)
{
    double high = fmax(out[element], value), low = fmin(out[element], value);
    if (isnan(out[element]) || isnan(value))
        out[element] = NAN;
    else
        out[element] = low == -INFINITY || high == INFINITY ? high : high + log1p(exp(low - high));
}

static void logsumexp_reference(const void *attributes, const reel_reference_array *in, int inputs,
                                reel_reference_array *out, int outputs)
{
    (void)inputs;
    (void)outputs;
    for (int64_t i = 0; i < out->count; i++)
        out->value[i] = -INFINITY;
    reel_reference_reduce(attributes, in, logsumexp_visit, out->value);
}

static const reel_sample logsumexp_samples[] = {REEL_REDUCE_SAMPLES};

const reel_op reel_op_logsumexp = {
    .size = sizeof(reel_op), .name = "logsumexp", .inputs = 1, .outputs = 1, .attributes = sizeof(reel_reduce),
    .shape = logsumexp_shape, .forward = logsumexp_forward, .vjp = logsumexp_vjp,
    .example = "reel_logsumexp(a)",
    .formula = "y = log sum exp x; dx = exp(x - y) dy", REEL_TRUTH(logsumexp_reference),
    REEL_SAMPLES(logsumexp_samples),
};

reel_tensor reel_logsumexp_at(REEL_PLACE, const reel_reduce_options *options)
{
    return reel_reduce_apply(file, line, &reel_op_logsumexp, options);
}
