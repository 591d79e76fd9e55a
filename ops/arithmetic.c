/* add, sub, mul, div and neg, elementwise; and affine, scale x + shift with fixed numbers.
 *
 *     y = a + b      da = dy            db = dy
 *     y = a - b      da = dy            db = -dy
 *     y = a b        da = dy b          db = dy a
 *     y = a / b      da = dy / b        db = -dy y / b
 *     y = -x         dx = -dy
 *     y = s x + t    dx = s dy
 *
 * Each gradient is summed to the shape of the input that was stretched. Integers wrap around. */
#include "ops/op.h"

static void to_shape_of(const reel_call *call, int input, reel_tensor gradient, reel_tensor *dx)
{
    *dx = reel_sum_to(gradient, reel_shape_of(call->input[input]));
}

/* Wrapping arithmetic of an integer type, by way of the unsigned one. */
#define ARITHMETIC_WRAP(TYPE, OPERATION) (TYPE)((uint64_t)a OPERATION(uint64_t) b)

#define ARITHMETIC_KERNELS(NAME, OPERATION)                                                          \
    REEL_KERNEL(NAME##_f32, float, 2, a OPERATION b)                                                 \
    REEL_KERNEL(NAME##_f64, double, 2, a OPERATION b)                                                \
    REEL_KERNEL(NAME##_i32, int32_t, 2, ARITHMETIC_WRAP(int32_t, OPERATION))                         \
    REEL_KERNEL(NAME##_i64, int64_t, 2, ARITHMETIC_WRAP(int64_t, OPERATION))                         \
    REEL_KERNEL(NAME##_u8, uint8_t, 2, ARITHMETIC_WRAP(uint8_t, OPERATION))                          \
    static bool NAME##_forward(const reel_call *call)                                                \
    {                                                                                                \
        static const reel_kernels kernels = {NAME##_f32, NAME##_f64, NAME##_i32, NAME##_i64, NAME##_u8};     \
        return reel_elementwise(call, &kernels);                                                     \
    }                                                                                                \
    static bool NAME##_shape(reel_call *call, reel_output *out)                                      \
    {                                                                                                \
        return reel_elementwise_shape(call, out, REEL_FLOATS | REEL_INTEGERS);                       \
    }

/* ---- add ------------------------------------------------------------------------------------------------- */

ARITHMETIC_KERNELS(add, +)

static void add_vjp(const reel_call *call, const reel_tensor dy[], reel_tensor dx[], const bool wanted[])
{
    for (int i = 0; i < 2; i++)
        if (wanted[i])
            to_shape_of(call, i, dy[0], &dx[i]);
}

REEL_REFERENCE(add_reference, x[0] + x[1])
static const reel_sample add_samples[] = {REEL_BINARY_SAMPLES(-3, 3)};

const reel_op reel_op_add = {
    .size = sizeof(reel_op), .name = "add", .inputs = 2, .outputs = 1,
    .flags = REEL_ELEMENTWISE | REEL_OUTPUT_UNREAD | REEL_INPUTS_UNREAD,
    .shape = add_shape, .forward = add_forward, .vjp = add_vjp,
    .formula = "y = a + b; da = dy, db = dy", .reference = add_reference, REEL_SAMPLES(add_samples),
};
REEL_DEFINE_BINARY(add)

/* ---- sub ------------------------------------------------------------------------------------------------- */

ARITHMETIC_KERNELS(sub, -)

static void sub_vjp(const reel_call *call, const reel_tensor dy[], reel_tensor dx[], const bool wanted[])
{
    if (wanted[0])
        to_shape_of(call, 0, dy[0], &dx[0]);
    if (wanted[1])
        to_shape_of(call, 1, reel_neg(dy[0]), &dx[1]);
}

REEL_REFERENCE(sub_reference, x[0] - x[1])
static const reel_sample sub_samples[] = {REEL_BINARY_SAMPLES(-3, 3)};

const reel_op reel_op_sub = {
    .size = sizeof(reel_op), .name = "sub", .inputs = 2, .outputs = 1,
    .flags = REEL_ELEMENTWISE | REEL_OUTPUT_UNREAD | REEL_INPUTS_UNREAD,
    .shape = sub_shape, .forward = sub_forward, .vjp = sub_vjp,
    .formula = "y = a - b; da = dy, db = -dy", .reference = sub_reference, REEL_SAMPLES(sub_samples),
};
REEL_DEFINE_BINARY(sub)

/* ---- mul ------------------------------------------------------------------------------------------------- */

ARITHMETIC_KERNELS(mul, *)

static void mul_vjp(const reel_call *call, const reel_tensor dy[], reel_tensor dx[], const bool wanted[])
{
    for (int i = 0; i < 2; i++)
        if (wanted[i])
            to_shape_of(call, i, reel_mul(dy[0], call->input[1 - i]), &dx[i]);
}

REEL_REFERENCE(mul_reference, x[0] *x[1])
static const reel_sample mul_samples[] = {REEL_BINARY_SAMPLES(-3, 3)};

const reel_op reel_op_mul = {
    .size = sizeof(reel_op), .name = "mul", .inputs = 2, .outputs = 1,
    .flags = REEL_ELEMENTWISE | REEL_OUTPUT_UNREAD,
    .shape = mul_shape, .forward = mul_forward, .vjp = mul_vjp,
    .formula = "y = a b; da = dy b, db = dy a", .reference = mul_reference, REEL_SAMPLES(mul_samples),
};
REEL_DEFINE_BINARY(mul)

/* ---- div ------------------------------------------------------------------------------------------------- */

REEL_KERNEL(div_f32, float, 2, a / b)
REEL_KERNEL(div_f64, double, 2, a / b)

static bool div_forward(const reel_call *call)
{
    static const reel_kernels kernels = {.f32 = div_f32, .f64 = div_f64};
    return reel_elementwise(call, &kernels);
}

static bool div_shape(reel_call *call, reel_output *out)
{
    return reel_elementwise_shape(call, out, REEL_FLOATS);
}

static void div_vjp(const reel_call *call, const reel_tensor dy[], reel_tensor dx[], const bool wanted[])
{
    reel_tensor share = reel_div(dy[0], call->input[1]);
    if (wanted[0])
        to_shape_of(call, 0, share, &dx[0]);
    if (wanted[1])
        to_shape_of(call, 1, reel_neg(reel_mul(share, call->output[0])), &dx[1]);
}

REEL_REFERENCE(div_reference, x[0] / x[1])
static const reel_sample div_samples[] = {REEL_BINARY_SAMPLES(.5, 3)};

const reel_op reel_op_div = {
    .size = sizeof(reel_op), .name = "div", .inputs = 2, .outputs = 1, .flags = REEL_ELEMENTWISE,
    .shape = div_shape, .forward = div_forward, .vjp = div_vjp,
    .formula = "y = a / b; da = dy / b, db = -dy y / b", .reference = div_reference, REEL_SAMPLES(div_samples),
};
REEL_DEFINE_BINARY(div)

/* ---- neg ------------------------------------------------------------------------------------------------- */

REEL_KERNEL(neg_f32, float, 1, -a)
REEL_KERNEL(neg_f64, double, 1, -a)
REEL_KERNEL(neg_i32, int32_t, 1, (int32_t)(0 - (uint32_t)a))
REEL_KERNEL(neg_i64, int64_t, 1, (int64_t)(0 - (uint64_t)a))

static bool neg_forward(const reel_call *call)
{
    static const reel_kernels kernels = {.f32 = neg_f32, .f64 = neg_f64, .i32 = neg_i32, .i64 = neg_i64};
    return reel_elementwise(call, &kernels);
}

static bool neg_shape(reel_call *call, reel_output *out)
{
    return reel_elementwise_shape(call, out, REEL_FLOATS | 1 << REEL_I32 | 1 << REEL_I64);
}

static void neg_vjp(const reel_call *call, const reel_tensor dy[], reel_tensor dx[], const bool wanted[])
{
    (void)call;
    (void)wanted;
    dx[0] = reel_neg(dy[0]);
}

REEL_REFERENCE(neg_reference, -x[0])
static const reel_sample neg_samples[] = {REEL_UNARY_SAMPLES(-3, 3)};

const reel_op reel_op_neg = {
    .size = sizeof(reel_op), .name = "neg", .inputs = 1, .outputs = 1,
    .flags = REEL_ELEMENTWISE | REEL_OUTPUT_UNREAD | REEL_INPUTS_UNREAD,
    .shape = neg_shape, .forward = neg_forward, .vjp = neg_vjp,
    .formula = "y = -x; dx = -dy", .reference = neg_reference, REEL_SAMPLES(neg_samples),
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

static bool affine_forward(const reel_call *call)
{
    static const reel_kernels kernels = {.f32 = affine_f32, .f64 = affine_f64};
    return reel_elementwise(call, &kernels);
}

static bool affine_shape(reel_call *call, reel_output *out)
{
    return reel_elementwise_shape(call, out, REEL_FLOATS);
}

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
};

const reel_op reel_op_affine = {
    .size = sizeof(reel_op), .name = "affine", .inputs = 1, .outputs = 1, .attributes = sizeof(struct affine),
    .flags = REEL_ELEMENTWISE | REEL_OUTPUT_UNREAD | REEL_INPUTS_UNREAD,
    .shape = affine_shape, .forward = affine_forward, .vjp = affine_vjp,
    .formula = "y = scale x + shift; dx = scale dy", .reference = affine_reference, REEL_SAMPLES(affine_samples),
};

reel_tensor reel_affine_at(REEL_PLACE, reel_tensor x, double scale, double shift)
{
    return reel_apply_one(file, line, &reel_op_affine, REEL_TENSORS(x), &(const struct affine){scale, shift});
}
