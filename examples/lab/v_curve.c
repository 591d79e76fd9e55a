/* The V curve: how wrong a finite difference is, against its step h.
 *
 *     one-sided      (f(x + h) - f(x)) / h                error  h f''/2        + rounding
 *     central        (f(x + h) - f(x - h)) / 2h                  h^2 f'''/6     + rounding
 *     extrapolated   (4 C(h/2) - C(h)) / 3, C central            h^4 f'''''/480 + rounding
 *
 * Too large a step leaves out the curve, too small a step divides the rounding error of f by almost
 * nothing: the rounding part grows as eps f/h, whatever the formula. f is the softmax cross-entropy of
 * one row of ten logits z, whose derivatives have closed forms, with p = softmax(z):
 *
 *     f' = p - y     f'' = p (1 - p)     f''' = f'' (1 - 2p)     f''''' = f''' (1 - 12 p + 12 p^2)
 *
 * It is recorded once; each value of f is a write into the logits and a replay.
 *
 *     v_curve [FILE.svg] */
#include "lab.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { CLASSES = 10, LABEL = 3, STEPS = 49, FORMULAS = 3 };

static const char *const formula_name[FORMULAS] = {"one-sided", "central", "extrapolated"};
static const double logit[CLASSES] = {0.5, -1.25, 2, 0.25, -0.75, 1.5, -2, 0, 1, -0.5};

typedef struct recording {
    reel_tape   *tape;
    reel_dtype   dtype;
    reel_tensor  z, loss;
    reel_section section;
} recording;

static recording record(reel_dtype dtype)
{
    recording r = {.tape = reel_tape_new(), .dtype = dtype};
    double label[CLASSES] = {[LABEL] = 1};
    r.z = reel_variable(r.tape, REEL_SHAPE(CLASSES), reel_values_from_f64(dtype, logit, CLASSES));
    reel_tensor y = reel_constant(r.tape, REEL_SHAPE(CLASSES), reel_values_from_f64(dtype, label, CLASSES));
    reel_mark from = reel_tape_mark(r.tape);
    r.loss = reel_softmax_cross_entropy_with_logits(.labels = y, .logits = r.z);
    r.section = reel_tape_section(from, reel_tape_mark(r.tape));
    return r;
}

/* f with logit i moved by about h; how far it was moved, after rounding to the dtype, goes to *moved. */
static double f_at(const recording *r, int i, double h, double *moved)
{
    double z[CLASSES];
    memcpy(z, logit, sizeof z);
    z[i] = r->dtype == REEL_F32 ? (float)(z[i] + h) : z[i] + h;
    *moved = z[i] - logit[i];
    reel_write(r->z, reel_values_from_f64(r->dtype, z, CLASSES));
    reel_tape_replay(r->section);
    return reel_item(r->loss);
}

static double central(const recording *r, int i, double h)
{
    double up, down, above = f_at(r, i, h, &up), below = f_at(r, i, -h, &down);
    return (above - below) / (up - down);
}

static double difference(const recording *r, int formula, int i, double h)
{
    double up, here;
    switch (formula) {
    case 0:  return (f_at(r, i, h, &up) - f_at(r, i, 0, &here)) / up;
    case 1:  return central(r, i, h);
    default: return (4 * central(r, i, h / 2) - central(r, i, h)) / 3;
    }
}

/* The root of the mean square over all logits: of the error, and of the term that theory says it consists
 * of, beside the rounding. */
static void measure(const recording *r, int formula, const double p[CLASSES], double h, double *error,
                    double *theory)
{
    static const double power[FORMULAS] = {1, 2, 4}, divisor[FORMULAS] = {2, 6, 480};
    double wrong = 0, term = 0;
    for (int i = 0; i < CLASSES; i++) {
        double second = p[i] * (1 - p[i]), third = second * (1 - 2 * p[i]);
        double derivative[FORMULAS] = {second, third, third * (1 - 12 * p[i] + 12 * p[i] * p[i])};
        wrong += pow(difference(r, formula, i, h) - (p[i] - (i == LABEL)), 2) / CLASSES;
        term += pow(pow(h, power[formula]) * derivative[formula] / divisor[formula], 2) / CLASSES;
    }
    *error = sqrt(wrong);
    *theory = sqrt(term);
}

typedef struct curves {
    double h[STEPS], error[FORMULAS][STEPS], theory[FORMULAS][STEPS], rounding[STEPS];
} curves;

static bool trace(reel_dtype dtype, curves *c)
{
    recording r = record(dtype);
    double p[CLASSES] = {0}, unit = dtype == REEL_F32 ? FLT_EPSILON / 2 : DBL_EPSILON / 2, here;
    double f = f_at(&r, 0, 0, &here);
    reel_read_f64(reel_softmax(reel_cast(r.z, REEL_F64), -1), p, CLASSES);
    for (int s = 0; s < STEPS; s++) {
        c->h[s] = pow(10, -s / 4.0);
        for (int k = 0; k < FORMULAS; k++)
            measure(&r, k, p, c->h[s], &c->error[k][s], &c->theory[k][s]);
        c->rounding[s] = unit * f / c->h[s];
    }
    return lab_close(r.tape);
}

static void print_best(const char *dtype, const curves *c)
{
    for (int k = 0; k < FORMULAS; k++) {
        int best = 0;
        for (int s = 1; s < STEPS; s++)
            if (c->error[k][s] < c->error[k][best])
                best = s;
        printf("  %s %-13s h = %.1e   error %.1e\n", dtype, formula_name[k], c->h[best], c->error[k][best]);
    }
}

static bool draw(const curves *f32, const curves *f64, const char *path)
{
    reel_plot_series series[3 * FORMULAS + 2];
    static const reel_plot_style style[3] = {REEL_PLOT_LINE, REEL_PLOT_DOTS, REEL_PLOT_DASHES};
    static const char *const name[3][FORMULAS] = {
        {"f64 one-sided", "f64 central", "f64 extrapolated"},
        {"f32 one-sided", "f32 central", "f32 extrapolated"},
        {"theory: h f''/2", "h^2 f'''/6", "h^4 f'''''/480"},
    };
    for (int g = 0; g < 3; g++)
        for (int k = 0; k < FORMULAS; k++)
            series[g * FORMULAS + k] = (reel_plot_series){
                .name = name[g][k], .x = f64->h, .count = STEPS, .colour = k + 1, .style = style[g],
                .y = g == 0 ? f64->error[k] : g == 1 ? f32->error[k] : f64->theory[k]};
    series[9] = (reel_plot_series){.name = "rounding, f64: eps f/h", .x = f64->h, .y = f64->rounding,
                                   .count = STEPS, .colour = 7, .style = REEL_PLOT_DASHES};
    series[10] = (reel_plot_series){.name = "rounding, f32", .x = f32->h, .y = f32->rounding,
                                    .count = STEPS, .colour = 4, .style = REEL_PLOT_DASHES};
    return lab_draw((reel_plot){.title = "Error of finite differences of the softmax cross-entropy",
                                .x = {.label = "step h", .logarithmic = true},
                                .y = {.label = "error", .logarithmic = true, .low = 1e-15, .high = 1e1},
                                .series = series, .count = 11}, path);
}

int main(int argc, char **argv)
{
    static curves f32, f64;
    if (!trace(REEL_F32, &f32) || !trace(REEL_F64, &f64))
        return 1;
    static const char nan[] = "    x + h = x";
    const lab_column column[] = {
        {" %.1e |", .values = f32.h},
        {" %12.1e", .values = f32.error[0], .nan = nan}, {" %12.1e", .values = f32.error[1], .nan = nan},
        {" %12.1e |", .values = f32.error[2], .nan = "    x + h = x |"}, {" %12.1e", .values = f64.error[0]},
        {" %12.1e", .values = f64.error[1]}, {" %12.1e", .values = f64.error[2]}};
    lab_table("         |              f32                       |              f64\n"
              "   h     |    one-sided      central extrapolated |    one-sided      central extrapolated",
              column, 7, 0, STEPS, 4);
    printf("\nbest step and its error\n");
    print_best("f32", &f32);
    print_best("f64", &f64);
    return draw(&f32, &f64, argc > 1 ? argv[1] : "v_curve.svg") ? 0 : 1;
}
