/* What is summed over the classes and what is written for each of them, from what is known of a class.
 * cross_entropy_rows.h has the formulas. */
#ifndef REEL_OPS_KERNELS_CROSS_ENTROPY_FORMULAS_H
#define REEL_OPS_KERNELS_CROSS_ENTROPY_FORMULAS_H

#include "ops/kernels/cross_entropy_state.h"

/* A vector of classes. */
typedef struct xent_class {
    reel_pair   d;                                  /* z - m, shrunk                               */
    reel_condition tie;                               /* z = m                                       */
    reel_pair   e;                                  /* e^(z - m), in units                         */
    reel_pair   y;                                  /* the label as used                           */
    reel_vector v, weight;
} xent_class;

/* ... of a tile */
REEL_INLINE xent_class xent_class_in(bool exact, const xent_rows *rows, int i, const xent_tiles *tiles, int at)
{
    reel_pair d = xent_distance(exact, rows, i, reel_load(tiles->z + at));
    return (xent_class){.d = d, .tie = reel_lanes_equal(d.hi, (reel_vector){0}), .e = XENT_AT(exact, &tiles->e, at),
                        .y = XENT_AT(exact, &tiles->y, at), .v = reel_load(tiles->v + at),
                        .weight = reel_load(tiles->weight + at)};
}

/* ---- Sums -------------------------------------------------------------------------------------- */

REEL_INLINE bool xent_wants_sum(const reel_xent_job *job, int kind)
{
    return kind <= XENT_OTHERS || (kind == XENT_LABELS && xent_wants_labels(job)) ||
           (kind == XENT_DISTANCE && xent_wants(job, REEL_XENT_LOSS)) ||
           ((kind == XENT_OTHERS_V || kind == XENT_TIES_V) && xent_wants_direction(job)) ||
           (kind == XENT_LABELS_V && xent_wants(job, REEL_XENT_DIRECTIONAL));
}

/* The sum with this class in it. Ties are counted without corrections. Where all is finite, what is 0 need not be
 * kept from meeting an infinity. */
REEL_INLINE reel_pair xent_add_class(bool exact, bool finite, int kind, const xent_class *c, double forgiven,
                                     reel_pair sum)
{
    const reel_pair zero = {{0}, {0}}, one = reel_pair_of(reel_vector_of(1)), v = reel_pair_of(c->v);
    const reel_vector unit = reel_vector_of(REEL_EXP_UNIT(exact));
    switch (kind) {
    case XENT_TIES:
        return reel_pair_add(false, sum, reel_pair_choose(c->tie, one, zero));
    case XENT_OTHERS:
        return reel_pair_add(exact, sum, reel_pair_choose(c->tie, zero, c->e));
    case XENT_LABELS:
        return reel_pair_add(exact, sum, c->y);
    case XENT_DISTANCE: {
        reel_pair more = reel_pair_multiply_add(exact, c->y, c->d, sum);
        if (finite)
            return more;
        reel_condition nothing = c->tie | reel_lanes_equal(c->y.hi, reel_vector_of(forgiven));
        return reel_pair_choose(nothing, sum, more);
    }
    case XENT_OTHERS_V: {
        reel_pair e = reel_pair_choose(c->tie, zero, reel_pair_scale(c->e, unit));
        reel_pair more = reel_pair_multiply_add(exact, e, v, sum);
        return finite ? more : reel_pair_choose(c->tie, sum, more);
    }
    case XENT_TIES_V:
        return reel_pair_add(exact, sum, reel_pair_choose(c->tie, v, zero));
    default:
        return reel_pair_multiply_add(exact, c->y, v, sum);
    }
}

/* ---- Results ----------------------------------------------------------------------------------- */

/* Times the power of two that the slope was given without. */
REEL_INLINE reel_pair xent_to_scale(bool exact, const xent_rows *rows, int i, reel_pair x)
{
    return exact ? reel_pair_scale(x, reel_load(rows->post + i)) : x;
}

/* u (S p - y'). At a tie S p is S - S x / D, from whose first half y' is subtracted without a rounding error
 * that a confident row could notice. */
REEL_INLINE reel_pair xent_gradient(bool exact, const xent_rows *rows, int i, const xent_class *c)
{
    reel_condition tie = reel_lanes_equal(c->d.hi, reel_load(rows->top + i));
    reel_pair others = reel_pair_negative(XENT_AT(exact, &rows->others, i)), slope = XENT_AT(exact, &rows->slope, i);
    reel_pair start = reel_pair_choose(tie, XENT_AT(exact, &rows->total, i), (reel_pair){{0}, {0}});
    reel_pair e = reel_pair_choose(tie, others, c->e);
    reel_pair minus_u = reel_pair_negative(XENT_AT(exact, &rows->upstream, i));
    reel_pair rest = reel_pair_multiply_add(exact, c->y, minus_u, start);
    return exact ? reel_pair_add(true, rest, xent_to_scale(true, rows, i, reel_pair_mul(true, e, slope)))
                 : reel_pair_multiply_add(false, e, slope, rest);
}

/* v - sum p v */
REEL_INLINE reel_pair xent_from_mean(bool exact, const xent_rows *rows, int i, reel_vector v)
{
    reel_pair from_middle = reel_pair_sub(exact, reel_pair_of(v), XENT_AT(exact, &rows->middle, i));
    return reel_pair_sub(exact, from_middle, XENT_AT(exact, &rows->mean, i));
}

/* u S p (v - sum p v) */
REEL_INLINE reel_pair xent_second(bool exact, const xent_rows *rows, int i, const xent_class *c)
{
    reel_pair rise = reel_pair_mul(exact, c->e, XENT_AT(exact, &rows->slope, i));
    reel_pair product = reel_pair_mul(exact, rise, xent_from_mean(exact, rows, i, c->v));
    return xent_to_scale(exact, rows, i, product);
}

/* u w scale */
REEL_INLINE reel_pair xent_label_factor(bool exact, const reel_xent_job *job, const xent_rows *rows, int i,
                                        const xent_class *c)
{
    reel_pair u = XENT_AT(exact, &rows->upstream, i);
    if (job->labels_as_given)
        return u;
    reel_pair scale = {reel_vector_of(job->scale[0]), reel_vector_of(job->scale[1])};
    return reel_pair_mul(exact, u, reel_pair_mul(exact, scale, reel_pair_of(c->weight)));
}

/* u w scale (-log p), where 0 times infinity may be 0 */
REEL_INLINE reel_pair xent_label_gradient(bool exact, const reel_xent_job *job, const xent_rows *rows, int i,
                                          const xent_class *c)
{
    reel_pair factor = xent_label_factor(exact, job, rows, i, c);
    reel_pair log = reel_pair_scale(XENT_AT(exact, &rows->log, i), reel_load(rows->shrink + i));
    reel_pair minus_log_p = reel_pair_sub(exact, log, c->d);
    reel_pair product = reel_pair_mul(exact, factor, minus_log_p);
    reel_mask nothing = (factor.hi == job->forgiven) & (minus_log_p.hi == INFINITY);
    product = reel_pair_scale(product, reel_load(rows->grow + i));
    return reel_pair_select(nothing, (reel_pair){{0}, {0}}, product);
}

/* u w scale (sum p v - v), or -u w scale v where S is no function of the labels */
REEL_INLINE reel_pair xent_mixed(bool exact, const reel_xent_job *job, const xent_rows *rows, int i,
                                 const xent_class *c)
{
    reel_pair factor = xent_label_factor(exact, job, rows, i, c), v = reel_pair_of(c->v);
    reel_pair from = job->sum == REEL_XENT_SUM ? xent_from_mean(exact, rows, i, c->v) : v;
    return reel_pair_negative(reel_pair_mul(exact, factor, from));
}

REEL_INLINE reel_vector xent_result(bool exact, const reel_xent_job *job, const xent_rows *rows, int i,
                                    const xent_class *c)
{
    return reel_pair_value(exact, xent_wants(job, REEL_XENT_GRADIENT) ? xent_gradient(exact, rows, i, c)
                                  : xent_wants(job, REEL_XENT_SECOND) ? xent_second(exact, rows, i, c)
                                  : xent_wants(job, REEL_XENT_LABEL_GRADIENT)
                                      ? xent_label_gradient(exact, job, rows, i, c)
                                      : xent_mixed(exact, job, rows, i, c));
}

#endif
