/* Hessian-vector products, replayed: Newton's method without ever making the Hessian.
 *
 *     f(x, y) = (1 - x)^2 + 100 (y - x^2)^2        Rosenbrock's valley; its lowest point is (1, 1)
 *
 * A Newton step solves H s = g. Conjugate gradients ask for nothing but products H p, and each product is a
 * replay of a section that was recorded once: `p` is a leaf, written before each replay. For two variables two
 * products are enough. */
#include <reel.h>

#include <math.h>
#include <stdio.h>

enum { STEPS = 8 };

struct valley {
    reel_tensor  at, direction;                     /* leaves, [2] f64                 */
    reel_tensor  value, gradient, product;          /* f, its gradient, H direction    */
    reel_section all, only_product;
};

static struct valley record_valley(reel_tape *tape)
{
    struct valley v;
    v.at = reel_variable(tape, REEL_SHAPE(2), REEL_F64_VALUES(-1.2, 1));
    v.direction = reel_constant(tape, REEL_SHAPE(2), REEL_F64_VALUES(1, 0));

    reel_mark from = reel_tape_mark(tape);
    reel_tensor x = reel_slice(v.at, 0, 0, 1, 1), y = reel_slice(v.at, 0, 1, 2, 1);
    reel_tensor across = reel_sub(y, reel_mul(x, x)), along = reel_affine(x, -1, 1);
    v.value = reel_sum(reel_add(reel_mul(along, along), reel_affine(reel_mul(across, across), 100, 0)));
    reel_gradient(v.value, REEL_TENSORS(v.at), &v.gradient);
    reel_hvp(v.value, REEL_TENSORS(v.at), REEL_TENSORS(v.direction), &v.product);
    v.all = reel_tape_section(from, reel_tape_mark(tape));
    v.only_product = reel_section_prune(v.all, REEL_TENSORS(v.product));
    return v;
}

/* product = H direction */
static void multiply(const struct valley *v, const double direction[2], double product[2])
{
    reel_write(v->direction, reel_values_of(REEL_F64, direction, 2));
    reel_tape_replay(v->only_product);
    reel_read(v->product, product, 2 * sizeof *product);
}

/* Solves H s = g by conjugate gradients (Hestenes and Stiefel 1952). */
static void solve(const struct valley *v, const double g[2], double s[2])
{
    double r[2] = {g[0], g[1]}, p[2] = {g[0], g[1]}, square = r[0] * r[0] + r[1] * r[1];
    s[0] = s[1] = 0;
    for (int i = 0; i < 2 && square > 0; i++) {
        double hp[2] = {0};
        multiply(v, p, hp);
        double step = square / (p[0] * hp[0] + p[1] * hp[1]), before = square;
        for (int k = 0; k < 2; k++) {
            s[k] += step * p[k];
            r[k] -= step * hp[k];
        }
        square = r[0] * r[0] + r[1] * r[1];
        for (int k = 0; k < 2; k++)
            p[k] = r[k] + square / before * p[k];
    }
}

int main(void)
{
    reel_tape *tape = reel_tape_new();
    struct valley v = record_valley(tape);
    double x[2] = {-1.2, 1}, g[2] = {0}, s[2] = {0};
    for (int i = 0; i < STEPS && !reel_failed(tape); i++) {
        reel_write(v.at, reel_values_of(REEL_F64, x, 2));
        reel_tape_replay(v.all);
        reel_read(v.gradient, g, sizeof g);
        printf("step %d   f(%+.6f, %+.6f) = %.3e\n", i, x[0], x[1], reel_item(v.value));
        solve(&v, g, s);
        for (int k = 0; k < 2; k++)
            x[k] -= s[k];
    }
    bool arrived = fabs(x[0] - 1) < 1e-9 && fabs(x[1] - 1) < 1e-9;
    printf("%s\n", arrived ? "arrived at (1, 1) within 1e-9" : "NOT at (1, 1)");

    int failed = reel_failed(tape) || !arrived;
    if (reel_failed(tape))
        fprintf(stderr, "%s\n", reel_error_message(tape));
    reel_tape_free(tape);
    return failed;
}
