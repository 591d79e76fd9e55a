/* maximum, minimum and relu, elementwise, and the gates that carry their gradients.
 *
 *     y = max(a, b)    da = dy where a > b, dy / 2 where a = b, else 0      db likewise
 *     y = min(a, b)    da = dy where a < b, dy / 2 where a = b, else 0      db likewise
 *     y = max(x, 0)    dx = dy where x > 0, else 0
 *
 * NaN in an operand makes NaN. A gate selects rather than multiplies, so that an infinite dy where the mask
 * is 0 stays out. Gates are constant in a and b almost everywhere: their own gradient goes into g alone. */
#include "ops/op.h"

#include <math.h>

/* ---- gates ----------------------------------------------------------------------------------------------- */

/* g where a > b, g / 2 where a = b, else 0; NaN in a or b counts as no order at all. */
#define GATE_GREATER (a > b ? c : a == b ? c / 2 : 0)

REEL_KERNEL(greater_gate_f32, float, 3, GATE_GREATER)
REEL_KERNEL(greater_gate_f64, double, 3, GATE_GREATER)
REEL_FLOAT_KERNELS(greater_gate)

extern const reel_op reel_op_greater_gate, reel_op_relu_gate;

static reel_tensor greater_gate(reel_tensor a, reel_tensor b, reel_tensor g)
{
    return reel_apply_one(REEL_HERE, &reel_op_greater_gate, REEL_TENSORS(a, b, g), NULL);
}

static void greater_gate_vjp(const reel_call *call, const reel_tensor dy[], reel_tensor dx[], const bool wanted[])
{
    if (wanted[2])
        dx[2] = greater_gate(call->input[0], call->input[1], dy[0]);
}

REEL_REFERENCE(greater_gate_reference, x[0] > x[1] ? x[2] : x[0] == x[1] ? x[2] / 2 : 0)
static const reel_sample greater_gate_samples[] = {
    {.note = "matrix", .in = {{.shape = REEL_SIZES(2, 3)}, {.shape = REEL_SIZES(2, 3)}, {.shape = REEL_SIZES(2, 3)}}},
    {.note = "stretched", .in = {{.shape = REEL_SIZES(3)}, {.shape = REEL_SIZES(2, 1)}, {.shape = REEL_SIZES(2, 3)}}},
    {.note = "ties", .in = {{.shape = REEL_SIZES(2), .values = (const double[]){1, 2}},
                            {.shape = REEL_SIZES(2), .values = (const double[]){1, 2}}, {.shape = REEL_SIZES(2)}},
     .kink = true},
    {.note = "empty", .in = {{.shape = REEL_SIZES(0)}, {.shape = REEL_SIZES(0)}, {.shape = REEL_SIZES(0)}}},
    {.note = "reversed", .in = {{.shape = REEL_SIZES(2, 3), .layout = REEL_REVERSED}, {.shape = REEL_SIZES(2, 3)},
                                {.shape = REEL_SIZES(2, 3), .layout = REEL_TRANSPOSED}}},
    {.note = "do not broadcast", .in = {{.shape = REEL_SIZES(2)}, {.shape = REEL_SIZES(3)}, {.shape = REEL_SIZES(2)}},
     .error = "do not broadcast"},
};

const reel_op reel_op_greater_gate = {
    .size = sizeof(reel_op), .name = "greater_gate", .inputs = 3, .outputs = 1,
    .flags = REEL_OUTPUT_UNREAD,
    .kernels = &greater_gate_kernels, .vjp = greater_gate_vjp,
    .formula = "y = g where a > b, g / 2 where a = b, else 0; dg = the same gate of dy",
    REEL_TRUTH(greater_gate_reference), REEL_SAMPLES(greater_gate_samples),
};

REEL_KERNEL(relu_gate_f32, float, 2, a > 0 ? b : 0)
REEL_KERNEL(relu_gate_f64, double, 2, a > 0 ? b : 0)
REEL_FLOAT_KERNELS(relu_gate)

static reel_tensor relu_gate(reel_tensor x, reel_tensor g)
{
    return reel_apply_one(REEL_HERE, &reel_op_relu_gate, REEL_TENSORS(x, g), NULL);
}

static void relu_gate_vjp(const reel_call *call, const reel_tensor dy[], reel_tensor dx[], const bool wanted[])
{
    if (wanted[1])
        dx[1] = relu_gate(call->input[0], dy[0]);
}

REEL_REFERENCE(relu_gate_reference, x[0] > 0 ? x[1] : 0)
static const reel_sample relu_gate_samples[] = {
    {.note = "matrix", .in = {{.shape = REEL_SIZES(2, 3)}, {.shape = REEL_SIZES(2, 3)}}},
    {.note = "scalar"},
    {.note = "at 0", .in = {{.shape = REEL_SIZES(2), .values = (const double[]){0, -0.0}}, {.shape = REEL_SIZES(2)}},
     .kink = true},
    {.note = "empty", .in = {{.shape = REEL_SIZES(0)}, {.shape = REEL_SIZES(0)}}},
    {.note = "transposed and reversed", .in = {{.shape = REEL_SIZES(3, 4), .layout = REEL_TRANSPOSED},
                                               {.shape = REEL_SIZES(3, 4), .layout = REEL_REVERSED}}},
    {.note = "do not broadcast", .in = {{.shape = REEL_SIZES(2)}, {.shape = REEL_SIZES(3)}},
     .error = "do not broadcast"},
};

const reel_op reel_op_relu_gate = {
    .size = sizeof(reel_op), .name = "relu_gate", .inputs = 2, .outputs = 1,
    .flags = REEL_OUTPUT_UNREAD,
    .kernels = &relu_gate_kernels, .vjp = relu_gate_vjp,
    .formula = "y = g where x > 0, else 0; dg = the same gate of dy",
    REEL_TRUTH(relu_gate_reference), REEL_SAMPLES(relu_gate_samples),
};

/* ---- maximum and minimum ----------------------------------------------------------------------------------- */

#define EXTREMA_FLOAT(CHOICE) (a != a ? a : b != b ? b : CHOICE)
#define EXTREMA_KERNELS(NAME, CHOICE)                                                                \
    REEL_KERNEL(NAME##_f32, float, 2, EXTREMA_FLOAT((CHOICE)))                                       \
    REEL_KERNEL(NAME##_f64, double, 2, EXTREMA_FLOAT((CHOICE)))                                      \
    REEL_KERNEL(NAME##_i32, int32_t, 2, CHOICE)                                                      \
    REEL_KERNEL(NAME##_i64, int64_t, 2, CHOICE)                                                      \
    REEL_KERNEL(NAME##_u8, uint8_t, 2, CHOICE)                                                       \
    REEL_ALL_KERNELS(NAME)

EXTREMA_KERNELS(maximum, a > b ? a : b)
EXTREMA_KERNELS(minimum, a < b ? a : b)

static void maximum_vjp(const reel_call *call, const reel_tensor dy[], reel_tensor dx[], const bool wanted[])
{
    for (int i = 0; i < 2; i++)
        if (wanted[i])
            dx[i] = greater_gate(call->input[i], call->input[1 - i], dy[0]);
}

static void minimum_vjp(const reel_call *call, const reel_tensor dy[], reel_tensor dx[], const bool wanted[])
{
    for (int i = 0; i < 2; i++)
        if (wanted[i])
            dx[i] = greater_gate(call->input[1 - i], call->input[i], dy[0]);
}

REEL_REFERENCE(maximum_reference, isnan(x[0]) || isnan(x[1]) ? NAN : fmax(x[0], x[1]))
REEL_REFERENCE(minimum_reference, isnan(x[0]) || isnan(x[1]) ? NAN : fmin(x[0], x[1]))
#define EXTREMA_TIE                                                                                  \
    {.note = "tie", .in = {{.shape = REEL_SIZES(2), .values = (const double[]){1, 2}},               \
                           {.shape = REEL_SIZES(2), .values = (const double[]){1, 2}}}, .kink = true}
static const reel_sample maximum_samples[] = {REEL_BINARY_SAMPLES(-3, 3), EXTREMA_TIE};
static const reel_sample minimum_samples[] = {REEL_BINARY_SAMPLES(-3, 3), EXTREMA_TIE};

const reel_op reel_op_maximum = {
    .size = sizeof(reel_op), .name = "maximum", .inputs = 2, .outputs = 1,
    .flags = REEL_OUTPUT_UNREAD,
    .kernels = &maximum_kernels, .vjp = maximum_vjp,
    .formula = "y = max(a, b); da = dy where a > b, dy / 2 where a = b", REEL_TRUTH(maximum_reference),
    REEL_SAMPLES(maximum_samples),
};
REEL_DEFINE_BINARY(maximum)

const reel_op reel_op_minimum = {
    .size = sizeof(reel_op), .name = "minimum", .inputs = 2, .outputs = 1,
    .flags = REEL_OUTPUT_UNREAD,
    .kernels = &minimum_kernels, .vjp = minimum_vjp,
    .formula = "y = min(a, b); da = dy where a < b, dy / 2 where a = b", REEL_TRUTH(minimum_reference),
    REEL_SAMPLES(minimum_samples),
};
REEL_DEFINE_BINARY(minimum)

/* ---- relu -------------------------------------------------------------------------------------------------- */

REEL_KERNEL(relu_f32, float, 1, a > 0 || a != a ? a : 0)
REEL_KERNEL(relu_f64, double, 1, a > 0 || a != a ? a : 0)
REEL_FLOAT_KERNELS(relu)

static void relu_vjp(const reel_call *call, const reel_tensor dy[], reel_tensor dx[], const bool wanted[])
{
    (void)wanted;
    dx[0] = relu_gate(call->input[0], dy[0]);
}

REEL_REFERENCE(relu_reference, isnan(x[0]) ? x[0] : fmax(x[0], 0))
static const reel_sample relu_samples[] = {
    REEL_UNARY_SAMPLES(-3, 3),
    REEL_INTEGERS_REFUSED,
    {.note = "at 0", .in = {{.shape = REEL_SIZES(2), .values = (const double[]){0, -0.0}}}, .kink = true},
};

const reel_op reel_op_relu = {
    .size = sizeof(reel_op), .name = "relu", .inputs = 1, .outputs = 1, .flags = REEL_OUTPUT_UNREAD,
    .kernels = &relu_kernels, .vjp = relu_vjp,
    .formula = "y = max(x, 0); dx = dy where x > 0, else 0", REEL_TRUTH(relu_reference), REEL_SAMPLES(relu_samples),
};
REEL_DEFINE_UNARY(relu)
