/* A run of a softmax cross-entropy op: where each row's numbers lie, and what the rows have in common. */
#ifndef REEL_OPS_CROSS_ENTROPY_RUN_H
#define REEL_OPS_CROSS_ENTROPY_RUN_H

#include "ops/cross_entropy.h"

/* What is read or written row by row: the kernel's operands, and these. */
enum {
    REEL_XENT_INTEGERS = REEL_XENT_OPERANDS, REEL_XENT_UPSTREAM, REEL_XENT_ROW_WEIGHTS, REEL_XENT_ARRAYS
};

typedef void (*reel_xent_kernel)(const reel_xent_job *job, reel_xent_panel panel[]);
typedef void (*reel_xent_adder)(const reel_xent_panel *panel, reel_xent_total *total);

enum { REEL_XENT_PANELS = 2 };                      /* at once, at most                            */

typedef struct reel_xent_run {
    reel_xent_kernel          kernel;               /* for the tape's CPU                          */
    reel_xent_adder           add;                  /* ..., for a reduction                        */
    const reel_cross_entropy *attributes;
    const reel_array         *array[REEL_XENT_ARRAYS];  /* NULL: not there                         */
    int                       operands, operand[REEL_XENT_OPERANDS];    /* those that are there    */
    const reel_array         *by_row;               /* the output with one number a row, or NULL   */
    reel_array                joined[2];            /* results of calls that are computed along    */
    reel_xent_job             job;
    int64_t                   rows, block_rows;
    int                       panels, panel_rows;   /* at once, and the rows of each               */
    int                       rank;                 /* of the rows                                 */
    int64_t                   size[REEL_MAX_RANK], stride[REEL_XENT_ARRAYS][REEL_MAX_RANK];
    double                    mean[2];              /* W as a sum of two; 1 where it is no mean    */
    bool                      all_count;            /* as far as labels decide                     */
    bool                      uniform;              /* all rows have the same upstream, and no weight */
    reel_xent_panel           start;                /* what panels have in common: how far rows lie apart, if rank is 1;
                                                       where all are uniform, all but the first rows */
    double                   *partial;              /* of a reduction: two a block                 */
} reel_xent_run;

void reel_xent_prepare(reel_xent_run *run, const reel_call *call, const reel_xent_shape *shape);

/* The first element of a row in an array. */
static inline int64_t reel_xent_element(const reel_xent_run *run, int which, int64_t row)
{
    int64_t element = 0;
    for (int i = run->rank - 1; i > 0; i--) {
        element += row % run->size[i] * run->stride[which][i];
        row /= run->size[i];
    }
    return run->rank ? element + row * run->stride[which][0] : 0;
}

/* A row's number in an array of one number a row; 1 where there is none. */
double reel_xent_row_number(const reel_xent_run *run, int which, int64_t row);

/* A row's integer label. */
reel_xent_label reel_xent_row_label(const reel_xent_run *run, int64_t row);

/* Adds to a sum of two numbers, the second of which collects the rounding errors of the first (Knuth's
 * two-sum) while that is finite. */
void reel_xent_add(double sum[2], double x);

#endif
