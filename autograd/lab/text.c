/* A report as text: the verdict, what the mistake looks like, who is at fault, and the worst derivatives. */
#include "autograd/lab/lab.h"
#include "core/io.h"

#include <math.h>

const char *reel_verdict_name(reel_verdict verdict)
{
    static const char *const name[] = {"NOT CHECKED", "PASS", "CANNOT TELL", "FAIL"};
    return (unsigned)verdict <= REEL_FAIL ? name[verdict] : "none";
}

const char *reel_doubt_text(reel_doubt doubt)
{
    static const char *const text[] = {
        [REEL_NO_DOUBT] = "",
        [REEL_KINK] = "there is a kink or a jump: the derivatives of its two sides differ",
        [REEL_CANCELLATION] = "the rounding of y hides the difference",
        [REEL_NOT_FINITE] = "y is not finite there or nearby",
        [REEL_OP_REFUSED] = "an op gives an error nearby",
        [REEL_NOT_REPEATABLE] = "a replay of the same inputs gives other values",
        [REEL_ROUNDING] = "the formula is right, but the recorded dtype keeps less than half of its digits",
    };
    return (unsigned)doubt <= REEL_ROUNDING ? text[doubt] : "";
}

const char *reel_cause_text(reel_cause cause)
{
    static const char *const text[] = {
        [REEL_NO_CAUSE] = "",
        [REEL_CAUSE_SIGN] = "the sign is wrong: the gradient is minus the derivative, throughout",
        [REEL_CAUSE_FACTOR] = "the gradient is wrong by one factor, throughout",
        [REEL_CAUSE_REDUCTION] = "a mean and a sum are taken for each other",
        [REEL_CAUSE_MISSING_PATH] =
            "a path is missing: this input's gradient is 0 or is never written, but y does depend on it",
        [REEL_CAUSE_TRANSPOSED] = "the gradient is transposed: the right numbers, with two axes exchanged",
        [REEL_CAUSE_PERMUTED] = "the gradient is permuted: the right numbers, in other places",
        [REEL_CAUSE_ACCUMULATION] =
            "a contribution is lost where one tensor is used twice: it must be added, not set",
        [REEL_CAUSE_LABEL_SUM] =
            "softmax - labels, where S * softmax - labels is right, S being the sum of the row's labels, not 1 here",
        [REEL_CAUSE_AXIS] = "a softmax, a mean or another normalisation is taken along the wrong axis",
        [REEL_CAUSE_NOT_FINITE] = "the gradient is NaN or infinite where y is smooth",
        [REEL_CAUSE_SOME_ELEMENTS] = "only some elements are wrong",
        [REEL_CAUSE_NOT_RECORDED] = "a VJP computed numbers outside the tape, which its own gradient misses",
        [REEL_CAUSE_OTHER] = "a term is missing or wrong",
    };
    return (unsigned)cause <= REEL_CAUSE_OTHER ? text[cause] : "";
}

/* ---- Numbers --------------------------------------------------------------------------------------- */

/* Rounded to some decimal digits. */
static void text_digits_of(reel_text *text, double value, int digits)
{
    value += 0.;                                    /* -0 is shown as 0                            */
    if (isfinite(value) && value != 0) {
        int shift = digits - 1 - (int)floor(log10(fabs(value)));
        shift = shift > 300 ? 300 : shift;
        value = shift > 0 ? rint(value * pow(10, shift)) / pow(10, shift)
                          : rint(value / pow(10, -shift)) * pow(10, -shift);
    }
    reel_text_number(text, REEL_F64, value);
}

static void text_plural(reel_text *text, int64_t count, const char *what)
{
    reel_text_add(text, "%lld %s%s", (long long)count, what, count == 1 ? "" : "s");
}

/* ---- One finding ----------------------------------------------------------------------------------- */

static void text_place(reel_text *text, const reel_finding *finding)
{
    if (finding->name && finding->name[0])
        reel_text_add(text, "\"%s\"", finding->name);
    else
        reel_text_add(text, "x%d", finding->x);
    if (finding->element < 0)
        reel_text_add(text, " along a random direction");
    else if (finding->rank)
        for (int i = 0; i < finding->rank; i++)
            reel_text_add(text, "%s%lld%s", i ? "," : "[", (long long)finding->index[i],
                          i + 1 < finding->rank ? "" : "]");
}

static void text_numbers(reel_text *text, const reel_finding *finding)
{
    reel_text_add(text, "gradient ");
    text_digits_of(text, finding->analytic, 9);
    reel_text_add(text, ", difference ");
    text_digits_of(text, finding->numeric, 9);
    reel_text_add(text, " +- ");
    text_digits_of(text, finding->error, 2);
    if (finding->verdict != REEL_FAIL)
        return;
    reel_text_add(text, ", ratio ");
    text_digits_of(text, finding->ratio, 6);
}

static void text_finding(reel_text *text, const reel_finding *finding)
{
    reel_text_add(text, "  %-11s ", reel_verdict_name(finding->verdict));
    if (finding->order > 1)
        reel_text_add(text, "order %d, ", finding->order);
    text_place(text, finding);
    reel_text_add(text, ": ");
    if (finding->doubt == REEL_ROUNDING) {
        reel_text_add(text, "recorded gradient ");
        text_digits_of(text, finding->recorded, 9);
        reel_text_add(text, ", in f64 ");
        text_digits_of(text, finding->analytic, 9);
    } else {
        text_numbers(text, finding);
    }
    if (finding->doubt)
        reel_text_add(text, "; %s", reel_doubt_text(finding->doubt));
    reel_text_char(text, '\n');
}

/* ---- The whole ------------------------------------------------------------------------------------- */

static void text_summary(reel_text *text, const reel_gradcheck_report *r)
{
    int64_t total = r->passed + r->undecided + r->failed;
    const char *what = r->directions ? "directional derivative" : "derivative";
    reel_text_add(text, "%s: ", reel_verdict_name(r->verdict));
    if (r->verdict == REEL_NOT_CHECKED) {
        reel_text_add(text, "the check could not be made; the tape's error message says why\n");
        return;
    }
    reel_text_add(text, "of ");
    text_plural(text, total, what);
    reel_text_add(text, " %lld agree with differences of y, %lld cannot be told, %lld are wrong\n",
                  (long long)r->passed, (long long)r->undecided, (long long)r->failed);
}

static void text_remarks(reel_text *text, const reel_gradcheck_report *r)
{
    if (r->unsteady_op)
        reel_text_add(text,
                      "  not repeatable: %s at %s:%d (node %u) gives other values when it is replayed\n",
                      r->unsteady_op, r->unsteady_file, r->unsteady_line, r->unsteady_node);
    if (r->not_finite)
        reel_text_add(text, "  %lld elements of y are not finite and were left out\n",
                      (long long)r->not_finite);
    if (r->stopped)
        reel_text_add(text, "  %d outputs of stop_gradient were held at their values\n", r->stopped);
    if (r->rows > 1)
        reel_text_add(text, "  up to %lld rows do not touch each other and were perturbed together\n",
                      (long long)r->rows);
    if (r->directions) {
        reel_text_add(text, "  an error of one derivative above ");
        text_digits_of(text, r->seen_above, 2);
        reel_text_add(text,
                      " is seen for certain; errors that could cancel are missed with a chance of at most ");
        text_digits_of(text, r->chance_to_miss, 2);
        reel_text_char(text, '\n');
    }
    if (!isnan(r->digits)) {
        reel_text_add(text, "  recorded in %s, the gradient keeps ", reel_dtype_name(r->dtype));
        text_digits_of(text, r->digits, 2);
        reel_text_add(text, " decimal digits\n");
    }
}

static void text_factor(reel_text *text, double factor)
{
    reel_text_add(text, ": it is ");
    text_digits_of(text, factor, 6);
    reel_text_add(text, " times the derivative");
}

/* The size is a whole number. */
static void text_reduction(reel_text *text, const reel_clue *clue)
{
    bool large = clue->factor > 1;
    long long size = llrint(large ? clue->factor : 1 / clue->factor);
    reel_text_add(text, ": the gradient is the derivative %s %lld", large ? "times" : "divided by", size);
    if (clue->axis >= 0)
        reel_text_add(text, ", and axis %d has size %lld", clue->axis, size);
    reel_text_add(text, "; a division by %lld is %s", size, large ? "missing" : "too much");
}

static void text_cause(reel_text *text, reel_cause cause, const reel_clue *clue)
{
    bool softmax = cause == REEL_CAUSE_AXIS && clue->softmax;
    reel_text_add(text, "%s", softmax ? "a softmax is taken along the wrong axis" : reel_cause_text(cause));
    if (cause == REEL_CAUSE_FACTOR)
        text_factor(text, clue->factor);
    if (cause == REEL_CAUSE_REDUCTION)
        text_reduction(text, clue);
    if (cause == REEL_CAUSE_AXIS)
        reel_text_add(text, ": axis %d, where axis %d is right", clue->axis, clue->meant);
    reel_text_char(text, '\n');
}

static void text_blame(reel_text *text, const reel_blame *blame)
{
    reel_text_add(text, "  at fault: the VJP of %s, called at %s:%d", blame->op, blame->file ? blame->file : "?",
                  blame->line);
    if (blame->node)
        reel_text_add(text, " (node %u)", blame->node);
    if (blame->input >= 0)
        reel_text_add(text, ", into its input %d, %s", blame->input + 1, blame->described.text);
    reel_text_char(text, '\n');
    if (blame->cause) {
        reel_text_add(text, "    mistake: ");
        text_cause(text, blame->cause, &blame->clue);
    }
    reel_text_add(text, "    checked alone, the worst: ");
    if (blame->finding.order > 1)
        reel_text_add(text, "order %d, ", blame->finding.order);
    text_place(text, &blame->finding);
    reel_text_add(text, ": ");
    text_numbers(text, &blame->finding);
    reel_text_char(text, '\n');
}

/* What went wrong, the most telling first. */
static void text_guilt(reel_text *text, const reel_gradcheck_report *r)
{
    for (int i = 0; i < r->blames; i++)
        text_blame(text, &r->blame[i]);
    if (r->cause && !r->blames) {
        reel_text_add(text, "  mistake: ");
        text_cause(text, r->cause, &r->clue);
    }
    if (r->failed && r->blame_tried && !r->blames)
        reel_text_add(text, "  the VJP of each node is right alone: their sums are not\n");
    if (r->failed)
        reel_text_add(text, "  the worst of all, by the VJPs (gradient) and by finite differences of y:\n");
}

static void text_report(reel_text *text, const reel_gradcheck_report *r)
{
    text_summary(text, r);
    if (r->verdict == REEL_NOT_CHECKED)
        return;
    text_guilt(text, r);
    for (int i = 0; i < r->findings; i++)
        text_finding(text, &r->worst[i]);
    int64_t others = r->failed + r->undecided - r->findings;
    if (others > 0)
        reel_text_add(text, "  ... and %lld more\n", (long long)others);
    text_remarks(text, r);
}

size_t reel_gradcheck_text(const reel_gradcheck_report *report, char *buffer, size_t bytes)
{
    reel_text text = reel_text_in(buffer, bytes);
    text_report(&text, report);
    return text.length;
}

bool reel_gradcheck_print(const reel_gradcheck_report *report, const reel_io *table)
{
    char buffer[12000];
    reel_io io = reel_io_complete(table);
    size_t length = reel_gradcheck_text(report, buffer, sizeof buffer), at = 0;
    length = length < sizeof buffer ? length : sizeof buffer - 1;
    while (at < length) {
        int64_t put = io.write(io.user, 1, buffer + at, length - at);
        if (put <= 0)
            return false;
        at += (size_t)put;
    }
    return true;
}
