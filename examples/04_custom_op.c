/* An op of one's own: swish(x) = x s(x), with s(x) = 1 / (1 + e^-x).
 *
 *     swish'(x)  = s + y (1 - s)
 *
 * A kernel for each dtype and a VJP written as ops on the tape are all it takes. Broadcasting, strides, threads
 * and the half types come with `.kernels`; the VJP is recorded like anything else, so the second derivative
 * needs nothing more. The library's own ops are the same struct. At the end the gradient lab checks the op, to
 * second order. */
#include <reel.h>

#include <math.h>
#include <stdio.h>

/* n elements side by side: y = out[i] of x = in[0][i]. */
static void swish_f32(int64_t n, const void *const in[], void *out, const void *attributes)
{
    (void)attributes;                               /* swish has none */
    const float *x = in[0];
    float *y = out;
    for (int64_t i = 0; i < n; i++)
        y[i] = x[i] / (1 + expf(-x[i]));
}

static void swish_f64(int64_t n, const void *const in[], void *out, const void *attributes)
{
    (void)attributes;
    const double *x = in[0];
    double *y = out;
    for (int64_t i = 0; i < n; i++)
        y[i] = x[i] / (1 + exp(-x[i]));
}

static const reel_kernels swish_kernels = {.of[REEL_F32] = swish_f32, .of[REEL_F64] = swish_f64};

/* dx = (s + y (1 - s)) dy */
static void swish_vjp(const reel_call *call, const reel_tensor dy[], reel_tensor dx[], const bool wanted[])
{
    (void)wanted;                                   /* one input: it is wanted, or we are not called */
    reel_tensor s = reel_sigmoid(call->input[0]), y = call->output[0];
    dx[0] = reel_mul(reel_add(s, reel_mul(y, reel_affine(s, -1, 1))), dy[0]);
}

static const reel_op swish = {
    .size = sizeof(reel_op), .name = "swish", .inputs = 1, .outputs = 1,
    .kernels = &swish_kernels, .vjp = swish_vjp,
    .formula = "y = x / (1 + exp(-x)); dx = (s + y (1 - s)) dy, s = sigmoid(x)",
};

int main(void)
{
    reel_tape *tape = reel_tape_new();
    reel_tensor x = reel_variable(tape, REEL_SHAPE(5), REEL_F32_VALUES(-4, -1, 0, 0.5, 3));
    reel_tensor y, gradient;
    reel_apply(&swish, REEL_TENSORS(x), NULL, &y, 1);
    reel_gradient(y, REEL_TENSORS(x), &gradient);
    reel_print(y);
    reel_print(gradient);

    reel_gradcheck_report report = reel_gradcheck(y, REEL_TENSORS(x), .order = 2);
    reel_gradcheck_print(&report, NULL);

    int failed = reel_failed(tape) || report.verdict != REEL_PASS;
    if (reel_failed(tape))
        fprintf(stderr, "%s\n", reel_error_message(tape));
    reel_tape_free(tape);
    return failed;
}
