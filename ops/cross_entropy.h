/* The ops of softmax cross-entropy. They have one shape rule, one forward and one reference, and differ in
 * what they compute; their VJPs are made of each other, so that derivatives of any order are at hand.
 *
 *     op             inputs besides logits z and labels y      result
 *     loss           -                                         rows, or a scalar
 *     raw            -                                         loss, and gradient with upstream 1
 *     gradient       upstream u                                d loss / d z
 *     label_gradient upstream u                                d loss / d y
 *     directional    direction v                               v . d loss / d z: rows, or a scalar
 *     second         upstream u, direction v                   d (u directional) / d z
 *     mixed          upstream u, direction v                   d (u directional) / d y
 *
 * Then, where given, class weights and row weights. ops/kernels/cross_entropy_rows.h has the formulas.
 * label_gradient and mixed take from the labels their shape alone.
 */
#ifndef REEL_OPS_CROSS_ENTROPY_H
#define REEL_OPS_CROSS_ENTROPY_H

#include <reel.h>
#include "ops/kernels/cross_entropy_rows.h"

/* The attributes of all of them. */
typedef struct reel_cross_entropy {
    char               name[32];                    /* the caller's, for messages                  */
    unsigned           quantity;                    /* of enum reel_xent_quantity                  */
    int                axis;                        /* of the logits, counted from the end: -1 ... */
    bool               sparse;                      /* integer labels                              */
    bool               tensorflow;                  /* semantics                                   */
    bool               raw;                         /* rows and classes only                       */
    enum reel_xent_sum sum;
    reel_reduction     reduction;
    double             label_smoothing;
    bool               linear;                      /* the labels are a direction for labels: they are
                                                       weighted, but no smoothing is added         */
    bool               wide;                        /* the result is f64: it is still to be summed */
    bool               class_weights, row_weights;  /* given                                       */
    bool               validate;
    double             sum_tolerance;
    int64_t            ignore_index;
    reel_label_policy  out_of_range;
} reel_cross_entropy;

extern const reel_op reel_op_softmax_cross_entropy_with_logits,
    reel_op_sparse_softmax_cross_entropy_with_logits, reel_op_raw_softmax_cross_entropy_with_logits,
    reel_op_raw_sparse_softmax_cross_entropy_with_logits, reel_op_softmax_cross_entropy_gradient,
    reel_op_softmax_cross_entropy_label_gradient, reel_op_softmax_cross_entropy_directional,
    reel_op_softmax_cross_entropy_second, reel_op_softmax_cross_entropy_mixed,
    reel_op_sparse_softmax_cross_entropy_count;

/* Where the inputs stand; -1 where there is none. */
typedef struct reel_xent_inputs {
    int logits, labels, upstream, direction, class_weights, row_weights, count;
} reel_xent_inputs;

reel_xent_inputs reel_xent_inputs_of(const reel_cross_entropy *attributes);

/* The shape to which logits and labels broadcast, and its class axis. Integer labels lack that axis. */
typedef struct reel_xent_shape {
    reel_shape shape;
    int        axis;
} reel_xent_shape;

reel_xent_shape reel_xent_shape_of(const reel_cross_entropy *attributes, const reel_array *logits,
                                   const reel_array *labels);
reel_shape      reel_xent_rows_shape(const reel_xent_shape *shape);

/* Rows are worked on in blocks, the same ones whatever the number of threads; a reduction adds up one sum of
 * each block. */
int64_t reel_xent_block_rows(int64_t classes);

/* Shape rule, forward and reference. */
bool reel_xent_shape_rule(reel_call *call, reel_output *out);
bool reel_xent_forward(const reel_call *call);
void reel_xent_reference(const void *attributes, const reel_reference_array *in, int inputs,
                         reel_reference_array *out, int outputs);

/* reel_call_error() with the caller's name for the call in front. */
bool reel_xent_error(const reel_call *call, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* What each is tested with. */
enum {
    REEL_XENT_LOSS_SAMPLES = 33, REEL_XENT_SPARSE_SAMPLES = 15, REEL_XENT_RAW_SAMPLES = 8,
    REEL_XENT_RAW_SPARSE_SAMPLES = 6, REEL_XENT_GRADIENT_SAMPLES = 13, REEL_XENT_LABEL_GRADIENT_SAMPLES = 8,
    REEL_XENT_DIRECTIONAL_SAMPLES = 8, REEL_XENT_SECOND_SAMPLES = 8, REEL_XENT_MIXED_SAMPLES = 7,
    REEL_XENT_COUNT_SAMPLES = 5
};
extern const reel_sample reel_xent_loss_samples[], reel_xent_sparse_samples[], reel_xent_raw_samples[],
    reel_xent_raw_sparse_samples[], reel_xent_gradient_samples[], reel_xent_label_gradient_samples[],
    reel_xent_directional_samples[], reel_xent_second_samples[], reel_xent_mixed_samples[],
    reel_xent_count_samples[];

/* Checks of the labels before anything is computed: integer ones against the range and the policy, dense
 * ones, where that is asked for, for being finite, not negative and of sum 1. */
bool reel_xent_check_labels(const reel_call *call, const reel_xent_shape *shape);

/* The integer label in row `row` of the (broadcast) rows, and whether it counts. */
typedef struct reel_xent_label {
    int64_t             class;
    enum reel_xent_fate fate;
} reel_xent_label;

static inline int64_t reel_xent_class_at(const reel_array *labels, int64_t element)
{
    return labels->dtype == REEL_I32 ? ((const int32_t *)labels->data)[element] : ((const int64_t *)labels->data)[element];
}

reel_xent_label reel_xent_read_label(const reel_cross_entropy *attributes, const reel_array *labels,
                                     int64_t element, int64_t classes);

/* Whether all of the integer labels are classes and none is ignored, as in most programs: then nobody need read them one
 * by one. */
bool reel_xent_labels_all_count(const reel_cross_entropy *attributes, const reel_array *labels, int64_t classes);

#endif
