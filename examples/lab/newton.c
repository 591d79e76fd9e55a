/* Newton's method against gradient descent, on a linear softmax classifier of images.
 *
 *     f(W, b) = mean cross-entropy(labels, softmax(x W + b)) + decay/2 |W|^2
 *
 * With 30,730 parameters the Hessian H would have 944 million numbers. Newton's method needs only
 * products H v (reel_hvp()): it solves H d = -gradient by conjugate gradients (Hestenes and Stiefel,
 * 1952), only as exactly as the gradient is small (Dembo, Eisenstat and Steihaug, "Inexact Newton
 * methods", 1982), and walks along d.
 *
 * The work is counted in products with the images: one for f, two for a gradient, two for an H v. The
 * sections are pruned, so that a replay does no more than that.
 *
 *     newton [--data FOLDER] [FILE.svg]           FOLDER as CIFAR-10's binary files; else images are drawn */
#include "lab.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { IMAGES = 1000, N = (REEL_IMAGE_VALUES + 1) * REEL_IMAGE_CLASSES, MOST_PRODUCTS = 600, MOST_CG = 200 };

/* W and b, or a gradient or direction of theirs: one behind the other. */
typedef double vector[N];

typedef struct problem {
    reel_tape   *tape;
    reel_tensor  at[2], along[2], loss, gradient[2], product[2];
    reel_section loss_section, gradient_section, product_section;
    int          made;                              /* products with the images                    */
} problem;

static void record(problem *p, const lab_images *images)
{
    reel_tape *tape = p->tape = reel_tape_new_with(.threads = 2);
    reel_shape of_w = REEL_SHAPE(REEL_IMAGE_VALUES, REEL_IMAGE_CLASSES);
    reel_shape of_b = REEL_SHAPE(REEL_IMAGE_CLASSES);
    reel_tensor labels, x = lab_images_on(tape, images, &labels);
    p->at[0] = reel_variable(tape, of_w, reel_fill(REEL_F64, 0));
    p->at[1] = reel_variable(tape, of_b, reel_fill(REEL_F64, 0));
    p->along[0] = reel_constant(tape, of_w, reel_fill(REEL_F64, 0));
    p->along[1] = reel_constant(tape, of_b, reel_fill(REEL_F64, 0));

    reel_mark start = reel_tape_mark(tape);
    reel_tensor logits = reel_add(reel_matmul(x, p->at[0]), p->at[1]);
    reel_tensor misfit = reel_sparse_softmax_cross_entropy_with_logits(.labels = labels, .logits = logits,
                                                                       .reduction = REEL_REDUCTION_MEAN);
    double decay = 0.1;
    p->loss = reel_add(misfit, reel_affine(reel_sum(reel_mul(p->at[0], p->at[0])), decay / 2, 0));
    reel_mark loss_made = reel_tape_mark(tape);
    reel_gradient(p->loss, reel_tensors_of(p->at, 2), p->gradient);
    reel_mark gradient_made = reel_tape_mark(tape);
    reel_hvp(p->loss, reel_tensors_of(p->at, 2), reel_tensors_of(p->along, 2), p->product);
    reel_mark end = reel_tape_mark(tape);
    p->loss_section = reel_tape_section(start, loss_made);
    p->gradient_section = reel_section_prune(reel_tape_section(loss_made, gradient_made),
                                             reel_tensors_of(p->gradient, 2));
    p->product_section = reel_section_prune(reel_tape_section(gradient_made, end),
                                            reel_tensors_of(p->product, 2));
}

static double value(problem *p, const vector at)
{
    lab_write(p->at, 2, at);
    reel_tape_replay(p->loss_section);
    p->made += 1;
    return reel_item(p->loss);
}

/* At the point of the last value(). */
static void gradient(problem *p, vector g)
{
    reel_tape_replay(p->gradient_section);
    p->made += 1;
    lab_read(p->gradient, 2, g);
}

static void hessian_times(problem *p, const vector v, vector hv)
{
    lab_write(p->along, 2, v);
    reel_tape_replay(p->product_section);
    p->made += 2;
    lab_read(p->product, 2, hv);
}

/* Walks from `at` along d, halving the step until f falls by a ten-thousandth of what the slope promises
 * (Armijo, 1966). Returns the new f; at `at` nothing changes where no step helps. */
static double walk(problem *p, vector at, const vector d, double slope, double f, double *step)
{
    static vector to;
    for (int halvings = 0; halvings < 40; halvings++, *step /= 2) {
        memcpy(to, at, sizeof to);
        lab_add_times(N, to, *step, d);
        double there = value(p, to);
        if (there <= f + 1e-4 * *step * slope) {
            memcpy(at, to, sizeof to);
            return there;
        }
    }
    return f;
}

static void descend(problem *p, lab_curve *curve)
{
    static vector at, g, d;
    double f = value(p, at), step = 1;
    for (lab_curve_add(curve, p->made, f); p->made < MOST_PRODUCTS; lab_curve_add(curve, p->made, f)) {
        gradient(p, g);
        memset(d, 0, sizeof d);
        lab_add_times(N, d, -1, g);
        step *= 2;                                  /* what was cut once may be too short now      */
        f = walk(p, at, d, -lab_inner(N, g, g), f, &step);
    }
}

/* Solves H d = -g until the residual is `wanted` times as long as g. Returns the steps taken. */
static int conjugate_gradients(problem *p, const vector g, double wanted, vector d)
{
    static vector r, v, hv;
    int steps = 0;
    memset(d, 0, sizeof(vector));
    memset(r, 0, sizeof r);
    lab_add_times(N, r, -1, g);
    memcpy(v, r, sizeof v);
    double left = lab_inner(N, r, r), enough = wanted * wanted * left;
    for (; left > enough && steps < MOST_CG; steps++) {
        hessian_times(p, v, hv);
        double length = left / lab_inner(N, v, hv), before = left;
        lab_add_times(N, d, length, v);
        lab_add_times(N, r, -length, hv);
        left = lab_inner(N, r, r);
        for (int i = 0; i < N; i++)
            v[i] = r[i] + left / before * v[i];
    }
    return steps;
}

static void newton(problem *p, lab_curve *curve)
{
    static vector at, g, d;
    double f = value(p, at);
    lab_curve_add(curve, p->made, f);
    printf("Newton's method\n  products          f     |gradient|    steps of CG    step\n");
    for (double step = 1; p->made < MOST_PRODUCTS; lab_curve_add(curve, p->made, f)) {
        gradient(p, g);
        double size = sqrt(lab_inner(N, g, g));
        if (!(size > 1e-10))
            break;
        int steps = conjugate_gradients(p, g, fmin(0.5, sqrt(size)), d);
        step = 1;
        f = walk(p, at, d, lab_inner(N, g, d), f, &step);
        printf("  %8d   %.8f     %.2e     %8d       %g\n", p->made, f, size, steps, step);
    }
}

static bool compare(lab_curve *descent, lab_curve *newton, const char *file)
{
    double best = fmin(lab_curve_last(newton), lab_curve_last(descent)), descent_then[LAB_POINTS];
    lab_curve_lower(descent, best);
    lab_curve_lower(newton, best);
    lab_curve_along(descent, newton, descent_then);
    printf("\nf above the lowest found, %.10f\n", best);
    const lab_column column[] = {{"  %8.0f", .values = newton->x}, {"     %.3e", .values = descent_then},
                                 {"            %.3e", .values = newton->y}};
    lab_table("  products     gradient descent     Newton", column, 3, 1, newton->points, 1);
    const reel_plot_series series[] = {
        {.name = "gradient descent", .x = descent->x, .y = descent->y, .count = (size_t)descent->points},
        {.name = "Newton and CG", .x = newton->x, .y = newton->y, .count = (size_t)newton->points,
         .style = REEL_PLOT_LINE_AND_DOTS},
    };
    reel_plot plot = {.title = "A linear classifier of images, by gradient descent and by Newton's method",
                      .x = {.label = "products with the images"},
                      .y = {.label = "loss above its minimum", .logarithmic = true},
                      .series = series, .count = 2};
    return lab_draw(plot, file);
}

int main(int argc, char **argv)
{
    bool given = argc > 2 && strcmp(argv[1], "--data") == 0;
    const char *file = argc > (given ? 3 : 1) ? argv[given ? 3 : 1] : "newton.svg";
    static lab_images images;
    static lab_curve by_descent, by_newton;
    bool good = lab_images_open(&images, given ? argv[2] : NULL, IMAGES);
    if (good) {
        problem p = {0};
        printf("%lld images, %s\n", (long long)images.batch.count, given ? argv[2] : "drawn");
        record(&p, &images);
        newton(&p, &by_newton);
        p.made = 0;
        descend(&p, &by_descent);
        good = lab_close(p.tape) && compare(&by_descent, &by_newton, file);
    }
    lab_images_close(&images);
    return good ? 0 : 1;
}
