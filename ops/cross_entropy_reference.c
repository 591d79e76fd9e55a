/* The softmax cross-entropy ops once more, straight from their definitions, in long double and element by
 * element: what the tests hold the kernels to. */
#include "ops/cross_entropy.h"

#include <math.h>
#include <string.h>

struct truth {
    const reel_cross_entropy   *attributes;
    const reel_reference_array *in;
    reel_xent_inputs            at;
    int                         rank, axis;         /* of labels and logits, broadcast             */
    int64_t                     shape[REEL_MAX_RANK], position[REEL_MAX_RANK];
    int64_t                     classes;
};

/* The element of an input at the present position, with class `c`; NaN where there is no such input. Inputs
 * without a class axis (`rows`) are looked up without it. */
static long double truth_at(const struct truth *truth, int input, int64_t c, bool rows)
{
    if (input < 0)
        return NAN;
    const reel_reference_array *in = &truth->in[input];
    int64_t element = 0, stride = 1;
    for (int i = in->rank - 1, j = truth->rank - 1; i >= 0; i--, j--) {
        if (rows && j == truth->axis)
            j--;
        int64_t position = j == truth->axis ? c : truth->position[j];
        element += in->shape[i] == 1 ? 0 : position * stride;
        stride *= in->shape[i];
    }
    return in->value[element];
}

static void truth_start(struct truth *truth, const reel_cross_entropy *attributes,
                        const reel_reference_array *in)
{
    memset(truth, 0, sizeof *truth);
    truth->attributes = attributes;
    truth->in = in;
    truth->at = reel_xent_inputs_of(attributes);
    int more = attributes->sparse, rank = in[0].rank > in[1].rank ? in[0].rank : in[1].rank;
    truth->rank = rank;
    truth->axis = rank + attributes->axis;
    for (int i = 1; i <= rank; i++) {
        int j = more && -attributes->axis < i ? i - 1 : i;
        int64_t z = i <= in[0].rank ? in[0].shape[in[0].rank - i] : 1;
        int64_t y = j <= in[1].rank && !(more && i == -attributes->axis) ? in[1].shape[in[1].rank - j] : 1;
        truth->shape[rank - i] = z == 1 ? y : z;
    }
    truth->classes = truth->shape[truth->axis];
}

/* The next row; false behind the last. */
static bool truth_next_row(struct truth *truth)
{
    for (int i = truth->rank - 1; i >= 0; i--) {
        if (i == truth->axis)
            continue;
        if (++truth->position[i] < truth->shape[i])
            return true;
        truth->position[i] = 0;
    }
    return false;
}

static bool truth_is_ignored(const reel_cross_entropy *a, long double label, int64_t classes)
{
    bool outside = !(label >= 0 && label < classes);
    return (a->ignore_index != REEL_NO_INDEX && label == a->ignore_index) ||
           (outside && a->out_of_range == REEL_LABELS_IGNORE);
}

static long double truth_weight(const struct truth *truth, int64_t c)
{
    int weights = truth->at.class_weights;
    return weights < 0 ? 1 : truth->in[weights].value[c];
}

/* d y' / d y */
static long double truth_scale(const struct truth *truth, int64_t c)
{
    return truth_weight(truth, c) * (1 - (long double)truth->attributes->label_smoothing);
}

static long double truth_label(const struct truth *truth, int64_t c)
{
    const reel_cross_entropy *a = truth->attributes;
    long double y = truth_at(truth, 1, c, a->sparse), e = a->linear ? 0 : a->label_smoothing;
    if (a->sparse)
        y = y == c;
    return truth_weight(truth, c) * ((1 - (long double)a->label_smoothing) * y + e / truth->classes);
}

/* Row weight, and what the row adds to the mean's weight. */
static long double truth_row_weight(const struct truth *truth)
{
    return truth->at.row_weights < 0 ? 1 : truth_at(truth, truth->at.row_weights, 0, true);
}

static long double truth_row_share(const struct truth *truth)
{
    const reel_cross_entropy *a = truth->attributes;
    long double share = truth_row_weight(truth), label = a->sparse ? truth_at(truth, 1, 0, true) : 0;
    if (a->sparse && truth_is_ignored(a, label, truth->classes))
        return 0;
    if (a->sparse && label >= 0 && label < truth->classes && truth->at.class_weights >= 0)
        share *= truth->in[truth->at.class_weights].value[(int64_t)label];
    return share;
}

/* ---- One row ----------------------------------------------------------------------------------- */

struct truth_row {
    long double max, log_sum, sum, mean, factor;    /* ... S, sum p v, and u r / W                 */
    bool        ignored;
};

static long double truth_minus_log_p(const struct truth *truth, const struct truth_row *row, int64_t c)
{
    return (row->max - truth_at(truth, 0, c, false)) + row->log_sum;
}

static long double truth_p(const struct truth *truth, const struct truth_row *row, int64_t c)
{
    return expl(-truth_minus_log_p(truth, row, c));
}

static struct truth_row truth_row_of(const struct truth *truth, long double mean_weight)
{
    const reel_cross_entropy *a = truth->attributes;
    struct truth_row row = {.max = -INFINITY};
    for (int64_t c = 0; c < truth->classes; c++)
        row.max = fmaxl(row.max, truth_at(truth, 0, c, false));
    for (int64_t c = 0; c < truth->classes; c++)
        row.log_sum += expl(truth_at(truth, 0, c, false) - row.max);
    row.log_sum = logl(row.log_sum);
    for (int64_t c = 0; c < truth->classes; c++) {
        row.sum += truth_label(truth, c);
        row.mean += truth_p(truth, &row, c) * truth_at(truth, truth->at.direction, c, false);
    }
    if (a->sum != REEL_XENT_SUM)
        row.sum = a->sum == REEL_XENT_ONE;
    row.factor = truth_row_weight(truth) / mean_weight;
    row.ignored = (a->sparse && truth_is_ignored(a, truth_at(truth, 1, 0, true), truth->classes)) ||
                  (!a->tensorflow && truth_row_weight(truth) == 0) || mean_weight == 0;
    if (truth->at.upstream >= 0)
        row.factor *= truth_at(truth, truth->at.upstream, 0, true);
    if (a->sparse && !row.ignored &&
        !(truth_at(truth, 1, 0, true) >= 0 && truth_at(truth, 1, 0, true) < truth->classes))
        row.factor = NAN;
    return row;
}

/* S p - y'. Of a p near 1 it takes what is missing to 1, which the other classes make up. */
static long double truth_slope(const struct truth *truth, const struct truth_row *row, int64_t c)
{
    long double p = truth_p(truth, row, c), missing = 0;
    if (!(p > 0.5L) || !isfinite(row->sum))
        return row->sum * p - truth_label(truth, c);
    for (int64_t other = 0; other < truth->classes; other++)
        missing += other == c ? 0 : truth_p(truth, row, other);
    return (row->sum - truth_label(truth, c)) - row->sum * missing;
}

/* Where 0 times infinity may be 0. */
static long double truth_product(const struct truth *truth, long double a, long double b)
{
    return a == 0 && isinf(b) && !truth->attributes->tensorflow ? 0 : a * b;
}

static long double truth_of_class(const struct truth *truth, const struct truth_row *row, unsigned quantity,
                                  int64_t c)
{
    long double v = truth_at(truth, truth->at.direction, c, false), u = row->factor;
    if (row->ignored)
        return 0;
    if (quantity == REEL_XENT_GRADIENT)
        return u * truth_slope(truth, row, c);
    if (quantity == REEL_XENT_LABEL_GRADIENT)
        return truth_product(truth, u * truth_scale(truth, c), truth_minus_log_p(truth, row, c));
    if (quantity == REEL_XENT_SECOND)
        return u * row->sum * truth_p(truth, row, c) * (v - row->mean);
    bool whole = truth->attributes->sum == REEL_XENT_SUM;
    return u * truth_scale(truth, c) * ((whole ? row->mean : 0) - v);
}

static long double truth_of_row(const struct truth *truth, const struct truth_row *row, unsigned quantity)
{
    long double sum = quantity == REEL_XENT_LOSS ? 0 : row->sum * row->mean;
    for (int64_t c = 0; c < truth->classes; c++)
        if (quantity == REEL_XENT_LOSS)
            sum += truth_product(truth, truth_label(truth, c), truth_minus_log_p(truth, row, c));
        else
            sum -= truth_label(truth, c) * truth_at(truth, truth->at.direction, c, false);
    return row->ignored ? 0 : row->factor * sum;
}

/* ---- All rows ---------------------------------------------------------------------------------- */

static long double truth_mean_weight(struct truth *truth)
{
    long double weight = 0;
    if (truth->attributes->reduction != REEL_REDUCTION_MEAN)
        return 1;
    do
        weight += truth_row_share(truth);
    while (truth_next_row(truth));
    return weight;
}

/* The element of an output in the broadcast shape, with class `c`. */
static int64_t truth_element(const struct truth *truth, int64_t c)
{
    int64_t element = 0;
    for (int i = 0; i < truth->rank; i++)
        element = element * truth->shape[i] + (i == truth->axis ? c : truth->position[i]);
    return element;
}

void reel_xent_reference(const void *attributes, const reel_reference_array *in, int inputs,
                         reel_reference_array *out, int outputs)
{
    (void)inputs;
    struct truth truth;
    truth_start(&truth, attributes, in);
    unsigned quantity = truth.attributes->quantity;
    bool reduced = truth.attributes->reduction != REEL_REDUCTION_NONE;
    long double total = 0;
    int64_t rows = truth.classes > 0;
    for (int i = 0; i < truth.rank; i++)
        rows *= i == truth.axis ? 1 : truth.shape[i];
    long double weight = rows ? truth_mean_weight(&truth) : 0;
    for (int64_t i = 0; i < rows; i++, truth_next_row(&truth)) {
        struct truth_row row = truth_row_of(&truth, weight);
        if (quantity & REEL_XENT_BY_ROW) {
            long double value = truth_of_row(&truth, &row, quantity & REEL_XENT_BY_ROW);
            total += value;
            if (!reduced)
                out[0].value[i] = (double)value;
        }
        if (quantity & ~REEL_XENT_BY_ROW)
            for (int64_t c = 0; c < truth.classes; c++)
                out[outputs - 1].value[truth_element(&truth, c)] =
                    (double)truth_of_class(&truth, &row, quantity & ~REEL_XENT_BY_ROW, c);
    }
    if ((quantity & REEL_XENT_BY_ROW) && reduced)
        out[0].value[0] = (double)total;
}
