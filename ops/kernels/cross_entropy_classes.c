/* The second half of the kernel: the results that come one a class. cross_entropy_state.h has the
 * formulas. */
#include "ops/kernels/cross_entropy_state.h"

/* u (S p - y'). At a tie S p is S - S x / D, from whose first half y' is subtracted without a rounding error
 * that a confident row could notice. */
REEL_INLINE reel_pair classes_gradient(bool exact, const xent_rows *rows, int i, const xent_tiles *tiles,
                                       int at)
{
    reel_mask tie = xent_distance(exact, rows, i, reel_load(tiles->z + at)).hi == reel_load(rows->top + i);
    reel_pair others = reel_pair_negative(XENT_AT(exact, &rows->others, i)),
              y = XENT_AT(exact, &tiles->y, at);
    reel_pair start = reel_pair_select(tie, XENT_AT(exact, &rows->total, i), (reel_pair){{0}, {0}});
    reel_pair e = reel_pair_select(tie, others, XENT_AT(exact, &tiles->e, at));
    reel_pair rise = reel_pair_mul(exact, e, XENT_AT(exact, &rows->slope, i));
    reel_pair rest = reel_pair_sub(exact, start, reel_pair_mul(exact, y, XENT_AT(exact, &rows->upstream, i)));
    return reel_pair_add(exact, rest, reel_pair_scale(rise, reel_load(rows->post + i)));
}

/* v - sum p v */
REEL_INLINE reel_pair classes_from_mean(bool exact, const xent_rows *rows, int i, reel_pair v)
{
    reel_pair from_middle = reel_pair_sub(exact, v, XENT_AT(exact, &rows->middle, i));
    return reel_pair_sub(exact, from_middle, XENT_AT(exact, &rows->mean, i));
}

/* u S p (v - sum p v) */
REEL_INLINE reel_pair classes_second(bool exact, const xent_rows *rows, int i, const xent_tiles *tiles,
                                     int at)
{
    reel_pair v = reel_pair_of(reel_load(tiles->v + at));
    reel_pair rise = reel_pair_mul(exact, XENT_AT(exact, &tiles->e, at), XENT_AT(exact, &rows->slope, i));
    reel_pair product = reel_pair_mul(exact, rise, classes_from_mean(exact, rows, i, v));
    return reel_pair_scale(product, reel_load(rows->post + i));
}

/* u w scale */
REEL_INLINE reel_pair classes_label_factor(bool exact, const reel_xent_job *job, const xent_rows *rows, int i,
                                           const xent_tiles *tiles, int at)
{
    reel_pair u = XENT_AT(exact, &rows->upstream, i);
    if (job->labels_as_given)
        return u;
    reel_pair scale = {reel_vector_of(job->scale[0]), reel_vector_of(job->scale[1])};
    reel_pair weight = reel_pair_of(reel_load(tiles->weight + at));
    return reel_pair_mul(exact, u, reel_pair_mul(exact, scale, weight));
}

/* factor (-log p), where 0 times infinity may be 0 */
REEL_INLINE reel_pair classes_label_gradient(bool exact, const reel_xent_job *job, const xent_rows *rows,
                                             int i, const xent_tiles *tiles, int at, reel_pair factor)
{
    reel_pair d = xent_distance(exact, rows, i, reel_load(tiles->z + at));
    reel_pair log = reel_pair_scale(XENT_AT(exact, &rows->log, i), reel_load(rows->shrink + i));
    reel_pair minus_log_p = reel_pair_sub(exact, log, d);
    reel_pair product = reel_pair_mul(exact, factor, minus_log_p);
    reel_mask nothing = (factor.hi == job->forgiven) & (minus_log_p.hi == INFINITY);
    product = reel_pair_scale(product, reel_load(rows->grow + i));
    return reel_pair_select(nothing, (reel_pair){{0}, {0}}, product);
}

/* factor (sum p v - v), or -factor v where S is no function of the labels */
REEL_INLINE reel_pair classes_mixed(bool exact, const reel_xent_job *job, const xent_rows *rows, int i,
                                    const xent_tiles *tiles, int at, reel_pair factor)
{
    reel_pair v = reel_pair_of(reel_load(tiles->v + at));
    reel_pair from = job->sum == REEL_XENT_SUM ? classes_from_mean(exact, rows, i, v) : v;
    return reel_pair_negative(reel_pair_mul(exact, factor, from));
}

#define CLASSES_WRITE(expression)                                                                    \
    for (XENT_EACH_LANE(at, i, groups))                                                              \
        reel_store(tiles->term.hi + at, reel_pair_value(exact, expression))

REEL_INLINE void classes_tile(bool exact, const reel_xent_job *job, const xent_rows *rows, int groups,
                              xent_tiles *tiles)
{
    if (xent_wants(job, REEL_XENT_GRADIENT))
        CLASSES_WRITE(classes_gradient(exact, rows, i, tiles, at));
    else if (xent_wants(job, REEL_XENT_SECOND))
        CLASSES_WRITE(classes_second(exact, rows, i, tiles, at));
    else if (xent_wants(job, REEL_XENT_LABEL_GRADIENT))
        CLASSES_WRITE(classes_label_gradient(exact, job, rows, i, tiles, at,
                                             classes_label_factor(exact, job, rows, i, tiles, at)));
    else
        CLASSES_WRITE(classes_mixed(exact, job, rows, i, tiles, at,
                                    classes_label_factor(exact, job, rows, i, tiles, at)));
}

REEL_INLINE void classes_row(bool exact, const reel_xent_job *job, const reel_xent_panel *panel, int row,
                             const xent_rows *rows, xent_tiles *tiles)
{
    reel_xent_place place = reel_xent_first(job, row);
    bool filled = job->across && place.classes == job->classes;
    do {
        if (!filled)
            reel_xent_fill_tiles(job, panel, rows, place, tiles);
        classes_tile(exact, job, rows, place.groups, tiles);
        reel_xent_store(job, panel, place, tiles->term.hi);
    } while (reel_xent_next(job, &place));
}

void reel_xent_write_classes(const reel_xent_job *job, const reel_xent_panel *panel, const xent_rows *rows,
                             xent_tiles *tiles)
{
    xent_rows alone;
    for (int row = 0; row < (job->across ? 1 : panel->rows); row++) {
        if (!job->across)
            reel_xent_row_alone(rows, row, &alone);
        if (job->exact)
            classes_row(true, job, panel, row, job->across ? rows : &alone, tiles);
        else
            classes_row(false, job, panel, row, job->across ? rows : &alone, tiles);
    }
}
