/* sqrt, rsqrt and pow, elementwise.
 *
 *     y = x^(1/2)      dx = dy / (2 y)
 *     y = x^(-1/2)     dx = -dy y y y / 2
 *     y = a^b          da = dy b a^(b - 1), 0 at 0^0      db = dy y ln a, 0 where a = 0 and b >= 0 */
#include "ops/op.h"

#include <math.h>

/* ---- sqrt ------------------------------------------------------------------------------------------------ */

REEL_UNARY_KERNELS(sqrt, sqrtf(a), sqrt(a))

static void sqrt_vjp(const reel_call *call, const reel_tensor dy[], reel_tensor dx[], const bool wanted[])
{
    (void)wanted;
    dx[0] = reel_div(reel_affine(dy[0], .5, 0), call->output[0]);
}

REEL_REFERENCE(sqrt_reference, exp(.5 * log(x[0])))
static const reel_sample sqrt_samples[] = {
    REEL_UNARY_SAMPLES(.2, 4),
    REEL_INTEGERS_REFUSED,
    {.note = "at 0", .in = {{.shape = REEL_SIZES(2), .values = (const double[]){0, 4}}}, .kink = true},
};

const reel_op reel_op_sqrt = {
    .size = sizeof(reel_op), .name = "sqrt", .inputs = 1, .outputs = 1, .flags = REEL_INPUTS_UNREAD,
    .kernels = &sqrt_kernels, .vjp = sqrt_vjp,
    .formula = "y = sqrt(x); dx = dy / (2 y)", REEL_TRUTH(sqrt_reference), REEL_SAMPLES(sqrt_samples),
};
REEL_DEFINE_UNARY(sqrt)

/* ---- rsqrt ----------------------------------------------------------------------------------------------- */

REEL_UNARY_KERNELS(rsqrt, (float)(1 / sqrt((double)a)), 1 / sqrt(a))

static void rsqrt_vjp(const reel_call *call, const reel_tensor dy[], reel_tensor dx[], const bool wanted[])
{
    (void)wanted;
    reel_tensor y = call->output[0];
    dx[0] = reel_mul(reel_affine(dy[0], -.5, 0), reel_mul(y, reel_mul(y, y)));
}

REEL_REFERENCE(rsqrt_reference, exp(-.5 * log(x[0])))
static const reel_sample rsqrt_samples[] = {REEL_UNARY_SAMPLES(.2, 4), REEL_INTEGERS_REFUSED};

const reel_op reel_op_rsqrt = {
    .size = sizeof(reel_op), .name = "rsqrt", .inputs = 1, .outputs = 1, .flags = REEL_INPUTS_UNREAD,
    .kernels = &rsqrt_kernels, .vjp = rsqrt_vjp,
    .formula = "y = 1 / sqrt(x); dx = -dy y y y / 2", REEL_TRUTH(rsqrt_reference), REEL_SAMPLES(rsqrt_samples),
};
REEL_DEFINE_UNARY(rsqrt)

/* ---- pow ------------------------------------------------------------------------------------------------- */

REEL_KERNEL(pow_f32, float, 2, powf(a, b))
REEL_KERNEL(pow_f64, double, 2, pow(a, b))
REEL_FLOAT_KERNELS(pow)

static reel_tensor is_zero(reel_tensor x)
{
    return reel_equal(x, reel_zeros_like(x));
}

/* At 0^0 the product would be 0 times infinity; elsewhere b = 0 needs no care, and has a slope in b. */
static reel_tensor into_base(reel_tensor dy, reel_tensor a, reel_tensor b)
{
    reel_tensor slope = reel_mul(b, reel_pow(a, reel_affine(b, 1, -1)));
    return reel_mul(dy, reel_where(reel_mul(is_zero(a), is_zero(b)), reel_zeros_like(slope), slope));
}

/* At a = 0 a logarithm of 0 stands in for that of a, since there y is 0 or does not change. */
static reel_tensor into_exponent(reel_tensor dy, reel_tensor y, reel_tensor a)
{
    reel_tensor logarithm = reel_log(reel_where(is_zero(a), reel_ones_like(a), a));
    return reel_mul(dy, reel_mul(y, logarithm));
}

static void pow_vjp(const reel_call *call, const reel_tensor dy[], reel_tensor dx[], const bool wanted[])
{
    reel_tensor a = call->input[0], b = call->input[1];
    if (wanted[0])
        dx[0] = into_base(dy[0], a, b);
    if (wanted[1])
        dx[1] = into_exponent(dy[0], call->output[0], a);
}

REEL_REFERENCE(pow_reference, (double)powl((long double)x[0], (long double)x[1]))
static const reel_sample pow_samples[] = {
    REEL_BINARY_SAMPLES(.5, 2.5),
    {.note = "an exponent of 0", .in = {{.shape = REEL_SIZES(2), .values = (const double[]){2, .5}},
                                        {.shape = REEL_SIZES(2), .values = (const double[]){0, 0}}}},
    {.note = "at 0", .in = {{.shape = REEL_SIZES(3), .values = (const double[]){0, 0, 2}},
                            {.shape = REEL_SIZES(3), .values = (const double[]){0, 2, 0}}}, .kink = true},
};

const reel_op reel_op_pow = {
    .size = sizeof(reel_op), .name = "pow", .inputs = 2, .outputs = 1, .kernels = &pow_kernels, .vjp = pow_vjp,
    .formula = "y = a^b; da = dy b a^(b - 1), db = dy y ln a", REEL_TRUTH(pow_reference), REEL_SAMPLES(pow_samples),
};
REEL_DEFINE_BINARY(pow)
