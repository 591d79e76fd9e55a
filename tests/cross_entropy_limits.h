/* How far a number of the cross-entropy family may be from exact.
 *
 * With ulp that of the result's dtype, u the upstream gradient of the row, S the sum of its labels, p the
 * softmax, and the scale of a number max(|exact|, 1, sum |labels|) for a loss, max(|exact|, |u| max(1, sum
 * |labels|)) for a gradient, that times max |v| for a second derivative:
 *
 *     f32, f64    loss                        1.5 ulp at the scale, f32 up to 256 classes 1.0
 *                 gradients, d2/dlogits2      1.5 ulp at the scale
 *                 d2/dlogits dlabels          4 ulp at the scale
 *                 confident rows              loss and gradients besides within 4 ulp at the exact value
 *                 subnormal gradients         kept: within 4 of the smallest subnormal, and the rounding of
 *                                             z - m
 *     f16, bf16   loss                        0.55 ulp at the exact value
 *                 gradients                   0.55 ulp at max(|exact|, |u S| p / 256)
 *                 second derivatives          as for f32
 */
#ifndef REEL_TESTS_CROSS_ENTROPY_LIMITS_H
#define REEL_TESTS_CROSS_ENTROPY_LIMITS_H

#include "tests/cross_entropy_reference.h"

typedef enum reel_truth_quantity {
    LOSS, BACKPROP, GRAD_LOGITS, GRAD_LABELS, HVP_LOGITS, HVP_LABELS, QUANTITIES
} reel_truth_quantity;

extern const char *const reel_truth_quantity_name[QUANTITIES];

const reel_truth_values *reel_truth_values_of(const reel_truth *truth, reel_truth_quantity quantity);

typedef struct reel_truth_error {
    double unscaled, scaled;                        /* in ulp; 0 where `wrong`                     */
    double excess;                                  /* error over limit: more than 1 is too much   */
    bool wrong; /* NaN or infinite and should not be, or should be and is not */
} reel_truth_error;

/* The error of element i of a quantity, where `exact` is its exact value. */
reel_truth_error reel_truth_error_of(const reel_truth *truth, reel_truth_quantity quantity, reel_dtype dtype,
                                     int64_t i, long double exact, double got);

#endif
