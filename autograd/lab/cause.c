/* What a mistake looks like, from the wrong derivatives a beside the right ones n.
 *
 *     a = -n                             the sign
 *     a = c n                            a factor; where c is a size or 1 / size: a mean or a sum too many
 *     a = 0                              a path from the input to y that is not followed
 *     a_ij = n_ji                        two axes exchanged;  the same numbers anywhere else: permuted
 *     a - n = k softmax(x) in a row      softmax - labels, with labels that do not sum to 1
 *     a sums to 0 along another axis     normalised along the wrong one (axis.c)
 *     a few of many                      some elements */
#include "autograd/lab/lab.h"

#include <math.h>
#include <string.h>

enum { CAUSE_FEW = 10 };                            /* one in so many                              */

struct cause_counts {
    int64_t failed, right;                          /* that are not 0                              */
    double  low, high;                              /* the ratios of those that failed             */
    bool    finite;
};

static struct cause_counts cause_count(const reel_lab_input *input)
{
    struct cause_counts c = {.low = INFINITY, .high = -INFINITY, .finite = true};
    for (int64_t e = 0; e < input->count; e++) {
        double a = input->analytic[e], n = input->numeric[e];
        if (input->verdict[e] == REEL_PASS && fabs(n) > 1e-9 * input->largest)
            c.right++;
        if (input->verdict[e] != REEL_FAIL)
            continue;
        c.failed++;
        c.finite &= isfinite(a);
        if (input->error[e] > 1e-5 * fabs(n))
            continue;
        c.low = fmin(c.low, a / n);
        c.high = fmax(c.high, a / n);
    }
    return c;
}

static bool cause_near(double a, double b)
{
    return fabs(a - b) <= 1e-4 * fmax(fabs(a), fabs(b));
}

static bool cause_is_output_size(const reel_lab *lab, double size)
{
    bool found = cause_near(size, (double)lab->y_count);
    for (size_t o = 0; o < lab->outputs; o++) {
        const reel_node *node = reel_node_at(lab->tape, lab->output[o].node);
        for (int i = 0; i < node->rank; i++)
            found |= cause_near(size, (double)node->shape[i]);
    }
    return found;
}

/* Whether the ratio, or its inverse, is the size of an axis, which is noted, or the number of elements, of
 * the input or an output. */
static bool cause_is_size(const reel_lab *lab, const reel_lab_input *input, double ratio, int *axis)
{
    double size = ratio < 1 ? 1 / ratio : ratio;
    *axis = input->shape.rank - 1;
    while (*axis >= 0 && !cause_near(size, (double)input->shape.size[*axis]))
        --*axis;
    return *axis >= 0 || cause_near(size, (double)input->count) || cause_is_output_size(lab, size);
}

static reel_cause cause_of_ratio(const reel_lab *lab, const reel_lab_input *input, double ratio,
                                 reel_clue *clue)
{
    clue->factor = ratio;
    if (fabs(ratio) < 1e-6)
        return REEL_CAUSE_MISSING_PATH;
    if (cause_near(ratio, -1))
        return REEL_CAUSE_SIGN;
    bool two = cause_near(ratio, 2) || cause_near(ratio, 0.5);
    bool size = !two && ratio > 0 && cause_is_size(lab, input, ratio, &clue->axis);
    return size ? REEL_CAUSE_REDUCTION : REEL_CAUSE_FACTOR;
}

/* ---- The right numbers in wrong places ------------------------------------------------------------- */

static bool cause_same(const reel_lab_input *input, double a, double n)
{
    return fabs(a - n) <= 1e-5 * input->largest;
}

/* The last two axes exchanged. */
static bool cause_is_transposed(const reel_lab_input *input)
{
    int rank = input->shape.rank;
    if (rank < 2)
        return false;
    int64_t rows = input->shape.size[rank - 2], columns = input->shape.size[rank - 1], both = rows * columns;
    for (int64_t e = 0; e < input->count; e++) {
        int64_t matrix = e / both * both, at = e % both;
        if (!cause_same(input, input->analytic[e], input->numeric[matrix + at % rows * columns + at / rows]))
            return false;
    }
    return rows > 1 && columns > 1;
}

static void cause_sink(double *heap, int64_t count, int64_t at)
{
    for (int64_t child; (child = 2 * at + 1) < count; at = child) {
        child += child + 1 < count && heap[child] < heap[child + 1];
        if (!(heap[at] < heap[child]))
            return;
        double kept = heap[at];
        heap[at] = heap[child];
        heap[child] = kept;
    }
}

static void cause_sort(double *list, int64_t count)
{
    for (int64_t at = count / 2; at-- > 0;)
        cause_sink(list, count, at);
    for (int64_t end = count; end-- > 1;) {
        double kept = list[0];
        list[0] = list[end];
        list[end] = kept;
        cause_sink(list, end, 0);
    }
}

static bool cause_is_permuted(const reel_lab *lab, const reel_lab_input *input)
{
    size_t bytes = (size_t)input->count * sizeof(double);
    double *a = reel_lab_get(lab, 2 * (size_t)input->count, sizeof *a), *n;
    if (!a)
        return false;
    n = a + input->count;
    memcpy(a, input->analytic, bytes);
    memcpy(n, input->numeric, bytes);
    cause_sort(a, input->count);
    cause_sort(n, input->count);
    for (int64_t e = 0; e < input->count; e++)
        if (!cause_same(input, a[e], n[e]))
            return false;
    return true;
}

/* ---- Labels that do not sum to 1 ------------------------------------------------------------------- */

/* Whether a - n is a multiple of softmax(x) in the line of `size` elements from `first` on. */
static bool cause_line_is_softmax(const reel_lab_input *input, int64_t first, int64_t size, int64_t stride)
{
    double largest = -INFINITY, sum = 0, gaps = 0;
    for (int64_t i = 0; i < size; i++)
        largest = fmax(largest, input->origin[first + i * stride]);
    for (int64_t i = 0; i < size; i++) {
        sum += exp(input->origin[first + i * stride] - largest);
        gaps += input->analytic[first + i * stride] - input->numeric[first + i * stride];
    }
    for (int64_t i = 0; i < size; i++) {
        int64_t e = first + i * stride;
        double gap = input->analytic[e] - input->numeric[e];
        if (!cause_same(input, gap, gaps * exp(input->origin[e] - largest) / sum))
            return false;
    }
    return true;
}

static bool cause_is_label_sum(const reel_lab_input *input)
{
    int64_t stride = 1;
    for (int axis = input->shape.rank - 1; axis >= 0; axis--) {
        int64_t size = input->shape.size[axis];
        bool all = size > 2;
        for (int64_t e = 0; e < input->count && all; e++)
            if (e / stride % size == 0)
                all = cause_line_is_softmax(input, e, size, stride);
        if (all)
            return true;
        stride *= size;
    }
    return false;
}

reel_cause reel_lab_guess(reel_lab *lab, const reel_lab_input *input, reel_clue *clue)
{
    *clue = (reel_clue){.factor = NAN, .axis = -1, .meant = -1};
    struct cause_counts c = cause_count(input);
    if (!c.failed)
        return REEL_NO_CAUSE;
    if (!c.finite)
        return REEL_CAUSE_NOT_FINITE;
    if (cause_is_transposed(input))
        return REEL_CAUSE_TRANSPOSED;
    if (c.failed * CAUSE_FEW <= c.right || (c.failed == 1 && c.right > 1))
        return REEL_CAUSE_SOME_ELEMENTS;
    if (c.right <= c.failed && (cause_near(c.low, c.high) || fmax(fabs(c.low), fabs(c.high)) < 1e-6))
        return cause_of_ratio(lab, input, c.high, clue);
    if (cause_is_label_sum(input))
        return REEL_CAUSE_LABEL_SUM;
    if (reel_lab_takes_another_axis(lab, input, clue))
        return REEL_CAUSE_AXIS;
    if (cause_is_permuted(lab, input))
        return REEL_CAUSE_PERMUTED;
    return REEL_CAUSE_OTHER;
}
