/* Losses, element by element, of a prediction a and a target b; z = a - b, x are logits and t labels:
 *
 *     squared_error           y = z z                               da = 2 z dy, db = -2 z dy
 *     binary_cross_entropy    y = t sp(-x) + (1 - t) sp(x)          dx = (sigmoid(x) - t) dy, dt = -x dy
 *     huber                   y = z z / 2 where |z| <= d,           da = z brought into [-d, d], times dy;
 *                             else d (|z| - d / 2)                  db = -da
 *
 * sp is softplus. Since sp(x) = l + max(x, 0) and sp(-x) = l + max(-x, 0) with l = log(1 + e^-|x|), the
 * cross-entropy is l + (1 - t) x for a positive x and l - t x for others: two terms of one sign where t is
 * in [0, 1]. A factor of 0 takes its term out, so that an infinite logit with the right label costs 0.
 *
 * The public calls reduce them. */
#include "core/options.h"
#include "core/shape.h"
#include "ops/op.h"

#include <math.h>

/* Of a difference: da and -da. */
static void losses_opposite(reel_tensor da, reel_tensor dx[], const bool wanted[])
{
    dx[0] = da;
    if (wanted[1])
        dx[1] = reel_neg(da);
}

/* ---- squared_error --------------------------------------------------------------------------------- */

REEL_KERNEL(squared_error_f32, float, 2, (a - b) * (a - b))
REEL_KERNEL(squared_error_f64, double, 2, (a - b) * (a - b))
REEL_FLOAT_KERNELS(squared_error)

static void squared_error_vjp(const reel_call *call, const reel_tensor dy[], reel_tensor dx[],
                              const bool wanted[])
{
    reel_tensor z = reel_sub(call->input[0], call->input[1]), da = reel_mul(dy[0], reel_affine(z, 2, 0));
    losses_opposite(da, dx, wanted);
}

REEL_REFERENCE(squared_error_reference, (double)(((long double)x[0] - x[1]) * ((long double)x[0] - x[1])))
static const reel_sample squared_error_samples[] = {REEL_BINARY_SAMPLES(-3, 3)};

const reel_op reel_op_squared_error = {
    .size = sizeof(reel_op), .name = "squared_error", .inputs = 2, .outputs = 1, .flags = REEL_OUTPUT_UNREAD,
    .kernels = &squared_error_kernels, .vjp = squared_error_vjp,
    .example = "reel_mean_squared_error(a, b)",
    .formula = "y = (a - b)^2; da = 2 (a - b) dy, db = -da", REEL_TRUTH(squared_error_reference),
    REEL_SAMPLES(squared_error_samples),
};

/* ---- binary_cross_entropy -------------------------------------------------------------------------- */

static inline double bce_of(double x, double t)
{
    double weight = x > 0 ? 1 - t : t, magnitude = fabs(x);
    return log1p(exp(-magnitude)) + (weight == 0 && x == x ? 0 : weight * magnitude);
}

REEL_KERNEL(binary_cross_entropy_f32, float, 2, bce_of(a, b))
REEL_KERNEL(binary_cross_entropy_f64, double, 2, bce_of(a, b))
REEL_FLOAT_KERNELS(binary_cross_entropy)

static void bce_vjp(const reel_call *call, const reel_tensor dy[], reel_tensor dx[], const bool wanted[])
{
    reel_tensor x = call->input[0], t = call->input[1];
    if (wanted[0])
        dx[0] = reel_mul(dy[0], reel_sub(reel_sigmoid(x), t));
    if (wanted[1])
        dx[1] = reel_neg(reel_mul(dy[0], x));
}

/* The two terms as they are defined, and their limits where x or t is infinite. */
static double bce_by_terms(double x, double t)
{
    long double small = log1pl(expl(-fabsl((long double)x))), large = small + fabsl((long double)x);
    if (isnan(x) || isnan(t))
        return NAN;
    if (isinf(x) && (x > 0 ? 1 - t : t) == 0)
        return 0;
    if (isinf(x) || isinf(t))
        return x > 0 ? (1 - t) * x : -t * x;
    return (double)(x > 0 ? t * small + (1 - t) * large : t * large + (1 - t) * small);
}

REEL_REFERENCE(binary_cross_entropy_reference, bce_by_terms(x[0], x[1]))
static const reel_sample bce_samples[] = {
    REEL_BINARY_SAMPLES(.05, .95),
    {.note = "both signs", .in = {{.shape = REEL_SIZES(3, 4), .low = -4, .high = 4},
                                  {.shape = REEL_SIZES(3, 4), .low = 0, .high = 1}}},
    {.note = "saturated", .in = {{.shape = REEL_SIZES(4), .values = (const double[]){-200, 200, -200, 200}},
                                 {.shape = REEL_SIZES(4), .values = (const double[]){0, 1, 1, 0}}},
                                 .kink = true},
};

const reel_op reel_op_binary_cross_entropy = {
    .size = sizeof(reel_op), .name = "binary_cross_entropy", .inputs = 2, .outputs = 1,
    .flags = REEL_OUTPUT_UNREAD, .kernels = &binary_cross_entropy_kernels, .vjp = bce_vjp,
    .example = "reel_binary_cross_entropy_with_logits(a, b)",
    .formula = "y = t softplus(-x) + (1 - t) softplus(x); dx = (sigmoid(x) - t) dy, dt = -x dy",
    REEL_TRUTH(binary_cross_entropy_reference), REEL_SAMPLES(bce_samples),
};

/* ---- huber ----------------------------------------------------------------------------------------- */

struct huber {
    double delta;
};

static double huber_delta(const void *attributes)
{
    return ((const struct huber *)attributes)->delta;
}

static inline double huber_of(double z, double delta)
{
    double size = fabs(z);
    return size <= delta ? z * z / 2 : delta * (size - delta / 2);
}

REEL_KERNEL(huber_f32, float, 2, huber_of((double)a - b, huber_delta(attributes)))
REEL_KERNEL(huber_f64, double, 2, huber_of(a - b, huber_delta(attributes)))
REEL_FLOAT_KERNELS(huber)

static void huber_vjp(const reel_call *call, const reel_tensor dy[], reel_tensor dx[], const bool wanted[])
{
    double delta = huber_delta(call->attributes);
    reel_tensor z = reel_sub(call->input[0], call->input[1]),
                da = reel_mul(dy[0], reel_clip(z, -delta, delta));
    losses_opposite(da, dx, wanted);
}

static double huber_by_cases(double z, double d)
{
    if (isnan(z))
        return z;
    return z > d ? d * z - d * d / 2 : z < -d ? -d * z - d * d / 2 : .5 * z * z;
}

REEL_REFERENCE(huber_reference, huber_by_cases(x[0] - x[1], huber_delta(attributes)))
static const struct huber huber_example = {1.25};
#define HUBER_PAIR(how, ...)                                                                         \
    .in = {{.shape = REEL_SIZES(__VA_ARGS__), .low = -3, .high = 3, .layout = how},                  \
           {.shape = REEL_SIZES(__VA_ARGS__), .low = -3, .high = 3}}, .attributes = &huber_example
static const reel_sample huber_samples[] = {
    {.note = "matrices", HUBER_PAIR(REEL_CONTIGUOUS, 3, 4)},
    {.note = "scalars", .in = {{.low = -1}, {.low = -1}}, .attributes = &huber_example},
    {.note = "empty", HUBER_PAIR(REEL_CONTIGUOUS, 0, 4)},
    {.note = "longer than a block", HUBER_PAIR(REEL_CONTIGUOUS, 2, 300)},
    {.note = "transposed", HUBER_PAIR(REEL_TRANSPOSED, 4, 3)},
    {.note = "reversed", HUBER_PAIR(REEL_REVERSED, 5)},
    {.note = "stretched", .in = {{.shape = REEL_SIZES(4, 1), .low = -3, .high = 3},
                                 {.shape = REEL_SIZES(3), .low = -3, .high = 3}},
                                 .attributes = &huber_example},
    {.note = "do not broadcast", .in = {{.shape = REEL_SIZES(2)}, {.shape = REEL_SIZES(3)}},
     .attributes = &huber_example,
     .error = "[2] f32 and [3] f32 do not broadcast"},
};

const reel_op reel_op_huber = {
    .size = sizeof(reel_op), .name = "huber", .inputs = 2, .outputs = 1, .attributes = sizeof(struct huber),
    .flags = REEL_OUTPUT_UNREAD, .kernels = &huber_kernels, .vjp = huber_vjp,
    .example = "reel_huber(a, b, .delta = 1.25)",
    .formula = "y = z z / 2 where |z| <= d, else d (|z| - d / 2), z = a - b; da = clip(z, -d, d) dy, "
               "db = -da",
    REEL_TRUTH(huber_reference), REEL_SAMPLES(huber_samples),
};

/* ---- The calls ------------------------------------------------------------------------------------- */

/* A prediction [N, 1] and a target [N] would broadcast to N N losses, which nobody means. */
static reel_tensor loss_reduced(REEL_PLACE, const reel_op *op, reel_tensor prediction, reel_tensor target,
                                const void *attributes, reel_reduction reduction)
{
    reel_tape *tape = prediction.tape ? prediction.tape : target.tape;
    reel_shape a = reel_shape_of(prediction), b = reel_shape_of(target);
    if (reel_is_valid(prediction) && reel_is_valid(target) &&
        !reel_same_sizes(a.rank, a.size, b.rank, b.size)) {
        reel_error_set_at(file, line, tape, "%s: the shapes of %s and %s differ", op->name,
                          reel_describe(prediction).text, reel_describe(target).text);
        return (reel_tensor){tape, 0, 0};
    }
    if ((unsigned)reduction > REEL_REDUCTION_SUM) {
        reel_error_set_at(file, line, tape, "%s: there is no such reduction (%d)", op->name, (int)reduction);
        return (reel_tensor){tape, 0, 0};
    }
    reel_tensor y = reel_apply_one(file, line, op, REEL_TENSORS(prediction, target), attributes);
    if (reduction == REEL_REDUCTION_NONE)
        return y;
    const reel_reduce_options *all = REEL_OPTIONS(reel_reduce_options, .x = y);
    return reduction == REEL_REDUCTION_MEAN ? reel_mean_at(file, line, all) : reel_sum_at(file, line, all);
}

reel_tensor reel_mean_squared_error_at(REEL_PLACE, const reel_loss_options *options)
{
    reel_loss_options o;
    reel_known_options(&o, sizeof o, options);
    return loss_reduced(file, line, &reel_op_squared_error, o.prediction, o.target, NULL, o.reduction);
}

reel_tensor reel_binary_cross_entropy_with_logits_at(REEL_PLACE, const reel_loss_options *options)
{
    reel_loss_options o;
    reel_known_options(&o, sizeof o, options);
    return loss_reduced(file, line, &reel_op_binary_cross_entropy, o.prediction, o.target, NULL, o.reduction);
}

reel_tensor reel_huber_at(REEL_PLACE, const reel_huber_options *options)
{
    reel_huber_options o;
    reel_known_options(&o, sizeof o, options);
    struct huber huber = {o.delta == 0 ? 1 : o.delta};
    if (!(huber.delta > 0)) {
        reel_tape *tape = o.prediction.tape ? o.prediction.tape : o.target.tape;
        reel_error_set_at(file, line, tape, "huber: delta must be above 0");
        return (reel_tensor){tape, 0, 0};
    }
    return loss_reduced(file, line, &reel_op_huber, o.prediction, o.target, &huber, o.reduction);
}
