/* A golden file as a case, and what Reel must make of it.
 *
 * A case that TensorFlow refuses is refused here too, unless it has a plain meaning: negative axes, and
 * labels and logits that broadcast. Some that TensorFlow accepts are refused: labels of another dtype
 * (nothing is cast silently), labels of another rank that only happen to have as many rows, and zero classes.
 * For the first two the caller has a remedy, a cast or a reshape, under which the exact values must come out.
 */
#include "tests/conformance/conformance.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static double *case_numbers(const reel_golden_tensor *tensor)
{
    double *numbers = tensor ? malloc(((size_t)tensor->count + 1) * sizeof *numbers) : NULL;
    for (int64_t i = 0; numbers && i < tensor->count; i++)
        numbers[i] = reel_golden_element(tensor, i);
    return numbers;
}

static int64_t *case_index(const reel_golden_tensor *labels)
{
    int64_t *index = malloc(((size_t)labels->count + 1) * sizeof *index);
    for (int64_t i = 0; index && i < labels->count; i++)
        index[i] = labels->dtype == REEL_I64 ? ((int64_t *)labels->data)[i] : ((int32_t *)labels->data)[i];
    return index;
}

static bool case_call(conformance_case *c)
{
    static const struct { const char *api; conformance_call call; } known[] = {
        {"nn_v2", CALL_V2}, {"nn_v1", CALL_V1}, {"sparse", CALL_SPARSE},
        {"raw", CALL_RAW},  {"raw_sparse", CALL_RAW_SPARSE},
    };
    const char *op = reel_golden_metadata(c->golden, "op");
    size_t length = strlen(op);
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (strcmp(c->api, known[i].api) != 0)
            continue;
        c->call = known[i].call;
        if (c->call == CALL_V1 && length > 3 && strcmp(op + length - 3, "_v2") == 0)
            c->call = CALL_V1_V2;
        c->sparse = c->call == CALL_SPARSE || c->call == CALL_RAW_SPARSE;
        c->raw = c->call == CALL_RAW || c->call == CALL_RAW_SPARSE;
        return true;
    }
    return false;
}

bool conformance_open(conformance_case *c, const char *folder, const char *file)
{
    char path[4096], why[REEL_GOLDEN_WHY];
    *c = (conformance_case){.file = file};
    snprintf(path, sizeof path, "%s/%s", folder, file);
    c->golden = reel_golden_read(path, why);
    if (!c->golden) {
        conformance_fail(c, INFINITY, "not a readable .safetensors file: %s", why);
        return false;
    }
    const char *names[] = {"logits", "labels", "upstream", "v"};
    const reel_golden_tensor **tensors[] = {&c->logits, &c->labels, &c->upstream, &c->v};
    for (int i = 0; i < 4; i++) {
        *tensors[i] = reel_golden_find(c->golden, names[i]);
        c->numbers[i] = case_numbers(*tensors[i]);
    }
    c->api = reel_golden_metadata(c->golden, "api");
    c->group = reel_golden_metadata(c->golden, "group");
    c->axis = atoi(reel_golden_metadata(c->golden, "axis"));
    c->expects_error = strcmp(reel_golden_metadata(c->golden, "expect"), "error") == 0;
    if (!case_call(c) || !c->logits || !c->labels) {
        conformance_fail(c, INFINITY, "not a case: it lacks logits or labels, or its api is unknown");
        return false;
    }
    if (c->sparse && !reel_dtype_is_float(c->labels->dtype))
        c->index = case_index(c->labels);
    return true;
}

void conformance_close(conformance_case *c)
{
    for (int i = 0; i < 4; i++)
        free(c->numbers[i]);
    free(c->index);
    reel_golden_free(c->golden);
}

void conformance_fail(conformance_case *c, double severity, const char *format, ...)
{
    va_list arguments;
    c->failures++;
    if (c->failures > 1 && severity <= c->severity)
        return;
    c->severity = severity;
    va_start(arguments, format);
    vsnprintf(c->failure, sizeof c->failure, format, arguments);
    va_end(arguments);
}


/* ---- What must be refused ------------------------------------------------------------------------ */

static void case_shape_text(reel_shape shape, char text[64])
{
    int at = snprintf(text, 64, "[");
    for (int i = 0; i < shape.rank && at < 50; i++)
        at += snprintf(text + at, 64 - (size_t)at, "%s%lld", i ? "," : "", (long long)shape.size[i]);
    snprintf(text + at, 64 - (size_t)at, "]");
}

static void case_refuse(conformance_verdict *verdict, const char *a, const char *b, const char *c,
                        const char *d)
{
    const char *words[] = {a, b, c, d};
    conformance_refusal *refusal = &verdict->refusal[verdict->refusals++];
    for (int i = 0; i < 4 && words[i]; i++)
        snprintf(refusal->word[refusal->words++], sizeof refusal->word[0], "%s", words[i]);
}

static void case_dtypes(const conformance_case *c, conformance_verdict *verdict)
{
    const char *logits = reel_dtype_name(c->logits->dtype), *labels = reel_dtype_name(c->labels->dtype);
    bool whole = c->labels->dtype == REEL_I32 || c->labels->dtype == REEL_I64;
    if (!reel_dtype_is_float(c->logits->dtype)) {
        case_refuse(verdict, "logits", logits, NULL, NULL);
    } else if (c->sparse && !whole) {
        case_refuse(verdict, "labels", labels, "i32", "i64");
    } else if (!c->sparse && c->labels->dtype != c->logits->dtype) {
        case_refuse(verdict, "labels", labels, logits, NULL);
        verdict->remedy = c->raw || c->expects_error ? REMEDY_NONE : REMEDY_CAST;
    }
}

/* The shape of both, or false after a refusal. */
static bool case_broadcast(const conformance_case *c, conformance_verdict *verdict, reel_shape *both)
{
    char logits[64], labels[64];
    reel_shape z = c->logits->shape, y = c->labels->shape;
    bool fits;
    case_shape_text(z, logits);
    case_shape_text(y, labels);
    *both = z;
    if (c->sparse)
        fits = z.rank == y.rank + 1 && reel_truth_broadcast(reel_truth_without(z, z.rank - 1), y, both);
    else
        fits = reel_truth_broadcast(z, y, both);
    if (!fits)
        case_refuse(verdict, logits, labels, NULL, NULL);
    if (!fits && !c->sparse && !c->expects_error && c->labels->count == c->logits->count)
        verdict->remedy = REMEDY_RESHAPE;
    *both = c->sparse ? z : *both;
    return fits;
}

static void case_shapes(const conformance_case *c, conformance_verdict *verdict)
{
    char logits[64], labels[64], axis[32], range[32];
    int rank = c->logits->shape.rank;
    reel_shape both;
    case_shape_text(c->logits->shape, logits);
    case_shape_text(c->labels->shape, labels);
    snprintf(axis, sizeof axis, "axis %d", c->axis);
    snprintf(range, sizeof range, "[%d, %d)", -rank, rank);
    if (c->call == CALL_RAW_SPARSE && (rank != 2 || c->labels->shape.rank != 1))
        case_refuse(verdict, rank != 2 ? "2-D" : "1-D", rank != 2 ? logits : labels, NULL, NULL);
    else if (!c->raw && rank == 0)
        case_refuse(verdict, "scalar", NULL, NULL, NULL);
    else if (!c->raw && (c->axis < -rank || c->axis >= rank))
        case_refuse(verdict, axis, range, logits, NULL);
    if (verdict->refusals > 0 || !case_broadcast(c, verdict, &both))
        return;
    if (c->raw && both.rank != 2)
        case_refuse(verdict, "2-dimensional", logits, NULL, NULL);
    else if (both.size[both.rank - (c->axis < 0 ? -c->axis : rank - c->axis)] == 0)
        case_refuse(verdict, "at least one class", logits, NULL, NULL);
}

static void case_labels(const conformance_case *c, conformance_verdict *verdict)
{
    char value[64], range[64], row[32];
    reel_shape z = c->logits->shape;
    for (int64_t i = 0; c->index && z.rank > 0 && i < c->labels->count; i++) {
        if (c->index[i] >= 0 && c->index[i] < z.size[z.rank - 1])
            continue;
        snprintf(value, sizeof value, "label value of %lld", (long long)c->index[i]);
        snprintf(range, sizeof range, "[0, %lld)", (long long)z.size[z.rank - 1]);
        snprintf(row, sizeof row, c->labels->shape.rank == 1 ? "row %lld" : "row", (long long)i);
        case_refuse(verdict, value, range, row, NULL);
        return;
    }
}

conformance_verdict conformance_expect(const conformance_case *c)
{
    conformance_verdict verdict = {.refusals = 0};
    case_dtypes(c, &verdict);
    if (verdict.refusals == 0)
        case_shapes(c, &verdict);
    if (verdict.refusals == 0)
        case_labels(c, &verdict);
    return verdict;
}
