/* The rows of a softmax cross-entropy: every number of the family for eight rows at a time.
 *
 * For a row z of logits with labels y, an upstream gradient u and a direction v, with p = softmax(z):
 *
 *     used labels     y'_c = w_c (scale y_c + shift)      S = sum y', or 1, or 0: see reel_xent_sum
 *     loss            u (S log sum e^(z - m) + sum y' (m - z)),  m = max z
 *     gradient        u (S p - y')                        d loss / d z
 *     label gradient  u w scale (-log p)                  d loss / d y
 *     directional     u sum v (S p - y')                  v . d loss / d z
 *     second          u S p (v - sum p v)                 d directional / d z
 *     mixed           u w scale (sum p v - v)             d directional / d y;  -u w scale v where S is fixed
 *
 * The order of every sum is fixed by the classes alone: eight partial sums, of the classes that leave the same rest
 * when divided by eight, added as a tree. (In lanes of f32 there are sixteen, or for few classes one.) So a row's bits
 * depend on that row, and not on its neighbours, on where the numbers lie, on threads or on the CPU.
 */
#ifndef REEL_OPS_KERNELS_CROSS_ENTROPY_ROWS_H
#define REEL_OPS_KERNELS_CROSS_ENTROPY_ROWS_H

#include <reel.h>
#include "ops/kernels/levels.h"

#ifdef REEL_LEVEL
#define reel_xent_rows           REEL_AT_LEVEL(reel_xent_rows)
#define reel_xent_f32_rows       REEL_AT_LEVEL(reel_xent_f32_rows)
#define reel_xent_add_values     REEL_AT_LEVEL(reel_xent_add_values)
#define reel_xent_tiled_rows     REEL_AT_LEVEL(reel_xent_tiled_rows)
#define reel_xent_row_alone      REEL_AT_LEVEL(reel_xent_row_alone)
#define reel_xent_fill_tiles     REEL_AT_LEVEL(reel_xent_fill_tiles)
#define reel_xent_sum_rows       REEL_AT_LEVEL(reel_xent_sum_rows)
#define reel_xent_write_classes  REEL_AT_LEVEL(reel_xent_write_classes)
#define reel_xent_spread         REEL_AT_LEVEL(reel_xent_spread)
#define reel_xent_join           REEL_AT_LEVEL(reel_xent_join)
#define reel_xent_finish_rows    REEL_AT_LEVEL(reel_xent_finish_rows)
#define reel_xent_first          REEL_AT_LEVEL(reel_xent_first)
#define reel_xent_next           REEL_AT_LEVEL(reel_xent_next)
#define reel_xent_load           REEL_AT_LEVEL(reel_xent_load)
#define reel_xent_f64_along      REEL_AT_LEVEL(reel_xent_f64_along)
#define reel_xent_f64_across     REEL_AT_LEVEL(reel_xent_f64_across)
#define reel_xent_f64_sum        REEL_AT_LEVEL(reel_xent_f64_sum)
#define reel_xent_f64_finish     REEL_AT_LEVEL(reel_xent_f64_finish)
#define reel_xent_f64_write      REEL_AT_LEVEL(reel_xent_f64_write)
#define reel_xent_store          REEL_AT_LEVEL(reel_xent_store)
#define reel_xent_load_labels    REEL_AT_LEVEL(reel_xent_load_labels)
#endif

enum {
    REEL_XENT_ROWS = 8,                             /* in a panel, at most                         */
    REEL_XENT_KEPT = 2048,                          /* exponentials, from the sums for the results: f64 */
    REEL_XENT_KEPT_F32 = 8192,
    REEL_XENT_FEW = 64                              /* classes, at most, for which rows are turned */
};

/* What is wanted: the loss or the directional derivative, one number a row, or one of the others, one a
 * class; or the loss and the gradient together. */
enum reel_xent_quantity {
    REEL_XENT_LOSS           = 1 << 0,
    REEL_XENT_GRADIENT       = 1 << 1,
    REEL_XENT_LABEL_GRADIENT = 1 << 2,
    REEL_XENT_DIRECTIONAL    = 1 << 3,
    REEL_XENT_SECOND         = 1 << 4,
    REEL_XENT_MIXED          = 1 << 5,
    REEL_XENT_BY_ROW         = REEL_XENT_LOSS | REEL_XENT_DIRECTIONAL
};

/* What S stands for in the derivatives (not in the loss): the labels' sum, for gradients of the value
 * returned; 1, for softmax - labels as TensorFlow documents it; 0, for what is left of that when it is
 * differentiated by the labels. */
enum reel_xent_sum { REEL_XENT_SUM, REEL_XENT_ONE, REEL_XENT_ZERO };

enum reel_xent_operand {
    REEL_XENT_LOGITS, REEL_XENT_LABELS, REEL_XENT_DIRECTION, REEL_XENT_CLASS_WEIGHTS, REEL_XENT_OUT,
    REEL_XENT_LABEL_OUT,                            /* the gradient into the labels, beside another result */
    REEL_XENT_OPERANDS
};

/* What all rows of a call have in common. */
typedef struct reel_xent_job {
    unsigned           quantity;
    enum reel_xent_sum sum;
    bool               exact;                       /* the results are f64: compute beyond that    */
    bool               across;                      /* eight rows side by side, not one by one: the same
                                                       numbers, faster where classes are few or rows
                                                       lie closer to each other than classes       */
    bool               f32;                         /* reel_xent_f32_rows() is to do it            */
    bool               direct;                      /* all arrays with a class axis are f64, with the classes
                                                       side by side, and the labels are as given   */
    bool               joint;                       /* the loss comes along with its gradients: the upstream
                                                       gradient is no factor of it                 */
    int64_t            classes;
    double             forgiven;                    /* 0: a label of 0 takes an infinite -log p away;
                                                       NaN: it does not                            */
    bool               labels_as_given;             /* no weights, scale 1 and shift 0             */
    double             scale[2], shift[2];          /* each as a sum of two                        */
    struct {
        void      *data;                            /* NULL: not there                             */
        reel_dtype dtype;
        int64_t    step;                            /* from class to class, in elements            */
    } array[REEL_XENT_OPERANDS];
} reel_xent_job;

/* How many rows a panel should have: along, as many as fit, with what is kept of them, into a corner of the cache. */
static inline int reel_xent_panel_rows(const reel_xent_job *job)
{
    bool apart = job->f32 && job->array[REEL_XENT_LOGITS].step != 1;
    int64_t kept = job->f32 ? (job->classes + 15) & ~15 : job->classes;
    int64_t room = job->f32 ? REEL_XENT_KEPT_F32 : REEL_XENT_KEPT;
    int64_t fitting = job->across || apart || kept == 0 ? REEL_XENT_ROWS : room / kept;
    return fitting < 1 ? 1 : fitting < REEL_XENT_ROWS ? (int)fitting : REEL_XENT_ROWS;
}

enum reel_xent_fate { REEL_XENT_COUNTS, REEL_XENT_OUT_OF_IT, REEL_XENT_SPOILT };   /* ... is 0, is NaN */

/* Up to eight rows. Where there are fewer, the others repeat the first. */
typedef struct reel_xent_panel {
    int                 rows;
    bool                whole;                      /* eight rows, all of which count              */
    int64_t             first[REEL_XENT_OPERANDS];  /* the first row's first element               */
    int64_t             apart[REEL_XENT_OPERANDS][REEL_XENT_ROWS];  /* how far behind it each row's is */
    int64_t             label[REEL_XENT_ROWS];      /* instead of a labels array: y = 1 there      */
    double              upstream[2][REEL_XENT_ROWS];/* u as a sum of two, finite                   */
    double              late[REEL_XENT_ROWS];       /* a factor of the rounded results: 1, or a u that is
                                                       not finite                                  */
    enum reel_xent_fate fate[REEL_XENT_ROWS];
    double              value[2][REEL_XENT_ROWS];   /* set: loss or directional, as a sum of two   */
} reel_xent_panel;

/* A row's first element. */
static inline int64_t reel_xent_row_at(const reel_xent_panel *panel, int which, int row)
{
    return panel->first[which] + panel->apart[which][row];
}

/* The values of many panels: the sum of rows r, r + 8, r + 16 ... in lane r, and its corrections, which are worth nothing
 * where the sum is not finite. */
typedef struct reel_xent_total {
    double sum[REEL_XENT_ROWS], rest[REEL_XENT_ROWS];
} reel_xent_total;

/* A panel, in f64. In sixteen lanes of f32 (cross_entropy_f32.h) a panel, or two across. Then a panel's values
 * are added to the total. */
#ifdef REEL_LEVEL
void reel_xent_rows(const reel_xent_job *job, reel_xent_panel *panel);
void reel_xent_f32_rows(const reel_xent_job *job, reel_xent_panel panel[]);
void reel_xent_add_values(const reel_xent_panel *panel, reel_xent_total *total);
#else
void reel_xent_rows_baseline(const reel_xent_job *job, reel_xent_panel *panel);
void reel_xent_rows_avx2(const reel_xent_job *job, reel_xent_panel *panel);
void reel_xent_rows_avx512(const reel_xent_job *job, reel_xent_panel *panel);
void reel_xent_f32_rows_baseline(const reel_xent_job *job, reel_xent_panel panel[]);
void reel_xent_f32_rows_avx2(const reel_xent_job *job, reel_xent_panel panel[]);
void reel_xent_f32_rows_avx512(const reel_xent_job *job, reel_xent_panel panel[]);
void reel_xent_add_values_baseline(const reel_xent_panel *panel, reel_xent_total *total);
void reel_xent_add_values_avx2(const reel_xent_panel *panel, reel_xent_total *total);
void reel_xent_add_values_avx512(const reel_xent_panel *panel, reel_xent_total *total);
#endif

/* AVX2's way through tiles, which AVX-512 goes, too. */
void reel_xent_tiled_rows_avx2(const reel_xent_job *job, reel_xent_panel *panel);

#endif
