/* Rows of f32, computed in sixteen lanes of f32: what most training programs have, and the fastest way. Rows of halves come
 * the same way, widened to f32, and have their results rounded to halves.
 * cross_entropy_rows.h has the formulas. Exponentials are rounded to f32, as e of exp_f32.h, so that of the largest logit's
 * exponential e_m p = e / (e_m D). They come in a power of two as the unit, which goes with the row's first logit, since its
 * largest shows only when all have been read. Where the first is not ordinary or the largest turns out to lie too far above
 * it, the unit goes with the largest, and they are found once more. (What a row comes to does not hang on its unit.) Sums
 * over the classes are in f64, and so is what becomes of a row's sums (cross_entropy_f32_finish.c). There
 * x = sum e / e_m - 1, unless it is so small that this would lose digits: of such a confident row the others are summed by
 * themselves.
 *
 * The numbers lie in groups of sixteen, one a lane:
 *
 *     across    group k holds class k of sixteen rows              cross_entropy_f32_across.c, few classes
 *     along     group k holds classes 16 k ... 16 k + 15 of a row  cross_entropy_f32_along.c
 *
 * and the same loops (cross_entropy_f32_loops.c) go over both. Along, lane l sums the classes that leave the rest l when
 * divided by sixteen, and the lanes are added as a tree: a row's bits depend on that row alone.
 *
 * Not every row is suited (f32_suits() in cross_entropy_f32_finish.c). Others go the way of cross_entropy_sums.c, in f64.
 */
#ifndef REEL_OPS_KERNELS_CROSS_ENTROPY_F32_H
#define REEL_OPS_KERNELS_CROSS_ENTROPY_F32_H

#include "ops/kernels/cross_entropy_state.h"
#include "ops/kernels/exp_f32.h"

#define reel_xent_f32_across          REEL_AT_LEVEL(reel_xent_f32_across)
#define reel_xent_f32_along           REEL_AT_LEVEL(reel_xent_f32_along)
#define reel_xent_f32_find_largest    REEL_AT_LEVEL(reel_xent_f32_find_largest)
#define reel_xent_f32_finish          REEL_AT_LEVEL(reel_xent_f32_finish)
#define reel_xent_f32_lanes           REEL_AT_LEVEL(reel_xent_f32_lanes)
#define reel_xent_f32_row_alone       REEL_AT_LEVEL(reel_xent_f32_row_alone)
#define reel_xent_f32_at_labels       REEL_AT_LEVEL(reel_xent_f32_at_labels)
#define reel_xent_f32_look_up         REEL_AT_LEVEL(reel_xent_f32_look_up)
#define reel_xent_f32_put_labels      REEL_AT_LEVEL(reel_xent_f32_put_labels)
#define reel_xent_f32_no_sums         REEL_AT_LEVEL(reel_xent_f32_no_sums)
#define reel_xent_f32_write           REEL_AT_LEVEL(reel_xent_f32_write)
#define reel_xent_f32_add_classes     REEL_AT_LEVEL(reel_xent_f32_add_classes)
#define reel_xent_f32_largest         REEL_AT_LEVEL(reel_xent_f32_largest)
#define reel_xent_f32_exponentials    REEL_AT_LEVEL(reel_xent_f32_exponentials)
#define reel_xent_f32_add_exponentials REEL_AT_LEVEL(reel_xent_f32_add_exponentials)
#define reel_xent_f32_add_others      REEL_AT_LEVEL(reel_xent_f32_add_others)
#define reel_xent_f32_add_labels      REEL_AT_LEVEL(reel_xent_f32_add_labels)
#define reel_xent_f32_bring_down      REEL_AT_LEVEL(reel_xent_f32_bring_down)
#define reel_xent_f32_gradient        REEL_AT_LEVEL(reel_xent_f32_gradient)
#define reel_xent_f32_label_gradient  REEL_AT_LEVEL(reel_xent_f32_label_gradient)
#define reel_xent_f32_second          REEL_AT_LEVEL(reel_xent_f32_second)
#define reel_xent_f32_quantity        REEL_AT_LEVEL(reel_xent_f32_quantity)

/* Sums over the classes, of sixteen rows or in sixteen lanes: of[XENT_F32_ALL], ... */
enum {
    XENT_F32_ALL,                                   /* e, in units                                 */
    XENT_F32_OTHERS,                                /* e below that of the largest, of confident rows */
    XENT_F32_LABELS,                                /* y                                           */
    XENT_F32_LABELS_Z,                              /* y z                                         */
    XENT_F32_ALL_V,                                 /* e v, in units                               */
    XENT_F32_SUMS
};

typedef struct xent_f32_sums {
    double of[XENT_F32_SUMS][REEL_LANES_F32];
} xent_f32_sums;

/* What the loops need of the row of each lane. All members are floats: see reel_xent_f32_row_alone(). */
typedef struct xent_f32_rows {
    float max[REEL_LANES_F32], reference[REEL_LANES_F32];
    float down[REEL_LANES_F32];                     /* what exponentials are first to be multiplied by: a power of two,
                                                       1 but where parts of the slope would not be normal numbers */
    float upstream[2][REEL_LANES_F32];
    float slope[2][REEL_LANES_F32];                 /* u S / (e_m D), one over the exponentials' unit then */
    float largest[REEL_LANES_F32];                  /* e_m of a confident row (x < 1), else -1     */
    float top[2][REEL_LANES_F32], fall[REEL_LANES_F32]; /* whose u S p at the largest is the sum of the three */
    float log[2][REEL_LANES_F32];                   /* log1p(x)                                    */
    float mean[2][REEL_LANES_F32];                  /* sum p v                                     */
} xent_f32_rows;

/* The largest logit of each row; the one with which the exponentials' unit goes; the largest's exponential as it is summed,
 * and what rounding took from that. */
typedef struct xent_f32_largest {
    float max[REEL_LANES_F32], reference[REEL_LANES_F32], e[REEL_LANES_F32], e_rest[REEL_LANES_F32];
} xent_f32_largest;

/* What the sums come to, in f64, of eight rows or of sixteen: cross_entropy_state.h has the formulas. */
typedef struct xent_f32_numbers {
    double largest[REEL_LANES_F32];                 /* e_m                                         */
    double per_largest[REEL_LANES_F32];             /* 1 / e_m, before that was rounded to f32     */
    double x[REEL_LANES_F32], log[REEL_LANES_F32];  /* log1p(x)                                    */
    double upstream[REEL_LANES_F32], total[REEL_LANES_F32], slope[REEL_LANES_F32];  /* u, u S, u S / D */
    double mean[REEL_LANES_F32];                    /* sum p v                                     */
} xent_f32_numbers;

/* Where the groups lie. NULL: not there, or not wanted. */
typedef struct xent_f32_groups {
    int          count;                             /* numbers: no less than sixteen; the last group may not be full */
    const float *z, *y, *v;
    float       *e;                                 /* exponentials: from the sums for the results,
                                                       perhaps where those will be (`out`)         */
    float       *out, *label_out;                   /* the gradient into the logits, or `second`; into the labels */
    int64_t      ahead_z, ahead_out;                /* so far behind z and the results lies what comes next: to be fetched */
    bool         is_long;                           /* the row: y, v and e are to be fetched, too   */
} xent_f32_groups;

/* ---- cross_entropy_f32_loops.c: over groups ------------------------------------------------------------ */

/* Where there are larger logits than max, lane by lane, it becomes those. With exponentials, it must be no less than the
 * reference before. */
void reel_xent_f32_largest(const float *z, int count, float max[REEL_LANES_F32]);
void reel_xent_f32_exponentials(const xent_f32_groups *at, const float reference[REEL_LANES_F32],
                                float max[REEL_LANES_F32]);

/* Sums are added to. */
void reel_xent_f32_add_exponentials(const xent_f32_groups *at, xent_f32_sums *sums);       /* e, and e v  */
void reel_xent_f32_add_others(const xent_f32_groups *at, const float largest[REEL_LANES_F32], xent_f32_sums *sums);
void reel_xent_f32_add_labels(const xent_f32_groups *at, bool with_z, xent_f32_sums *sums);/* y, and y z  */

/* Exponentials times rows->down. */
void reel_xent_f32_bring_down(const xent_f32_groups *at, const xent_f32_rows *rows);

/* Results, of whole groups. */
void reel_xent_f32_gradient(const xent_f32_groups *at, const xent_f32_rows *rows);         /* u (S p - y), or u S p */
void reel_xent_f32_label_gradient(const xent_f32_groups *at, const xent_f32_rows *rows);   /* u (-log p)   */
void reel_xent_f32_second(const xent_f32_groups *at, const xent_f32_rows *rows);           /* u S p (v - sum p v) */

/* Across, of rows with an integer label each: the logit and the exponential there, or 0 where the label is no class; and
 * the results there. (To read and to write them one by one would take a CPU longer: it waits for what it has written in
 * other parts than it reads.) */
void reel_xent_f32_look_up(const xent_f32_groups *at, const int32_t label[REEL_LANES_F32], float z[REEL_LANES_F32],
                           float e[REEL_LANES_F32]);
void reel_xent_f32_put_labels(const xent_f32_groups *at, const int32_t label[REEL_LANES_F32],
                              const float result[REEL_LANES_F32]);

/* ---- cross_entropy_f32.c ------------------------------------------------------------------------------- */

/* Sums of nothing, of the first kinds; then what the job sums over the classes, with their exponentials and the largest
 * logits, and what it writes. */
void reel_xent_f32_no_sums(int kinds, xent_f32_sums *sums);
void reel_xent_f32_add_classes(const reel_xent_job *job, const xent_f32_groups *at, const float reference[REEL_LANES_F32],
                               float max[REEL_LANES_F32], xent_f32_sums *sums);
void reel_xent_f32_write(const reel_xent_job *job, const xent_f32_groups *at, const xent_f32_rows *rows);

/* ---- cross_entropy_f32_finish.c: from sums to what each row needs ---------------------------------------- */

/* Of a panel: the rows of which a quantity (the loss, the gradient, the one into the labels, the second derivative) cannot
 * be had in f32, a bit each. */
enum { XENT_F32_QUANTITIES = 4 };
typedef struct xent_f32_unsuited {
    unsigned rows[XENT_F32_QUANTITIES];
} xent_f32_unsuited;

extern const unsigned reel_xent_f32_quantity[XENT_F32_QUANTITIES];

/* e and e_rest, of max. */
void reel_xent_f32_find_largest(xent_f32_largest *largest);

/* A row is confident, and XENT_F32_OTHERS wanted beside XENT_F32_ALL, if all exponentials are so little more than the
 * largest. XENT_F32_OTHERS is used where x < 2^-11. */
#define XENT_F32_CONFIDENT (1 + 0x1p-10)

/* From the sums of one panel's rows or of two panels', and their largest logits, to what each row needs and to the values.
 * Of one panel the lanes from eight on get the same numbers once more. */
void reel_xent_f32_finish(const reel_xent_job *job, const xent_f32_sums *sums, const xent_f32_largest *largest, int panels,
                          reel_xent_panel panel[], xent_f32_numbers *numbers, xent_f32_unsuited unsuited[]);

/* A lane for each row; and one of the rows in all lanes. */
void reel_xent_f32_lanes(const reel_xent_job *job, const xent_f32_largest *largest, const xent_f32_numbers *numbers,
                         xent_f32_rows *lanes);
void reel_xent_f32_row_alone(const xent_f32_rows *rows, int row, xent_f32_rows *alone);

/* u (p - 1), the gradient at the rows' integer labels, from the exponentials there. */
void reel_xent_f32_at_labels(const xent_f32_numbers *numbers, const float e[REEL_LANES_F32],
                             float gradient[REEL_LANES_F32]);

/* ---- Panels -------------------------------------------------------------------------------------------- */

/* Along: one panel. Across: two, of eight rows each. They set the values and write what the job asks for. */
void reel_xent_f32_along(const reel_xent_job *job, reel_xent_panel *panel, xent_f32_unsuited *unsuited);
void reel_xent_f32_across(const reel_xent_job *job, reel_xent_panel panel[2], xent_f32_unsuited unsuited[2]);

/* Whether a logit will do as the reference of a row with this largest one. */
static inline bool xent_f32_will_do(float reference, float largest)
{
    return fabsf(reference) < REEL_EXP_F32_ORDINARY && largest - reference <= REEL_EXP_F32_MOST;
}

/* ---- Operands ------------------------------------------------------------------------------------------ */

/* Which of the results the gradient into the labels is: the second, or the only one. */
static inline int xent_f32_label_out(const reel_xent_job *job)
{
    return job->array[REEL_XENT_LABEL_OUT].data ? REEL_XENT_LABEL_OUT : REEL_XENT_OUT;
}

/* What is written into a row that does not count, instead of its results. */
static inline float xent_f32_instead(enum reel_xent_fate fate)
{
    return fate == REEL_XENT_SPOILT ? NAN : 0;
}

#endif
