/* What the reductions share, and sum and mean.
 *
 *     y = sum x_i        dx_i = dy
 *     y = sum x_i / n    dx_i = dy / n
 *
 * Floating sums are compensated, so that they are right to the last bit or so; integer sums wrap around. */
#include "ops/reduce.h"
#include "core/dtype.h"
#include "core/options.h"

#include <string.h>

enum { REDUCE_GRAIN = 16384 };

const reel_reduce reel_reduce_all = {{0, {0}}, false}, reel_reduce_last = {{1, {-1}}, false},
                  reel_reduce_first_kept = {{1, {0}}, true}, reel_reduce_outer = {{2, {0, 2}}, false},
                  reel_reduce_bad = {{1, {5}}, false};

/* ---- Shared ------------------------------------------------------------------------------------------------ */

bool reel_reduce_set(reel_call *call, unsigned *set)
{
    const reel_reduce *reduce = call->attributes;
    int rank = call->in[0].rank;
    *set = reduce->axes.count ? 0 : (1u << rank) - 1;
    if (reduce->axes.count < 0 || reduce->axes.count > REEL_MAX_RANK)
        return reel_call_error(call, "%d axes", reduce->axes.count);
    for (int i = 0; i < reduce->axes.count; i++) {
        int axis;
        if (!reel_check_axis(call, 0, reduce->axes.axis[i], &axis))
            return false;
        if (*set >> axis & 1)
            return reel_call_error(call, "axis %d is named twice for %s", reduce->axes.axis[i],
                                   reel_describe(call->input[0]).text);
        *set |= 1u << axis;
    }
    return true;
}

unsigned reel_reduce_axes(const reel_reduce *reduce, int rank)
{
    unsigned set = reduce->axes.count ? 0 : (1u << rank) - 1;
    for (int i = 0; i < reduce->axes.count; i++)
        set |= 1u << (reduce->axes.axis[i] < 0 ? reduce->axes.axis[i] + rank : reduce->axes.axis[i]);
    return set;
}

bool reel_reduce_shape(reel_call *call, reel_output *out, unsigned allowed)
{
    const reel_reduce *reduce = call->attributes;
    const reel_array *x = &call->in[0];
    unsigned set;
    if (!reel_check_dtype(call, 0, allowed) || !reel_reduce_set(call, &set))
        return false;
    out->dtype = x->dtype;
    out->shape.rank = 0;
    for (int i = 0; i < x->rank; i++)
        if (!(set >> i & 1))
            out->shape.size[out->shape.rank++] = x->shape[i];
        else if (reduce->keepdims)
            out->shape.size[out->shape.rank++] = 1;
    return true;
}

reel_tensor reel_reduce_restore(const reel_call *call, reel_tensor reduced)
{
    reel_shape shape = reel_shape_of(call->input[0]);
    unsigned set = reel_reduce_axes(call->attributes, shape.rank);
    for (int i = 0; i < shape.rank; i++)
        if (set >> i & 1)
            shape.size[i] = 1;
    return reel_reshape(reduced, shape);
}

reel_tensor reel_reduce_apply(REEL_PLACE, const reel_op *op, const reel_reduce_options *options)
{
    reel_reduce_options o;
    reel_known_options(&o, sizeof o, options);
    reel_reduce reduce;
    memset(&reduce, 0, sizeof reduce);
    reduce.axes = o.axes;
    reduce.keepdims = o.keepdims;
    return reel_apply_one(file, line, op, REEL_TENSORS(o.x), &reduce);
}

void reel_each_line(const reel_call *call, const reel_lines *lines,
                    void (*work)(void *context, int64_t begin, int64_t end), void *context)
{
    int64_t length = lines->length > 0 ? lines->length : 1;
    if (lines->lines > 0)
        reel_call_parallel(call, lines->lines, REDUCE_GRAIN / length + 1, work, context);
}

void reel_reference_reduce(const reel_reduce *reduce, const reel_reference_array *in,
                           void (*visit)(double *out, int64_t element, double value), double *out)
{
    unsigned set = reel_reduce_axes(reduce, in->rank);
    for (int64_t i = 0; i < in->count; i++) {
        int64_t rest = i, element = 0, stride = 1;
        for (int axis = in->rank - 1; axis >= 0; axis--) {
            int64_t position = rest % in->shape[axis];
            rest /= in->shape[axis];
            if (set >> axis & 1)
                continue;
            element += position * stride;
            stride *= in->shape[axis];
        }
        visit(out, element, in->value[i]);
    }
}

/* ---- sum and mean ------------------------------------------------------------------------------------------- */

struct sum_run {
    reel_lines        lines;
    const reel_array *y;
    double            divisor;
};

static void sum_part(void *context, int64_t begin, int64_t end)
{
    const struct sum_run *run = context;
    int64_t size = (int64_t)reel_dtype_size(run->y->dtype);
    for (int64_t i = begin; i < end; i++) {
        double block[REEL_LINE_BLOCK];
        reel_sum_lanes lanes = {0};
        reel_line line = reel_line_at(&run->lines, i);
        for (int64_t n; (n = reel_line_read(&line, block)) > 0;)
            reel_sum_add(&lanes, block, n);
        double sum = reel_sum_total(&lanes) / run->divisor;
        reel_convert(run->y->dtype, (char *)run->y->data + i * size, REEL_F64, &sum, 1);
    }
}

/* Integers, added without rounding and wrapped at the end. */
static void sum_integers(void *context, int64_t begin, int64_t end)
{
    const struct sum_run *run = context;
    const reel_array *x = run->lines.array;
    int64_t size = (int64_t)reel_dtype_size(x->dtype);
    for (int64_t i = begin; i < end; i++) {
        uint64_t sum = 0;
        reel_line line = reel_line_at(&run->lines, i);
        for (; line.walk.more; reel_walk_next(&line.walk))
            for (int64_t j = 0; j < line.walk.length; j++) {
                int64_t element = line.start + line.walk.offset[0] + j * line.walk.step[0], value;
                reel_convert(REEL_I64, &value, x->dtype, (const char *)x->data + element * size, 1);
                sum += (uint64_t)value;
            }
        memcpy((char *)run->y->data + i * size, &sum, (size_t)size);    /* little-endian: the low bytes */
    }
}

static bool sum_lines(const reel_call *call, double divisor)
{
    const reel_array *x = &call->in[0];
    struct sum_run run = {.lines = reel_lines_of(x, reel_reduce_axes(call->attributes, x->rank)),
                          .y = &call->out[0], .divisor = divisor};
    reel_each_line(call, &run.lines, reel_dtype_is_float(x->dtype) ? sum_part : sum_integers, &run);
    return true;
}

static bool sum_shape(reel_call *call, reel_output *out)
{
    return reel_reduce_shape(call, out, REEL_FLOATS | REEL_INTEGERS);
}

static bool sum_forward(const reel_call *call)
{
    return sum_lines(call, 1);
}

static void sum_vjp(const reel_call *call, const reel_tensor dy[], reel_tensor dx[], const bool wanted[])
{
    (void)wanted;
    dx[0] = reel_broadcast(reel_reduce_restore(call, dy[0]), reel_shape_of(call->input[0]));
}

static void sum_visit(double *out, int64_t element, double value)
{
    out[element] += value;
}

static void sum_reference(const void *attributes, const reel_reference_array *in, int inputs,
                          reel_reference_array *out, int outputs)
{
    (void)inputs;
    (void)outputs;
    for (int64_t i = 0; i < out->count; i++)
        out->value[i] = 0;
    reel_reference_reduce(attributes, in, sum_visit, out->value);
}

static const reel_sample sum_samples[] = {
    REEL_REDUCE_SAMPLES,
    {.note = "nothing", .in = {{.shape = REEL_SIZES(2, 0)}}, .attributes = &reel_reduce_last},
};

const reel_op reel_op_sum = {
    .size = sizeof(reel_op), .name = "sum", .inputs = 1, .outputs = 1, .attributes = sizeof(reel_reduce),
    .flags = REEL_OUTPUT_UNREAD | REEL_INPUTS_UNREAD,
    .shape = sum_shape, .forward = sum_forward, .vjp = sum_vjp,
    .example = "reel_sum(a)",
    .formula = "y = sum x; dx = dy, stretched", REEL_TRUTH(sum_reference), REEL_SAMPLES(sum_samples),
};

reel_tensor reel_sum_at(REEL_PLACE, const reel_reduce_options *options)
{
    return reel_reduce_apply(file, line, &reel_op_sum, options);
}

static int64_t mean_length(const reel_call *call, int rank, const int64_t *size)
{
    unsigned set = reel_reduce_axes(call->attributes, rank);
    int64_t n = 1;
    for (int i = 0; i < rank; i++)
        n *= set >> i & 1 ? size[i] : 1;
    return n;
}

static bool mean_shape(reel_call *call, reel_output *out)
{
    return reel_reduce_shape(call, out, REEL_FLOATS);
}

static bool mean_forward(const reel_call *call)
{
    return sum_lines(call, (double)mean_length(call, call->in[0].rank, call->in[0].shape));
}

static void mean_vjp(const reel_call *call, const reel_tensor dy[], reel_tensor dx[], const bool wanted[])
{
    (void)wanted;
    reel_shape shape = reel_shape_of(call->input[0]);
    double n = (double)mean_length(call, shape.rank, shape.size);
    dx[0] = reel_broadcast(reel_reduce_restore(call, reel_affine(dy[0], 1 / n, 0)), shape);
}

static void mean_reference(const void *attributes, const reel_reference_array *in, int inputs,
                           reel_reference_array *out, int outputs)
{
    sum_reference(attributes, in, inputs, out, outputs);
    int64_t n = in->count / (out->count ? out->count : 1);
    for (int64_t i = 0; i < out->count; i++)
        out->value[i] /= (double)n;
}

static const reel_sample mean_samples[] = {REEL_REDUCE_SAMPLES};

const reel_op reel_op_mean = {
    .size = sizeof(reel_op), .name = "mean", .inputs = 1, .outputs = 1, .attributes = sizeof(reel_reduce),
    .flags = REEL_OUTPUT_UNREAD | REEL_INPUTS_UNREAD,
    .shape = mean_shape, .forward = mean_forward, .vjp = mean_vjp,
    .example = "reel_mean(a)",
    .formula = "y = sum x / n; dx = dy / n, stretched", REEL_TRUTH(mean_reference), REEL_SAMPLES(mean_samples),
};

reel_tensor reel_mean_at(REEL_PLACE, const reel_reduce_options *options)
{
    return reel_reduce_apply(file, line, &reel_op_mean, options);
}
