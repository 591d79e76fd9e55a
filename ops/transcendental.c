/* exp, log, expm1, log1p, tanh, sin and cos, elementwise, by the C library's functions.
 *
 *     y = e^x          dx = dy y
 *     y = ln x         dx = dy / x
 *     y = e^x - 1      dx = dy (y + 1)
 *     y = ln(1 + x)    dx = dy / (1 + x)
 *     y = tanh x       dx = dy (1 - y y)
 *     y = sin x        dx = dy cos x
 *     y = cos x        dx = -dy sin x
 *
 * The gradients of exp and tanh are taken from y: where tanh rounds to 1 it is exactly 0, the right limit. */
#include "ops/op.h"

#include <math.h>

/* ---- exp ------------------------------------------------------------------------------------------------- */

REEL_UNARY_KERNELS(exp, expf(a), exp(a))

static void exp_vjp(const reel_call *call, const reel_tensor dy[], reel_tensor dx[], const bool wanted[])
{
    (void)wanted;
    dx[0] = reel_mul(dy[0], call->output[0]);
}

REEL_REFERENCE(exp_reference, pow(2.718281828459045235, x[0]))
static const reel_sample exp_samples[] = {
    REEL_UNARY_SAMPLES(-3, 3),
    REEL_INTEGERS_REFUSED,
    {.note = "over and under", .in = {{.shape = REEL_SIZES(3), .values = (const double[]){-1e4, 1e4, 0}}}, .kink = true},
};

const reel_op reel_op_exp = {
    .size = sizeof(reel_op), .name = "exp", .inputs = 1, .outputs = 1,
    .flags = REEL_INPUTS_UNREAD,
    .kernels = &exp_kernels, .vjp = exp_vjp,
    .formula = "y = exp(x); dx = dy y", REEL_TRUTH(exp_reference), REEL_SAMPLES(exp_samples),
};
REEL_DEFINE_UNARY(exp)

/* ---- log ------------------------------------------------------------------------------------------------- */

REEL_UNARY_KERNELS(log, logf(a), log(a))

static void log_vjp(const reel_call *call, const reel_tensor dy[], reel_tensor dx[], const bool wanted[])
{
    (void)wanted;
    dx[0] = reel_div(dy[0], call->input[0]);
}

REEL_REFERENCE(log_reference, log2(x[0]) * 0.693147180559945309)
static const reel_sample log_samples[] = {
    REEL_UNARY_SAMPLES(.3, 4),
    REEL_INTEGERS_REFUSED,
    {.note = "outside", .in = {{.shape = REEL_SIZES(2), .values = (const double[]){-1, 0}}}, .kink = true},
};

const reel_op reel_op_log = {
    .size = sizeof(reel_op), .name = "log", .inputs = 1, .outputs = 1,
    .flags = REEL_OUTPUT_UNREAD,
    .kernels = &log_kernels, .vjp = log_vjp,
    .formula = "y = log(x); dx = dy / x", REEL_TRUTH(log_reference), REEL_SAMPLES(log_samples),
};
REEL_DEFINE_UNARY(log)

/* ---- expm1 and log1p --------------------------------------------------------------------------------------- */

REEL_UNARY_KERNELS(expm1, expm1f(a), expm1(a))

static void expm1_vjp(const reel_call *call, const reel_tensor dy[], reel_tensor dx[], const bool wanted[])
{
    (void)wanted;
    dx[0] = reel_mul(dy[0], reel_affine(call->output[0], 1, 1));
}

REEL_REFERENCE(expm1_reference, (double)(expl((long double)x[0]) - 1))
static const reel_sample expm1_samples[] = {REEL_UNARY_SAMPLES(-3, 3), REEL_INTEGERS_REFUSED};

const reel_op reel_op_expm1 = {
    .size = sizeof(reel_op), .name = "expm1", .inputs = 1, .outputs = 1, .flags = REEL_INPUTS_UNREAD,
    .kernels = &expm1_kernels, .vjp = expm1_vjp,
    .formula = "y = exp(x) - 1; dx = dy (y + 1)", REEL_TRUTH(expm1_reference), REEL_SAMPLES(expm1_samples),
};
REEL_DEFINE_UNARY(expm1)

REEL_UNARY_KERNELS(log1p, log1pf(a), log1p(a))

static void log1p_vjp(const reel_call *call, const reel_tensor dy[], reel_tensor dx[], const bool wanted[])
{
    (void)wanted;
    dx[0] = reel_div(dy[0], reel_affine(call->input[0], 1, 1));
}

REEL_REFERENCE(log1p_reference, (double)logl(1 + (long double)x[0]))
static const reel_sample log1p_samples[] = {REEL_UNARY_SAMPLES(-.6, 3), REEL_INTEGERS_REFUSED};

const reel_op reel_op_log1p = {
    .size = sizeof(reel_op), .name = "log1p", .inputs = 1, .outputs = 1, .flags = REEL_OUTPUT_UNREAD,
    .kernels = &log1p_kernels, .vjp = log1p_vjp,
    .formula = "y = log(1 + x); dx = dy / (1 + x)", REEL_TRUTH(log1p_reference), REEL_SAMPLES(log1p_samples),
};
REEL_DEFINE_UNARY(log1p)

/* ---- sin and cos --------------------------------------------------------------------------------------------- */

REEL_UNARY_KERNELS(sin, sinf(a), sin(a))

static void sin_vjp(const reel_call *call, const reel_tensor dy[], reel_tensor dx[], const bool wanted[])
{
    (void)wanted;
    dx[0] = reel_mul(dy[0], reel_cos(call->input[0]));
}

REEL_REFERENCE(sin_reference, (double)sinl((long double)x[0]))
static const reel_sample sin_samples[] = {REEL_UNARY_SAMPLES(-2.5, 2.5), REEL_INTEGERS_REFUSED};

const reel_op reel_op_sin = {
    .size = sizeof(reel_op), .name = "sin", .inputs = 1, .outputs = 1, .flags = REEL_OUTPUT_UNREAD,
    .kernels = &sin_kernels, .vjp = sin_vjp,
    .formula = "y = sin(x); dx = dy cos(x)", REEL_TRUTH(sin_reference), REEL_SAMPLES(sin_samples),
};
REEL_DEFINE_UNARY(sin)

REEL_UNARY_KERNELS(cos, cosf(a), cos(a))

static void cos_vjp(const reel_call *call, const reel_tensor dy[], reel_tensor dx[], const bool wanted[])
{
    (void)wanted;
    dx[0] = reel_mul(dy[0], reel_neg(reel_sin(call->input[0])));
}

REEL_REFERENCE(cos_reference, (double)cosl((long double)x[0]))
static const reel_sample cos_samples[] = {REEL_UNARY_SAMPLES(-2.5, 2.5), REEL_INTEGERS_REFUSED};

const reel_op reel_op_cos = {
    .size = sizeof(reel_op), .name = "cos", .inputs = 1, .outputs = 1, .flags = REEL_OUTPUT_UNREAD,
    .kernels = &cos_kernels, .vjp = cos_vjp,
    .formula = "y = cos(x); dx = -dy sin(x)", REEL_TRUTH(cos_reference), REEL_SAMPLES(cos_samples),
};
REEL_DEFINE_UNARY(cos)

/* ---- tanh ------------------------------------------------------------------------------------------------ */

REEL_UNARY_KERNELS(tanh, tanhf(a), tanh(a))

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
    REEL_INTEGERS_REFUSED,
    {.note = "saturated", .in = {{.shape = REEL_SIZES(4), .values = (const double[]){-50, 50, -1000, 1000}}}},
};

const reel_op reel_op_tanh = {
    .size = sizeof(reel_op), .name = "tanh", .inputs = 1, .outputs = 1,
    .flags = REEL_INPUTS_UNREAD,
    .kernels = &tanh_kernels, .vjp = tanh_vjp,
    .formula = "y = tanh(x); dx = dy (1 - y y)", REEL_TRUTH(tanh_reference), REEL_SAMPLES(tanh_samples),
};
REEL_DEFINE_UNARY(tanh)
