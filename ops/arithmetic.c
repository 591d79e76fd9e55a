/* add, sub, mul, div and neg, elementwise; and affine, scale x + shift with fixed numbers.
 *
 *     y = a + b      da = dy            db = dy
 *     y = a - b      da = dy            db = -dy
 *     y = a b        da = dy b          db = dy a
 *     y = a / b      da = dy / b        db = -dy y / b
 *     y = -x         dx = -dy
 *     y = s x + t    dx = s dy
 *
 * Integers wrap around. */
#include "ops/op.h"

/* Wrapping arithmetic of an integer type, by way of the unsigned one. */
#define ARITHMETIC_WRAP(TYPE, OPERATION) (TYPE)((uint64_t)a OPERATION(uint64_t) b)

#define ARITHMETIC_KERNELS(NAME, OPERATION)                                                          \
    REEL_KERNEL(NAME##_f32, float, 2, a OPERATION b)                                                 \
    REEL_KERNEL(NAME##_f64, double, 2, a OPERATION b)                                                \
    REEL_KERNEL(NAME##_i32, int32_t, 2, ARITHMETIC_WRAP(int32_t, OPERATION))                         \
    REEL_KERNEL(NAME##_i64, int64_t, 2, ARITHMETIC_WRAP(int64_t, OPERATION))                         \
    REEL_KERNEL(NAME##_u8, uint8_t, 2, ARITHMETIC_WRAP(uint8_t, OPERATION))                          \
    REEL_ALL_KERNELS(NAME)

/* ---- add ------------------------------------------------------------------------------------------------- */

ARITHMETIC_KERNELS(add, +)

static void add_vjp(const reel_call *call, const reel_tensor dy[], reel_tensor dx[], const bool wanted[])
{
    (void)call;
    for (int i = 0; i < 2; i++)
        if (wanted[i])
            dx[i] = dy[0];
}

REEL_REFERENCE(add_reference, x[0] + x[1])
static const reel_sample add_samples[] = {REEL_BINARY_SAMPLES(-3, 3)};

const reel_op reel_op_add = {
    .size = sizeof(reel_op), .name = "add", .inputs = 2, .outputs = 1,
    .flags = REEL_OUTPUT_UNREAD | REEL_INPUTS_UNREAD,
    .kernels = &add_kernels, .vjp = add_vjp,
    .formula = "y = a + b; da = dy, db = dy", REEL_TRUTH(add_reference), REEL_SAMPLES(add_samples),
};
REEL_DEFINE_BINARY(add)

/* ---- sub ------------------------------------------------------------------------------------------------- */

ARITHMETIC_KERNELS(sub, -)

static void sub_vjp(const reel_call *call, const reel_tensor dy[], reel_tensor dx[], const bool wanted[])
{
    (void)call;
    if (wanted[0])
        dx[0] = dy[0];
    if (wanted[1])
        dx[1] = reel_neg(dy[0]);
}

REEL_REFERENCE(sub_reference, x[0] - x[1])
static const reel_sample sub_samples[] = {REEL_BINARY_SAMPLES(-3, 3)};

const reel_op reel_op_sub = {
    .size = sizeof(reel_op), .name = "sub", .inputs = 2, .outputs = 1,
    .flags = REEL_OUTPUT_UNREAD | REEL_INPUTS_UNREAD,
    .kernels = &sub_kernels, .vjp = sub_vjp,
    .formula = "y = a - b; da = dy, db = -dy", REEL_TRUTH(sub_reference), REEL_SAMPLES(sub_samples),
};
REEL_DEFINE_BINARY(sub)

/* ---- mul ------------------------------------------------------------------------------------------------- */

ARITHMETIC_KERNELS(mul, *)

static void mul_vjp(const reel_call *call, const reel_tensor dy[], reel_tensor dx[], const bool wanted[])
{
    for (int i = 0; i < 2; i++)
        if (wanted[i])
            dx[i] = reel_mul(dy[0], call->input[1 - i]);
}

REEL_REFERENCE(mul_reference, x[0] *x[1])
static const reel_sample mul_samples[] = {REEL_BINARY_SAMPLES(-3, 3)};

const reel_op reel_op_mul = {
    .size = sizeof(reel_op), .name = "mul", .inputs = 2, .outputs = 1,
    .flags = REEL_OUTPUT_UNREAD,
    .kernels = &mul_kernels, .vjp = mul_vjp,
    .formula = "y = a b; da = dy b, db = dy a", REEL_TRUTH(mul_reference), REEL_SAMPLES(mul_samples),
};
REEL_DEFINE_BINARY(mul)

/* ---- div ------------------------------------------------------------------------------------------------- */

REEL_KERNEL(div_f32, float, 2, a / b)
REEL_KERNEL(div_f64, double, 2, a / b)

REEL_FLOAT_KERNELS(div)

static void div_vjp(const reel_call *call, const reel_tensor dy[], reel_tensor dx[], const bool wanted[])
{
    reel_tensor share = reel_div(dy[0], call->input[1]);
    if (wanted[0])
        dx[0] = share;
    if (wanted[1])
        dx[1] = reel_neg(reel_mul(share, call->output[0]));
}

REEL_REFERENCE(div_reference, x[0] / x[1])
static const reel_sample div_samples[] = {REEL_BINARY_SAMPLES(.5, 3)};

const reel_op reel_op_div = {
    .size = sizeof(reel_op), .name = "div", .inputs = 2, .outputs = 1,
    .kernels = &div_kernels, .vjp = div_vjp,
    .formula = "y = a / b; da = dy / b, db = -dy y / b", REEL_TRUTH(div_reference), REEL_SAMPLES(div_samples),
};
REEL_DEFINE_BINARY(div)

/* ---- neg ------------------------------------------------------------------------------------------------- */

REEL_KERNEL(neg_f32, float, 1, -a)
REEL_KERNEL(neg_f64, double, 1, -a)
REEL_KERNEL(neg_i32, int32_t, 1, (int32_t)(0 - (uint32_t)a))
REEL_KERNEL(neg_i64, int64_t, 1, (int64_t)(0 - (uint64_t)a))

static const reel_kernels neg_kernels = {
    .of[REEL_F32] = neg_f32, .of[REEL_F64] = neg_f64, .of[REEL_I32] = neg_i32, .of[REEL_I64] = neg_i64};

static void neg_vjp(const reel_call *call, const reel_tensor dy[], reel_tensor dx[], const bool wanted[])
{
    (void)call;
    (void)wanted;
    dx[0] = reel_neg(dy[0]);
}

REEL_REFERENCE(neg_reference, -x[0])
static const reel_sample neg_samples[] = {
    REEL_UNARY_SAMPLES(-3, 3),
    {.note = "without a sign", .in = {{.shape = REEL_SIZES(2), .dtype = REEL_U8}}, .error = "does not take"},
};

const reel_op reel_op_neg = {
    .size = sizeof(reel_op), .name = "neg", .inputs = 1, .outputs = 1,
    .flags = REEL_OUTPUT_UNREAD | REEL_INPUTS_UNREAD,
    .kernels = &neg_kernels, .vjp = neg_vjp,
    .formula = "y = -x; dx = -dy", REEL_TRUTH(neg_reference), REEL_SAMPLES(neg_samples),
};
REEL_DEFINE_UNARY(neg)

/* ---- affine ------------------------------------------------------------------------------------------------ */

struct affine {
    double scale, shift;
};

REEL_KERNEL(affine_f32, float, 1, (float)((const struct affine *)attributes)->scale * a +
                                      (float)((const struct affine *)attributes)->shift)
REEL_KERNEL(affine_f64, double, 1, ((const struct affine *)attributes)->scale * a +
                                       ((const struct affine *)attributes)->shift)

REEL_FLOAT_KERNELS(affine)

static void affine_vjp(const reel_call *call, const reel_tensor dy[], reel_tensor dx[], const bool wanted[])
{
    (void)wanted;
    dx[0] = reel_affine(dy[0], ((const struct affine *)call->attributes)->scale, 0);
}

REEL_REFERENCE(affine_reference, ((const struct affine *)attributes)->scale *x[0] +
                                     ((const struct affine *)attributes)->shift)
static const struct affine affine_example = {-2.5, .75};
static const reel_sample affine_samples[] = {
    {.note = "matrix", .in = {{.shape = REEL_SIZES(2, 3)}}, .attributes = &affine_example},
    {.note = "scalar", .attributes = &affine_example},
    {.note = "empty", .in = {{.shape = REEL_SIZES(0)}}, .attributes = &affine_example},
    {.note = "transposed", .in = {{.shape = REEL_SIZES(3, 4), .layout = REEL_TRANSPOSED}}, .attributes = &affine_example},
    {.note = "integers", .in = {{.shape = REEL_SIZES(2), .dtype = REEL_I32}}, .attributes = &affine_example, .error = "does not take"},
};

const reel_op reel_op_affine = {
    .size = sizeof(reel_op), .name = "affine", .inputs = 1, .outputs = 1, .attributes = sizeof(struct affine),
    .flags = REEL_OUTPUT_UNREAD | REEL_INPUTS_UNREAD,
    .kernels = &affine_kernels, .vjp = affine_vjp,
    .example = "reel_affine(a, -2.5, .75)",
    .formula = "y = scale x + shift; dx = scale dy", REEL_TRUTH(affine_reference), REEL_SAMPLES(affine_samples),
};

reel_tensor reel_affine_at(REEL_PLACE, reel_tensor x, double scale, double shift)
{
    return reel_apply_one(file, line, &reel_op_affine, REEL_TENSORS(x), &(const struct affine){scale, shift});
}
