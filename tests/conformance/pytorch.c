/* reel-conformance-pytorch DIR: Reel's loss with all its options against PyTorch's cross_entropy, on the
 * golden cases in DIR (its README.md says what they hold). One line for each case that fails, then how far
 * Reel and, for f32, PyTorch itself are from PyTorch's float64 results, then "N passed, N failed".
 *
 * What is allowed, in ulp at the scale that cross_entropy_reference.h gives: 1.5 in f32, and 8 in f64, where
 * the golden values have rounding errors of their own. A mean over nothing, NaN in PyTorch, must be 0.
 */
#include "tests/cross_entropy_reference.h"
#include "tests/safetensors.h"
#include "tests/ulp.h"

#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct pytorch_case {
    const char        *file;
    const reel_golden *golden;
    char               name[16];
    bool               soft, weighted;
    const reel_golden_tensor *logits, *labels, *weight, *upstream;
    reel_reduction     reduction;
    double             smoothing;
    int64_t            ignore_index;
    int                axis;
    int                failures;
    reel_truth        *truth;
} pytorch_case;

static double pytorch_worst[REEL_DTYPES], pytorch_theirs;

static void pytorch_fail(pytorch_case *c, const char *what)
{
    if (c->failures++ == 0)
        printf("FAIL %s %s (%s): %s\n", c->file, c->name, reel_golden_metadata(c->golden, c->name), what);
}

static bool pytorch_parse(pytorch_case *c, const reel_golden *golden, const char *file, int number)
{
    static const char *const reductions[] = {"none", "mean", "sum"};
    char labels[32], reduction[16], weight[8], ignore[24];
    *c = (pytorch_case){.file = file, .golden = golden, .ignore_index = REEL_NO_INDEX};
    snprintf(c->name, sizeof c->name, "case%02d", number);
    if (sscanf(reel_golden_metadata(golden, c->name),
               "labels=%31s reduction=%15s label_smoothing=%lf weight=%7s ignore_index=%23s", labels,
               reduction, &c->smoothing, weight, ignore) != 5)
        return false;
    for (int i = 0; i < 3; i++)
        if (strcmp(reduction, reductions[i]) == 0)
            c->reduction = (reel_reduction)i;
    if (strcmp(ignore, "no") != 0)
        c->ignore_index = strtoll(ignore, NULL, 10);
    c->weighted = strcmp(weight, "yes") == 0;
    c->soft = strcmp(reel_golden_metadata(golden, "target"), "soft") == 0;
    c->axis = atoi(reel_golden_metadata(golden, "axis"));
    c->logits = reel_golden_find(golden, "logits");
    c->labels = reel_golden_find(golden, labels);
    c->weight = reel_golden_find(golden, "weight");
    c->upstream = reel_golden_find(golden, "upstream");
    return c->logits && c->labels && c->weight && c->upstream;
}

static double *pytorch_numbers(const reel_golden_tensor *tensor)
{
    double *numbers = calloc((size_t)tensor->count + 1, sizeof *numbers);
    for (int64_t i = 0; numbers && i < tensor->count; i++)
        numbers[i] = reel_golden_element(tensor, i);
    return numbers;
}

/* The reference is here for its scales; PyTorch has the values. */
static reel_truth *pytorch_truth(const pytorch_case *c)
{
    double *numbers[] = {pytorch_numbers(c->logits), pytorch_numbers(c->labels), pytorch_numbers(c->weight),
                         pytorch_numbers(c->upstream)};
    reel_truth_arguments arguments = {
        .logits_shape = c->logits->shape,
        .labels_shape = c->labels->shape,
        .logits = numbers[0],
        .labels = c->soft ? numbers[1] : NULL,
        .index = c->soft ? NULL : c->labels->data,
        .axis = c->axis,
        .reduction = c->reduction,
        .smoothing = c->smoothing,
        .class_weights = c->weighted ? numbers[2] : NULL,
        .ignore_index = c->ignore_index,
        .upstream = c->reduction == REEL_REDUCTION_NONE ? numbers[3] : NULL,
    };
    reel_truth *truth = reel_truth_of(&arguments);
    for (int i = 0; i < 4; i++)
        free(numbers[i]);
    return truth;
}

static reel_tensor pytorch_leaf(reel_tape *tape, const reel_golden_tensor *x, bool variable)
{
    reel_values values = reel_values_of(x->dtype, x->data, (size_t)x->count);
    return variable ? reel_variable(tape, x->shape, values) : reel_constant(tape, x->shape, values);
}

static reel_tensor pytorch_loss(const pytorch_case *c, reel_tensor logits, reel_tensor labels,
                                reel_tensor *counted)
{
    reel_tensor weight = c->weighted ? pytorch_leaf(logits.tape, c->weight, false) : REEL_NONE;
    if (c->soft)
        return reel_softmax_cross_entropy_with_logits(.labels = labels, .logits = logits, .axis = c->axis,
                                                      .reduction = c->reduction,
                                                      .label_smoothing = c->smoothing,
                                                      .class_weights = weight, .counted = counted);
    return reel_sparse_softmax_cross_entropy_with_logits(.labels = labels, .logits = logits, .axis = c->axis,
                                                         .reduction = c->reduction,
                                                         .label_smoothing = c->smoothing,
                                                         .class_weights = weight, .counted = counted,
                                                         .ignore_index = c->ignore_index);
}

static const reel_golden_tensor *pytorch_golden(const pytorch_case *c, const char *quantity,
                                                const char *after)
{
    char name[64];
    snprintf(name, sizeof name, "%s.%s%s", c->name, quantity, after);
    return reel_golden_find(c->golden, name);
}

static void pytorch_compare(pytorch_case *c, const char *quantity, reel_tensor x,
                            const reel_truth_values *truth)
{
    char what[200];
    const reel_golden_tensor *golden = pytorch_golden(c, quantity, ""),
                             *f32 = pytorch_golden(c, quantity, "_f32");
    reel_dtype dtype = c->logits->dtype;
    double limit = dtype == REEL_F32 ? 1.5 : 8, *got = calloc((size_t)truth->count + 1, sizeof *got);
    if (!golden || !got || !reel_read_f64(x, got, (size_t)golden->count)) {
        pytorch_fail(c, reel_failed(x.tape) ? reel_error_message(x.tape) : "a golden tensor is missing");
        free(got);
        return;
    }
    for (int64_t i = 0; i < golden->count; i++) {
        double exact = reel_golden_element(golden, i);
        if (isnan(exact) && c->reduction == REEL_REDUCTION_MEAN && c->truth->counted == 0)
            exact = 0;
        long double ulp = reel_ulp(dtype, fmaxl(fabs(exact), truth->scale[i]));
        double error = (double)(reel_distance(dtype, got[i], exact) / ulp);
        pytorch_worst[dtype] = fmax(pytorch_worst[dtype], error);
        if (f32 && !isnan(reel_golden_element(f32, i)))
            pytorch_theirs = fmax(pytorch_theirs,
                                  (double)(reel_distance(dtype, reel_golden_element(f32, i), exact) / ulp));
        snprintf(what, sizeof what, "%s[%lld] is %.17g and %.17g in PyTorch, %.3g ulp", quantity,
                 (long long)i, got[i], exact, error);
        if (!(error <= limit))
            pytorch_fail(c, what);
    }
    free(got);
}

static void pytorch_run(pytorch_case *c)
{
    reel_tape *tape = reel_tape_new();
    reel_tensor gradient[2], counted;
    reel_tensor x[] = {pytorch_leaf(tape, c->logits, true), pytorch_leaf(tape, c->labels, c->soft)};
    reel_tensor loss = pytorch_loss(c, x[0], x[1], &counted);
    reel_tensors xs = reel_tensors_of(x, c->soft ? 2 : 1);
    if (c->reduction == REEL_REDUCTION_NONE)
        reel_gradient(loss, xs, gradient, .upstream = pytorch_leaf(tape, c->upstream, false));
    else
        reel_gradient(loss, xs, gradient);
    pytorch_compare(c, "loss", loss, &c->truth->loss);
    pytorch_compare(c, "grad_logits", gradient[0], &c->truth->grad_logits);
    if (c->soft)
        pytorch_compare(c, "grad_labels", gradient[1], &c->truth->grad_labels);
    if (!reel_failed(tape) && reel_item(counted) != (double)c->truth->counted)
        pytorch_fail(c, "another number of rows was counted");
    reel_tape_free(tape);
}

static void pytorch_file(const char *folder, const char *file, int *passed, int *failed)
{
    char path[4096], why[REEL_GOLDEN_WHY];
    snprintf(path, sizeof path, "%s/%s", folder, file);
    reel_golden *golden = reel_golden_read(path, why);
    if (!golden) {
        printf("FAIL %s: %s\n", file, why);
        ++*failed;
        return;
    }
    int cases = atoi(reel_golden_metadata(golden, "cases"));
    for (int i = 0; i < cases; i++) {
        pytorch_case c;
        if (!pytorch_parse(&c, golden, file, i) || !(c.truth = pytorch_truth(&c)))
            pytorch_fail(&c, "not a case");
        else
            pytorch_run(&c);
        reel_truth_free(c.truth);
        *(c.failures ? failed : passed) += 1;
    }
    *failed += cases == 0;
    reel_golden_free(golden);
}

static int pytorch_is_case(const struct dirent *entry)
{
    const char *dot = strrchr(entry->d_name, '.');
    return dot && strcmp(dot, ".safetensors") == 0;
}

int main(int count, char **arguments)
{
    struct dirent **entries;
    int files = count == 2 ? scandir(arguments[1], &entries, pytorch_is_case, alphasort) : -1;
    int passed = 0, failed = 0;
    if (files <= 0) {
        fprintf(stderr, "usage: %s DIR, a folder with .safetensors files\n", arguments[0]);
        return 2;
    }
    for (int i = 0; i < files; i++) {
        pytorch_file(arguments[1], entries[i]->d_name, &passed, &failed);
        free(entries[i]);
    }
    free(entries);
    printf("largest error, in ulp at the scale: f32 %.3g (PyTorch %.3g), f64 %.3g\n", pytorch_worst[REEL_F32],
           pytorch_theirs, pytorch_worst[REEL_F64]);
    printf("%d passed, %d failed\n", passed, failed);
    return failed != 0;
}
