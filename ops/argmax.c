/* argmax and argmin: the position along an axis of the largest or the smallest element, i64.
 *
 * At a tie it is the first, and a NaN wins over every number. No gradient: the result is an integer. */
#include "ops/extreme.h"

#include <math.h>

struct argmax {
    int axis;
};

struct argmax_run {
    reel_lines x;
    int64_t   *y;
    bool       smallest;
};

static bool argmax_shape(reel_call *call, reel_output *out)
{
    const reel_array *x = &call->in[0];
    int axis;
    if (!reel_check_axis(call, 0, ((const struct argmax *)call->attributes)->axis, &axis))
        return false;
    out->dtype = REEL_I64;
    for (int i = 0; i < x->rank; i++)
        if (i != axis)
            out->shape.size[out->shape.rank++] = x->shape[i];
    return x->shape[axis] > 0 || reel_shape_count(out->shape.rank, out->shape.size) == 0 ||
           reel_call_error(call, "axis %d of %s has no elements", axis, reel_describe(call->input[0]).text);
}

static void argmax_part(void *context, int64_t begin, int64_t end)
{
    const struct argmax_run *run = context;
    for (int64_t i = begin; i < end; i++)
        run->y[i] = reel_extreme_of(&run->x, i, run->smallest).position;
}

static bool argmax_run(const reel_call *call, bool smallest)
{
    int axis;
    reel_normal_axis(((const struct argmax *)call->attributes)->axis, call->in[0].rank, &axis);
    struct argmax_run run = {reel_lines_of(&call->in[0], 1u << axis), call->out[0].data, smallest};
    reel_each_line(call, &run.x, argmax_part, &run);
    return true;
}

static bool argmax_forward(const reel_call *call)
{
    return argmax_run(call, false);
}

static bool argmin_forward(const reel_call *call)
{
    return argmax_run(call, true);
}

/* Whether a beats b: `sign` is -1 where the smallest is looked for. */
static bool argmax_beats(double a, double b, double sign)
{
    return isnan(a) ? !isnan(b) : sign * a > sign * b;
}

static void argmax_by_rank(const struct argmax *argmax, const reel_reference_array *in,
                           reel_reference_array *out, double sign)
{
    int axis = argmax->axis < 0 ? argmax->axis + in->rank : argmax->axis;
    int64_t inner = 1, n = in->shape[axis];
    for (int i = axis + 1; i < in->rank; i++)
        inner *= in->shape[i];
    for (int64_t i = 0; i < out->count; i++) {
        const double *line = in->value + i / inner * n * inner + i % inner;
        for (int64_t j = n - 1; j >= 0; j--) {
            bool beaten = false;
            for (int64_t k = 0; k < n; k++)
                beaten |= argmax_beats(line[k * inner], line[j * inner], sign);
            if (!beaten)
                out->value[i] = (double)j;
        }
    }
}

static void argmax_reference(const void *attributes, const reel_reference_array *in, int inputs,
                             reel_reference_array *out, int outputs)
{
    (void)inputs;
    (void)outputs;
    argmax_by_rank(attributes, in, out, 1);
}

static void argmin_reference(const void *attributes, const reel_reference_array *in, int inputs,
                             reel_reference_array *out, int outputs)
{
    (void)inputs;
    (void)outputs;
    argmax_by_rank(attributes, in, out, -1);
}

static const struct argmax argmax_last = {-1}, argmax_first = {0}, argmax_far = {2};
static const reel_sample argmax_samples[] = {
    {.note = "the last axis", .in = {{.shape = REEL_SIZES(4, 5)}}, .attributes = &argmax_last},
    {.note = "the first axis", .in = {{.shape = REEL_SIZES(3, 2, 2)}}, .attributes = &argmax_first},
    {.note = "longer than a block", .in = {{.shape = REEL_SIZES(2, 601)}}, .attributes = &argmax_last},
    {.note = "ties", .in = {{.shape = REEL_SIZES(4), .values = (const double[]){1, 2, 2, 1}}},
     .attributes = &argmax_last},
    {.note = "integers", .in = {{.shape = REEL_SIZES(3, 4), .dtype = REEL_I64}}, .attributes = &argmax_last},
    {.note = "no lines", .in = {{.shape = REEL_SIZES(0, 3)}}, .attributes = &argmax_last},
    {.note = "transposed", .in = {{.shape = REEL_SIZES(4, 3), .layout = REEL_TRANSPOSED}},
     .attributes = &argmax_last},
    {.note = "reversed", .in = {{.shape = REEL_SIZES(7), .layout = REEL_REVERSED}},
     .attributes = &argmax_last},
    {.note = "of nothing", .in = {{.shape = REEL_SIZES(2, 0)}}, .attributes = &argmax_last,
     .error = "axis 1 of [2,0] f32 has no elements"},
    {.note = "a scalar", .attributes = &argmax_last, .error = "axis -1 of a scalar"},
    {.note = "no such axis", .in = {{.shape = REEL_SIZES(3)}}, .attributes = &argmax_far,
     .error = "axis 2 is not in [-1, 1)"},
};

#define ARGMAX_OP(NAME, LARGEST)                                                                     \
    const reel_op reel_op_##NAME = {                                                                 \
        .size = sizeof(reel_op), .name = #NAME, .inputs = 1, .outputs = 1,                           \
        .attributes = sizeof(struct argmax), .flags = REEL_NO_GRADIENT, .shape = argmax_shape,       \
        .forward = NAME##_forward, .formula = "y = the first position of the " LARGEST " element",   \
        .example = "reel_" #NAME "(a, -1)",                                                          \
        REEL_TRUTH(NAME##_reference), REEL_SAMPLES(argmax_samples),                                  \
    };                                                                                               \
                                                                                                     \
    reel_tensor reel_##NAME##_at(REEL_PLACE, reel_tensor x, int axis)                                \
    {                                                                                                \
        return reel_apply_one(file, line, &reel_op_##NAME, REEL_TENSORS(x), &(const struct argmax){axis}); \
    }

ARGMAX_OP(argmax, "largest")
ARGMAX_OP(argmin, "smallest")
