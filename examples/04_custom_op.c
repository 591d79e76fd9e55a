/* An op of one's own: swish(x) = x s(x), with s(x) = 1 / (1 + e^-x).
 *
 *     swish'(x)  = s + x s (1 - s)
 *     swish''(x) = s (1 - s) (2 + x (1 - 2 s))
 *
 * A shape rule, a forward pass in C and a VJP written as ops on the tape are all it takes. The VJP is
 * recorded like anything else, so the second derivative needs nothing more. The library's own ops are the
 * same struct. */
#include <reel.h>

#include <math.h>
#include <stdio.h>

/* y has x's dtype and shape. A vector of f64 is enough for this page; the rule refuses the rest. */
static bool swish_shape(reel_call *call, reel_output *out)
{
    const reel_array *x = call->in;
    if (x->dtype != REEL_F64 || x->rank != 1)
        return reel_call_error(call, "x has rank %d and %s numbers; it takes a vector of f64", x->rank,
                               reel_dtype_name(x->dtype));
    out->dtype = x->dtype;
    out->shape = reel_make_shape(x->rank, x->shape);
    return true;
}

/* x may be strided (a slice of something); y never is. */
static bool swish_forward(const reel_call *call)
{
    const double *x = call->in->data;
    double *y = call->out->data;
    int64_t stride = call->in->strides[0];
    for (int64_t i = 0; i < call->in->count; i++)
        y[i] = x[i * stride] / (1 + exp(-x[i * stride]));
    return true;
}

/* dx = (s + y (1 - s)) dy, where s is made of ops that the tape knows: 1 / (1 + e^-x). */
static void swish_vjp(const reel_call *call, const reel_tensor dy[], reel_tensor dx[], const bool wanted[])
{
    (void)wanted;                   /* one input: it is wanted, or we are not called */
    reel_tensor x = call->input[0], y = call->output[0];
    reel_tensor s = reel_div(reel_ones_like(x), reel_affine(reel_exp(reel_neg(x)), 1, 1));
    dx[0] = reel_mul(reel_add(s, reel_mul(y, reel_affine(s, -1, 1))), dy[0]);
}

static const reel_op swish = {
    .size = sizeof(reel_op), .name = "swish", .inputs = 1, .outputs = 1,
    .shape = swish_shape, .forward = swish_forward, .vjp = swish_vjp,
    .formula = "y = x / (1 + e^-x)",
};

int main(void)
{
    enum { COUNT = 5 };
    reel_tape *tape = reel_tape_new();
    reel_tensor x = reel_variable(tape, REEL_SHAPE(COUNT), REEL_F64_VALUES(-4, -1, 0, 0.5, 3));
    reel_tensor y, first, second;
    reel_apply(&swish, REEL_TENSORS(x), NULL, &y, 1);
    reel_gradient(y, REEL_TENSORS(x), &first);
    reel_gradient(first, REEL_TENSORS(x), &second);

    double at[COUNT] = {0}, got[COUNT] = {0}, worst = 0;
    reel_read(x, at, sizeof at);
    reel_read(second, got, sizeof got);
    for (int i = 0; i < COUNT; i++) {
        double s = 1 / (1 + exp(-at[i])), exact = s * (1 - s) * (2 + at[i] * (1 - 2 * s));
        printf("swish''(%4.1f) = %+.12f   by formula %+.12f\n", at[i], got[i], exact);
        worst = fmax(worst, fabs(got[i] - exact));
    }
    printf("largest difference %s 1e-15\n", worst < 1e-15 ? "below" : "NOT below");

    int failed = reel_failed(tape) || !(worst < 1e-15);
    if (reel_failed(tape))
        fprintf(stderr, "%s\n", reel_error_message(tape));
    reel_tape_free(tape);
    return failed;
}
