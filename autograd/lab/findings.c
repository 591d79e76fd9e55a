/* What was found: counted, and the worst of it kept, in order. */
#include "autograd/lab/lab.h"

#include <math.h>

/* ---- A heap: the least of those kept is on top, so that a worse one can take its place ------------- */

static bool findings_worse(const reel_finding *a, const reel_finding *b)
{
    if (a->verdict != b->verdict)
        return a->verdict > b->verdict;
    if (a->severity != b->severity)
        return a->severity > b->severity;
    if (a->order != b->order)
        return a->order < b->order;
    return a->x != b->x ? a->x < b->x : a->element < b->element;
}

static void findings_swap(reel_finding *a, reel_finding *b)
{
    reel_finding kept = *a;
    *a = *b;
    *b = kept;
}

static void findings_sink(reel_finding *heap, size_t count, size_t at)
{
    for (size_t child; (child = 2 * at + 1) < count; at = child) {
        if (child + 1 < count && findings_worse(&heap[child], &heap[child + 1]))
            child++;
        if (!findings_worse(&heap[at], &heap[child]))
            return;
        findings_swap(&heap[at], &heap[child]);
    }
}

static void findings_add(reel_lab_list *list, const reel_finding *finding)
{
    if (list->count < list->room) {
        size_t at = list->count++;
        list->finding[at] = *finding;
        for (; at && findings_worse(&list->finding[(at - 1) / 2], &list->finding[at]); at = (at - 1) / 2)
            findings_swap(&list->finding[at], &list->finding[(at - 1) / 2]);
    } else if (list->room && findings_worse(finding, &list->finding[0])) {
        list->finding[0] = *finding;
        findings_sink(list->finding, list->count, 0);
    }
}

/* The worst first. */
static void findings_sort(reel_lab_list *list)
{
    for (size_t count = list->count; count > 1;) {
        findings_swap(&list->finding[0], &list->finding[--count]);
        findings_sink(list->finding, count, 0);
    }
}

/* ---- Telling --------------------------------------------------------------------------------------- */

static double findings_severity(const reel_lab_input *input, double analytic, double numeric)
{
    double gap = fabs(analytic - numeric);
    return isnan(gap) ? INFINITY : input->largest > 0 ? gap / input->largest : gap;
}

void reel_lab_note(reel_lab *lab, const reel_finding *finding)
{
    if (finding->verdict != REEL_PASS)
        findings_add(&lab->worst, finding);
    findings_add(&lab->all, finding);
}

void reel_lab_tell(reel_lab *lab, const reel_lab_input *input, int64_t element, double analytic,
                   const reel_lab_answer *answer)
{
    reel_finding finding = {
        .verdict = answer->verdict, .doubt = answer->doubt, .order = lab->order, .x = input->x,
        .name = input->name, .element = element, .rank = element < 0 ? 0 : input->shape.rank,
        .analytic = analytic, .numeric = answer->numeric, .error = answer->error,
        .ratio = analytic / answer->numeric,
        .recorded = element >= 0 && input->recorded ? input->recorded[element] : analytic,
        .severity = findings_severity(input, analytic, answer->numeric),
    };
    for (int i = finding.rank - 1; i >= 0; i--) {
        finding.index[i] = element % input->shape.size[i];
        element /= input->shape.size[i];
    }
    reel_gradcheck_report *report = lab->report;
    report->passed += answer->verdict == REEL_PASS;
    report->undecided += answer->verdict == REEL_CANNOT_TELL;
    report->failed += answer->verdict == REEL_FAIL;
    reel_lab_note(lab, &finding);
}

static void findings_largest(reel_lab_input *input)
{
    input->largest = 0;
    for (int64_t e = 0; e < input->count; e++) {
        double analytic = fabs(input->analytic[e]), numeric = fabs(input->numeric[e]);
        if (isfinite(analytic) && input->verdict[e] != REEL_FAIL)
            input->largest = fmax(input->largest, analytic);
        if (isfinite(numeric))
            input->largest = fmax(input->largest, numeric);
    }
}

/* What the recorded dtype loses of the gradient, relative to the largest derivative. More than half of its
 * digits is too much to call the recorded gradient right, though the formula is; unless it is no more than
 * the rounding of y itself, as where the true derivative is 0. */
static void findings_judge_rounding(reel_lab *lab, reel_lab_input *input)
{
    static const int bits[REEL_DTYPES] = {[REEL_BF16] = 8, [REEL_F16] = 11, [REEL_F32] = 24, [REEL_F64] = 53};
    double half = ldexp(1, -bits[lab->copy.coarsest] / 2);
    double rounding = ldexp(16 * lab->size, -bits[lab->copy.coarsest]);
    double worst = 0;
    for (int64_t e = 0; e < input->count; e++) {
        double lost = fabs(input->recorded[e] - input->analytic[e]);
        if (lost == 0 || !isfinite(input->analytic[e]))
            continue;
        bool much = !(lost <= half * input->largest) && !(lost * input->scale[e] <= rounding);
        worst = isnan(lost) ? INFINITY : fmax(worst, lost / input->largest);
        if (much && input->verdict[e] == REEL_PASS) {
            input->verdict[e] = REEL_CANNOT_TELL;
            input->doubt[e] = REEL_ROUNDING;
        }
    }
    bool none = input->reach <= 0x1p-40 * lab->size;
    double digits = worst > 0 ? fmax(0, -log10(worst)) : 15.95;
    if (!none && !(lab->report->digits <= digits))
        lab->report->digits = digits;
}

void reel_lab_tell_elements(reel_lab *lab, reel_lab_input *input)
{
    findings_largest(input);
    if (input->recorded)
        findings_judge_rounding(lab, input);
    double failed = 0;
    for (int64_t e = 0; e < input->count; e++) {
        reel_lab_answer answer = {
            .numeric = input->numeric[e], .error = input->error[e],
            .verdict = (reel_verdict)input->verdict[e], .doubt = (reel_doubt)input->doubt[e],
        };
        reel_lab_tell(lab, input, e, input->analytic[e], &answer);
        if (answer.verdict == REEL_FAIL)
            failed = fmax(failed, findings_severity(input, input->analytic[e], answer.numeric));
    }
    if (failed > lab->guessed) {                    /* the tensor with the worst of all derivatives */
        lab->guessed = failed;
        lab->report->cause = reel_lab_guess(lab, input, &lab->report->clue);
    }
}

/* ---- The whole ------------------------------------------------------------------------------------- */

reel_gradcheck_report reel_lab_no_report(void)
{
    return (reel_gradcheck_report){
        .verdict = REEL_NOT_CHECKED, .dtype = REEL_NO_DTYPE, .digits = NAN, .rows = 1,
        .clue = {.factor = NAN, .axis = -1, .meant = -1},
    };
}

void reel_lab_open_report(reel_lab *lab, reel_gradcheck_report *report, reel_finding *elements, size_t room)
{
    *report = reel_lab_no_report();
    report->dtype = REEL_F64;
    report->directions = lab->directions;
    lab->report = report;
    lab->worst = (reel_lab_list){.finding = report->worst, .room = REEL_FINDINGS};
    lab->all = (reel_lab_list){.finding = elements, .room = elements ? room : 0};
}

void reel_lab_close_report(reel_lab *lab, bool done)
{
    reel_gradcheck_report *report = lab->report;
    if (!done) {
        *report = reel_lab_no_report();
        lab->all.count = 0;
        return;
    }
    findings_sort(&lab->worst);
    findings_sort(&lab->all);
    report->findings = (int)lab->worst.count;
    report->verdict = report->failed ? REEL_FAIL
                      : report->undecided || report->not_finite ? REEL_CANNOT_TELL : REEL_PASS;
    if (report->unsteady_op)
        report->verdict = REEL_CANNOT_TELL;
    if (report->directions)
        report->chance_to_miss = ldexp(1, -report->directions);
    if (report->blames && report->blame[0].cause) {
        report->cause = report->blame[0].cause;
        report->clue = report->blame[0].clue;
    }
}
