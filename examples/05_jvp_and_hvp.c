/* Products with derivatives that are never written out.
 *
 *     y = tanh(A x)                   A [2,3], x [3]
 *
 * J t says how y moves when x moves along t, and u' J how the sum of u y changes with x: neither makes
 * J. H v is the second derivative of a scalar times a vector, at the price of a few gradients, however
 * large H is. Where the whole matrices are small they can be asked for too, and the products checked
 * against them. */
#include <reel.h>
#include <stdio.h>

static void show(const char *what, reel_tensor x)
{
    printf("%s\n", what);
    fflush(stdout);                 /* reel_print() writes past stdio's buffer */
    reel_print(x);
}

int main(void)
{
    reel_tape *tape = reel_tape_new();
    reel_tensor a = reel_constant(tape, REEL_SHAPE(2, 3), REEL_F64_VALUES(1, -2, 0.5,   0, 1, 1));
    reel_tensor x = reel_variable(tape, REEL_SHAPE(3, 1), REEL_F64_VALUES(0.25, 0.5, 1));
    reel_tensor t = reel_constant(tape, REEL_SHAPE(3, 1), REEL_F64_VALUES(1, 0, -1));
    reel_tensor u = reel_constant(tape, REEL_SHAPE(2, 1), REEL_F64_VALUES(1, 2));

    reel_tensor y = reel_tanh(reel_matmul(a, x));
    reel_tensor jacobian = reel_jacobian(y, x), back;
    show("J, of y's shape followed by x's, is here a matrix", reel_reshape(jacobian, REEL_SHAPE(2, 3)));
    show("J t", reel_jvp(y, REEL_TENSORS(x), REEL_TENSORS(t)));
    reel_vjp(y, u, REEL_TENSORS(x), &back);
    show("u' J", back);

    /* A scalar's second derivative, along the same direction. */
    reel_tensor loss = reel_sum(reel_mul(y, y)), product;
    reel_hvp(loss, REEL_TENSORS(x), REEL_TENSORS(t), &product);
    reel_tensor hessian = reel_reshape(reel_hessian(loss, x, x), REEL_SHAPE(3, 3));
    show("the Hessian of the sum of y^2", hessian);
    show("H t", product);

    double difference[3] = {1, 1, 1}, worst = 0;
    reel_read(reel_sub(product, reel_matmul(hessian, t)), difference, sizeof difference);
    for (int i = 0; i < 3; i++)
        worst = difference[i] > worst ? difference[i] : -difference[i] > worst ? -difference[i] : worst;
    printf("H t and the Hessian times t differ by %s 1e-15\n", worst < 1e-15 ? "less than" : "MORE than");

    int failed = reel_failed(tape) || !(worst < 1e-15);
    if (reel_failed(tape))
        fprintf(stderr, "%s\n", reel_error_message(tape));
    reel_tape_free(tape);
    return failed;
}
