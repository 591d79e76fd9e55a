/* Softmax cross-entropy in long double, a row at a time. With m = max z, q = sum over the classes other than
 * the largest of e^(z - m), S = sum y, u the gradient that arrives at the row's loss and v a direction:
 *
 *     -log p_c = (m - z_c) + log1p(q)             loss = sum_c y_c (-log p_c)
 *     EXACT:      dz = u (S p - y)                dy = u (-log p)
 *                 d(dz . v)/dz = u S p (v - p.v)  d(dz . v)/dy = u (p.v - v)
 *     TENSORFLOW: dz = u (p - y)                  dy = u (-log p)
 *                 d(dz . v)/dz = u p (v - p.v)    d(dz . v)/dy = -u v
 *
 * S p - y is written p (S - y) - y (1 - p), and 1 - p of the largest class q / (1 + q), so that a confident
 * row keeps its digits.
 */
#include "tests/cross_entropy_reference.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct truth_row {
    int64_t      classes, largest;
    long double *z, *y, *p, *surprise, *rest;       /* logits, labels, softmax, -log p, 1 - p      */
    long double  sum, size;                         /* of the labels; of their absolute values     */
    bool         bad;                               /* NaN all through                             */
} truth_row;

typedef struct truth_walk {
    int64_t logits[REEL_MAX_RANK], labels[REEL_MAX_RANK];   /* strides along the broadcast shape   */
    int64_t place[REEL_MAX_RANK];
} truth_walk;

static void *truth_allocate(int64_t count, size_t size)
{
    void *memory = calloc((size_t)count + 1, size);
    if (!memory) {
        fputs("out of memory\n", stderr);
        exit(2);
    }
    return memory;
}


/* ---- Shapes -------------------------------------------------------------------------------------- */

int64_t reel_truth_count(reel_shape shape)
{
    int64_t count = 1;
    for (int i = 0; i < shape.rank; i++)
        count *= shape.size[i];
    return count;
}

bool reel_truth_broadcast(reel_shape a, reel_shape b, reel_shape *both)
{
    *both = a.rank >= b.rank ? a : b;
    for (int i = 1; i <= both->rank; i++) {
        int64_t m = i <= a.rank ? a.size[a.rank - i] : 1, n = i <= b.rank ? b.size[b.rank - i] : 1;
        if (m != n && m != 1 && n != 1)
            return false;
        both->size[both->rank - i] = m == 1 ? n : m;
    }
    return true;
}

reel_shape reel_truth_without(reel_shape shape, int axis)
{
    shape.rank--;
    for (int i = axis; i < shape.rank; i++)
        shape.size[i] = shape.size[i + 1];
    return shape;
}

static reel_shape truth_with_one(reel_shape shape, int axis)
{
    for (int i = shape.rank++; i > axis; i--)
        shape.size[i] = shape.size[i - 1];
    shape.size[axis] = 1;
    return shape;
}

/* Strides of a tensor of shape `own` along the shape it is stretched to. */
static void truth_strides(reel_shape own, reel_shape to, int64_t strides[])
{
    int64_t stride = 1;
    memset(strides, 0, REEL_MAX_RANK * sizeof strides[0]);
    for (int i = 1; i <= own.rank; i++) {
        strides[to.rank - i] = own.size[own.rank - i] == 1 ? 0 : stride;
        stride *= own.size[own.rank - i];
    }
}

static int64_t truth_offset(const reel_truth *truth, const int64_t strides[], const int64_t place[])
{
    int64_t offset = 0;
    for (int i = 0; i < truth->shape.rank; i++)
        offset += strides[i] * place[i];
    return offset;
}

/* The next row: its place has 0 along the class axis. */
static void truth_step(const reel_truth *truth, int64_t place[])
{
    for (int i = truth->shape.rank - 1; i >= 0; i--) {
        if (i != truth->axis && ++place[i] < truth->shape.size[i])
            return;
        place[i] = 0;
    }
}


/* ---- A row --------------------------------------------------------------------------------------- */

/* Which label a row of integer labels has: -1 it does not count, -2 it is NaN. */
static int64_t truth_label(const reel_truth_arguments *a, int64_t label, int64_t classes)
{
    if (label == a->ignore_index)
        return -1;
    if (label >= 0 && label < classes)
        return label;
    return a->out_of_range == REEL_LABELS_IGNORE ? -1 : -2;
}

/* z and y, the labels smoothed and weighted. False where the row does not count. */
static bool truth_gather(const reel_truth_arguments *a, const reel_truth *truth, const truth_walk *at,
                         truth_row *row, int64_t *label)
{
    int64_t logits = truth_offset(truth, at->logits, at->place);
    int64_t labels = truth_offset(truth, at->labels, at->place);
    row->bad = false;
    row->sum = row->size = 0;
    if (a->index) {
        *label = truth_label(a, a->index[labels], row->classes);
        row->bad = *label == -2;
    }
    for (int64_t c = 0; c < row->classes; c++) {
        long double y = a->index ? c == *label : a->labels[labels + c * at->labels[truth->axis]];
        row->z[c] = a->logits[logits + c * at->logits[truth->axis]];
        if (a->smoothing != 0)
            y = (1 - (long double)a->smoothing) * y + (long double)a->smoothing / row->classes;
        row->y[c] = a->class_weights ? a->class_weights[c] * y : y;
        row->sum += row->y[c];
        row->size += fabsl(row->y[c]);
    }
    return !a->index || *label != -1;
}

static void truth_softmax(truth_row *row)
{
    long double q = 0, m;
    row->largest = 0;
    for (int64_t c = 0; c < row->classes; c++) {
        row->bad |= isnan(row->z[c]) || row->z[c] == INFINITY;
        if (row->z[c] > row->z[row->largest])
            row->largest = c;
    }
    m = row->z[row->largest];
    row->bad |= m == -INFINITY;
    for (int64_t c = 0; c < row->classes; c++)
        if (c != row->largest)
            q += expl(row->z[c] - m);
    for (int64_t c = 0; c < row->classes; c++) {
        long double e = expl(row->z[c] - m);
        row->p[c] = row->bad ? NAN : e / (1 + q);
        row->rest[c] = row->bad ? NAN : c == row->largest ? q / (1 + q) : (1 - e + q) / (1 + q);
        row->surprise[c] = row->bad ? NAN : (m - row->z[c]) + log1pl(q);
    }
}

/* Integer labels stand for a row that sums to 1, where both semantics are one. */
static bool truth_tensorflow(const reel_truth_arguments *a)
{
    return a->tensorflow && !a->index;
}

/* In TENSORFLOW semantics 0 * inf is NaN. */
static long double truth_row_loss(const reel_truth_arguments *a, const truth_row *row)
{
    long double loss = row->bad ? NAN : 0;
    for (int64_t c = 0; c < row->classes && !row->bad; c++)
        if (row->y[c] != 0 || truth_tensorflow(a))
            loss += row->y[c] * row->surprise[c];
    return loss;
}

static long double truth_row_backprop(const reel_truth_arguments *a, const truth_row *row, int64_t c)
{
    if (!truth_tensorflow(a))
        return row->p[c] * (row->sum - row->y[c]) - row->y[c] * row->rest[c];
    return c == row->largest ? (1 - row->y[c]) - row->rest[c] : row->p[c] - row->y[c];
}


/* ---- All rows ------------------------------------------------------------------------------------ */

static void truth_values_new(reel_truth_values *values, reel_shape shape)
{
    values->shape = shape;
    values->count = reel_truth_count(shape);
    values->exact = truth_allocate(values->count, sizeof(long double));
    values->scale = truth_allocate(values->count, sizeof(long double));
    values->part = truth_allocate(values->count, sizeof(long double));
}

static void truth_add(reel_truth_values *to, int64_t i, long double exact, long double scale,
                      long double part)
{
    to->exact[i] += exact;
    to->scale[i] += fmaxl(isfinite(exact) ? fabsl(exact) : 0, fabsl(scale));
    to->part[i] = fmaxl(to->part[i], fabsl(part));
}

/* The gradients of one row into the inputs, for u arriving at its loss. Directions are taken from that of the
 * largest class, so that v - p.v keeps its digits in a confident row. */
static void truth_row_gradients(const reel_truth_arguments *a, reel_truth *truth, const truth_walk *at,
                                const truth_row *row, long double u)
{
    int64_t logits = truth_offset(truth, at->logits, at->place);
    int64_t labels = truth_offset(truth, at->labels, at->place);
    long double s = truth_tensorflow(a) ? 1 : row->sum, scale = u * fmaxl(1, row->size), mean = 0, most = 0;
    long double v0 = a->v ? a->v[logits + row->largest * at->logits[truth->axis]] : 0;
    for (int64_t c = 0; a->v && c < row->classes; c++) {
        long double v = a->v[logits + c * at->logits[truth->axis]];
        mean += row->p[c] * (v - v0);
        most = fmaxl(most, fabsl(v));
    }
    for (int64_t c = 0; c < row->classes; c++) {
        int64_t i = logits + c * at->logits[truth->axis], j = labels + c * at->labels[truth->axis];
        long double p = row->p[c], part = u * s * p, v = a->v ? a->v[i] : 0;
        long double off = v - v0 - mean;            /* v - p.v                                     */
        long double through =
            u * (a->class_weights ? a->class_weights[c] : 1) * (1 - (long double)a->smoothing);
        truth_add(&truth->grad_logits, i, u * truth_row_backprop(a, row, c), scale, part);
        if (a->v)
            truth_add(&truth->hvp_logits, i, part * off, scale * most, part * v);
        if (a->index)
            continue;
        bool forgiven = through == 0 && !row->bad && !truth_tensorflow(a);
        truth_add(&truth->grad_labels, j, forgiven ? 0 : through * row->surprise[c], scale, part);
        if (a->v)
            truth_add(&truth->hvp_labels, j, -through * (a->tensorflow ? v : off), scale * most, part * v);
    }
}

static bool truth_is_confident(const truth_row *row, long double loss)
{
    int64_t ones = 0;
    for (int64_t c = 0; c < row->classes; c++) {
        if (row->y[c] != 0 && row->y[c] != 1)
            return false;
        ones += row->y[c] == 1;
    }
    return ones == 1 && loss < 0.0625L;
}

/* The weight of a row in its reduction, to be divided by the weight of all rows for a mean. */
static long double truth_row_weight(const reel_truth_arguments *a, int64_t row)
{
    return a->row_weights ? a->row_weights[row] : 1;
}

/* Walks the rows twice: first the losses, then, with the weight of them all known, the gradients. */
static void truth_rows(const reel_truth_arguments *a, reel_truth *truth, truth_walk *at, truth_row *row)
{
    bool reduced = a->reduction != REEL_REDUCTION_NONE;
    long double weight = 0, part = a->reduction == REEL_REDUCTION_MEAN ? 0 : 1;
    for (int pass = 0; pass < 2; pass++) {
        for (int64_t r = 0; r < truth->rows; r++, truth_step(truth, at->place)) {
            int64_t label = 0, i = reduced ? 0 : r, first = r * truth->classes;
            if (!truth_gather(a, truth, at, row, &label))
                continue;
            bool label_bad = row->bad;
            long double own = truth_row_weight(a, r);
            truth->counted += pass == 0;
            if (own == 0 && !truth_tensorflow(a))
                continue;                           /* whatever it holds                           */
            truth_softmax(row);
            long double loss = truth_row_loss(a, row);
            if (pass == 0) {
                weight += own * (a->index && a->class_weights && !label_bad ? a->class_weights[label] : 1);
                truth->confident[r] = !row->bad && truth_is_confident(row, loss);
                truth_add(&truth->loss, i, own * loss, own * fmaxl(1, row->size), own);
                for (int64_t c = 0; c < truth->classes; c++)
                    truth_add(&truth->backprop, first + c, truth_row_backprop(a, row, c), fmaxl(1, row->size),
                              (truth_tensorflow(a) ? 1 : row->sum) * row->p[c]);
            } else if (part != 0) {
                truth_row_gradients(a, truth, at, row, (a->upstream ? a->upstream[i] : 1) * own * part);
            }
        }
        if (a->reduction == REEL_REDUCTION_MEAN)
            part = weight != 0 ? 1 / weight : 0;
        memset(at->place, 0, sizeof at->place);
    }
    for (int64_t i = 0; i < truth->loss.count && reduced; i++) {
        truth->loss.exact[i] = part == 0 ? 0 : truth->loss.exact[i] * part;
        truth->loss.scale[i] = fmaxl(1, truth->loss.scale[i] * fabsl(part));
    }
}

static bool truth_shapes(const reel_truth_arguments *a, reel_truth *truth)
{
    reel_shape labels = a->labels_shape;
    int from_end = a->axis < 0 ? -a->axis : a->logits_shape.rank - a->axis;
    if (a->index) {
        if (from_end < 1 || from_end > a->logits_shape.rank || labels.rank != a->logits_shape.rank - 1)
            return false;
        labels = truth_with_one(labels, a->logits_shape.rank - from_end);
    }
    if (!reel_truth_broadcast(a->logits_shape, labels, &truth->shape))
        return false;
    truth->axis = truth->shape.rank - from_end;
    if (truth->axis < 0 || truth->axis >= truth->shape.rank)
        return false;
    truth->classes = truth->shape.size[truth->axis];
    return truth->classes > 0;
}

static reel_shape truth_labels_shape(const reel_truth_arguments *a, const reel_truth *truth)
{
    return a->index ? truth_with_one(a->labels_shape, truth->axis) : a->labels_shape;
}

reel_truth *reel_truth_of(const reel_truth_arguments *a)
{
    reel_truth *truth = truth_allocate(1, sizeof *truth);
    truth_walk at = {0};
    if (!truth_shapes(a, truth)) {
        free(truth);
        return NULL;
    }
    reel_shape rows = reel_truth_without(truth->shape, truth->axis), scalar = {0};
    truth->rows = reel_truth_count(rows);
    truth->confident = truth_allocate(truth->rows, sizeof(bool));
    truth_values_new(&truth->loss, a->reduction == REEL_REDUCTION_NONE ? rows : scalar);
    truth_values_new(&truth->backprop, truth->shape);
    truth_values_new(&truth->grad_logits, a->logits_shape);
    truth_values_new(&truth->hvp_logits, a->logits_shape);
    truth_values_new(&truth->grad_labels, a->labels_shape);
    truth_values_new(&truth->hvp_labels, a->labels_shape);
    truth_strides(a->logits_shape, truth->shape, at.logits);
    truth_strides(truth_labels_shape(a, truth), truth->shape, at.labels);

    int64_t n = truth->classes;
    long double *room = truth_allocate(5 * n, sizeof(long double));
    truth_row row = {.classes = n, .z = room, .y = room + n, .p = room + 2 * n, .surprise = room + 3 * n,
                     .rest = room + 4 * n};
    truth_rows(a, truth, &at, &row);
    free(room);
    return truth;
}

void reel_truth_free(reel_truth *truth)
{
    if (!truth)
        return;
    reel_truth_values *values[] = {&truth->loss, &truth->backprop, &truth->grad_logits,
                                   &truth->grad_labels, &truth->hvp_logits, &truth->hvp_labels};
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        free(values[i]->exact);
        free(values[i]->scale);
        free(values[i]->part);
    }
    free(truth->confident);
    free(truth);
}
