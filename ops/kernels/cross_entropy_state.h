/* What the parts of the kernel share: cross_entropy_sums.c, which adds up the classes,
 * cross_entropy_finish.c, which makes of the sums what each row needs, and cross_entropy_classes.c, which
 * writes the results that come one a class.
 *
 * With D = 1 + x and x = sum of e^(z - m) over all classes but one of the largest logits:
 *
 *     log sum e^(z - m) = log1p(x)        p_c = e^(z_c - m) / D        1 - p_m = x / D
 *
 * so that a confident row keeps all digits of its small loss and of S p_m - y_m = (S - y_m) - S x / D. In the
 * same way sum p v is taken as a difference from v's value v* at the largest logits:
 *
 *     sum p v = v* + (sum of e^(z - m) (v - v*)) / D
 *
 * All of it is in f64, over the classes plain for the smaller dtypes. For f64 it is in pairs of doubles: the rounding error
 * of z - m is kept and comes in as a factor of the exponential, and sums, products and quotients carry their
 * errors along. There the exponentials come in units of 2^-64, and rows whose logits nearly overflow are
 * shrunk, so that nothing on the way overflows or is lost that the result could show.
 */
#ifndef REEL_OPS_KERNELS_CROSS_ENTROPY_STATE_H
#define REEL_OPS_KERNELS_CROSS_ENTROPY_STATE_H

#include "ops/kernels/cross_entropy_tile.h"
#include "ops/kernels/exp_log.h"

#include <math.h>

/* ---- Rows -------------------------------------------------------------------------------------- */

/* Eight numbers, one a row or a lane, each the sum of two. */
typedef struct xent_pairs {
    double hi[REEL_LANES], lo[REEL_LANES];
} xent_pairs;

/* What the classes of eight rows have told. All members are doubles, one a row: see reel_xent_row_alone(). */
typedef struct xent_rows {
    double     max[REEL_LANES];
    double     shrink[REEL_LANES];                  /* a power of two: 1, but for huge logits      */
    double     grow[REEL_LANES];                    /* 1 / shrink                                  */
    xent_pairs upstream;
    xent_pairs others;                              /* x, in units                                 */
    xent_pairs log;                                 /* log1p(x)                                    */
    xent_pairs total;                               /* u S                                         */
    double     top[REEL_LANES];                     /* z - m of the largest: 0, or NaN where u S is not
                                                       finite and nothing may be subtracted from it */
    xent_pairs slope;                               /* u S / D, times unit / post                  */
    double     post[REEL_LANES];
    xent_pairs middle;                              /* v*                                          */
    xent_pairs mean;                                /* sum p v - v*                                */
} xent_rows;

/* Sums over the classes, of eight rows or in eight lanes. Where z = m, e^(z - m) counts as a tie and not
 * among the others. */
enum {
    XENT_TIES,                                      /* 1 where z = m                               */
    XENT_OTHERS,                                    /* e^(z - m), in units                         */
    XENT_LABELS,                                    /* y'                                          */
    XENT_DISTANCE,                                  /* y' (z - m), shrunk                          */
    XENT_OTHERS_V,                                  /* e^(z - m) v; from here on, of a direction    */
    XENT_TIES_V,                                    /* v where z = m                               */
    XENT_LABELS_V,                                  /* y' v                                        */
    XENT_SUMS
};

typedef struct xent_sums {
    xent_pairs of[XENT_SUMS];
} xent_sums;

/* The lanes of one row's sums become the partial sums of that row. What fills up the last group looked like ties, which are
 * taken off again. */
void reel_xent_spread(const reel_xent_job *job, xent_sums *lanes, xent_sums partial[REEL_LANES], int row);

/* So many partial sums of each row into the first of them, as a tree. */
void reel_xent_join(int lanes, xent_sums partial[REEL_LANES]);

/* From the sums to what each row needs, and to the results of one number a row. */
void reel_xent_finish_rows(const reel_xent_job *job, const xent_sums *sums, reel_xent_panel *panel,
                           xent_rows *rows);

/* One row's numbers in all eight lanes. */
void reel_xent_row_alone(const xent_rows *rows, int row, xent_rows *alone);

/* ---- Classes ----------------------------------------------------------------------------------- */

typedef struct xent_tile {
    double hi[REEL_XENT_TILE], lo[REEL_XENT_TILE];
} xent_tile;

/* A tile's worth of everything. */
typedef struct xent_tiles {
    double    z[REEL_XENT_TILE], v[REEL_XENT_TILE], weight[REEL_XENT_TILE];
    xent_tile e;                                    /* e^(z - m), in units                         */
    xent_tile y;                                    /* the labels as used                          */
    xent_tile term;                                 /* what is summed or written                   */
} xent_tiles;

/* Reads what the quantities need of one place, and fills in e and y. */
void reel_xent_fill_tiles(const reel_xent_job *job, const reel_xent_panel *panel, const xent_rows *rows,
                          reel_xent_place place, xent_tiles *tiles);

/* The two halves. The tiles of a panel that fits in them serve the second half as the first left them. */
void reel_xent_sum_rows(const reel_xent_job *job, reel_xent_panel *panel, xent_rows *rows, xent_tiles *tiles);
void reel_xent_write_classes(const reel_xent_job *job, const reel_xent_panel *panel, const xent_rows *rows,
                             xent_tiles *tiles);

static inline bool xent_wants(const reel_xent_job *job, unsigned quantities)
{
    return (job->quantity & quantities) != 0;
}

static inline bool xent_is_exact(const reel_xent_job *job)
{
    return XENT_ONE_WAY || job->exact;
}

static inline bool xent_wants_labels(const reel_xent_job *job)
{
    return xent_wants(job, REEL_XENT_LOSS | REEL_XENT_GRADIENT | REEL_XENT_DIRECTIONAL) ||
           (xent_wants(job, REEL_XENT_SECOND) && job->sum == REEL_XENT_SUM);
}

static inline bool xent_wants_direction(const reel_xent_job *job)
{
    return xent_wants(job, REEL_XENT_DIRECTIONAL | REEL_XENT_SECOND | REEL_XENT_MIXED);
}

/* ---- Lanes ------------------------------------------------------------------------------------- */

/* for (XENT_EACH_LANE(at, i, groups)): `at` walks over a tile, `i` over the eight rows or lanes. */
#define XENT_EACH_LANE(at, i, groups)                                                                \
    int at = 0, i = 0; at < (groups) * REEL_LANES; at += REEL_WIDTH, i = at % REEL_LANES

REEL_INLINE reel_pair xent_at(bool exact, const double *hi, const double *lo, int i)
{
    return (reel_pair){reel_load(hi + i), exact ? reel_load(lo + i) : (reel_vector){0}};
}

REEL_INLINE void xent_put(bool exact, double *hi, double *lo, int i, reel_pair value)
{
    reel_store(hi + i, value.hi);
    if (exact)
        reel_store(lo + i, value.lo);
}

#define XENT_AT(exact, pairs, i)         xent_at(exact, (pairs)->hi, (pairs)->lo, i)
#define XENT_PUT(exact, pairs, i, value) xent_put(exact, (pairs)->hi, (pairs)->lo, i, value)

/* z - m, shrunk. An infinite difference has no rounding error. */
REEL_INLINE reel_pair xent_distance(bool exact, const xent_rows *rows, int i, reel_vector z)
{
    reel_vector max = reel_load(rows->max + i);
    if (!exact)
        return reel_pair_of(z - max);
    reel_vector shrink = reel_load(rows->shrink + i);
    reel_pair d = reel_pair_sum(exact, z * shrink, -max * shrink);
    d.lo = reel_select(reel_magnitude(d.hi) < INFINITY, d.lo, (reel_vector){0});
    return d;
}

#endif
