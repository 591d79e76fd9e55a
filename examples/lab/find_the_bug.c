/* Find the bug: a softmax cross-entropy with one of five classic mistakes in its gradient, and what
 * reel_gradcheck() says to each.
 *
 *     loss = mean over n rows of - sum_c y_c log p_c          p = softmax(z), S = sum_c y_c
 *     d loss/d z = (S p - y) / n          d loss/d y = - log p / n
 *
 * The op stands at the end of a small model, logits = x W + b, with labels that a weighting has left not
 * summing to 1. Without an argument all mistakes are gone through; with the name of one its whole report
 * is printed.
 *
 *     find_the_bug [sign | mean | labels | axis | path | none] [FILE.svg] */
#include <reel.h>
#include <reel_train.h>

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { ROWS = 6, FEATURES = 4, CLASSES = 3, MOST_ELEMENTS = 64 };

typedef enum mistake { SIGN, MEAN, LABELS, AXIS, PATH, NONE, MISTAKES } mistake;

static const struct {
    const char *name, *what;
} mistakes[MISTAKES] = {
    {"sign", "(y - S p) / n"},
    {"mean", "S p - y, without the 1/n"},
    {"labels", "(p - y) / n, as if S were 1"},
    {"axis", "p along the wrong axis"},
    {"path", "nothing into the labels"},
    {"none", "no mistake"},
};


/* ---- The op --------------------------------------------------------------------------------------- */

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


/* ---- The check ------------------------------------------------------------------------------------ */

typedef struct verdict {
    reel_gradcheck_report report;
    reel_finding          element[MOST_ELEMENTS];
    double                numeric[MOST_ELEMENTS], analytic[MOST_ELEMENTS];
    size_t                count;
} verdict;

static bool check(mistake made, verdict *v, bool whole)
{
    reel_tape *tape = reel_tape_new_with(.seed = 3);
    reel_tensor x = reel_random_normal(tape, REEL_SHAPE(ROWS, FEATURES), REEL_F64, 0, 1);
    reel_tensor w = reel_name(reel_random_normal(tape, REEL_SHAPE(FEATURES, CLASSES), REEL_F64, 0, 1), "W");
    reel_tensor b = reel_name(reel_random_normal(tape, REEL_SHAPE(CLASSES), REEL_F64, 0, 1), "b");
    reel_tensor y = reel_name(reel_random_uniform(tape, REEL_SHAPE(ROWS, CLASSES), REEL_F64, 0, 1), "labels");
    reel_tensor logits = reel_name(reel_add(reel_matmul(x, w), b), "logits"), loss;
    reel_apply(&xent, REEL_TENSORS(logits, y), &made, &loss, 1);
    v->report = reel_gradcheck(loss, REEL_TENSORS(w, b, y), .elements = v->element,
                               .element_room = MOST_ELEMENTS);
    v->count = (size_t)(v->report.passed + v->report.undecided + v->report.failed);
    for (size_t i = 0; i < v->count && i < MOST_ELEMENTS; i++) {
        v->numeric[i] = v->element[i].numeric;
        v->analytic[i] = v->element[i].analytic;
    }
    fflush(stdout);
    if (whole)
        reel_gradcheck_print(&v->report, NULL);
    bool good = !reel_failed(tape);
    if (!good)
        fprintf(stderr, "%s\n", reel_error_message(tape));
    reel_tape_free(tape);
    return good;
}

static void print_line(mistake made, const verdict *v)
{
    const reel_gradcheck_report *r = &v->report;
    printf("\n%-7s %s\n", mistakes[made].name, mistakes[made].what);
    printf("        %s: %lld right, %lld wrong, %lld undecided\n", reel_verdict_name(r->verdict),
           (long long)r->passed, (long long)r->failed, (long long)r->undecided);
    if (r->verdict != REEL_FAIL)
        return;
    printf("        %s\n", reel_cause_text(r->cause));
    for (int i = 0; i < r->blames; i++)
        printf("        at fault: %s, into %s: %s\n", r->blame[i].op, r->blame[i].described.text,
               reel_cause_text(r->blame[i].cause));
}

static bool draw(const verdict *v, const bool shown[MISTAKES], const char *path)
{
    static const double ends[] = {-1.5, 1.5};
    reel_plot_series series[MISTAKES + 1];
    series[0] = (reel_plot_series){.x = ends, .y = ends, .count = 2, .style = REEL_PLOT_DASHES, .colour = 7};
    size_t count = 1;
    for (int i = 0; i < MISTAKES; i++)
        if (shown[i])
            series[count++] = (reel_plot_series){
                .name = mistakes[i].name, .x = v[i].numeric, .y = v[i].analytic, .count = v[i].count,
                .style = REEL_PLOT_DOTS, .colour = i == NONE ? 7 : i + 1};
    reel_plot plot = {.title = "Each derivative as the VJP has it, against the finite difference",
                      .x = {.label = "finite difference", .low = -1.5, .high = 1.5},
                      .y = {.label = "gradient", .low = -3, .high = 3}, .series = series, .count = count};
    if (reel_plot_svg(&plot, path, NULL))
        return printf("\n%s written\n", path) > 0;
    fprintf(stderr, "%s\n", plot.error);
    return false;
}

int main(int argc, char **argv)
{
    static verdict v[MISTAKES];
    bool shown[MISTAKES], good = true, chosen = false;
    for (int i = 0; i < MISTAKES; i++)
        chosen |= shown[i] = argc > 1 && strcmp(argv[1], mistakes[i].name) == 0;
    for (int i = 0; i < MISTAKES; i++) {
        shown[i] |= !chosen;
        good = good && (!shown[i] || check((mistake)i, &v[i], chosen));
        if (shown[i] && good && !chosen)
            print_line((mistake)i, &v[i]);
    }
    const char *path = argc > 1 + chosen ? argv[1 + chosen] : "find_the_bug.svg";
    return good && draw(v, shown, path) ? 0 : 1;
}
