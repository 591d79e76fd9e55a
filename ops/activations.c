/* sigmoid, softplus, erf, gelu and leaky_relu, elementwise. Phi and phi are the normal distribution and density.
 *
 *     y = 1 / (1 + e^-x)     dx = dy y (1 - y)
 *     y = ln(1 + e^x)        dx = dy sigmoid(x)
 *     y = erf x              dx = dy 2 / sqrt(pi) e^(-x x)
 *     y = x Phi(x)           dx = dy (Phi(x) + x phi(x))
 *     y = x or s x           dx = dy where x > 0, else s dy */
#include "ops/op.h"

#include <math.h>

static const double two_over_sqrt_pi = 1.12837916709551257390, one_over_sqrt_2 = .70710678118654752440,
                    one_over_sqrt_2pi = .39894228040143267794;

/* ---- sigmoid: neither side overflows ------------------------------------------------------------------------ */

static inline double sigmoid_of(double x)
{
    double e = exp(-fabs(x));
    return (x < 0 ? e : 1) / (1 + e);
}

REEL_UNARY_KERNELS(sigmoid, (float)sigmoid_of(a), sigmoid_of(a))

static void sigmoid_vjp(const reel_call *call, const reel_tensor dy[], reel_tensor dx[], const bool wanted[])
{
    (void)wanted;
    reel_tensor y = call->output[0];
    dx[0] = reel_mul(dy[0], reel_mul(y, reel_affine(y, -1, 1)));
}

REEL_REFERENCE(sigmoid_reference, (double)(1 / (1 + expl(-(long double)x[0]))))
static const reel_sample sigmoid_samples[] = {
    REEL_UNARY_SAMPLES(-4, 4),
    REEL_INTEGERS_REFUSED,
    {.note = "saturated", .in = {{.shape = REEL_SIZES(2), .values = (const double[]){-200, 200}}}, .kink = true},
};

const reel_op reel_op_sigmoid = {
    .size = sizeof(reel_op), .name = "sigmoid", .inputs = 1, .outputs = 1, .flags = REEL_INPUTS_UNREAD,
    .kernels = &sigmoid_kernels, .vjp = sigmoid_vjp,
    .formula = "y = 1 / (1 + exp(-x)); dx = dy y (1 - y)", REEL_TRUTH(sigmoid_reference),
    REEL_SAMPLES(sigmoid_samples),
};
REEL_DEFINE_UNARY(sigmoid)

/* ---- softplus ------------------------------------------------------------------------------------------------ */

static inline double softplus_of(double x)
{
    return log1p(exp(-fabs(x))) + (x > 0 ? x : x != x ? x : 0);
}

REEL_UNARY_KERNELS(softplus, (float)softplus_of(a), softplus_of(a))

static void softplus_vjp(const reel_call *call, const reel_tensor dy[], reel_tensor dx[], const bool wanted[])
{
    (void)wanted;
    dx[0] = reel_mul(dy[0], reel_sigmoid(call->input[0]));
}

REEL_REFERENCE(softplus_reference, x[0] > 5000 ? x[0] : (double)logl(1 + expl((long double)x[0])))
static const reel_sample softplus_samples[] = {
    REEL_UNARY_SAMPLES(-4, 4),
    REEL_INTEGERS_REFUSED,
    {.note = "far out", .in = {{.shape = REEL_SIZES(2), .values = (const double[]){20, 5e4}}}},
};

const reel_op reel_op_softplus = {
    .size = sizeof(reel_op), .name = "softplus", .inputs = 1, .outputs = 1, .flags = REEL_OUTPUT_UNREAD,
    .kernels = &softplus_kernels, .vjp = softplus_vjp,
    .formula = "y = log(1 + exp(x)); dx = dy sigmoid(x)", REEL_TRUTH(softplus_reference),
    REEL_SAMPLES(softplus_samples),
};
REEL_DEFINE_UNARY(softplus)

/* ---- erf ----------------------------------------------------------------------------------------------------- */

REEL_UNARY_KERNELS(erf, erff(a), erf(a))

static void erf_vjp(const reel_call *call, const reel_tensor dy[], reel_tensor dx[], const bool wanted[])
{
    (void)wanted;
    reel_tensor x = call->input[0];
    dx[0] = reel_mul(dy[0], reel_affine(reel_exp(reel_neg(reel_mul(x, x))), two_over_sqrt_pi, 0));
}

/* The Maclaurin series, which converges everywhere, for the range of the samples. */
static double erf_by_series(double x)
{
    if (isnan(x) || fabs(x) > 5)
        return isnan(x) ? x : x < 0 ? -1 : 1;
    long double term = x, sum = x;
    for (int n = 1; n < 200; n++) {
        term *= -(long double)x * x / n;
        sum += term / (2 * n + 1);
    }
    return (double)(sum * 1.128379167095512573896158903121545L);
}

REEL_REFERENCE(erf_reference, erf_by_series(x[0]))
static const reel_sample erf_samples[] = {REEL_UNARY_SAMPLES(-2, 2), REEL_INTEGERS_REFUSED};

const reel_op reel_op_erf = {
    .size = sizeof(reel_op), .name = "erf", .inputs = 1, .outputs = 1, .flags = REEL_OUTPUT_UNREAD,
    .kernels = &erf_kernels, .vjp = erf_vjp,
    .formula = "y = erf(x); dx = dy 2 / sqrt(pi) exp(-x x)", REEL_TRUTH(erf_reference), REEL_SAMPLES(erf_samples),
};
REEL_DEFINE_UNARY(erf)

/* ---- gelu: by erfc, which keeps its digits where Phi is small ---------------------------------------------------- */

static inline double gelu_of(double x)
{
    return x < -1e9 ? (x != x ? x : -0.) : .5 * x * erfc(-x * one_over_sqrt_2);
}

REEL_UNARY_KERNELS(gelu, (float)gelu_of(a), gelu_of(a))

static void gelu_vjp(const reel_call *call, const reel_tensor dy[], reel_tensor dx[], const bool wanted[])
{
    (void)wanted;
    reel_tensor x = call->input[0];
    reel_tensor distribution = reel_affine(reel_erf(reel_affine(x, one_over_sqrt_2, 0)), .5, .5);
    reel_tensor density = reel_affine(reel_exp(reel_affine(reel_mul(x, x), -.5, 0)), one_over_sqrt_2pi, 0);
    dx[0] = reel_mul(dy[0], reel_add(distribution, reel_mul(x, density)));
}

REEL_REFERENCE(gelu_reference, x[0] < -30 ? -0. : x[0] * .5 * (1 + erf_by_series(x[0] * .70710678118654752440)))
static const reel_sample gelu_samples[] = {REEL_UNARY_SAMPLES(-2, 2), REEL_INTEGERS_REFUSED};

const reel_op reel_op_gelu = {
    .size = sizeof(reel_op), .name = "gelu", .inputs = 1, .outputs = 1, .flags = REEL_OUTPUT_UNREAD,
    .kernels = &gelu_kernels, .vjp = gelu_vjp,
    .formula = "y = x Phi(x); dx = dy (Phi(x) + x phi(x))", REEL_TRUTH(gelu_reference), REEL_SAMPLES(gelu_samples),
};
REEL_DEFINE_UNARY(gelu)

/* ---- leaky_relu ----------------------------------------------------------------------------------------------------- */

struct leaky_relu {
    double slope;
};

static double leaky_slope(const void *attributes)
{
    return ((const struct leaky_relu *)attributes)->slope;
}

REEL_UNARY_KERNELS(leaky_relu, a > 0 ? a : (float)leaky_slope(attributes) * a,
                   a > 0 ? a : leaky_slope(attributes) * a)

static void leaky_relu_vjp(const reel_call *call, const reel_tensor dy[], reel_tensor dx[], const bool wanted[])
{
    (void)wanted;
    reel_tensor x = call->input[0], positive = reel_greater(x, reel_zeros_like(x));
    dx[0] = reel_where(positive, dy[0], reel_affine(dy[0], leaky_slope(call->attributes), 0));
}

REEL_REFERENCE(leaky_relu_reference, x[0] * (x[0] > 0 ? 1 : leaky_slope(attributes)))
static const struct leaky_relu leaky_example = {.1};
static const reel_sample leaky_relu_samples[] = {
    {.note = "matrix", .in = {{.shape = REEL_SIZES(2, 3)}}, .attributes = &leaky_example},
    {.note = "scalar", .attributes = &leaky_example},
    {.note = "empty", .in = {{.shape = REEL_SIZES(0)}}, .attributes = &leaky_example},
    {.note = "transposed", .in = {{.shape = REEL_SIZES(3, 4), .layout = REEL_TRANSPOSED}}, .attributes = &leaky_example},
    {.note = "integers", .in = {{.shape = REEL_SIZES(2), .dtype = REEL_I32}}, .attributes = &leaky_example, .error = "does not take"},
    {.note = "at 0", .in = {{.shape = REEL_SIZES(1), .values = (const double[]){0}}}, .attributes = &leaky_example,
     .kink = true},
};

const reel_op reel_op_leaky_relu = {
    .size = sizeof(reel_op), .name = "leaky_relu", .inputs = 1, .outputs = 1, .attributes = sizeof(struct leaky_relu),
    .flags = REEL_OUTPUT_UNREAD, .kernels = &leaky_relu_kernels, .vjp = leaky_relu_vjp,
    .example = "reel_leaky_relu(a, .1)",
    .formula = "y = x where x > 0, else slope x; dx = dy or slope dy", REEL_TRUTH(leaky_relu_reference),
    REEL_SAMPLES(leaky_relu_samples),
};

reel_tensor reel_leaky_relu_at(REEL_PLACE, reel_tensor x, double slope)
{
    return reel_apply_one(file, line, &reel_op_leaky_relu, REEL_TENSORS(x), &(const struct leaky_relu){slope});
}
