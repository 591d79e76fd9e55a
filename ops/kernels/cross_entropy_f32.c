/* Rows in sixteen lanes of f32: what is summed and written, what becomes of a row's sums, and which rows are suited.
 * cross_entropy_f32.h tells the rest. */
#include "ops/kernels/cross_entropy_f32.h"
#include "ops/kernels/cross_entropy_formulas.h"
#include "ops/kernels/exp_f32.h"
#include "ops/kernels/exp_log.h"

#include <string.h>

void reel_xent_f32_no_sums(xent_f32_sums *sums)
{
    for (int kind = 0; kind < XENT_F32_SUMS; kind++)
        for (int lane = 0; lane < REEL_LANES_F32; lane += REEL_WIDTH)
            reel_store(sums->of[kind] + lane, (reel_vector){0});
}

/* ---- Classes --------------------------------------------------------------------------------------------- */

void reel_xent_f32_add_classes(const reel_xent_job *job, const xent_f32_groups *at, const float max[REEL_LANES_F32],
                               xent_f32_sums *sums)
{
    reel_xent_f32_add_exponentials(at, max, sums);
    if (at->y && xent_wants_labels(job))
        reel_xent_f32_add_labels(at, xent_wants(job, REEL_XENT_LOSS), sums);
}

static void f32_write(const reel_xent_job *job, const xent_f32_groups *at, const xent_f32_rows *rows)
{
    if (xent_wants(job, REEL_XENT_SECOND))
        reel_xent_f32_second(at, rows);
    if (xent_wants(job, REEL_XENT_GRADIENT))
        reel_xent_f32_gradient(at, rows);
    if (xent_wants(job, REEL_XENT_LABEL_GRADIENT))
        reel_xent_f32_label_gradient(at, rows);
}

/* A last group that is not full reaches back over some numbers before, which are written once more. Their exponentials may
 * lie where they are written. (A copy of all of *at would have to wait until its parts have left the CPU.) */
static void f32_write_last(const reel_xent_job *job, const xent_f32_groups *at, float *e, const xent_f32_rows *rows)
{
    const int back = at->count - REEL_LANES_F32;
    const xent_f32_groups last = {.count = REEL_LANES_F32, .z = at->z + back, .e = e,
                                  .y = at->y ? at->y + back : NULL, .v = at->v ? at->v + back : NULL,
                                  .out = at->out ? at->out + back : NULL,
                                  .label_out = at->label_out ? at->label_out + back : NULL};
    f32_write(job, &last, rows);
}

void reel_xent_f32_write(const reel_xent_job *job, const xent_f32_groups *at, const xent_f32_rows *rows)
{
    float e[REEL_LANES_F32];
    memcpy(e, at->e + at->count - REEL_LANES_F32, sizeof e);
    f32_write(job, at, rows);
    if (at->count % REEL_LANES_F32 != 0)
        f32_write_last(job, at, e, rows);
}

/* ---- What the loops need of each row ----------------------------------------------------------------------- */

void reel_xent_f32_find_largest(xent_f32_largest *largest)
{
    for (REEL_EACH_VECTOR_F32(i)) {
        reel_vector_f32 rest;
        reel_put_f32(largest->e + i, reel_exp_f32_largest(reel_numbers_f32(largest->max + i), &rest));
        reel_put_f32(largest->e_rest + i, rest);
    }
}

/* As the sum of two f32. */
REEL_INLINE void f32_split(reel_vector x, float *hi, float *lo)
{
    reel_store_f32(hi, x);
    reel_store_f32(lo, x - reel_load_f32(hi));
}

/* u S p of a confident row's largest class, S - S x / D in f64. */
REEL_INLINE void f32_lanes_top(const xent_rows *rows, int i, int lane, xent_f32_rows *lanes)
{
    reel_vector others = reel_load(rows->others.hi + i);
    reel_condition confident = reel_lanes_less(others, reel_vector_of(1));
    reel_store_f32(lanes->largest + lane, reel_choose(confident, reel_load(rows->largest + i), reel_vector_of(-1)));
    f32_split(reel_load(rows->total.hi + i), lanes->top[0] + lane, lanes->top[1] + lane);
    reel_store_f32(lanes->fall + lane, -others * reel_load(rows->slope.hi + i));
}

void reel_xent_f32_lanes(const reel_xent_job *job, const xent_rows *rows, int first, xent_f32_rows *lanes)
{
    for (REEL_EACH_VECTOR(i)) {
        int lane = first + i;
        reel_store_f32(lanes->max + lane, reel_load(rows->max + i));
        f32_split(reel_load(rows->slope.hi + i) * reel_load(rows->per_largest + i), lanes->slope[0] + lane,
                  lanes->slope[1] + lane);
        f32_lanes_top(rows, i, lane, lanes);
        if (job->array[REEL_XENT_LABELS].data || xent_wants(job, REEL_XENT_LABEL_GRADIENT))
            f32_split(reel_load(rows->upstream.hi + i), lanes->upstream[0] + lane, lanes->upstream[1] + lane);
        if (xent_wants(job, REEL_XENT_LABEL_GRADIENT))
            f32_split(reel_load(rows->log.hi + i), lanes->log[0] + lane, lanes->log[1] + lane);
        if (xent_wants(job, REEL_XENT_SECOND)) {
            f32_split(reel_load(rows->mean.hi + i), lanes->mean[0] + lane, lanes->mean[1] + lane);
        }
    }
}

void reel_xent_f32_row_alone(const xent_f32_rows *rows, int row, xent_f32_rows *alone)
{
    const float *from = (const void *)rows;
    float *to = (void *)alone;
    for (size_t member = 0; member < sizeof *rows / sizeof rows->max; member++)
        for (REEL_EACH_VECTOR_F32(i))
            reel_put_f32(to + member * REEL_LANES_F32 + i, reel_spread_f32(from[member * REEL_LANES_F32 + (size_t)row]));
}

void reel_xent_f32_at_labels(const xent_rows *rows, const float e[REEL_LANES], float gradient[REEL_LANES])
{
    for (REEL_EACH_VECTOR(i)) {
        reel_vector there = reel_load_f32(e + i), p = there * reel_load(rows->per_largest + i);
        reel_vector slope = reel_load(rows->slope.hi + i), u = reel_load(rows->upstream.hi + i);
        reel_vector at_tie = (reel_load(rows->total.hi + i) - u) - reel_load(rows->others.hi + i) * slope;
        reel_condition tie = reel_lanes_equal(there, reel_load(rows->largest + i));
        reel_store_f32(gradient + i, reel_choose(tie, at_tie, p * slope - u));
    }
}

/* ---- From sums to what is needed of each row ---------------------------------------------------------------- */

/* What the sums of some rows come to: cross_entropy_state.h has the formulas. */
typedef struct f32_numbers {
    reel_vector max, largest, per_largest;          /* per_largest of e_m before it was rounded    */
    reel_vector x, labels, distance, mean;          /* sum y, sum y (z - m), sum p v               */
    reel_vector u, total, slope;                    /* u S, u S / D                                */
} f32_numbers;

/* x, the sum without e_m over e_m. */
REEL_INLINE reel_vector f32_others(const double *all, const double *others, reel_vector largest, reel_vector per_largest)
{
    reel_vector x = (reel_load(all) - largest) * per_largest;
    return reel_choose(reel_lanes_less(x, reel_vector_of(0x1p-11)), reel_load(others) * per_largest, x);
}

REEL_INLINE f32_numbers f32_numbers_of(const reel_xent_job *job, const xent_f32_sums *lanes, const xent_f32_largest *largest,
                                       const reel_xent_panel *panel, int lane, int i)
{
    const reel_vector labels_z = reel_load(lanes->of[XENT_F32_LABELS_Z] + lane), all = reel_load(lanes->of[XENT_F32_ALL] + lane);
    f32_numbers n = {.max = reel_load_f32(largest->max + lane), .largest = reel_load_f32(largest->e + lane),
                     .labels = reel_load(lanes->of[XENT_F32_LABELS] + lane), .u = reel_load(panel->upstream[0] + i)};
    n.per_largest = 1 / (n.largest + reel_load_f32(largest->e_rest + lane));
    n.x = f32_others(lanes->of[XENT_F32_ALL] + lane, lanes->of[XENT_F32_OTHERS] + lane, n.largest, n.per_largest);
    n.distance = labels_z - n.max * n.labels;
    n.total = n.u * (job->sum == REEL_XENT_SUM ? n.labels : reel_vector_of(job->sum == REEL_XENT_ONE));
    n.slope = n.total / (1 + n.x);
    if (xent_wants_direction(job))
        n.mean = reel_load(lanes->of[XENT_F32_ALL_V] + lane) / all;        /* of one class this is v      */
    return n;
}

REEL_INLINE reel_condition f32_are_finite(reel_vector x)
{
    return reel_lanes_less(reel_magnitude(x), reel_vector_of(INFINITY));
}

/* Neither so large that a product with a label could leave f32 nor, but for 0, so small that a part of it or a product with
 * an exponential would lose digits. */
REEL_INLINE reel_condition f32_are_handy(reel_vector x)
{
    reel_vector size = reel_magnitude(x);
    return reel_lanes_less(size, reel_vector_of(0x1p24)) &
           (reel_lanes_equal(size, reel_vector_of(0)) | reel_lanes_less(reel_vector_of(0x1p-60), size));
}

/* Whether all of the given quantities can be had in f32: where all that goes into them is finite, and the offset of the
 * logits so small that sums in f64 do not feel it. This hangs on the row, and not on what else is computed with it. */
REEL_INLINE reel_condition f32_suit(unsigned quantities, const f32_numbers *n, reel_vector late)
{
    reel_condition suit = reel_lanes_less(reel_magnitude(n->max), reel_vector_of(0x1p18)) & f32_are_finite(n->x);
    if (quantities & REEL_XENT_LOSS)
        suit &= f32_are_finite(n->distance);
    if (quantities & ~(unsigned)REEL_XENT_LOSS)
        suit &= f32_are_handy(n->u) & reel_lanes_equal(late, reel_vector_of(1));
    if (quantities & REEL_XENT_LABEL_GRADIENT)
        suit &= reel_lanes_less(reel_vector_of(0), reel_magnitude(n->u));
    if (quantities & (REEL_XENT_GRADIENT | REEL_XENT_SECOND))
        suit &= f32_are_handy(n->total) & f32_are_handy(n->slope);
    if (quantities & REEL_XENT_GRADIENT)
        suit &= f32_are_finite(n->labels);
    if (quantities & REEL_XENT_SECOND)
        suit &= reel_lanes_less(reel_magnitude(n->mean), reel_vector_of(0x1p60));
    return suit;
}

/* The loss in f64 is its value: it has no rounding error that f32 could show. */
REEL_INLINE void f32_keep_numbers(const reel_xent_job *job, const f32_numbers *n, int i, reel_xent_panel *panel,
                                  xent_rows *rows)
{
    reel_store(rows->max + i, n->max);
    reel_store(rows->largest + i, n->largest);
    reel_store(rows->per_largest + i, n->per_largest);
    reel_store(rows->upstream.hi + i, n->u);
    reel_store(rows->others.hi + i, n->x);
    reel_store(rows->total.hi + i, n->total);
    reel_store(rows->slope.hi + i, n->slope);
    if (xent_wants_direction(job))
        reel_store(rows->mean.hi + i, n->mean);
    if (!xent_wants(job, REEL_XENT_LOSS | REEL_XENT_LABEL_GRADIENT))
        return;
    const reel_vector log = reel_pair_log1p(false, reel_pair_of(n->x)).hi, loss = n->labels * log - n->distance;
    reel_store(rows->log.hi + i, log);
    reel_store(panel->value[0] + i, job->joint ? loss : n->u * loss);
    reel_store(panel->value[1] + i, (reel_vector){0});
}

/* What can be had in f32. */
static const unsigned f32_quantity[XENT_F32_QUANTITIES] = {REEL_XENT_LOSS, REEL_XENT_GRADIENT,
                                                           REEL_XENT_LABEL_GRADIENT, REEL_XENT_SECOND};

/* Of rows of which not all that is wanted can be had: what. */
static void f32_find_unsuited(const reel_xent_job *job, const f32_numbers *n, int i, const reel_xent_panel *panel,
                              xent_f32_unsuited *unsuited)
{
    for (int q = 0; q < XENT_F32_QUANTITIES; q++) {
        unsigned suited = reel_condition_bits(f32_suit(f32_quantity[q], n, reel_load(panel->late + i))) << i;
        for (int row = i; row < i + REEL_WIDTH && row < panel->rows && xent_wants(job, f32_quantity[q]); row++)
            unsuited->rows[q] |= (unsigned)(panel->fate[row] == REEL_XENT_COUNTS && !(suited & 1u << row)) << row;
    }
}

void reel_xent_f32_finish(const reel_xent_job *job, const xent_f32_sums *lanes, const xent_f32_largest *largest, int first,
                          reel_xent_panel *panel, xent_rows *rows, xent_f32_unsuited *unsuited)
{
    for (REEL_EACH_VECTOR(i)) {
        const f32_numbers n = f32_numbers_of(job, lanes, largest, panel, first + i, i);
        f32_keep_numbers(job, &n, i, panel, rows);
        if (reel_condition_bits(f32_suit(job->quantity, &n, reel_load(panel->late + i))) != (1u << REEL_WIDTH) - 1)
            f32_find_unsuited(job, &n, i, panel, unsuited);
    }
}

/* ---- Panels ---------------------------------------------------------------------------------------------- */

static void f32_copy_row(const reel_xent_panel *from, int row, reel_xent_panel *to, int to_row)
{
    for (int which = 0; which < REEL_XENT_OPERANDS; which++)
        to->row[which][to_row] = from->row[which][row];
    to->label[to_row] = from->label[row];
    to->fate[to_row] = from->fate[row];
    to->late[to_row] = from->late[row];
    for (int part = 0; part < 2; part++)
        to->upstream[part][to_row] = from->upstream[part][row];
}

/* One quantity of the given rows of a panel, in f64. */
static void f32_by_f64(const reel_xent_job *job, unsigned quantity, unsigned rows, reel_xent_panel *panel)
{
    reel_xent_job alone = *job;
    reel_xent_panel some = *panel;
    int at[REEL_XENT_ROWS];
    some.rows = 0;
    for (int row = 0; row < panel->rows; row++)
        if (rows & 1u << row)
            at[some.rows++] = row;
    for (int r = 0; r < REEL_XENT_ROWS; r++)
        f32_copy_row(panel, at[r < some.rows ? r : 0], &some, r);
    alone.quantity = quantity;
    if (quantity == REEL_XENT_LOSS)
        alone.array[REEL_XENT_OUT].data = NULL;
    if (quantity == REEL_XENT_LABEL_GRADIENT && job->array[REEL_XENT_LABEL_OUT].data) {
        alone.array[REEL_XENT_OUT] = job->array[REEL_XENT_LABEL_OUT];
        memcpy(some.row[REEL_XENT_OUT], some.row[REEL_XENT_LABEL_OUT], sizeof some.row[REEL_XENT_OUT]);
    }
    reel_xent_rows(&alone, &some);
    for (int r = 0; r < some.rows && quantity == REEL_XENT_LOSS; r++)
        for (int part = 0; part < 2; part++)
            panel->value[part][at[r]] = some.value[part][r];
}

void reel_xent_f32_rows(const reel_xent_job *job, reel_xent_panel panel[])
{
    xent_f32_unsuited unsuited[2] = {{{0}}, {{0}}};
    if (job->across)
        reel_xent_f32_across(job, panel, unsuited);
    else
        reel_xent_f32_along(job, panel, unsuited);
    for (int p = 0; p < (job->across ? 2 : 1); p++)
        for (int q = 0; q < XENT_F32_QUANTITIES; q++)
            if (unsuited[p].rows[q])
                f32_by_f64(job, f32_quantity[q], unsuited[p].rows[q], &panel[p]);
}
