/* exp, log and tanh, elementwise, by the C library's functions.
 *
 *     y = e^x        dx = dy y
 *     y = ln x       dx = dy / x
 *     y = tanh x     dx = dy (1 - y y)
 *
 * The gradients of exp and tanh are taken from y: where tanh rounds to 1 it is exactly 0, the right limit. */
#include "ops/op.h"

#include <math.h>

#define TRANSCENDENTAL(NAME)                                                                         \
    REEL_KERNEL(NAME##_f32, float, 1, NAME##f(a))                                                    \
    REEL_KERNEL(NAME##_f64, double, 1, NAME(a))                                                      \
    static bool NAME##_forward(const reel_call *call)                                                \
    {                                                                                                \
        static const reel_kernels kernels = {.f32 = NAME##_f32, .f64 = NAME##_f64};                  \
        return reel_elementwise(call, &kernels);                                                     \
    }                                                                                                \
    static bool NAME##_shape(reel_call *call, reel_output *out)                                      \
    {                                                                                                \
        return reel_elementwise_shape(call, out, REEL_FLOATS);                                       \
    }

/* ---- exp ------------------------------------------------------------------------------------------------- */

TRANSCENDENTAL(exp)

static void exp_vjp(const reel_call *call, const reel_tensor dy[], reel_tensor dx[], const bool wanted[])
{
    (void)wanted;
    dx[0] = reel_mul(dy[0], call->output[0]);
}

REEL_REFERENCE(exp_reference, pow(2.718281828459045235, x[0]))
static const reel_sample exp_samples[] = {
    REEL_UNARY_SAMPLES(-3, 3),
    {.note = "over and under", .in = {{.shape = REEL_SIZES(3), .values = (const double[]){-1e4, 1e4, 0}}}, .kink = true},
};

const reel_op reel_op_exp = {
    .size = sizeof(reel_op), .name = "exp", .inputs = 1, .outputs = 1,
    .flags = REEL_ELEMENTWISE | REEL_INPUTS_UNREAD,
    .shape = exp_shape, .forward = exp_forward, .vjp = exp_vjp,
    .formula = "y = exp(x); dx = dy y", .reference = exp_reference, REEL_SAMPLES(exp_samples),
};
REEL_DEFINE_UNARY(exp)

/* ---- log ------------------------------------------------------------------------------------------------- */

TRANSCENDENTAL(log)

static void log_vjp(const reel_call *call, const reel_tensor dy[], reel_tensor dx[], const bool wanted[])
{
    (void)wanted;
    dx[0] = reel_div(dy[0], call->input[0]);
}

REEL_REFERENCE(log_reference, log2(x[0]) * 0.693147180559945309)
static const reel_sample log_samples[] = {
    REEL_UNARY_SAMPLES(.3, 4),
    {.note = "outside", .in = {{.shape = REEL_SIZES(2), .values = (const double[]){-1, 0}}}, .kink = true},
};

const reel_op reel_op_log = {
    .size = sizeof(reel_op), .name = "log", .inputs = 1, .outputs = 1,
    .flags = REEL_ELEMENTWISE | REEL_OUTPUT_UNREAD,
    .shape = log_shape, .forward = log_forward, .vjp = log_vjp,
    .formula = "y = log(x); dx = dy / x", .reference = log_reference, REEL_SAMPLES(log_samples),
};
REEL_DEFINE_UNARY(log)

/* ---- tanh ------------------------------------------------------------------------------------------------ */

TRANSCENDENTAL(tanh)

static void tanh_vjp(const reel_call *call, const reel_tensor dy[], reel_tensor dx[], const bool wanted[])
{
    (void)wanted;
    reel_tensor y = call->output[0];
    dx[0] = reel_mul(dy[0], reel_affine(reel_mul(y, y), -1, 1));
}

static double tanh_by_exp(double x)
{
    double e = exp(-2 * fabs(x)), r = -expm1(-2 * fabs(x)) / (1 + e);
    return x < 0 ? -r : r;
}

REEL_REFERENCE(tanh_reference, tanh_by_exp(x[0]))
static const reel_sample tanh_samples[] = {
    REEL_UNARY_SAMPLES(-2, 2),
    {.note = "saturated", .in = {{.shape = REEL_SIZES(4), .values = (const double[]){-50, 50, -1000, 1000}}}},
};

const reel_op reel_op_tanh = {
    .size = sizeof(reel_op), .name = "tanh", .inputs = 1, .outputs = 1,
    .flags = REEL_ELEMENTWISE | REEL_INPUTS_UNREAD,
    .shape = tanh_shape, .forward = tanh_forward, .vjp = tanh_vjp,
    .formula = "y = tanh(x); dx = dy (1 - y y)", .reference = tanh_reference, REEL_SAMPLES(tanh_samples),
};
REEL_DEFINE_UNARY(tanh)
