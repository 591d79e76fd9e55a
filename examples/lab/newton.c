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
#include <reel.h>
#include <reel_train.h>

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { IMAGES = 1000, WEIGHTS = REEL_IMAGE_VALUES * REEL_IMAGE_CLASSES, N = WEIGHTS + REEL_IMAGE_CLASSES };
enum { MOST_PRODUCTS = 600, MOST_POINTS = 400, MOST_CG = 200 };

/* W and b, or a gradient or direction of theirs: one behind the other. */
typedef double vector[N];

typedef struct problem {
    reel_tape   *tape;
    reel_tensor  at[2], along[2], loss, gradient[2], product[2];
    reel_section loss_section, gradient_section, product_section;
} problem;

/* How a method got on: the products with the images it had made when f had this value. */
typedef struct path {
    double products[MOST_POINTS], f[MOST_POINTS];
    int    points, made;
} path;


/* ---- The function, its gradient and H v ----------------------------------------------------------- */

static void record(problem *p, const reel_batches *images)
{
    reel_tape *tape = p->tape = reel_tape_new_with(.threads = 2);
    reel_shape of_w = REEL_SHAPE(REEL_IMAGE_VALUES, REEL_IMAGE_CLASSES);
    reel_shape of_b = REEL_SHAPE(REEL_IMAGE_CLASSES);
    reel_tensor bytes = reel_wrap(tape, .dtype = REEL_F32, .data = images->values,
                                  .shape = REEL_SHAPE(images->count, REEL_IMAGE_VALUES));
    reel_tensor labels = reel_wrap(tape, .dtype = REEL_I32, .data = images->labels,
                                   .shape = REEL_SHAPE(images->count));
    reel_tensor x = reel_cast(bytes, REEL_F64);
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

static void put(const reel_tensor to[2], const vector v)
{
    reel_write(to[0], reel_values_of(REEL_F64, v, WEIGHTS));
    reel_write(to[1], reel_values_of(REEL_F64, v + WEIGHTS, REEL_IMAGE_CLASSES));
}

static void get(const reel_tensor from[2], vector v)
{
    reel_read(from[0], v, WEIGHTS * sizeof *v);
    reel_read(from[1], v + WEIGHTS, REEL_IMAGE_CLASSES * sizeof *v);
}

static double value(problem *p, path *path, const vector at)
{
    put(p->at, at);
    reel_tape_replay(p->loss_section);
    path->made += 1;
    return reel_item(p->loss);
}

/* At the point of the last value(). */
static void gradient(problem *p, path *path, vector g)
{
    reel_tape_replay(p->gradient_section);
    path->made += 1;
    get(p->gradient, g);
}

static void hessian_times(problem *p, path *path, const vector v, vector hv)
{
    put(p->along, v);
    reel_tape_replay(p->product_section);
    path->made += 2;
    get(p->product, hv);
}


/* ---- The two methods ------------------------------------------------------------------------------ */

static double inner(const vector a, const vector b)
{
    double sum = 0;
    for (int i = 0; i < N; i++)
        sum += a[i] * b[i];
    return sum;
}

/* y = y + s x */
static void add_times(vector y, double s, const vector x)
{
    for (int i = 0; i < N; i++)
        y[i] += s * x[i];
}

static void note(path *path, double f)
{
    if (path->points == MOST_POINTS)
        return;
    path->products[path->points] = path->made;
    path->f[path->points++] = f;
}

/* Walks from `at` along d, halving the step until f falls by a ten-thousandth of what the slope promises
 * (Armijo, 1966). Returns the new f; at `at` nothing changes where no step helps. */
static double walk(problem *p, path *path, vector at, const vector d, double slope, double f, double *step)
{
    static vector to;
    for (int halvings = 0; halvings < 40; halvings++, *step /= 2) {
        memcpy(to, at, sizeof to);
        add_times(to, *step, d);
        double there = value(p, path, to);
        if (there <= f + 1e-4 * *step * slope) {
            memcpy(at, to, sizeof to);
            return there;
        }
    }
    return f;
}

static void descend(problem *p, path *path)
{
    static vector at, g, d;
    double f = value(p, path, at), step = 1;
    for (note(path, f); path->made < MOST_PRODUCTS && path->points < MOST_POINTS; note(path, f)) {
        gradient(p, path, g);
        memset(d, 0, sizeof d);
        add_times(d, -1, g);
        step *= 2;                                  /* what was cut once may be too short now      */
        f = walk(p, path, at, d, -inner(g, g), f, &step);
    }
}

/* Solves H d = -g until the residual is `wanted` times as long as g. Returns the steps taken. */
static int conjugate_gradients(problem *p, path *path, const vector g, double wanted, vector d)
{
    static vector r, v, hv;
    int steps = 0;
    memset(d, 0, sizeof(vector));
    memset(r, 0, sizeof r);
    add_times(r, -1, g);
    memcpy(v, r, sizeof v);
    double left = inner(r, r), enough = wanted * wanted * left;
    for (; left > enough && steps < MOST_CG; steps++) {
        hessian_times(p, path, v, hv);
        double length = left / inner(v, hv), before = left;
        add_times(d, length, v);
        add_times(r, -length, hv);
        left = inner(r, r);
        for (int i = 0; i < N; i++)
            v[i] = r[i] + left / before * v[i];
    }
    return steps;
}

static void newton(problem *p, path *path)
{
    static vector at, g, d;
    double f = value(p, path, at);
    note(path, f);
    printf("Newton's method\n  products          f     |gradient|    steps of CG    step\n");
    for (double step = 1; path->made < MOST_PRODUCTS; note(path, f)) {
        gradient(p, path, g);
        double size = sqrt(inner(g, g));
        if (!(size > 1e-10))
            break;
        int steps = conjugate_gradients(p, path, g, fmin(0.5, sqrt(size)), d);
        step = 1;
        f = walk(p, path, at, d, inner(g, d), f, &step);
        printf("  %8d   %.8f     %.2e     %8d       %g\n", path->made, f, size, steps, step);
    }
}


/* ---- The race ------------------------------------------------------------------------------------- */

static void compare(path *descent, path *newton, double best)
{
    printf("\nf above the lowest found, %.10f\n  products     gradient descent     Newton\n", best);
    for (int i = 1, k = 0; i < newton->points; i++) {
        while (k + 1 < descent->points && descent->products[k + 1] <= newton->products[i])
            k++;
        printf("  %8.0f     %.3e            %.3e\n", newton->products[i], descent->f[k] - best,
               newton->f[i] - best);
    }
    for (int i = 0; i < descent->points; i++)
        descent->f[i] -= best;
    for (int i = 0; i < newton->points; i++)
        newton->f[i] -= best;
}

static bool draw(const path *descent, const path *newton, const char *file)
{
    const reel_plot_series series[] = {
        {.name = "gradient descent", .x = descent->products, .y = descent->f,
         .count = (size_t)descent->points},
        {.name = "Newton and CG", .x = newton->products, .y = newton->f, .count = (size_t)newton->points,
         .style = REEL_PLOT_LINE_AND_DOTS},
    };
    reel_plot plot = {.title = "A linear classifier of images, by gradient descent and by Newton's method",
                      .x = {.label = "products with the images"},
                      .y = {.label = "loss above its minimum", .logarithmic = true},
                      .series = series, .count = 2};
    if (reel_plot_svg(&plot, file, NULL))
        return printf("\n%s written\n", file) > 0;
    fprintf(stderr, "%s\n", plot.error);
    return false;
}

static bool race(const reel_batches *images, const char *file)
{
    static path by_descent, by_newton;
    problem p;
    record(&p, images);
    newton(&p, &by_newton);
    descend(&p, &by_descent);
    bool good = !reel_failed(p.tape);
    if (!good)
        fprintf(stderr, "%s\n", reel_error_message(p.tape));
    reel_tape_free(p.tape);
    if (!good)
        return false;
    double best = fmin(by_newton.f[by_newton.points - 1], by_descent.f[by_descent.points - 1]);
    compare(&by_descent, &by_newton, best);
    return draw(&by_descent, &by_newton, file);
}

int main(int argc, char **argv)
{
    bool given = argc > 2 && strcmp(argv[1], "--data") == 0;
    const char *file = argc > (given ? 3 : 1) ? argv[given ? 3 : 1] : "newton.svg";
    static reel_image_data data;
    static reel_standardisation standardisation;
    bool good = given ? reel_cifar10_read(&data, argv[2], NULL) : reel_shapes_draw(&data, IMAGES, 1, 1);
    if (!good)
        fprintf(stderr, "%s\n", data.error);
    reel_standardise(&standardisation, &data.train);
    reel_batches images = {.images = &data.train, .standardisation = &standardisation, .size = IMAGES};
    good = good && reel_batches_start(&images) && reel_batches_next(&images);
    if (good)
        printf("%lld images, %s\n", (long long)images.count, given ? argv[2] : "drawn");
    good = good && race(&images, file);
    reel_batches_free(&images);
    reel_image_data_free(&data);
    return good ? 0 : 1;
}
