/* Rows of f64 straight from memory: those whose classes lie side by side, unweighted, not smoothed and finite. They give
 * the same bits as the way through tiles (cross_entropy_sums.c) does: one pass for the largest logit, one for the sums and
 * one for the results, with every number in a register from its load to its sum.
 *
 *     cross_entropy_f64_along.c     a row's classes lie in the lanes, eight at a time
 *     cross_entropy_f64_across.c    eight rows of a few classes are turned, so that each row has a lane
 */
#ifndef REEL_OPS_KERNELS_CROSS_ENTROPY_F64_H
#define REEL_OPS_KERNELS_CROSS_ENTROPY_F64_H

#include "ops/kernels/cross_entropy_formulas.h"

/* Both are false, with nothing written, where a row is not finite. */
bool reel_xent_f64_along(const reel_xent_job *job, reel_xent_panel *panel);
bool reel_xent_f64_across(const reel_xent_job *job, reel_xent_panel *panel);

/* Where the classes of a row, or of eight turned rows, lie. NULL: not there. */
typedef struct direct_source {
    const double *z, *y, *v;
    bool        labels;                             /* are wanted                                  */
} direct_source;

/* The exponentials of a panel, kept from the sums for the results. */
typedef struct direct_kept {
    double hi[REEL_XENT_KEPT], lo[REEL_XENT_KEPT];
} direct_kept;

#define DIRECT_UNROLL _Pragma("GCC unroll 8")        /* so that arrays are registers                */

/* ---- A vector of classes ----------------------------------------------------------------------- */

/* All but e. Without a labels array y is 1 where the number of the class is the row's label. */
REEL_INLINE xent_class direct_class(const direct_source *from, int64_t at, reel_vector max, reel_vector number,
                                    reel_vector label)
{
    const reel_vector zero = {0}, one = reel_vector_of(1);
    xent_class c = {.d = reel_pair_sum(true, reel_load(from->z + at), -max), .weight = one};
    c.tie = reel_lanes_equal(c.d.hi, zero);
    if (from->labels)
        c.y = reel_pair_of(from->y ? reel_load(from->y + at) : reel_choose(reel_lanes_equal(number, label), one, zero));
    if (from->v)
        c.v = reel_load(from->v + at);
    return c;
}

REEL_INLINE void direct_add(const reel_xent_job *job, const xent_class *c, reel_pair sum[XENT_SUMS])
{
    DIRECT_UNROLL
    for (int kind = 0; kind < XENT_SUMS; kind++)
        if (xent_wants_sum(job, kind))
            sum[kind] = xent_add_class(true, true, kind, c, NAN, sum[kind]);
}

REEL_INLINE void direct_put_sums(const reel_xent_job *job, const reel_pair sum[XENT_SUMS], int i, xent_sums *to)
{
    DIRECT_UNROLL
    for (int kind = 0; kind < XENT_SUMS; kind++)
        if (xent_wants_sum(job, kind))
            XENT_PUT(true, &to->of[kind], i, sum[kind]);
}

/* As trees, of `lanes` partial sums for each of eight rows; into the first of them. */
REEL_INLINE void direct_join(const reel_xent_job *job, int lanes, xent_sums partial[REEL_LANES])
{
    for (int step = REEL_LANES / 2; step > 0; step /= 2)
        for (int lane = 0; lane < step && lane + step < lanes; lane++)
            for (int kind = 0; kind < XENT_SUMS; kind++)
                for (REEL_EACH_VECTOR(i)) {
                    xent_pairs *to = &partial[lane].of[kind], *from = &partial[lane + step].of[kind];
                    if (!xent_wants_sum(job, kind))
                        break;
                    reel_pair added = XENT_AT(true, from, i);
                    XENT_PUT(true, to, i, reel_pair_add(true, XENT_AT(true, to, i), added));
                }
}

/* Whether all sums of the rows are finite, and far from overflow: so was all that went into them. */
static inline bool direct_is_ordinary(const reel_xent_job *job, const xent_sums *sums, const xent_rows *rows)
{
    const reel_vector huge = reel_vector_of(0x1p900);
    reel_mask ordinary = ~(reel_mask){0};
    for (REEL_EACH_VECTOR(i)) {
        ordinary &= reel_magnitude(reel_load(rows->max + i)) < huge;
        for (int kind = 0; kind < XENT_SUMS; kind++)
            if (xent_wants_sum(job, kind)) {
                reel_pair sum = XENT_AT(true, &sums->of[kind], i);
                ordinary &= reel_magnitude(sum.hi + sum.lo) < huge;
            }
    }
    bool all = true;
    for (int lane = 0; lane < REEL_WIDTH; lane++)
        all = all && ordinary[lane];
    return all;
}

static inline void direct_set_largest(xent_rows *rows, int row, double max)
{
    rows->max[row] = max;
    rows->shrink[row] = rows->grow[row] = 1;
}

static inline double *direct_start(const reel_xent_job *job, const reel_xent_panel *panel,
                                   enum reel_xent_operand which, int row, int64_t first)
{
    double *data = job->array[which].data;
    return data ? data + panel->row[which][row] + first : NULL;
}

#endif
