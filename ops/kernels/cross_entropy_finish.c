/* From the sums over the classes to what each row needs, and to the results of one number a row.
 * cross_entropy_state.h has the formulas. All of it is exact, for plain sums too: they are few. */
#include "ops/kernels/cross_entropy_state.h"

/* ---- Sums ------------------------------------------------------------------------------------------------ */

void reel_xent_spread(const reel_xent_job *job, xent_sums *lanes, xent_sums partial[REEL_LANES], int row)
{
    int rest = (int)(job->classes % REEL_LANES);
    for (int lane = rest ? rest : REEL_LANES; lane < REEL_LANES; lane++)
        lanes->of[XENT_TIES].hi[lane] -= lanes->of[XENT_TIES].hi[lane] > 0;
    for (int lane = 0; lane < REEL_LANES; lane++)
        for (int kind = 0; kind < XENT_SUMS; kind++) {
            partial[lane].of[kind].hi[row] = lanes->of[kind].hi[lane];
            partial[lane].of[kind].lo[row] = lanes->of[kind].lo[lane];
        }
}

void reel_xent_join(int lanes, xent_sums partial[REEL_LANES])
{
    for (int step = REEL_LANES / 2; step > 0; step /= 2)
        for (int lane = 0; lane < step && lane + step < lanes; lane++)
            for (int kind = 0; kind < XENT_SUMS; kind++)
                for (REEL_EACH_VECTOR(i)) {
                    xent_pairs *to = &partial[lane].of[kind], *from = &partial[lane + step].of[kind];
                    reel_pair added = XENT_AT(true, from, i);
                    XENT_PUT(true, to, i, reel_pair_add(true, XENT_AT(true, to, i), added));
                }
}

/* ---- Rows ------------------------------------------------------------------------------------------------ */

#define FINISH_SUM(sums, kind, i) XENT_AT(true, &(sums)->of[kind], i)

/* sum p v = v* + mean, v* being the average of v over the ties */
REEL_INLINE void finish_direction(reel_vector unit, int i, const xent_sums *sums, reel_pair d, xent_rows *rows)
{
    reel_pair ties = reel_pair_of(reel_load(sums->of[XENT_TIES].hi + i));
    reel_pair ties_v = FINISH_SUM(sums, XENT_TIES_V, i), others_v = FINISH_SUM(sums, XENT_OTHERS_V, i);
    reel_pair others = reel_pair_scale(FINISH_SUM(sums, XENT_OTHERS, i), unit);
    reel_pair middle = reel_pair_of(reel_pair_value(true, ties_v) / ties.hi);
    middle.hi = reel_select(reel_magnitude(middle.hi) < INFINITY, middle.hi, (reel_vector){0});
    reel_pair above = reel_pair_sub(true, others_v, reel_pair_mul(true, middle, others));
    reel_pair left = reel_pair_sub(true, ties_v, reel_pair_mul(true, middle, ties));
    XENT_PUT(true, &rows->middle, i, middle);
    XENT_PUT(true, &rows->mean, i, reel_pair_div(true, reel_pair_add(true, above, left), d));
}

/* u (S log1p(x) - sum y' (z - m)). A small x keeps its digits where it is subnormal; a sum near the largest
 * numbers grows last. */
REEL_INLINE reel_pair finish_loss(reel_vector unit, int i, const xent_sums *sums, const xent_rows *rows, reel_pair u)
{
    const reel_vector one = reel_vector_of(1);
    reel_pair labels = FINISH_SUM(sums, XENT_LABELS, i), distance = FINISH_SUM(sums, XENT_DISTANCE, i);
    reel_pair log = reel_pair_mul(true, labels, XENT_AT(true, &rows->log, i));
    reel_pair x = XENT_AT(true, &rows->others, i);
    log = reel_pair_select(x.hi * unit < REEL_EXP_UNIT(true), reel_pair_scale(reel_pair_mul(true, labels, x), unit), log);
    reel_vector grow = reel_load(rows->grow + i), shrink = reel_load(rows->shrink + i);
    reel_mask large = reel_magnitude(distance.hi) >= 0x1p700;
    log = reel_pair_scale(log, reel_select(large, shrink, one));
    distance = reel_pair_scale(distance, reel_select(large, one, grow));
    reel_pair loss = reel_pair_mul(true, u, reel_pair_sub(true, log, distance));
    return reel_pair_scale(loss, reel_select(large, grow, one));
}

/* u sum v (S p - y') = u ((S v* - sum y' v) + S mean), or u (S (v* + mean) - sum y' v) where S is not
 * finite. */
REEL_INLINE reel_pair finish_directional(int i, const xent_sums *sums, const xent_rows *rows,
                                         reel_pair labels, reel_pair u)
{
    reel_pair middle = XENT_AT(true, &rows->middle, i), mean = XENT_AT(true, &rows->mean, i);
    reel_pair labels_v = FINISH_SUM(sums, XENT_LABELS_V, i);
    reel_pair fall = reel_pair_sub(true, reel_pair_mul(true, labels, middle), labels_v);
    reel_pair whole = reel_pair_add(true, fall, reel_pair_mul(true, labels, mean));
    reel_vector plain = labels.hi * (middle.hi + mean.hi) - labels_v.hi;
    whole = reel_pair_select(reel_magnitude(labels.hi) < INFINITY, whole, reel_pair_of(plain));
    return reel_pair_mul(true, u, whole);
}

/* As a value and its rounding error. */
REEL_INLINE void finish_value(reel_xent_panel *panel, int i, reel_pair value)
{
    reel_vector rounded = reel_pair_value(true, value), rest = (value.hi - rounded) + value.lo;
    reel_store(panel->value[0] + i, rounded);
    reel_store(panel->value[1] + i, reel_select(reel_magnitude(rest) < INFINITY, rest, (reel_vector){0}));
}

/* u S / D, and apart from it a power of two, so that neither it nor its product with e leaves the range. */
REEL_INLINE void finish_slope(reel_vector unit, int i, reel_pair total, reel_pair d, xent_rows *rows)
{
    const reel_vector one = reel_vector_of(1);
    reel_pair slope = reel_pair_div(true, total, d);
    reel_mask large = reel_magnitude(slope.hi) >= 1, finite = reel_magnitude(total.hi) < INFINITY;
    XENT_PUT(true, &rows->slope, i, reel_pair_scale(slope, reel_select(large, unit, one)));
    reel_store(rows->post + i, reel_select(large, one, unit));
    reel_store(rows->top + i, reel_select(finite, (reel_vector){0}, reel_vector_of(NAN)));
}

REEL_INLINE void finish_rows(const reel_xent_job *job, const xent_sums *sums, int i, reel_xent_panel *panel, xent_rows *rows)
{
    const reel_vector unit = reel_vector_of(REEL_EXP_UNIT(xent_is_exact(job))), one = reel_vector_of(1);
    reel_pair u = xent_at(true, panel->upstream[0], panel->upstream[1], i);
    reel_pair more_ties = reel_pair_of((reel_load(sums->of[XENT_TIES].hi + i) - one) / unit);
    reel_pair x = reel_pair_add(true, FINISH_SUM(sums, XENT_OTHERS, i), more_ties);
    reel_pair d = reel_pair_add(true, reel_pair_scale(x, unit), reel_pair_of(one));
    reel_pair labels = FINISH_SUM(sums, XENT_LABELS, i);
    if (job->sum != REEL_XENT_SUM)
        labels = reel_pair_of(reel_vector_of(job->sum == REEL_XENT_ONE));
    reel_pair total = reel_pair_mul(true, labels, u);
    XENT_PUT(true, &rows->upstream, i, u);
    XENT_PUT(true, &rows->others, i, x);
    XENT_PUT(true, &rows->total, i, total);
    finish_slope(unit, i, total, d, rows);
    if (xent_wants(job, REEL_XENT_LOSS | REEL_XENT_LABEL_GRADIENT))
        XENT_PUT(true, &rows->log, i, reel_pair_log1p(true, reel_pair_scale(x, unit)));
    if (xent_wants_direction(job))
        finish_direction(unit, i, sums, d, rows);
    if (xent_wants(job, REEL_XENT_LOSS))
        finish_value(panel, i, finish_loss(unit, i, sums, rows, job->joint ? reel_pair_of(one) : u));
    if (xent_wants(job, REEL_XENT_DIRECTIONAL))
        finish_value(panel, i, finish_directional(i, sums, rows, labels, u));
}

void reel_xent_finish_rows(const reel_xent_job *job, const xent_sums *sums, reel_xent_panel *panel,
                           xent_rows *rows)
{
    for (REEL_EACH_VECTOR(i))
        finish_rows(job, sums, i, panel, rows);
}

/* ---- Values ---------------------------------------------------------------------------------------------- */

void reel_xent_add_values(const reel_xent_panel *panel, reel_xent_total *total)
{
    for (REEL_EACH_VECTOR(i)) {
        reel_pair sum = reel_pair_sum(true, reel_load(total->sum + i), reel_load(panel->value[0] + i));
        reel_store(total->sum + i, sum.hi);
        reel_store(total->rest + i, reel_load(total->rest + i) + (sum.lo + reel_load(panel->value[1] + i)));
    }
}
