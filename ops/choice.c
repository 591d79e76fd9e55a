/* Comparisons, where, clip, abs and sign, elementwise.
 *
 *     y = a < b ...              no gradient: 0 or 1, as u8
 *     y = condition ? a : b      da = condition ? dy : 0       db = condition ? 0 : dy
 *     y = min(max(x, l), h)      dx = dy where l <= x <= h, else 0
 *     y = |x|                    dx = dy sign(x) */
#include "core/shape.h"
#include "ops/op.h"

#include <math.h>

/* ---- Comparisons: the kernel writes 0 or 1 in its own dtype, and the driver makes it u8 ---------------------------- */

static bool comparison_shape(reel_call *call, reel_output *out)
{
    if (call->in[0].dtype != call->in[1].dtype)
        return reel_call_error(call, "dtypes differ: %s and %s", reel_describe(call->input[0]).text,
                               reel_describe(call->input[1]).text);
    if (!reel_broadcast_shapes(call->in[0].rank, call->in[0].shape, call->in[1].rank, call->in[1].shape, &out->shape))
        return reel_call_error(call, "%s and %s do not broadcast", reel_describe(call->input[0]).text,
                               reel_describe(call->input[1]).text);
    out->dtype = REEL_U8;
    return true;
}

static const reel_sample comparison_samples[] = {
    REEL_BINARY_SAMPLES(-3, 3),
    {.note = "ties", .in = {{.shape = REEL_SIZES(3), .values = (const double[]){1, 2, 3}},
                            {.shape = REEL_SIZES(3), .values = (const double[]){1, 3, 2}}}},
};

#define COMPARISON(NAME, OPERATION)                                                                  \
    REEL_KERNEL(NAME##_f32, float, 2, a OPERATION b)                                                 \
    REEL_KERNEL(NAME##_f64, double, 2, a OPERATION b)                                                \
    REEL_KERNEL(NAME##_i32, int32_t, 2, a OPERATION b)                                               \
    REEL_KERNEL(NAME##_i64, int64_t, 2, a OPERATION b)                                               \
    REEL_KERNEL(NAME##_u8, uint8_t, 2, a OPERATION b)                                                \
    REEL_ALL_KERNELS(NAME)                                                                           \
    REEL_REFERENCE(NAME##_reference, x[0] OPERATION x[1])                                            \
    const reel_op reel_op_##NAME = {                                                                 \
        .size = sizeof(reel_op), .name = #NAME, .inputs = 2, .outputs = 1, .flags = REEL_NO_GRADIENT, \
        .kernels = &NAME##_kernels, .shape = comparison_shape, .formula = "y = a " #OPERATION " b, as 0 or 1", \
        REEL_TRUTH(NAME##_reference), REEL_SAMPLES(comparison_samples),                              \
    };                                                                                               \
    REEL_DEFINE_BINARY(NAME)

COMPARISON(less, <)
COMPARISON(less_equal, <=)
COMPARISON(greater, >)
COMPARISON(greater_equal, >=)
COMPARISON(equal, ==)
COMPARISON(not_equal, !=)

/* ---- where ----------------------------------------------------------------------------------------------------- */

#define WHERE_KERNEL(SUFFIX, TYPE) REEL_KERNEL(where_##SUFFIX, TYPE, 3, a != 0 ? b : c)
WHERE_KERNEL(f32, float)
WHERE_KERNEL(f64, double)
WHERE_KERNEL(i32, int32_t)
WHERE_KERNEL(i64, int64_t)
WHERE_KERNEL(u8, uint8_t)
REEL_ALL_KERNELS(where)

static bool where_shape(reel_call *call, reel_output *out)
{
    const reel_array *condition = &call->in[0], *a = &call->in[1], *b = &call->in[2];
    reel_shape both;
    if (condition->dtype != REEL_U8)
        return reel_call_error(call, "the condition %s is not u8", reel_describe(call->input[0]).text);
    if (a->dtype != b->dtype)
        return reel_call_error(call, "dtypes differ: %s and %s", reel_describe(call->input[1]).text,
                               reel_describe(call->input[2]).text);
    if (!reel_broadcast_shapes(a->rank, a->shape, b->rank, b->shape, &both) ||
        !reel_broadcast_shapes(condition->rank, condition->shape, both.rank, both.size, &out->shape))
        return reel_call_error(call, "%s, %s and %s do not broadcast", reel_describe(call->input[0]).text,
                               reel_describe(call->input[1]).text, reel_describe(call->input[2]).text);
    out->dtype = a->dtype;
    return true;
}

static void where_vjp(const reel_call *call, const reel_tensor dy[], reel_tensor dx[], const bool wanted[])
{
    reel_tensor none = reel_zeros_like(dy[0]);
    if (wanted[1])
        dx[1] = reel_where(call->input[0], dy[0], none);
    if (wanted[2])
        dx[2] = reel_where(call->input[0], none, dy[0]);
}

REEL_REFERENCE(where_reference, x[0] != 0 ? x[1] : x[2])
#define WHERE_CONDITION(...) {.shape = REEL_SIZES(__VA_ARGS__), .low = 0, .high = 2, .dtype = REEL_U8}
static const reel_sample where_samples[] = {
    {.note = "matrix", .in = {WHERE_CONDITION(2, 3), {.shape = REEL_SIZES(2, 3)}, {.shape = REEL_SIZES(2, 3)}}},
    {.note = "stretched", .in = {WHERE_CONDITION(2, 1), {.shape = REEL_SIZES(3)}, {.low = 1, .high = 2}}},
    {.note = "longer than a block", .in = {WHERE_CONDITION(300), {.shape = REEL_SIZES(300)}, {.shape = REEL_SIZES(300)}}},
    {.note = "empty", .in = {WHERE_CONDITION(0, 3), {.shape = REEL_SIZES(0, 3)}, {.shape = REEL_SIZES(3)}}},
    {.note = "transposed", .in = {WHERE_CONDITION(4, 3), {.shape = REEL_SIZES(4, 3), .layout = REEL_TRANSPOSED},
                                  {.shape = REEL_SIZES(4, 3)}}},
    {.note = "a floating condition", .in = {{.shape = REEL_SIZES(2), .dtype = REEL_F32}, {.shape = REEL_SIZES(2)},
                                            {.shape = REEL_SIZES(2)}}, .error = "is not u8"},
};

const reel_op reel_op_where = {
    .size = sizeof(reel_op), .name = "where", .inputs = 3, .outputs = 1, .flags = REEL_OUTPUT_UNREAD,
    .kernels = &where_kernels, .shape = where_shape, .vjp = where_vjp,
    .formula = "y = a where condition, else b; da = dy where condition, db = dy elsewhere",
    REEL_TRUTH(where_reference), REEL_SAMPLES(where_samples),
};

reel_tensor reel_where_at(REEL_PLACE, reel_tensor condition, reel_tensor a, reel_tensor b)
{
    return reel_apply_one(file, line, &reel_op_where, REEL_TENSORS(condition, a, b), NULL);
}

/* ---- clip, and the gate that carries its gradient: x and g make g where low <= x <= high, else 0 --------------------- */

struct clip {
    double low, high;
};

#define CLIP_LOW  (((const struct clip *)attributes)->low)
#define CLIP_HIGH (((const struct clip *)attributes)->high)

REEL_UNARY_KERNELS(clip, a < (float)CLIP_LOW ? (float)CLIP_LOW : a > (float)CLIP_HIGH ? (float)CLIP_HIGH : a,
                   a < CLIP_LOW ? CLIP_LOW : a > CLIP_HIGH ? CLIP_HIGH : a)
REEL_KERNEL(clip_gate_f32, float, 2, a >= (float)CLIP_LOW && a <= (float)CLIP_HIGH ? b : 0)
REEL_KERNEL(clip_gate_f64, double, 2, a >= CLIP_LOW && a <= CLIP_HIGH ? b : 0)
REEL_FLOAT_KERNELS(clip_gate)

extern const reel_op reel_op_clip_gate;

static reel_tensor clip_gate(const reel_call *call, reel_tensor x, reel_tensor g)
{
    return reel_apply_one(REEL_HERE, &reel_op_clip_gate, REEL_TENSORS(x, g), call->attributes);
}

static void clip_vjp(const reel_call *call, const reel_tensor dy[], reel_tensor dx[], const bool wanted[])
{
    (void)wanted;
    dx[0] = clip_gate(call, call->input[0], dy[0]);
}

static void clip_gate_vjp(const reel_call *call, const reel_tensor dy[], reel_tensor dx[], const bool wanted[])
{
    if (wanted[1])
        dx[1] = clip_gate(call, call->input[0], dy[0]);
}

REEL_REFERENCE(clip_reference, isnan(x[0]) ? x[0] : fmin(fmax(x[0], CLIP_LOW), CLIP_HIGH))
REEL_REFERENCE(clip_gate_reference, x[0] >= CLIP_LOW && x[0] <= CLIP_HIGH ? x[1] : 0)
static const struct clip clip_example = {-.5, .75};
static const reel_sample clip_samples[] = {
    {.note = "matrix", .in = {{.shape = REEL_SIZES(3, 4)}}, .attributes = &clip_example},
    {.note = "scalar", .attributes = &clip_example},
    {.note = "empty", .in = {{.shape = REEL_SIZES(0)}}, .attributes = &clip_example},
    {.note = "reversed", .in = {{.shape = REEL_SIZES(6), .layout = REEL_REVERSED}}, .attributes = &clip_example},
    {.note = "integers", .in = {{.shape = REEL_SIZES(2), .dtype = REEL_I32}}, .attributes = &clip_example, .error = "does not take"},
    {.note = "at the ends", .in = {{.shape = REEL_SIZES(2), .values = (const double[]){-.5, .75}}},
     .attributes = &clip_example, .kink = true},
};
static const reel_sample clip_gate_samples[] = {
    {.note = "matrix", .in = {{.shape = REEL_SIZES(3, 4)}, {.shape = REEL_SIZES(3, 4)}}, .attributes = &clip_example},
    {.note = "scalar", .attributes = &clip_example},
    {.note = "empty", .in = {{.shape = REEL_SIZES(0)}, {.shape = REEL_SIZES(0)}}, .attributes = &clip_example},
    {.note = "transposed and stretched", .in = {{.shape = REEL_SIZES(3, 4), .layout = REEL_TRANSPOSED},
     {.shape = REEL_SIZES(4)}}, .attributes = &clip_example},
    {.note = "do not broadcast", .in = {{.shape = REEL_SIZES(2)}, {.shape = REEL_SIZES(3)}},
     .attributes = &clip_example, .error = "do not broadcast"},
};

const reel_op reel_op_clip = {
    .size = sizeof(reel_op), .name = "clip", .inputs = 1, .outputs = 1, .attributes = sizeof(struct clip),
    .flags = REEL_OUTPUT_UNREAD, .kernels = &clip_kernels, .vjp = clip_vjp,
    .example = "reel_clip(a, -.5, .75)",
    .formula = "y = x brought into [low, high]; dx = dy where low <= x <= high, else 0",
    REEL_TRUTH(clip_reference), REEL_SAMPLES(clip_samples),
};

const reel_op reel_op_clip_gate = {
    .size = sizeof(reel_op), .name = "clip_gate", .inputs = 2, .outputs = 1, .attributes = sizeof(struct clip),
    .flags = REEL_OUTPUT_UNREAD, .kernels = &clip_gate_kernels, .vjp = clip_gate_vjp,
    .formula = "y = g where low <= x <= high, else 0; dg = the same gate of dy",
    REEL_TRUTH(clip_gate_reference), REEL_SAMPLES(clip_gate_samples),
};

reel_tensor reel_clip_at(REEL_PLACE, reel_tensor x, double low, double high)
{
    return reel_apply_one(file, line, &reel_op_clip, REEL_TENSORS(x), &(const struct clip){low, high});
}

/* ---- sign and abs -------------------------------------------------------------------------------------------------- */

#define CHOICE_SIGN (a > 0 ? 1 : a < 0 ? -1 : a)

REEL_KERNEL(sign_f32, float, 1, CHOICE_SIGN)
REEL_KERNEL(sign_f64, double, 1, CHOICE_SIGN)
REEL_KERNEL(sign_i32, int32_t, 1, CHOICE_SIGN)
REEL_KERNEL(sign_i64, int64_t, 1, CHOICE_SIGN)
REEL_KERNEL(sign_u8, uint8_t, 1, a > 0)
REEL_ALL_KERNELS(sign)

REEL_REFERENCE(sign_reference, x[0] == 0 || isnan(x[0]) ? x[0] : copysign(1, x[0]))
static const reel_sample sign_samples[] = {
    REEL_UNARY_SAMPLES(-3, 3),
    {.note = "at 0", .in = {{.shape = REEL_SIZES(2), .values = (const double[]){0, -0.}}}, .kink = true},
};

const reel_op reel_op_sign = {
    .size = sizeof(reel_op), .name = "sign", .inputs = 1, .outputs = 1, .flags = REEL_NO_GRADIENT,
    .kernels = &sign_kernels, .formula = "y = -1, 0 or 1", REEL_TRUTH(sign_reference), REEL_SAMPLES(sign_samples),
};
REEL_DEFINE_UNARY(sign)

REEL_KERNEL(abs_f32, float, 1, fabsf(a))
REEL_KERNEL(abs_f64, double, 1, fabs(a))
REEL_KERNEL(abs_i32, int32_t, 1, a < 0 ? (int32_t)(0 - (uint32_t)a) : a)
REEL_KERNEL(abs_i64, int64_t, 1, a < 0 ? (int64_t)(0 - (uint64_t)a) : a)
REEL_KERNEL(abs_u8, uint8_t, 1, a)
REEL_ALL_KERNELS(abs)

static void abs_vjp(const reel_call *call, const reel_tensor dy[], reel_tensor dx[], const bool wanted[])
{
    (void)wanted;
    dx[0] = reel_mul(dy[0], reel_sign(call->input[0]));
}

REEL_REFERENCE(abs_reference, x[0] < 0 ? -x[0] : x[0])

const reel_op reel_op_abs = {
    .size = sizeof(reel_op), .name = "abs", .inputs = 1, .outputs = 1, .flags = REEL_OUTPUT_UNREAD,
    .kernels = &abs_kernels, .vjp = abs_vjp, .formula = "y = |x|; dx = dy sign(x)",
    REEL_TRUTH(abs_reference), REEL_SAMPLES(sign_samples),
};
REEL_DEFINE_UNARY(abs)
