/* Find the bug: a softmax cross-entropy with one of five classic mistakes in its gradient, and what
 * reel_gradcheck() says to each.
 *
 *     loss = mean over n rows of - sum_c y_c log p_c          p = softmax(z), S = sum_c y_c
 *     d loss/d z = (S p - y) / n          d loss/d y = - log p / n
 *
 *     sign      dz = (y - S p) / n                    mean   dz = S p - y
 *     labels    dz = (p - y) / n                      axis   p taken along the wrong axis
 *     path      dy = nothing
 *
 * The op stands at the end of a small model, logits = x W + b, with labels that do not sum to 1. Without an
 * argument all mistakes are gone through; with the name of one its whole report is printed.
 *
 *     find_the_bug [sign | mean | labels | axis | path | none] [FILE.svg] */
#include "lab.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { ROWS = 6, FEATURES = 4, CLASSES = 3, DERIVATIVES = FEATURES * CLASSES + CLASSES + ROWS * CLASSES };

typedef enum mistake { SIGN, MEAN, LABELS, AXIS, PATH, NONE, MISTAKES } mistake;

static const char *const name[MISTAKES] = {"sign", "mean", "labels", "axis", "path", "none"};

static bool xent_shape(reel_call *call, reel_output *out)
{
    out->dtype = call->in[0].dtype;
    if (out->dtype == REEL_F64 && call->in[0].rank == 2 && call->in[1].rank == 2)
        return true;
    return reel_call_error(call, "it takes two matrices of f64");
}

static double element(const reel_array *x, int64_t i, int64_t j)
{
    return ((const double *)x->data)[i * x->strides[0] + j * x->strides[1]];
}

static bool xent_forward(const reel_call *call)
{
    const reel_array *z = &call->in[0], *y = &call->in[1];
    double loss = 0;
    for (int64_t i = 0; i < z->shape[0]; i++) {
        double sum = 0;
        for (int64_t c = 0; c < z->shape[1]; c++)
            sum += exp(element(z, i, c));
        for (int64_t c = 0; c < z->shape[1]; c++)
            loss += element(y, i, c) * (log(sum) - element(z, i, c));
    }
    *(double *)call->out->data = loss / (double)z->shape[0];
    return true;
}

static void xent_vjp(const reel_call *call, const reel_tensor dy[], reel_tensor dx[], const bool wanted[])
{
    mistake made = *(const mistake *)call->attributes;
    reel_tensor z = call->input[0], y = call->input[1];
    double n = (double)reel_shape_of(z).size[0];
    if (wanted[0]) {
        reel_tensor p = reel_softmax(z, made == AXIS ? 0 : 1);
        reel_tensor sum = reel_sum(y, .axes = REEL_AXES(1), .keepdims = true);
        reel_tensor miss = reel_sub(made == LABELS ? p : reel_mul(sum, p), y);
        dx[0] = reel_mul(reel_affine(miss, (made == SIGN ? -1 : 1) / (made == MEAN ? 1 : n), 0), dy[0]);
    }
    if (wanted[1] && made != PATH)
        dx[1] = reel_mul(reel_affine(reel_log_softmax(z, 1), -1 / n, 0), dy[0]);
}

static const reel_op xent = {
    .size = sizeof(reel_op), .name = "xent", .inputs = 2, .outputs = 1, .attributes = sizeof(mistake),
    .shape = xent_shape, .forward = xent_forward, .vjp = xent_vjp,
    .formula = "loss = mean of - sum y log p; dz = (S p - y) / n, dy = - log p / n",
};

typedef struct points {
    double numeric[DERIVATIVES], analytic[DERIVATIVES];
} points;

/* Prints the report, or only what it says before it lists the wrong derivatives. */
static void print(const reel_gradcheck_report *report, bool whole)
{
    char text[12000];
    reel_gradcheck_text(report, text, sizeof text);
    char *list = strstr(text, "  the worst of all");
    if (!whole && list)
        *list = 0;
    printf("%s", text);
}

static bool check(mistake made, bool whole, points *found)
{
    reel_tape *tape = reel_tape_new_with(.seed = 3);
    reel_tensor x = reel_random_normal(tape, REEL_SHAPE(ROWS, FEATURES), REEL_F64, 0, 1);
    reel_tensor w = reel_name(reel_random_normal(tape, REEL_SHAPE(FEATURES, CLASSES), REEL_F64, 0, 1), "W");
    reel_tensor b = reel_name(reel_random_normal(tape, REEL_SHAPE(CLASSES), REEL_F64, 0, 1), "b");
    reel_tensor y = reel_name(reel_random_uniform(tape, REEL_SHAPE(ROWS, CLASSES), REEL_F64, 0, 1), "labels");
    reel_tensor logits = reel_name(reel_add(reel_matmul(x, w), b), "logits"), loss;
    reel_apply(&xent, REEL_TENSORS(logits, y), &made, &loss, 1);

    reel_finding element[DERIVATIVES] = {0};
    reel_gradcheck_report report =
        reel_gradcheck(loss, REEL_TENSORS(w, b, y), .elements = element, .element_room = DERIVATIVES);
    print(&report, whole);
    for (int i = 0; i < DERIVATIVES; i++) {
        found->numeric[i] = element[i].numeric;
        found->analytic[i] = element[i].analytic;
    }
    return lab_close(tape);
}

int main(int argc, char **argv)
{
    static points found[MISTAKES];
    static const double ends[] = {-1.5, 1.5};
    reel_plot_series series[MISTAKES + 1] = {
        {.x = ends, .y = ends, .count = 2, .style = REEL_PLOT_DASHES, .colour = 7}};
    size_t count = 1;
    int chosen = 0;
    while (argc > 1 && chosen < MISTAKES && strcmp(argv[1], name[chosen]) != 0)
        chosen++;
    bool one = argc > 1 && chosen < MISTAKES;
    for (int i = 0; i < MISTAKES; i++) {
        if (one && i != chosen)
            continue;
        if (!one)
            printf("%s%s\n", i ? "\n" : "", name[i]);
        if (!check((mistake)i, one, &found[i]))
            return 1;
        series[count++] = (reel_plot_series){
            .name = name[i], .x = found[i].numeric, .y = found[i].analytic, .count = DERIVATIVES,
            .style = REEL_PLOT_DOTS, .colour = i == NONE ? 7 : i + 1};
    }
    reel_plot plot = {.title = "Each derivative as the VJP has it, against the finite difference",
                      .x = {.label = "finite difference", .low = -1.5, .high = 1.5},
                      .y = {.label = "gradient", .low = -3, .high = 3}, .series = series, .count = count};
    return lab_draw(plot, argc > 1 + one ? argv[1 + one] : "find_the_bug.svg") ? 0 : 1;
}
