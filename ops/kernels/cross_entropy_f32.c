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
    reel_store_f32(lanes->largest + lane, reel_select(others < 1, reel_load(rows->largest + i), reel_vector_of(-1)));
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
            reel_vector mean = reel_load(rows->middle.hi + i) + reel_load(rows->mean.hi + i);
            f32_split(mean, lanes->mean[0] + lane, lanes->mean[1] + lane);
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
        reel_store_f32(gradient + i, reel_select(there == reel_load(rows->largest + i), at_tie, p * slope - u));
    }
}

/* ---- Which rows are suited ------------------------------------------------------------------------------- */

REEL_INLINE reel_mask f32_are_finite(reel_vector x)
{
    return reel_magnitude(x) < INFINITY;
}

/* Neither so large that a product with a label could leave f32 nor, but for 0, so small that a part of it or a product with
 * an exponential would lose digits. */
REEL_INLINE reel_mask f32_is_handy(reel_vector x)
{
    reel_vector size = reel_magnitude(x);
    return (size < 0x1p24) & ((size == 0) | (size > 0x1p-60));
}

/* Whether all of the given quantities can be had in f32: where all that goes into them is finite, and the offset of the
 * logits so small that sums in f64 do not feel it. This hangs on the row, and not on what else is computed with it. */
REEL_INLINE reel_mask f32_suit(unsigned quantities, const xent_sums *sums, const reel_xent_panel *panel,
                               const xent_rows *rows, int i)
{
    reel_mask suit = reel_magnitude(reel_load(rows->max + i)) < 0x1p18;
    suit &= f32_are_finite(reel_load(sums->of[XENT_OTHERS].hi + i));
    if (quantities & REEL_XENT_LOSS)
        suit &= f32_are_finite(reel_load(sums->of[XENT_DISTANCE].hi + i));
    if (quantities & ~(unsigned)REEL_XENT_LOSS)
        suit &= f32_is_handy(reel_load(rows->upstream.hi + i)) & (reel_load(panel->late + i) == 1);
    if (quantities & REEL_XENT_LABEL_GRADIENT)
        suit &= reel_load(rows->upstream.hi + i) != 0;
    if (quantities & (REEL_XENT_GRADIENT | REEL_XENT_SECOND))
        suit &= f32_is_handy(reel_load(rows->total.hi + i)) & f32_is_handy(reel_load(rows->slope.hi + i));
    if (quantities & REEL_XENT_GRADIENT)
        suit &= f32_are_finite(reel_load(sums->of[XENT_LABELS].hi + i));
    if (quantities & REEL_XENT_SECOND)
        suit &= f32_are_finite(reel_load(sums->of[XENT_OTHERS_V].hi + i)) &
                (reel_magnitude(reel_load(rows->middle.hi + i) + reel_load(rows->mean.hi + i)) < 0x1p60);
    return suit;
}

/* The rows of which not all of the quantities can be had, a bit each. */
static unsigned f32_find_unsuited(unsigned quantities, const xent_sums *sums, const reel_xent_panel *panel,
                                  const xent_rows *rows)
{
    unsigned suited = 0, unsuited = 0;
    for (REEL_EACH_VECTOR(i))
        suited |= reel_mask_bits(f32_suit(quantities, sums, panel, rows, i)) << i;
    for (int row = 0; row < panel->rows && suited != (1u << REEL_LANES) - 1; row++)
        unsuited |= (unsigned)(panel->fate[row] == REEL_XENT_COUNTS && !(suited & 1u << row)) << row;
    return unsuited;
}

/* x, the sum without e_m over e_m. */
REEL_INLINE reel_vector f32_others(const double *all, const double *others, reel_vector largest, reel_vector per_largest)
{
    reel_vector x = (reel_load(all) - largest) * per_largest;
    return reel_select(x < 0x1p-11, reel_load(others) * per_largest, x);
}

/* What is summed is divided by e_m before it was rounded. */
static void f32_take_largest(const xent_f32_largest *largest, int first, xent_rows *rows)
{
    for (REEL_EACH_VECTOR(i)) {
        reel_vector e = reel_load_f32(largest->e + first + i);
        reel_store(rows->max + i, reel_load_f32(largest->max + first + i));
        reel_store(rows->largest + i, e);
        reel_store(rows->per_largest + i, 1 / (e + reel_load_f32(largest->e_rest + first + i)));
    }
}

/* Relative to the largest logit: of sum y z, sum y (z - m) is made. The largest counts as one tie, with others that equal
 * it among the others, and the directions of all are summed. */
static void f32_take_sums(const reel_xent_job *job, const xent_f32_sums *lanes, int first, const xent_rows *rows,
                          xent_sums *sums)
{
    for (REEL_EACH_VECTOR(i)) {
        const int lane = first + i;
        const reel_vector per_largest = reel_load(rows->per_largest + i);
        const reel_vector labels = reel_load(lanes->of[XENT_F32_LABELS] + lane);
        const reel_vector labels_z = reel_load(lanes->of[XENT_F32_LABELS_Z] + lane);
        reel_store(sums->of[XENT_TIES].hi + i, reel_vector_of(1));
        const reel_vector x = f32_others(lanes->of[XENT_F32_ALL] + lane, lanes->of[XENT_F32_OTHERS] + lane,
                                         reel_load(rows->largest + i), per_largest);
        reel_store(sums->of[XENT_OTHERS].hi + i, x);
        reel_store(sums->of[XENT_LABELS].hi + i, labels);
        reel_store(sums->of[XENT_DISTANCE].hi + i, labels_z - reel_load(rows->max + i) * labels);
        if (!xent_wants_direction(job))
            continue;
        reel_vector mean = reel_load(lanes->of[XENT_F32_ALL_V] + lane) / reel_load(lanes->of[XENT_F32_ALL] + lane);
        reel_store(sums->of[XENT_OTHERS_V].hi + i, mean * (1 + x));     /* of one class this is v         */
        reel_store(sums->of[XENT_TIES_V].hi + i, (reel_vector){0});
    }
}

/* What can be had in f32. */
static const unsigned f32_quantity[XENT_F32_QUANTITIES] = {REEL_XENT_LOSS, REEL_XENT_GRADIENT,
                                                           REEL_XENT_LABEL_GRADIENT, REEL_XENT_SECOND};

void reel_xent_f32_finish(const reel_xent_job *job, const xent_f32_sums *lanes, const xent_f32_largest *largest, int first,
                          reel_xent_panel *panel, xent_rows *rows, xent_f32_unsuited *unsuited)
{
    _Alignas(64) xent_sums sums;
    f32_take_largest(largest, first, rows);
    f32_take_sums(job, lanes, first, rows, &sums);
    reel_xent_finish_rows(job, &sums, panel, rows);
    if (!f32_find_unsuited(job->quantity, &sums, panel, rows))
        return;
    for (int q = 0; q < XENT_F32_QUANTITIES; q++)
        if (xent_wants(job, f32_quantity[q]))
            unsuited->rows[q] = f32_find_unsuited(f32_quantity[q], &sums, panel, rows);
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
