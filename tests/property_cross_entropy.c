/* reel-property-cross-entropy [CASES [SEED]]: properties of the softmax cross-entropy family on random cases.
 *
 * Every case, over all calls, dtypes, ranks 1 to 8, axes, layouts in memory, broadcasts and options, is
 * compared with the reference in long double. Where rows stand for themselves (nothing broadcast, nothing
 * reduced), the case is asked again in four other ways:
 *
 *     shift        a constant added to a row's logits changes nothing beyond rounding
 *     zero sum     in EXACT semantics the gradient of a row sums to 0
 *     permutation  permuting the classes permutes the results
 *     neighbours   a row's result does not change, to the bit, when all other rows become NaN
 */
#include "tests/cross_entropy_limits.h"
#include "tests/property_cases.h"
#include "tests/ulp.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    PROPERTY_REFERENCE, PROPERTY_SHIFT, PROPERTY_ZERO_SUM, PROPERTY_PERMUTATION, PROPERTY_NEIGHBOURS,
    PROPERTIES
};

static const char *const property_name[PROPERTIES] = {"reference", "shift", "zero sum", "permutation",
                                                      "neighbours"};

typedef struct property_count {
    int64_t cases, numbers, failed;
    double  worst;                                  /* error over limit                            */
} property_count;

static property_count property_counts[PROPERTIES];
static int            property_shown;

static void property_fail(int property, const property_case *c, const char *what)
{
    char text[512];
    property_describe(c, text);
    property_counts[property].failed++;
    if (property_shown++ < 40)
        printf("FAIL %s: %s\n     %s\n", property_name[property], text, what);
}


/* ---- Against the reference ----------------------------------------------------------------------- */

static const double *property_numbers_of(const property_answer *answer, reel_truth_quantity quantity)
{
    const double *numbers[QUANTITIES] = {answer->loss,        answer->backprop,   answer->grad_logits,
                                         answer->grad_labels, answer->hvp_logits, answer->hvp_labels};
    return numbers[quantity];
}

static bool property_asked(const property_case *c, reel_truth_quantity quantity)
{
    bool labels = quantity == GRAD_LABELS || quantity == HVP_LABELS;
    bool second = quantity == HVP_LOGITS || quantity == HVP_LABELS;
    if (quantity == BACKPROP)
        return c->call >= PROPERTY_RAW;
    return !(labels && c->ask.index) && !(second && !c->ask.v);
}

/* False after the first number that is too far off. */
static bool property_compare(const property_case *c, const reel_truth *truth, const property_answer *answer,
                             reel_truth_quantity quantity)
{
    char what[200];
    const reel_truth_values *values = reel_truth_values_of(truth, quantity);
    const double *got = property_numbers_of(answer, quantity);
    bool stopped = c->call == PROPERTY_V1 && (quantity == GRAD_LABELS || quantity == HVP_LABELS);
    property_count *count = &property_counts[PROPERTY_REFERENCE];
    for (int64_t i = 0; i < values->count; i++) {
        long double exact = stopped ? 0 : values->exact[i];
        reel_truth_error error = reel_truth_error_of(truth, quantity, c->dtype, i, exact, got[i]);
        count->numbers++;
        count->worst = fmax(count->worst, error.excess);
        if (error.excess <= 1)
            continue;
        snprintf(what, sizeof what, "%s[%lld] is %.17g, exactly %.20Lg: %.3g ulp, %.3g at its scale",
                 reel_truth_quantity_name[quantity], (long long)i, got[i], exact, error.unscaled,
                 error.scaled);
        property_fail(PROPERTY_REFERENCE, c, what);
        return false;
    }
    return true;
}

static void property_reference(const property_case *c, const reel_truth *truth, const property_answer *answer)
{
    property_counts[PROPERTY_REFERENCE].cases++;
    if (answer->failure[0]) {
        property_fail(PROPERTY_REFERENCE, c, answer->failure);
        return;
    }
    if (answer->counted >= 0 && answer->counted != (double)truth->counted)
        property_fail(PROPERTY_REFERENCE, c, "another number of rows was counted");
    for (int q = 0; q < QUANTITIES; q++)
        if (property_asked(c, (reel_truth_quantity)q)
            && !property_compare(c, truth, answer, (reel_truth_quantity)q))
            return;
}


/* ---- Asked another way --------------------------------------------------------------------------- */

static int64_t property_inner(const reel_truth *truth)
{
    int64_t inner = 1;
    for (int i = truth->axis + 1; i < truth->shape.rank; i++)
        inner *= truth->shape.size[i];
    return inner;
}

/* Element c of row r, of a tensor of the broadcast shape. */
static int64_t property_at(const reel_truth *truth, int64_t r, int64_t c)
{
    int64_t inner = property_inner(truth);
    return (r / inner * truth->classes + c) * inner + r % inner;
}

static double *property_copy(const double *numbers, int64_t count)
{
    double *copy = numbers ? malloc(((size_t)count + 1) * sizeof *copy) : NULL;
    return copy ? memcpy(copy, numbers, (size_t)count * sizeof *copy) : NULL;
}

/* Both may be off by what is allowed, to either side. */
static bool property_near(int property, const reel_truth *truth, const property_case *c,
                          reel_truth_quantity quantity, int64_t i, double a, double b)
{
    property_count *count = &property_counts[property];
    double excess = reel_truth_error_of(truth, quantity, c->dtype, i, a, b).excess / 2;
    count->numbers++;
    count->worst = fmax(count->worst, excess);
    return excess <= 1;
}

/* The logits are put on a grid on which adding the constant is exact. */
static void property_shift(property_random *random, const property_case *c)
{
    double grid = c->dtype == REEL_BF16 ? 0.25 : 0.125, most = c->dtype == REEL_BF16 ? 8 : 64;
    int64_t count = reel_truth_count(c->both);
    property_case before = *c, after = *c;
    property_answer a, b;
    double *logits = property_copy(c->ask.logits, count), *shifted;
    for (int64_t i = 0; i < count; i++)
        logits[i] = isfinite(logits[i]) ? round(fmod(logits[i], 8) / grid) * grid : logits[i];
    shifted = property_copy(logits, count);
    before.ask.logits = logits;
    after.ask.logits = shifted;
    reel_truth *truth = reel_truth_of(&before.ask);
    for (int64_t r = 0; r < truth->rows; r++) {
        double constant = (double)property_below(random, (int64_t)(2 * most) + 1) - most;
        for (int64_t k = 0; k < truth->classes; k++)
            shifted[property_at(truth, r, k)] += constant;
    }
    property_answer_of(&before, &a);
    property_answer_of(&after, &b);
    bool good = true;
    for (int64_t i = 0; i < truth->rows && good; i++)
        good = property_near(PROPERTY_SHIFT, truth, c, LOSS, i, a.loss[i], b.loss[i]);
    for (int64_t i = 0; i < count && good; i++)
        good = property_near(PROPERTY_SHIFT, truth, c, GRAD_LOGITS, i, a.grad_logits[i], b.grad_logits[i]);
    property_counts[PROPERTY_SHIFT].cases++;
    if (!good || a.failure[0] || b.failure[0])
        property_fail(PROPERTY_SHIFT, c, a.failure[0] ? a.failure : b.failure);
    property_answer_free(&a);
    property_answer_free(&b);
    reel_truth_free(truth);
    free(logits);
    free(shifted);
}

/* Each element may be off by its limit, so their sum by the sum of the limits. */
static void property_zero_sum(const property_case *c, const reel_truth *truth, const property_answer *answer)
{
    property_count *count = &property_counts[PROPERTY_ZERO_SUM];
    bool good = true;
    for (int64_t r = 0; r < truth->rows && good; r++) {
        long double sum = 0, limit = 0;
        for (int64_t k = 0; k < truth->classes; k++) {
            int64_t i = property_at(truth, r, k);
            long double scale = fmaxl(truth->grad_logits.scale[i], fabsl(truth->grad_logits.exact[i]));
            sum += answer->grad_logits[i];
            limit += 1.5L * reel_ulp(c->dtype, isfinite(scale) ? scale : 0);
        }
        if (!isfinite(truth->loss.exact[r]))
            continue;
        count->numbers++;
        count->worst = fmax(count->worst, (double)(fabsl(sum) / limit));
        good = fabsl(sum) <= limit;
    }
    count->cases++;
    if (!good)
        property_fail(PROPERTY_ZERO_SUM, c, "the gradient of a row does not sum to 0");
}

/* Every row of `numbers` with its classes in another order. */
static double *property_permuted(const reel_truth *truth, const double *numbers, const int64_t *order)
{
    double *permuted = property_copy(numbers, truth->rows * truth->classes);
    for (int64_t r = 0; permuted && r < truth->rows; r++)
        for (int64_t k = 0; k < truth->classes; k++)
            permuted[property_at(truth, r, k)] = numbers[property_at(truth, r, order[k])];
    return permuted;
}

/* Where a class has gone; labels out of range stay as they are. */
static int64_t property_class(const int64_t *order, int64_t classes, int64_t label)
{
    for (int64_t k = 0; k < classes; k++)
        if (order[k] == label)
            return k;
    return label;
}

static void property_permutation(property_random *random, const property_case *c, const reel_truth *truth,
                                 const property_answer *answer)
{
    int64_t n = truth->classes, *order = calloc((size_t)n, sizeof *order);
    int64_t *index = c->ask.index ? calloc((size_t)truth->rows + 1, sizeof *index) : NULL;
    double *weights = property_copy(c->ask.class_weights, n);
    property_case other = *c;
    property_answer b;
    bool good = true;
    for (int64_t k = 0; k < n; k++) {
        int64_t j = property_below(random, k + 1);
        order[k] = order[j];
        order[j] = k;
    }
    for (int64_t k = 0; k < n && weights; k++)
        weights[k] = c->ask.class_weights[order[k]];
    for (int64_t r = 0; r < truth->rows && index; r++)
        index[r] = property_class(order, n, c->ask.index[r]);
    other.ask.ignore_index = property_class(order, n, c->ask.ignore_index);
    other.ask.logits = property_permuted(truth, c->ask.logits, order);
    other.ask.labels = property_permuted(truth, c->ask.labels, order);
    other.ask.index = index;
    other.ask.class_weights = weights;
    property_answer_of(&other, &b);
    for (int64_t i = 0; i < truth->rows && good; i++)
        good = property_near(PROPERTY_PERMUTATION, truth, c, LOSS, i, answer->loss[i], b.loss[i]);
    for (int64_t i = 0; i < truth->rows * n && good; i++) {
        int64_t r = i / n, at = property_at(truth, r, order[i % n]);
        good = property_near(PROPERTY_PERMUTATION, truth, c, GRAD_LOGITS, at, answer->grad_logits[at],
                             b.grad_logits[property_at(truth, r, i % n)]);
    }
    property_counts[PROPERTY_PERMUTATION].cases++;
    if (!good || b.failure[0])
        property_fail(PROPERTY_PERMUTATION, c, b.failure);
    property_answer_free(&b);
    free((void *)other.ask.logits);
    free((void *)other.ask.labels);
    free(index);
    free(weights);
    free(order);
}

static bool property_same_bits(double a, double b)
{
    return memcmp(&a, &b, sizeof a) == 0 || (isnan(a) && isnan(b));
}

static void property_neighbours(property_random *random, const property_case *c, const reel_truth *truth,
                                const property_answer *answer)
{
    property_case other = *c;
    property_answer b;
    int64_t row = property_below(random, truth->rows), count = truth->rows * truth->classes;
    double *logits = property_copy(c->ask.logits, count);
    for (int64_t r = 0; r < truth->rows; r++)
        for (int64_t k = 0; k < truth->classes && r != row; k++)
            logits[property_at(truth, r, k)] = NAN;
    other.ask.logits = logits;
    property_answer_of(&other, &b);
    bool good = property_same_bits(answer->loss[row], b.loss[row]);
    for (int64_t k = 0; k < truth->classes; k++) {
        int64_t at = property_at(truth, row, k);
        good &= property_same_bits(answer->grad_logits[at], b.grad_logits[at]);
        good &= !c->ask.labels || property_same_bits(answer->grad_labels[at], b.grad_labels[at]);
    }
    property_counts[PROPERTY_NEIGHBOURS].cases++;
    property_counts[PROPERTY_NEIGHBOURS].numbers += truth->classes + 1;
    if (!good || b.failure[0])
        property_fail(PROPERTY_NEIGHBOURS, c, b.failure[0] ? b.failure : "a row changed with its neighbours");
    property_answer_free(&b);
    free(logits);
}


/* ---- All cases ----------------------------------------------------------------------------------- */

static bool property_stands_alone(const property_case *c, const reel_truth *truth,
                                  const property_answer *answer)
{
    return !c->broadcast && c->ask.reduction == REEL_REDUCTION_NONE && truth->rows > 0
           && !answer->failure[0] && c->logits_placing.layout != PROPERTY_STRETCHED
           && c->labels_placing.layout != PROPERTY_STRETCHED;
}

static void property_case_runs(property_random *random)
{
    property_case c;
    property_answer answer;
    property_draw(random, &c);
    reel_truth *truth = reel_truth_of(&c.ask);
    property_answer_of(&c, &answer);
    property_reference(&c, truth, &answer);
    if (property_stands_alone(&c, truth, &answer)) {
        property_shift(random, &c);
        property_permutation(random, &c, truth, &answer);
        property_neighbours(random, &c, truth, &answer);
        if (!c.ask.tensorflow || c.ask.index)
            property_zero_sum(&c, truth, &answer);
    }
    reel_truth_free(truth);
    property_answer_free(&answer);
    property_case_free(&c);
}

int main(int count, char **arguments)
{
    int64_t cases = count > 1 ? atoll(arguments[1]) : 10000, failed = 0;
    property_random random = {.state = count > 2 ? strtoull(arguments[2], NULL, 10) : 20};
    for (int64_t i = 0; i < cases; i++)
        property_case_runs(&random);
    printf("%-12s %8s %10s %8s   %s\n", "property", "cases", "numbers", "failed",
           "largest error over its limit");
    for (int i = 0; i < PROPERTIES; i++) {
        const property_count *p = &property_counts[i];
        printf("%-12s %8lld %10lld %8lld   %.3g\n", property_name[i], (long long)p->cases,
               (long long)p->numbers, (long long)p->failed, p->worst);
        failed += p->failed;
    }
    return failed != 0;
}
