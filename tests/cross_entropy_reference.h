/* Softmax cross-entropy the straightforward way, in long double: the oracle of the tests of the loss. It
 * shares no code with the library, looks at one row at a time and knows no speed.
 */
#ifndef REEL_TESTS_CROSS_ENTROPY_REFERENCE_H
#define REEL_TESTS_CROSS_ENTROPY_REFERENCE_H

#include <reel.h>

/* The same arguments as the library's, with the numbers as doubles, last dimension fastest. Defaults are all
 * zeros, but for ignore_index. */
typedef struct reel_truth_arguments {
    reel_shape        logits_shape, labels_shape;
    const double     *logits;
    const double     *labels;                       /* dense, or NULL                              */
    const int64_t    *index;                        /* integer labels, or NULL                     */
    int               axis;                         /* of the logits                               */
    bool              tensorflow;                   /* TENSORFLOW semantics, of dense labels       */
    reel_reduction    reduction;
    double            smoothing;
    const double     *class_weights, *row_weights;  /* or NULL                                     */
    int64_t           ignore_index;
    reel_label_policy out_of_range;
    const double     *upstream;                     /* of the loss's shape; NULL: ones             */
    const double     *v;                            /* of the logits' shape; NULL: no second order */
} reel_truth_arguments;

/* Exact values, and what their errors are measured by. The scale is |exact|, or if that is more, for a loss
 * max(1, sum |y|), for a gradient |upstream| max(1, sum |y|), and for a second derivative that times max |v|.
 * `part` is |upstream S| p, the first half of a gradient. Of what is summed over rows, scales are summed and
 * the largest part counts. */
typedef struct reel_truth_values {
    reel_shape   shape;
    int64_t      count;
    long double *exact, *scale, *part;
} reel_truth_values;

typedef struct reel_truth {
    reel_shape        shape;                        /* of labels and logits, broadcast             */
    int               axis;                         /* not negative                                */
    int64_t           classes, rows, counted;
    reel_truth_values loss, backprop, grad_logits, grad_labels, hvp_logits, hvp_labels;
    bool             *confident;                    /* each row: one label 1, others 0, loss < 1/16 */
} reel_truth;

/* NULL where the shapes do not broadcast, the axis does not exist, or there are no classes. */
reel_truth *reel_truth_of(const reel_truth_arguments *arguments);
void        reel_truth_free(reel_truth *truth);

/* NumPy's broadcasting: aligned at the last dimension, 1 stretches. False where it does not fit. */
bool reel_truth_broadcast(reel_shape a, reel_shape b, reel_shape *both);
int64_t reel_truth_count(reel_shape shape);
reel_shape reel_truth_without(reel_shape shape, int axis);

#endif
