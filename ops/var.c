/* var and center, along some axes of n elements together; c is the correction.
 *
 *     var       y = sum (x_i - mean)^2 / (n - c)      dx_i = dy 2 (x_i - mean) / (n - c)
 *     center    y_i = x_i - mean                      dx = dy centered
 *
 * Computed in f64 and rounded once. Where n <= c the variance is NaN. */
#include "ops/moments.h"
#include "ops/reduce.h"
#include "core/dtype.h"
#include "core/options.h"

#include <math.h>
#include <string.h>

extern const reel_op reel_op_center;

struct var {
    reel_reduce reduce;                             /* first: it is read as a reduction's attributes */
    double      correction;
};

struct var_run {
    reel_lines        x, centered;
    const reel_array *y;
    double            divisor;
};

/* ---- Moments --------------------------------------------------------------------------------------- */

static double var_mean(const reel_lines *x, int64_t index)
{
    double block[REEL_LINE_BLOCK];
    reel_sum_lanes sum = {0};
    reel_line line = reel_line_at(x, index);
    for (int64_t n; (n = reel_line_read(&line, block)) > 0;)
        reel_sum_add(&sum, block, n);
    return reel_sum_total(&sum) / (double)x->length;
}

/* What rounding the mean leaves of sum (x_i - mean) is its rest, and is taken off the squares. */
reel_moments reel_moments_of(const reel_lines *x, int64_t index)
{
    double block[REEL_LINE_BLOCK], mean = var_mean(x, index);
    reel_sum_lanes left = {0}, squares = {0};
    reel_line line = reel_line_at(x, index);
    for (int64_t n; (n = reel_line_read(&line, block)) > 0;) {
#pragma omp simd
        for (int64_t j = 0; j < n; j++)
            block[j] -= mean;
        reel_sum_add(&left, block, n);
#pragma omp simd
        for (int64_t j = 0; j < n; j++)
            block[j] *= block[j];
        reel_sum_add(&squares, block, n);
    }
    double sum = reel_sum_total(&left), rest = isfinite(sum) ? sum / (double)x->length : 0;
    return (reel_moments){mean, rest, reel_sum_total(&squares) - sum * rest};
}

/* ---- center ---------------------------------------------------------------------------------------- */

static void center_part(void *context, int64_t begin, int64_t end)
{
    const struct var_run *run = context;
    double block[REEL_LINE_BLOCK];
    for (int64_t i = begin; i < end; i++) {
        reel_moments m = reel_moments_of(&run->x, i);
        reel_line from = reel_line_at(&run->x, i), to = reel_line_at(&run->centered, i);
        for (int64_t n; (n = reel_line_read(&from, block)) > 0;) {
#pragma omp simd
            for (int64_t j = 0; j < n; j++)
                block[j] = (block[j] - m.mean) - m.rest;
            reel_line_write(&to, block, n);
        }
    }
}

static bool center_shape(reel_call *call, reel_output *out)
{
    unsigned set;
    if (!reel_check_dtype(call, 0, REEL_FLOATS) || !reel_reduce_set(call, &set))
        return false;
    out->dtype = call->in[0].dtype;
    out->shape = reel_make_shape(call->in[0].rank, call->in[0].shape);
    return true;
}

static bool center_forward(const reel_call *call)
{
    const reel_array *x = &call->in[0];
    unsigned set = reel_reduce_axes(call->attributes, x->rank);
    struct var_run run = {.x = reel_lines_of(x, set), .centered = reel_lines_of(&call->out[0], set)};
    if (x->count > 0)
        reel_each_line(call, &run.x, center_part, &run);
    return true;
}

static void center_vjp(const reel_call *call, const reel_tensor dy[], reel_tensor dx[], const bool wanted[])
{
    (void)wanted;
    dx[0] = reel_apply_one(REEL_HERE, &reel_op_center, REEL_TENSORS(dy[0]), call->attributes);
}

/* The sum of one line of the reference, and how many it has. */
struct var_sum {
    long double sum;
    int64_t     n;
};

static int64_t var_line_of(const reel_reference_array *in, unsigned set, int64_t element)
{
    int64_t line = 0, stride = 1;
    for (int axis = in->rank - 1; axis >= 0; element /= in->shape[axis], axis--)
        if (!(set >> axis & 1)) {
            line += element % in->shape[axis] * stride;
            stride *= in->shape[axis];
        }
    return line;
}

static struct var_sum var_sum_of(const reel_reference_array *in, unsigned set, int64_t line)
{
    struct var_sum s = {0, 0};
    for (int64_t k = 0; k < in->count; k++)
        if (var_line_of(in, set, k) == line) {
            s.sum += in->value[k];
            s.n++;
        }
    return s;
}

static void center_reference(const void *attributes, const reel_reference_array *in, int inputs,
                             reel_reference_array *out, int outputs)
{
    (void)inputs;
    (void)outputs;
    unsigned set = reel_reduce_axes(attributes, in->rank);
    for (int64_t i = 0; i < out->count; i++) {
        struct var_sum s = var_sum_of(in, set, var_line_of(in, set, i));
        out->value[i] = (double)(in->value[i] - s.sum / (long double)s.n);
    }
}

static const reel_sample center_samples[] = {
    {.note = "the last axis", .in = {{.shape = REEL_SIZES(4, 5)}}, .attributes = &reel_reduce_last},
    {.note = "the outer axes", .in = {{.shape = REEL_SIZES(2, 3, 2)}}, .attributes = &reel_reduce_outer},
    {.note = "a large mean", .in = {{.shape = REEL_SIZES(7), .low = 100, .high = 110}},
     .attributes = &reel_reduce_all},
    {.note = "a scalar", .attributes = &reel_reduce_all},
    {.note = "empty", .in = {{.shape = REEL_SIZES(0, 3)}}, .attributes = &reel_reduce_last},
    {.note = "transposed", .in = {{.shape = REEL_SIZES(4, 3), .layout = REEL_TRANSPOSED}},
     .attributes = &reel_reduce_last},
    {.note = "no such axis", .in = {{.shape = REEL_SIZES(3)}}, .attributes = &reel_reduce_bad,
     .error = "axis 5 is not in [-1, 1)"},
};

const reel_op reel_op_center = {
    .size = sizeof(reel_op), .name = "center", .inputs = 1, .outputs = 1, .attributes = sizeof(reel_reduce),
    .flags = REEL_OUTPUT_UNREAD | REEL_INPUTS_UNREAD,
    .shape = center_shape, .forward = center_forward, .vjp = center_vjp,
    .formula = "y_i = x_i - mean x; dx = dy centered", REEL_TRUTH(center_reference),
    REEL_SAMPLES(center_samples),
};

/* ---- var ------------------------------------------------------------------------------------------- */

static bool var_shape(reel_call *call, reel_output *out)
{
    double correction = ((const struct var *)call->attributes)->correction;
    if (!(correction >= 0) || isinf(correction))
        return reel_call_error(call, "the correction is not a number from 0 on");
    return reel_reduce_shape(call, out, REEL_FLOATS);
}

static void var_part(void *context, int64_t begin, int64_t end)
{
    const struct var_run *run = context;
    int64_t size = (int64_t)reel_dtype_size(run->y->dtype);
    for (int64_t i = begin; i < end; i++) {
        double y = run->divisor > 0 ? reel_moments_of(&run->x, i).squares / run->divisor : NAN;
        reel_convert(run->y->dtype, (char *)run->y->data + i * size, REEL_F64, &y, 1);
    }
}

static bool var_forward(const reel_call *call)
{
    const struct var *var = call->attributes;
    const reel_array *x = &call->in[0];
    struct var_run run = {.x = reel_lines_of(x, reel_reduce_axes(&var->reduce, x->rank)), .y = &call->out[0]};
    run.divisor = (double)run.x.length - var->correction;
    reel_each_line(call, &run.x, var_part, &run);
    return true;
}

static void var_vjp(const reel_call *call, const reel_tensor dy[], reel_tensor dx[], const bool wanted[])
{
    (void)wanted;
    const struct var *var = call->attributes;
    reel_tensor x = call->input[0];
    if (reel_count(x) == 0)
        return;
    double n = (double)(reel_count(x) / reel_count(dy[0])), divisor = n - var->correction;
    reel_tensor centered = reel_apply_one(REEL_HERE, &reel_op_center, REEL_TENSORS(x), &var->reduce);
    reel_tensor twice = reel_affine(reel_reduce_restore(call, dy[0]), divisor > 0 ? 2 / divisor : NAN, 0);
    dx[0] = reel_mul(centered, twice);
}

static void var_reference(const void *attributes, const reel_reference_array *in, int inputs,
                          reel_reference_array *out, int outputs)
{
    (void)inputs;
    (void)outputs;
    const struct var *var = attributes;
    unsigned set = reel_reduce_axes(&var->reduce, in->rank);
    for (int64_t i = 0; i < out->count; i++) {
        struct var_sum s = var_sum_of(in, set, i);
        long double n = s.n, squares = 0;
        for (int64_t k = 0; k < in->count; k++)
            if (var_line_of(in, set, k) == i)
                squares += (in->value[k] - s.sum / n) * (in->value[k] - s.sum / n);
        out->value[i] = n > var->correction ? (double)(squares / (n - (long double)var->correction)) : NAN;
    }
}

static const struct var var_all = {{{0, {0}}, false}, 0}, var_last = {{{1, {-1}}, false}, 1},
                        var_first_kept = {{{1, {0}}, true}, 0}, var_outer = {{{2, {0, 2}}, false}, 1},
                        var_bad = {{{1, {5}}, false}, 0}, var_negative = {{{0, {0}}, false}, -1};
static const reel_sample var_samples[] = {
    {.note = "all axes", .in = {{.shape = REEL_SIZES(2, 3)}}, .attributes = &var_all},
    {.note = "the last axis", .in = {{.shape = REEL_SIZES(4, 5)}}, .attributes = &var_last},
    {.note = "the first axis, kept", .in = {{.shape = REEL_SIZES(3, 4)}}, .attributes = &var_first_kept},
    {.note = "the outer axes", .in = {{.shape = REEL_SIZES(2, 3, 2)}}, .attributes = &var_outer},
    {.note = "a large mean", .in = {{.shape = REEL_SIZES(2, 5), .low = 100, .high = 110}},
     .attributes = &var_last},
    {.note = "a scalar", .attributes = &var_all},
    {.note = "one a line", .in = {{.shape = REEL_SIZES(3, 1)}}, .attributes = &var_last, .kink = true},
    {.note = "longer than a block", .in = {{.shape = REEL_SIZES(2, 601)}}, .attributes = &var_last},
    {.note = "no lines", .in = {{.shape = REEL_SIZES(0, 3)}}, .attributes = &var_last},
    {.note = "of nothing", .in = {{.shape = REEL_SIZES(2, 0)}}, .attributes = &var_last},
    {.note = "transposed", .in = {{.shape = REEL_SIZES(4, 3), .layout = REEL_TRANSPOSED}},
     .attributes = &var_last},
    {.note = "reversed", .in = {{.shape = REEL_SIZES(7), .layout = REEL_REVERSED}}, .attributes = &var_all},
    {.note = "no such axis", .in = {{.shape = REEL_SIZES(3)}}, .attributes = &var_bad,
     .error = "axis 5 is not in [-1, 1)"},
    {.note = "a negative correction", .in = {{.shape = REEL_SIZES(3)}}, .attributes = &var_negative,
     .error = "the correction is not a number from 0 on"},
};

const reel_op reel_op_var = {
    .size = sizeof(reel_op), .name = "var", .inputs = 1, .outputs = 1, .attributes = sizeof(struct var),
    .flags = REEL_OUTPUT_UNREAD, .shape = var_shape, .forward = var_forward, .vjp = var_vjp,
    .example = "reel_var(a)",
    .formula = "y = sum (x - mean)^2 / (n - c); dx = dy 2 (x - mean) / (n - c)", REEL_TRUTH(var_reference),
    REEL_SAMPLES(var_samples),
};

reel_tensor reel_var_at(REEL_PLACE, const reel_var_options *options)
{
    reel_var_options o;
    reel_known_options(&o, sizeof o, options);
    struct var var;
    memset(&var, 0, sizeof var);
    var.reduce.axes = o.axes;
    var.reduce.keepdims = o.keepdims;
    var.correction = o.correction;
    return reel_apply_one(file, line, &reel_op_var, REEL_TENSORS(o.x), &var);
}
