/* Which values are exact, how far Reel's and TensorFlow's are from them, and what is too far. */
#include "tests/conformance/conformance.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

typedef struct judge_case {
    conformance_run          *run;
    reel_truth_quantity       quantity;
    const reel_truth_values  *truth;
    const reel_golden_tensor *exact;                /* NULL: the truth's own                       */
    const reel_golden_tensor *theirs;               /* TensorFlow's, or NULL                       */
    reel_dtype                dtype;
    bool                      stopped;              /* behind a stop_gradient: zeros                */
} judge_case;


/* ---- Which values are exact ---------------------------------------------------------------------- */

static const reel_golden_tensor *judge_find(const conformance_run *run, const char *before, const char *name,
                                            const char *after)
{
    char full[64];
    snprintf(full, sizeof full, "%s%s%s", before, name, after);
    return reel_golden_find(run->c->golden, full);
}

static bool judge_sums_to_1(const conformance_run *run)
{
    return run->c->sparse || strcmp(reel_golden_metadata(run->c->golden, "labels_sum"), "exactly 1") == 0;
}

/* The file's own exact values for this semantics; where it has none, the reference stands in. The file's
 * gradients without "_tf" are those of EXACT semantics, and its backprop is TensorFlow's. In TENSORFLOW
 * semantics the loss of a masked class is NaN, and the gradient of backprop into the labels is -1. */
static const reel_golden_tensor *judge_exact(const conformance_run *run, reel_truth_quantity quantity)
{
    const char *name = reel_truth_quantity_name[quantity];
    const char *before = judge_find(run, "exact_", "loss", "") ? "exact_" : "limit_";
    bool sums_to_1 = judge_sums_to_1(run);
    if (!run->tensorflow)
        return quantity == BACKPROP && !sums_to_1 ? NULL : judge_find(run, before, name, "");
    if (quantity == HVP_LABELS || (quantity == LOSS && before[0] == 'l' && !run->c->sparse))
        return NULL;
    if (quantity == GRAD_LOGITS || quantity == HVP_LOGITS) {
        const reel_golden_tensor *own = judge_find(run, before, name, "_tf");
        return own || !sums_to_1 ? own : judge_find(run, before, name, "");
    }
    return judge_find(run, before, name, "");
}


/* ---- All numbers --------------------------------------------------------------------------------- */

static void judge_count(conformance_errors *errors, reel_truth_error error)
{
    errors->n++;
    errors->wrong += error.wrong;
    errors->total += error.unscaled;
    errors->largest = fmax(errors->largest, error.unscaled);
    errors->scaled = fmax(errors->scaled, error.scaled);
}

static reel_truth_error judge_measure(const judge_case *j, int64_t i, double got, long double *exact)
{
    *exact = j->stopped ? 0 : j->exact ? (long double)reel_golden_element(j->exact, i) : j->truth->exact[i];
    return reel_truth_error_of(j->run->truth, j->quantity, j->dtype, i, *exact, got);
}

static int judge_kind(double x)
{
    return isnan(x) ? 2 : isinf(x) ? (signbit(x) ? 3 : 4) : 1;
}

/* Where the file has no exact values, NaN and infinity stand where TensorFlow has them. */
static void judge_places(const judge_case *j, int64_t i, double got)
{
    double theirs = j->theirs ? reel_golden_element(j->theirs, i) : 0;
    if (j->theirs && !j->exact && j->run->tensorflow && j->quantity != HVP_LABELS
        && judge_kind(got) != judge_kind(theirs))
        conformance_fail(j->run->c, INFINITY, "%s[%lld] is %g where TensorFlow has %g",
                         reel_truth_quantity_name[j->quantity], (long long)i, got, theirs);
}

static void judge_number(const judge_case *j, conformance_row *row, int64_t i)
{
    long double exact;
    double got = j->run->got[j->quantity][i];
    reel_truth_error error = judge_measure(j, i, got, &exact);
    if (!(error.excess <= 1))
        conformance_fail(
            j->run->c, error.excess,
            "%s[%lld] is %.17g, exactly %.20Lg: %.3g ulp, %.3g at its scale, %.3g times what is allowed"
            " (%s semantics)",
            reel_truth_quantity_name[j->quantity], (long long)i, got, exact, error.unscaled, error.scaled,
            error.excess, j->run->tensorflow ? "TENSORFLOW" : "EXACT");
    judge_places(j, i, got);
    if (row)
        judge_count(&row->reel, error);
    if (row && j->theirs)
        judge_count(&row->tensorflow, judge_measure(j, i, reel_golden_element(j->theirs, i), &exact));
}

/* Under the semantics that is not the call's own only what that changes is in the table. */
static bool judge_in_table(const conformance_run *run, reel_truth_quantity quantity)
{
    return run->by_default || quantity == HVP_LABELS
           || (quantity != LOSS && quantity != GRAD_LABELS && !judge_sums_to_1(run));
}

void conformance_judge(conformance_run *run)
{
    for (int q = 0; q < QUANTITIES; q++) {
        bool of_labels = q == GRAD_LABELS || q == HVP_LABELS;
        judge_case j = {.run = run, .quantity = (reel_truth_quantity)q, .dtype = run->dtype[q],
                        .truth = reel_truth_values_of(run->truth, (reel_truth_quantity)q),
                        .exact = judge_exact(run, (reel_truth_quantity)q),
                        .theirs = judge_find(run, "", reel_truth_quantity_name[q], ""),
                        .stopped = of_labels && run->c->call == CALL_V1};
        reel_dtype due = of_labels ? run->c->labels->dtype : run->c->logits->dtype;
        if (!run->got[q])
            continue;
        if (j.dtype != due)
            conformance_fail(run->c, INFINITY, "%s is %s and not %s", reel_truth_quantity_name[q],
                             reel_dtype_name(j.dtype), reel_dtype_name(due));
        if (j.theirs && j.theirs->count != j.truth->count)
            j.theirs = NULL;                        /* a gradient that TensorFlow did not reduce   */
        conformance_row *row = judge_in_table(run, j.quantity) ? conformance_row_of(run, j.quantity) : NULL;
        for (int64_t i = 0; i < j.truth->count; i++)
            judge_number(&j, row, i);
    }
}
