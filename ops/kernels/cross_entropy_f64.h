/* Rows of f64 straight from memory: those whose classes lie side by side, unweighted, not smoothed and finite. They give
 * the same bits as the way through tiles (cross_entropy_sums.c) does: one pass for the largest logit, one for the sums and
 * one for the results, with every number in a register from its load to its sum.
 *
 *     cross_entropy_f64_along.c     a row's classes lie in the lanes, eight at a time
 *     cross_entropy_f64_across.c    eight rows of a few classes are turned, so that each row has a lane
 *     cross_entropy_f64.c           what both do with eight numbers
 */
#ifndef REEL_OPS_KERNELS_CROSS_ENTROPY_F64_H
#define REEL_OPS_KERNELS_CROSS_ENTROPY_F64_H

#include "ops/kernels/cross_entropy_formulas.h"

/* Both are false, with nothing written, where a row is not finite. */
bool reel_xent_f64_along(const reel_xent_job *job, reel_xent_panel *panel);
bool reel_xent_f64_across(const reel_xent_job *job, reel_xent_panel *panel);

/* Where the classes of a row, or of eight turned rows, lie. NULL: not there. */
typedef struct xent_f64_arrays {
    const double *z, *y, *v;
    double       *out;
} xent_f64_arrays;

/* Numbers in groups of eight: of one row, whose last group may be filled up in a place of its own, or of one class of eight
 * turned rows. Without labels y is 1 where a number's class is its label. */
typedef struct xent_f64_groups {
    int64_t         count, whole;                   /* groups; `whole` of them lie in the arrays   */
    xent_f64_arrays in, last;
    double          class[REEL_LANES], step;        /* of the first group; how far it is to the next one's */
    double          label[REEL_LANES], max[REEL_LANES];
    double         *e_hi, *e_lo;                    /* NULL: the exponentials of whole groups are not kept */
} xent_f64_groups;

/* The sums of the groups first, first + step ... */
void reel_xent_f64_sum(const reel_xent_job *job, const xent_f64_groups *at, int64_t first, int64_t step, xent_sums *sums);

/* From so many partial sums to what each row needs; false where they are not all finite, and far from overflow. */
bool reel_xent_f64_finish(const reel_xent_job *job, int lanes, xent_sums partial[REEL_LANES], reel_xent_panel *panel,
                          xent_rows *rows);

void reel_xent_f64_write(const reel_xent_job *job, const xent_f64_groups *at, const xent_rows *rows);

/* The first of a row's numbers, or NULL where there is no such operand. */
static inline double *xent_f64_row(const reel_xent_job *job, const reel_xent_panel *panel, enum reel_xent_operand which,
                                   int row)
{
    double *data = job->array[which].data;
    return data ? data + reel_xent_row_at(panel, which, row) : NULL;
}

static inline void xent_f64_set_largest(xent_rows *rows, int row, double max)
{
    rows->max[row] = max;
    rows->shrink[row] = rows->grow[row] = 1;
}

#define XENT_F64_UNROLL _Pragma("GCC unroll 8")      /* so that arrays are registers                */

#endif
