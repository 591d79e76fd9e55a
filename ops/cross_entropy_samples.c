/* What the softmax cross-entropy ops are tested with. Samples with weights are marked as kinks, since no gradient
 * goes into weights. */
#include "ops/cross_entropy.h"
#include "ops/op.h"

#include <math.h>

#define XENT_WITH(QUANTITY, AXIS, ...)                                                               \
    .attributes = &(const reel_cross_entropy){.quantity = QUANTITY, .axis = AXIS, __VA_ARGS__}
#define XENT_CLASSED(QUANTITY, AXIS, ...)                                                            \
    XENT_WITH(QUANTITY, AXIS, .sparse = true, .ignore_index = REEL_NO_INDEX, __VA_ARGS__)
#define XENT_IGNORING(QUANTITY, INDEX, ...)                                                          \
    XENT_WITH(QUANTITY, -1, .sparse = true, .ignore_index = INDEX, __VA_ARGS__)
#define XENT_PLAIN(QUANTITY)  XENT_WITH(QUANTITY, -1, .sparse = false)
#define XENT_SPARSE(QUANTITY) XENT_CLASSED(QUANTITY, -1, .raw = false)

#define XENT_LOGITS(...)     {.shape = REEL_SIZES(__VA_ARGS__), .low = -4, .high = 4}
#define XENT_LABELS(...)     {.shape = REEL_SIZES(__VA_ARGS__), .low = 0, .high = 1}
#define XENT_DENSE(...)      XENT_LOGITS(__VA_ARGS__), XENT_LABELS(__VA_ARGS__)
#define XENT_ANY(...)        {.shape = REEL_SIZES(__VA_ARGS__)}
#define XENT_SCALAR          {.low = -1, .high = 1}
#define XENT_POSITIVE(...)   {.shape = REEL_SIZES(__VA_ARGS__), .low = 0.5, .high = 2}
#define XENT_LAID(LAYOUT, ...) {.shape = REEL_SIZES(__VA_ARGS__), .low = 0, .high = 1, .layout = LAYOUT}
#define XENT_VALUES(SHAPE, ...) {.shape = SHAPE, .values = (const double[]){__VA_ARGS__}}
#define XENT_INTEGERS(DTYPE, SHAPE, ...) {.shape = SHAPE, .dtype = DTYPE, .values = (const double[]){__VA_ARGS__}}
#define XENT_CLASSES(...)    XENT_INTEGERS(REEL_I32, REEL_SIZES(4), __VA_ARGS__)

/* ---- Dense ------------------------------------------------------------------------------------------- */

#define XENT_LOSS_ERRORS(QUANTITY)                                                                   \
    {.note = "do not broadcast", .inputs = 2, .in = {XENT_LOGITS(4, 3), XENT_LABELS(4, 2)},          \
     .error = "logits and labels must be broadcastable: logits_size=[4,3] labels_size=[4,2]",        \
     XENT_PLAIN(QUANTITY)},                                                                          \
    {.note = "dtypes differ", .inputs = 2,                                                           \
     .in = {{.shape = REEL_SIZES(4, 3), .dtype = REEL_F32}, {.shape = REEL_SIZES(4, 3), .dtype = REEL_F64}}, \
     .error = "different dtypes", XENT_PLAIN(QUANTITY)},                                             \
    {.note = "integer logits", .inputs = 2,                                                          \
     .in = {{.shape = REEL_SIZES(4, 3), .dtype = REEL_I32}, XENT_LABELS(4, 3)},                      \
     .error = "are integers: they must be f16, bf16, f32 or f64", XENT_PLAIN(QUANTITY)},    \
    {.note = "integer labels", .inputs = 2,                                                          \
     .in = {XENT_LOGITS(4, 3), {.shape = REEL_SIZES(4, 3), .dtype = REEL_I32}},                      \
     .error = "are integers: cast them", XENT_PLAIN(QUANTITY)},                                      \
    {.note = "no classes", .inputs = 2, .in = {XENT_DENSE(2, 0)},                                    \
     .error = "Must have at least one class, but got logits shape [2,0]", XENT_PLAIN(QUANTITY)}

const reel_sample reel_xent_loss_samples[] = {
    {.note = "rows", .inputs = 2, .in = {XENT_DENSE(4, 3)}, XENT_PLAIN(REEL_XENT_LOSS)},
    {.note = "columns", .inputs = 2, .in = {XENT_DENSE(3, 11)}, XENT_WITH(REEL_XENT_LOSS, -2, .raw = false)},
    {.note = "a middle axis", .inputs = 2, .in = {XENT_DENSE(2, 3, 5)}, XENT_WITH(REEL_XENT_LOSS, -2, .raw = false)},
    {.note = "one row", .inputs = 2, .in = {XENT_DENSE(5)}, XENT_PLAIN(REEL_XENT_LOSS)},
    {.note = "one class", .inputs = 2, .in = {XENT_DENSE(3, 1)}, XENT_PLAIN(REEL_XENT_LOSS)},
    {.note = "empty", .inputs = 2, .in = {XENT_DENSE(0, 3)}, XENT_PLAIN(REEL_XENT_LOSS)},
    {.note = "empty mean", .inputs = 2, .in = {XENT_DENSE(0, 3)},
     XENT_WITH(REEL_XENT_LOSS, -1, .reduction = REEL_REDUCTION_MEAN)},
    {.note = "longer than a tile", .inputs = 2, .in = {XENT_DENSE(2, 301)}, XENT_PLAIN(REEL_XENT_LOSS)},
    {.note = "labels stretch", .inputs = 2, .in = {XENT_LOGITS(4, 3), XENT_LABELS(3)}, XENT_PLAIN(REEL_XENT_LOSS)},
    {.note = "logits stretch", .inputs = 2, .in = {XENT_LOGITS(1, 3), XENT_LABELS(2, 4, 3)},
     XENT_PLAIN(REEL_XENT_LOSS)},
    {.note = "classes stretch", .inputs = 2, .in = {XENT_LOGITS(4, 3), XENT_LABELS(4, 1)}, XENT_PLAIN(REEL_XENT_LOSS)},
    {.note = "transposed and reversed", .inputs = 2,
     .in = {XENT_LAID(REEL_TRANSPOSED, 4, 3), XENT_LAID(REEL_REVERSED, 4, 3)}, XENT_PLAIN(REEL_XENT_LOSS)},
    {.note = "every other and stretched", .inputs = 2,
     .in = {XENT_LAID(REEL_EVERY_OTHER, 4, 3), XENT_LAID(REEL_STRETCHED, 4, 3)}, XENT_PLAIN(REEL_XENT_LOSS)},
    {.note = "negative labels", .inputs = 2, .in = {XENT_LOGITS(4, 3), XENT_ANY(4, 3)}, XENT_PLAIN(REEL_XENT_LOSS)},
    {.note = "far apart", .inputs = 2, .kink = true,
     .in = {XENT_VALUES(REEL_SIZES(3, 3), 300, 0, -300, 60, 60, 60, 1000, 1000, -1000),
            XENT_VALUES(REEL_SIZES(3, 3), 1, 0, 0, 0.5, 0, 0.5, 0, 0, 0)}, XENT_PLAIN(REEL_XENT_LOSS)},
    {.note = "masked classes", .inputs = 2, .kink = true,
     .in = {XENT_VALUES(REEL_SIZES(3, 3), 1, -INFINITY, 2, 0, 1, -INFINITY, -INFINITY, -INFINITY, -INFINITY),
            XENT_VALUES(REEL_SIZES(3, 3), 0.5, 0, 0.5, 0, 0.5, 0.5, 1, 0, 0)}, XENT_PLAIN(REEL_XENT_LOSS)},
    {.note = "masked classes in TensorFlow's way", .inputs = 2, .kink = true,
     .in = {XENT_VALUES(REEL_SIZES(2, 3), 1, -INFINITY, 2, 0, 1, 2),
            XENT_VALUES(REEL_SIZES(2, 3), 0.5, 0, 0.5, 0, 0.5, 0.5)},
     XENT_WITH(REEL_XENT_LOSS, -1, .tensorflow = true, .sum = REEL_XENT_ONE)},
    {.note = "sum", .inputs = 2, .in = {XENT_DENSE(9, 4)},
     XENT_WITH(REEL_XENT_LOSS, -1, .reduction = REEL_REDUCTION_SUM)},
    {.note = "mean, smoothed", .inputs = 2, .in = {XENT_DENSE(2, 3, 4)},
     XENT_WITH(REEL_XENT_LOSS, -3, .reduction = REEL_REDUCTION_MEAN, .label_smoothing = 0.1)},
    {.note = "weighted mean", .inputs = 4, .kink = true,
     .in = {XENT_DENSE(4, 3), XENT_POSITIVE(3), XENT_VALUES(REEL_SIZES(4), 1, 0, 2, 0.5)},
     XENT_WITH(REEL_XENT_LOSS, -1, .reduction = REEL_REDUCTION_MEAN, .label_smoothing = 0.25, .class_weights = true,
               .row_weights = true)},
    {.note = "validated", .inputs = 2, .kink = true,
     .in = {XENT_LOGITS(2, 2), XENT_VALUES(REEL_SIZES(2, 2), 1, 0, 0.25, 0.75)},
     XENT_WITH(REEL_XENT_LOSS, -1, .validate = true, .sum_tolerance = 0.001)},
    {.note = "a negative label", .inputs = 2,
     .in = {XENT_LOGITS(2, 2), XENT_VALUES(REEL_SIZES(2, 2), 1, 0, 1.25, -0.25)},
     .error = "row 1 of the labels [2,2] f32 holds -0.25 for class 1: labels must be finite and not negative",
     XENT_WITH(REEL_XENT_LOSS, -1, .validate = true, .sum_tolerance = 0.001)},
    {.note = "no distribution", .inputs = 2,
     .in = {XENT_LOGITS(2, 2), XENT_VALUES(REEL_SIZES(2, 2), 1, 0, 0.25, 0.25)},
     .error = "row 1 of the labels [2,2] f32 sums to 0.5, which is not 1 within 0.001",
     XENT_WITH(REEL_XENT_LOSS, -1, .validate = true, .sum_tolerance = 0.001)},
    XENT_LOSS_ERRORS(REEL_XENT_LOSS),
    {.note = "a scalar", .inputs = 2, .in = {XENT_SCALAR, XENT_SCALAR}, .error = "`logits` cannot be a scalar",
     XENT_PLAIN(REEL_XENT_LOSS)},
    {.note = "no such axis", .inputs = 2, .in = {XENT_DENSE(4, 3)}, .error = "axis -3 is not in [-2, 2)",
     XENT_WITH(REEL_XENT_LOSS, -3, .raw = false)},
    {.note = "too much smoothing", .inputs = 2, .in = {XENT_DENSE(4, 3)}, .error = "label_smoothing 1.5 is not in [0, 1]",
     XENT_WITH(REEL_XENT_LOSS, -1, .label_smoothing = 1.5)},
    {.note = "too few class weights", .inputs = 3, .in = {XENT_DENSE(4, 3), XENT_POSITIVE(2)},
     .error = "class_weights are [2] f32, but must be [3] f32",
     XENT_WITH(REEL_XENT_LOSS, -1, .class_weights = true)},
    {.note = "row weights of another shape", .inputs = 3, .in = {XENT_DENSE(4, 3), XENT_POSITIVE(4, 1)},
     .error = "row_weights are [4,1] f32, but must be [4] f32", XENT_WITH(REEL_XENT_LOSS, -1, .row_weights = true)},
};

#define XENT_RAW(...) XENT_WITH(REEL_XENT_LOSS | REEL_XENT_GRADIENT, -1, .raw = true, __VA_ARGS__)

const reel_sample reel_xent_raw_samples[] = {
    {.note = "softmax - labels", .in = {XENT_LOGITS(2, 3), XENT_VALUES(REEL_SIZES(2, 3), 0.5, 0.25, 0.25, 0, 1, 0)},
     XENT_RAW(.sum = REEL_XENT_ONE, .tensorflow = true)},
    {.note = "true gradient", .in = {XENT_DENSE(4, 3)}, XENT_RAW(.sum = REEL_XENT_SUM)},
    {.note = "labels stretch", .in = {XENT_LOGITS(4, 3), XENT_VALUES(REEL_SIZES(3), 0.5, 0.125, 0.375)},
     XENT_RAW(.sum = REEL_XENT_ONE, .tensorflow = true)},
    {.note = "logits are a scalar", .in = {XENT_SCALAR, XENT_LABELS(4, 3)}, XENT_RAW(.sum = REEL_XENT_SUM)},
    {.note = "empty", .in = {XENT_DENSE(0, 3)}, XENT_RAW(.sum = REEL_XENT_ONE, .tensorflow = true)},
    {.note = "transposed", .in = {XENT_LAID(REEL_TRANSPOSED, 9, 4), XENT_LABELS(9, 4)}, XENT_RAW(.sum = REEL_XENT_SUM)},
    {.note = "rank 3", .in = {XENT_DENSE(2, 4, 3)}, .error = "must be either 2-dimensional, or broadcasted to be 2-dimensional",
     XENT_RAW(.sum = REEL_XENT_ONE)},
    {.note = "do not broadcast", .in = {XENT_LOGITS(2, 2), XENT_LABELS(2, 3)},
     .error = "logits and labels must be broadcastable: logits_size=[2,2] labels_size=[2,3]",
     XENT_RAW(.sum = REEL_XENT_ONE)},
};

/* ---- Integer labels ------------------------------------------------------------------------------------ */

const reel_sample reel_xent_sparse_samples[] = {
    {.note = "rows", .inputs = 2, .in = {XENT_LOGITS(4, 3), XENT_CLASSES(0, 2, 1, 2)}, XENT_SPARSE(REEL_XENT_LOSS)},
    {.note = "i64, another axis", .inputs = 2,
     .in = {XENT_LOGITS(2, 3, 4), XENT_INTEGERS(REEL_I64, REEL_SIZES(2, 4), 0, 1, 2, 0, 2, 1, 0, 1)},
     XENT_CLASSED(REEL_XENT_LOSS, -2, .raw = false)},
    {.note = "one row", .inputs = 2, .in = {XENT_LOGITS(3), {.dtype = REEL_I32, .values = (const double[]){2}}},
     XENT_SPARSE(REEL_XENT_LOSS)},
    {.note = "empty", .inputs = 2, .in = {XENT_LOGITS(0, 3), {.shape = REEL_SIZES(0), .dtype = REEL_I32}},
     XENT_SPARSE(REEL_XENT_LOSS)},
    {.note = "labels stretch, logits transposed", .inputs = 2,
     .in = {XENT_LAID(REEL_TRANSPOSED, 4, 3), XENT_INTEGERS(REEL_I32, REEL_SIZES(1), 1)}, XENT_SPARSE(REEL_XENT_LOSS)},
    {.note = "mean, smoothed, some ignored", .inputs = 2, .in = {XENT_LOGITS(4, 3), XENT_CLASSES(0, -100, 1, 2)},
     XENT_IGNORING(REEL_XENT_LOSS, -100, .reduction = REEL_REDUCTION_MEAN, .label_smoothing = 0.1)},
    {.note = "all ignored", .inputs = 2, .in = {XENT_LOGITS(4, 3), XENT_CLASSES(7, 7, -1, 3)},
     XENT_IGNORING(REEL_XENT_LOSS, 7, .reduction = REEL_REDUCTION_MEAN, .out_of_range = REEL_LABELS_IGNORE)},
    {.note = "out of range is NaN", .inputs = 2, .kink = true, .in = {XENT_LOGITS(4, 3), XENT_CLASSES(0, 3, 1, -1)},
     XENT_CLASSED(REEL_XENT_LOSS, -1, .out_of_range = REEL_LABELS_NAN)},
    {.note = "weighted mean", .inputs = 4, .kink = true,
     .in = {XENT_LOGITS(4, 3), XENT_CLASSES(0, 2, 1, 2), XENT_POSITIVE(3), XENT_POSITIVE(4)},
     XENT_CLASSED(REEL_XENT_LOSS, -1, .reduction = REEL_REDUCTION_MEAN, .class_weights = true, .row_weights = true)},
    {.note = "masked class", .inputs = 2, .kink = true,
     .in = {XENT_VALUES(REEL_SIZES(2, 3), 1, -INFINITY, 2, 0, 1, -INFINITY), XENT_INTEGERS(REEL_I32, REEL_SIZES(2), 2, 2)},
     XENT_SPARSE(REEL_XENT_LOSS)},
    {.note = "out of range", .inputs = 2, .in = {XENT_LOGITS(4, 3), XENT_CLASSES(0, 1, 3, -1)},
     .error = "Received a label value of 3 which is outside the valid range of [0, 3), in row 2 of the labels",
     XENT_SPARSE(REEL_XENT_LOSS)},
    {.note = "floating labels", .inputs = 2, .in = {XENT_LOGITS(4, 3), XENT_LABELS(4)},
     .error = "are not class numbers, which are i32 or i64", XENT_SPARSE(REEL_XENT_LOSS)},
    {.note = "ranks", .inputs = 2, .in = {XENT_LOGITS(3, 2), {.shape = REEL_SIZES(3, 1), .dtype = REEL_I32}},
     .error = "`labels.shape.rank` must equal `logits.shape.rank - 1`", XENT_SPARSE(REEL_XENT_LOSS)},
    {.note = "sizes", .inputs = 2, .in = {XENT_LOGITS(3, 2), {.shape = REEL_SIZES(2), .dtype = REEL_I32}},
     .error = "`labels.shape` must equal `logits.shape` except for the last dimension", XENT_SPARSE(REEL_XENT_LOSS)},
    {.note = "no classes", .inputs = 2, .in = {XENT_LOGITS(2, 0), {.shape = REEL_SIZES(2), .dtype = REEL_I32}},
     .error = "Must have at least one class, but got logits shape [2,0]", XENT_SPARSE(REEL_XENT_LOSS)},
};

#define XENT_RAW_SPARSE XENT_CLASSED(REEL_XENT_LOSS | REEL_XENT_GRADIENT, -1, .raw = true)

const reel_sample reel_xent_raw_sparse_samples[] = {
    {.note = "rows", .in = {XENT_LOGITS(4, 3), XENT_CLASSES(0, 2, 1, 2)}, XENT_RAW_SPARSE},
    {.note = "empty", .in = {XENT_LOGITS(0, 3), {.shape = REEL_SIZES(0), .dtype = REEL_I64}}, XENT_RAW_SPARSE},
    {.note = "transposed", .in = {XENT_LAID(REEL_TRANSPOSED, 4, 3), XENT_CLASSES(0, 2, 1, 2)}, XENT_RAW_SPARSE},
    {.note = "rank 1", .in = {XENT_LOGITS(2), {.dtype = REEL_I32}}, .error = "logits must be 2-D, but got shape [2]",
     XENT_RAW_SPARSE},
    {.note = "labels of rank 2", .in = {XENT_LOGITS(1, 2), {.shape = REEL_SIZES(1, 1), .dtype = REEL_I32}},
     .error = "labels must be 1-D, but got shape [1,1]", XENT_RAW_SPARSE},
    {.note = "sizes", .in = {XENT_LOGITS(3, 2), {.shape = REEL_SIZES(2), .dtype = REEL_I32}},
     .error = "logits and labels must have the same first dimension", XENT_RAW_SPARSE},
};

/* ---- Derivatives --------------------------------------------------------------------------------------- */

/* Every derivative is tried with a dense mean along the first axis, with TensorFlow's S, and with integer labels
 * where it takes them. MORE stands for the inputs behind logits and labels: for rows, and for a mean. */
#define XENT_DERIVATIVE_SAMPLES(QUANTITY, INPUTS, ROWS, MEAN, STRETCHED, EMPTY, STRIDED)             \
    {.note = "rows", .inputs = INPUTS, .in = {XENT_DENSE(4, 3), ROWS}, XENT_PLAIN(QUANTITY)},        \
    {.note = "smoothed mean of columns", .inputs = INPUTS, .in = {XENT_DENSE(4, 3), MEAN},           \
     XENT_WITH(QUANTITY, -2, .reduction = REEL_REDUCTION_MEAN, .label_smoothing = 0.25)},            \
    {.note = "S is 1", .inputs = INPUTS, .in = {XENT_DENSE(4, 3), ROWS},                             \
     XENT_WITH(QUANTITY, -1, .tensorflow = true, .sum = REEL_XENT_ONE)},                             \
    {.note = "both stretch", .inputs = INPUTS, .in = {XENT_LOGITS(3, 1), XENT_LABELS(2, 1, 3), STRETCHED}, \
     XENT_PLAIN(QUANTITY)},                                                                          \
    {.note = "empty", .inputs = INPUTS, .in = {XENT_DENSE(0, 3), EMPTY}, XENT_PLAIN(QUANTITY)},      \
    {.note = "transposed", .inputs = INPUTS,                                                         \
     .in = {XENT_LAID(REEL_TRANSPOSED, 4, 3), XENT_LAID(REEL_REVERSED, 4, 3), STRIDED}, XENT_PLAIN(QUANTITY)}, \
    {.note = "do not broadcast", .inputs = INPUTS, .in = {XENT_LOGITS(4, 3), XENT_LABELS(3, 3), ROWS}, \
     .error = "must be broadcastable", XENT_PLAIN(QUANTITY)}

#define XENT_AND , /* between two inputs that are one argument */

#define XENT_UPSTREAM_SAMPLES(QUANTITY)                                                              \
    XENT_DERIVATIVE_SAMPLES(QUANTITY, 3, XENT_ANY(4), XENT_SCALAR, XENT_ANY(2, 3), XENT_ANY(0), XENT_ANY(4))
#define XENT_BOTH_SAMPLES(QUANTITY)                                                                  \
    XENT_DERIVATIVE_SAMPLES(QUANTITY, 4, XENT_ANY(4) XENT_AND XENT_ANY(4, 3), XENT_SCALAR XENT_AND XENT_ANY(4, 3), \
                            XENT_ANY(2, 3) XENT_AND XENT_ANY(2, 3, 3), XENT_ANY(0) XENT_AND XENT_ANY(0, 3), \
                            XENT_ANY(4) XENT_AND XENT_LAID(REEL_EVERY_OTHER, 4, 3))
#define XENT_DIRECTION_SAMPLES(QUANTITY)                                                             \
    XENT_DERIVATIVE_SAMPLES(QUANTITY, 3, XENT_ANY(4, 3), XENT_ANY(4, 3), XENT_ANY(2, 3, 3), XENT_ANY(0, 3), \
                            XENT_LAID(REEL_EVERY_OTHER, 4, 3))

const reel_sample reel_xent_gradient_samples[] = {
    XENT_UPSTREAM_SAMPLES(REEL_XENT_GRADIENT),
    {.note = "S is 0", .inputs = 3, .in = {XENT_DENSE(4, 3), XENT_ANY(4)},
     XENT_WITH(REEL_XENT_GRADIENT, -1, .sum = REEL_XENT_ZERO, .linear = true)},
    {.note = "summed later", .inputs = 3, .in = {XENT_DENSE(4, 3), XENT_ANY(4)},
     XENT_WITH(REEL_XENT_GRADIENT, -1, .wide = true)},
    {.note = "longer than a tile", .inputs = 3, .in = {XENT_DENSE(2, 300), XENT_ANY(2)}, XENT_PLAIN(REEL_XENT_GRADIENT)},
    {.note = "integer labels, weighted", .inputs = 4, .kink = true,
     .in = {XENT_LOGITS(4, 3), XENT_CLASSES(0, 2, -100, 2), XENT_SCALAR, XENT_POSITIVE(3)},
     XENT_IGNORING(REEL_XENT_GRADIENT, -100, .reduction = REEL_REDUCTION_MEAN, .label_smoothing = 0.1,
                   .class_weights = true)},
    {.note = "integer labels", .inputs = 3, .in = {XENT_LOGITS(4, 3), XENT_CLASSES(0, 2, 1, 2), XENT_ANY(4)},
     XENT_SPARSE(REEL_XENT_GRADIENT)},
    {.note = "confident", .inputs = 3, .kink = true,
     .in = {XENT_VALUES(REEL_SIZES(2, 3), 40, 0, -1, 3, 80, 2), XENT_VALUES(REEL_SIZES(2, 3), 1, 0, 0, 0, 1, 0),
            XENT_ANY(2)}, XENT_PLAIN(REEL_XENT_GRADIENT)},
};

const reel_sample reel_xent_label_gradient_samples[] = {
    XENT_UPSTREAM_SAMPLES(REEL_XENT_LABEL_GRADIENT),
    {.note = "weighted", .inputs = 4, .kink = true, .in = {XENT_DENSE(4, 3), XENT_SCALAR, XENT_POSITIVE(4)},
     XENT_WITH(REEL_XENT_LABEL_GRADIENT, -1, .reduction = REEL_REDUCTION_SUM, .row_weights = true)},
};

const reel_sample reel_xent_directional_samples[] = {
    XENT_DIRECTION_SAMPLES(REEL_XENT_DIRECTIONAL),
    {.note = "integer labels", .inputs = 3, .in = {XENT_LOGITS(4, 3), XENT_CLASSES(0, 2, 1, 2), XENT_ANY(4, 3)},
     XENT_SPARSE(REEL_XENT_DIRECTIONAL)},
};

const reel_sample reel_xent_second_samples[] = {
    XENT_BOTH_SAMPLES(REEL_XENT_SECOND),
    {.note = "integer labels", .inputs = 4,
     .in = {XENT_LOGITS(4, 3), XENT_CLASSES(0, 2, 1, 2), XENT_ANY(4), XENT_ANY(4, 3)}, XENT_SPARSE(REEL_XENT_SECOND)},
};

const reel_sample reel_xent_mixed_samples[] = {
    XENT_BOTH_SAMPLES(REEL_XENT_MIXED),
};

/* ---- Counting ------------------------------------------------------------------------------------------- */

const reel_sample reel_xent_count_samples[] = {
    {.note = "all", .in = {XENT_LOGITS(4, 3), XENT_CLASSES(0, 2, 1, 2)}, XENT_SPARSE(REEL_XENT_LOSS)},
    {.note = "some ignored", .in = {XENT_LOGITS(4, 3), XENT_CLASSES(0, 5, -100, 2)},
     XENT_IGNORING(REEL_XENT_LOSS, -100, .out_of_range = REEL_LABELS_IGNORE)},
    {.note = "empty", .in = {XENT_LOGITS(0, 3), {.shape = REEL_SIZES(0), .dtype = REEL_I64}}, XENT_SPARSE(REEL_XENT_LOSS)},
    {.note = "transposed", .in = {XENT_LAID(REEL_TRANSPOSED, 4, 3), XENT_CLASSES(0, 2, 1, 2)}, XENT_SPARSE(REEL_XENT_LOSS)},
    {.note = "sizes", .in = {XENT_LOGITS(3, 2), {.shape = REEL_SIZES(2), .dtype = REEL_I32}},
     .error = "must equal `logits.shape`", XENT_SPARSE(REEL_XENT_LOSS)},
};

#define XENT_COUNTED(array, count)                                                                   \
    _Static_assert(sizeof array / sizeof *array == count, "the number of samples in cross_entropy.h")

XENT_COUNTED(reel_xent_loss_samples, REEL_XENT_LOSS_SAMPLES);
XENT_COUNTED(reel_xent_sparse_samples, REEL_XENT_SPARSE_SAMPLES);
XENT_COUNTED(reel_xent_raw_samples, REEL_XENT_RAW_SAMPLES);
XENT_COUNTED(reel_xent_raw_sparse_samples, REEL_XENT_RAW_SPARSE_SAMPLES);
XENT_COUNTED(reel_xent_gradient_samples, REEL_XENT_GRADIENT_SAMPLES);
XENT_COUNTED(reel_xent_label_gradient_samples, REEL_XENT_LABEL_GRADIENT_SAMPLES);
XENT_COUNTED(reel_xent_directional_samples, REEL_XENT_DIRECTIONAL_SAMPLES);
XENT_COUNTED(reel_xent_second_samples, REEL_XENT_SECOND_SAMPLES);
XENT_COUNTED(reel_xent_mixed_samples, REEL_XENT_MIXED_SAMPLES);
XENT_COUNTED(reel_xent_count_samples, REEL_XENT_COUNT_SAMPLES);
