/* The shape rule of the softmax cross-entropy ops: dtypes, shapes and options, and what is wrong with them.
 * Where TensorFlow has an error for the same mistake, its words come first, so that they can be searched
 * for. */
#include "ops/cross_entropy.h"
#include "core/shape.h"
#include "core/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

bool reel_xent_error(const reel_call *call, const char *format, ...)
{
    const reel_cross_entropy *attributes = call->attributes;
    char text[800];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (!attributes->name[0])
        return reel_call_error(call, "%s", text);
    return reel_call_error(call, "\"%s\": %s", attributes->name, text);
}

/* ---- Where things are -------------------------------------------------------------------------- */

reel_xent_inputs reel_xent_inputs_of(const reel_cross_entropy *attributes)
{
    const unsigned with_direction = REEL_XENT_DIRECTIONAL | REEL_XENT_SECOND | REEL_XENT_MIXED;
    reel_xent_inputs in = {.logits = 0, .labels = 1, .count = 2};
    in.upstream = attributes->quantity & REEL_XENT_BY_ROW ? -1 : in.count++;
    in.direction = attributes->quantity & with_direction ? in.count++ : -1;
    in.class_weights = attributes->class_weights ? in.count++ : -1;
    in.row_weights = attributes->row_weights ? in.count++ : -1;
    return in;
}

/* Integer labels get a class axis of size 1. */
static reel_shape xent_labels_shape(const reel_cross_entropy *attributes, const reel_array *logits,
                                    const reel_array *labels)
{
    reel_shape shape = reel_make_shape(labels->rank, labels->shape);
    if (!attributes->sparse)
        return shape;
    int axis = logits->rank + attributes->axis;
    for (int i = shape.rank++; i > axis; i--)
        shape.size[i] = shape.size[i - 1];
    shape.size[axis] = 1;
    return shape;
}

reel_xent_shape reel_xent_shape_of(const reel_cross_entropy *attributes, const reel_array *logits,
                                   const reel_array *labels)
{
    reel_xent_shape shape;
    reel_shape of_labels = xent_labels_shape(attributes, logits, labels);
    reel_broadcast_shapes(logits->rank, logits->shape, of_labels.rank, of_labels.size, &shape.shape);
    shape.axis = shape.shape.rank + attributes->axis;
    return shape;
}

reel_shape reel_xent_rows_shape(const reel_xent_shape *shape)
{
    reel_shape rows = {.rank = 0};
    for (int i = 0; i < shape->shape.rank; i++)
        if (i != shape->axis)
            rows.size[rows.rank++] = shape->shape.size[i];
    return rows;
}

int64_t reel_xent_block_rows(int64_t classes)
{
    const int64_t elements = 8192;
    return REEL_XENT_ROWS * (1 + (elements - 1) / (REEL_XENT_ROWS * classes));
}

/* An input in words; only where there is an error to tell. */
#define XENT_TEXT(i) reel_describe(call->input[i]).text

/* ---- Dtypes ------------------------------------------------------------------------------------ */

static bool xent_check_dtypes(const reel_call *call)
{
    const reel_cross_entropy *attributes = call->attributes;
    const reel_array *logits = &call->in[0], *labels = &call->in[1];
    if (!reel_dtype_is_float(logits->dtype))
        return reel_xent_error(call, "logits %s are integers: they must be f16, bf16, f32 or f64", XENT_TEXT(0));
    if (attributes->sparse && labels->dtype != REEL_I32 && labels->dtype != REEL_I64)
        return reel_xent_error(call,
                               "labels %s are not class numbers, which are i32 or i64: %s", XENT_TEXT(1),
                               labels->dtype == REEL_U8 ? "cast them"
                               : "cast them, or, if they are probabilities, use the dense call");
    if (!attributes->sparse && !reel_dtype_is_float(labels->dtype))
        return reel_xent_error(call,
                               "labels %s are integers: cast them to the dtype of logits %s, or, if they are "
                               "class numbers, use the sparse call",
                               XENT_TEXT(1), XENT_TEXT(0));
    if (!attributes->sparse && !attributes->linear && labels->dtype != logits->dtype)
        return reel_xent_error(call, "logits %s and labels %s are of different dtypes: cast one of them",
                               XENT_TEXT(0), XENT_TEXT(1));
    return true;
}

/* ---- Shapes ------------------------------------------------------------------------------------ */

static bool xent_check_sparse_shapes(const reel_call *call)
{
    const reel_cross_entropy *attributes = call->attributes;
    const reel_array *logits = &call->in[0], *labels = &call->in[1];
    if (labels->rank != logits->rank - 1)
        return reel_xent_error(
            call,
            "`labels.shape.rank` must equal `logits.shape.rank - 1`. Received: labels %s of "
            "rank %d and logits %s of rank %d",
            XENT_TEXT(1), labels->rank, XENT_TEXT(0), logits->rank);
    reel_shape shape = xent_labels_shape(attributes, logits, labels), both;
    if (reel_broadcast_shapes(logits->rank, logits->shape, shape.rank, shape.size, &both))
        return true;
    if (attributes->raw)
        return reel_xent_error(
            call,
            "logits and labels must have the same first dimension, got logits %s and labels "
            "%s",
            XENT_TEXT(0), XENT_TEXT(1));
    return reel_xent_error(
        call,
        "`labels.shape` must equal `logits.shape` except for the %s. Received: labels %s and "
        "logits %s",
        attributes->axis == -1 ? "last dimension" : "class axis", XENT_TEXT(1), XENT_TEXT(0));
}

static bool xent_check_dense_shapes(const reel_call *call)
{
    const reel_array *logits = &call->in[0], *labels = &call->in[1];
    reel_shape both;
    if (reel_broadcast_shapes(logits->rank, logits->shape, labels->rank, labels->shape, &both))
        return true;
    char sizes[2][160];
    for (int i = 0; i < 2; i++) {
        reel_text text = reel_text_in(sizes[i], sizeof sizes[i]);
        reel_text_shape(&text, call->in[i].rank, call->in[i].shape);
    }
    return reel_xent_error(
        call,
        "logits and labels must be broadcastable: logits_size=%s labels_size=%s: logits %s "
        "and labels %s do not broadcast",
        sizes[0], sizes[1], XENT_TEXT(0), XENT_TEXT(1));
}

static bool xent_check_raw_ranks(const reel_call *call)
{
    bool sparse = ((const reel_cross_entropy *)call->attributes)->sparse;
    const reel_array *logits = &call->in[0], *labels = &call->in[1];
    if (sparse && logits->rank != 2)
        return reel_xent_error(call, "logits must be 2-D, but got shape %s", XENT_TEXT(0));
    if (sparse && labels->rank != 1)
        return reel_xent_error(call, "labels must be 1-D, but got shape %s", XENT_TEXT(1));
    if (!sparse && (logits->rank > labels->rank ? logits->rank : labels->rank) != 2)
        return reel_xent_error(call, "logits and labels must be either 2-dimensional, or broadcasted to be "
                               "2-dimensional: logits are %s and labels %s", XENT_TEXT(0), XENT_TEXT(1));
    return true;
}

static bool xent_check_shapes(const reel_call *call)
{
    const reel_cross_entropy *attributes = call->attributes;
    const reel_array *logits = &call->in[0];
    if (attributes->raw && attributes->sparse && !xent_check_raw_ranks(call))
        return false;
    if (!attributes->raw && logits->rank == 0)
        return reel_xent_error(call, "`logits` cannot be a scalar: logits are %s", XENT_TEXT(0));
    if (!attributes->raw && (attributes->axis < -logits->rank || attributes->axis > -1))
        return reel_xent_error(call, "axis %d is not in [%d, %d) for logits %s",
                               attributes->axis < 0 ? attributes->axis : attributes->axis + logits->rank,
                               -logits->rank, logits->rank, XENT_TEXT(0));
    if (attributes->sparse ? !xent_check_sparse_shapes(call) : !xent_check_dense_shapes(call))
        return false;
    if (attributes->raw && !attributes->sparse && !xent_check_raw_ranks(call))
        return false;
    reel_xent_shape shape = reel_xent_shape_of(attributes, logits, &call->in[1]);
    return shape.shape.size[shape.axis] > 0 ||
           reel_xent_error(call, "Must have at least one class, but got logits shape %s", XENT_TEXT(0));
}

/* ---- Options ----------------------------------------------------------------------------------- */

static bool xent_check_number(const reel_call *call, const char *what, double value, double least,
                              double most, const char *range)
{
    if (value >= least && value <= most)
        return true;
    char number[64];
    reel_text text = reel_text_in(number, sizeof number);
    reel_text_number(&text, REEL_F64, value);
    return reel_xent_error(call, "%s %s is not %s", what, number, range);
}

static bool xent_check_weights(const reel_call *call, int input, const char *what, const reel_shape *shape)
{
    if (input < 0)
        return true;
    const reel_array *weights = &call->in[input], *logits = &call->in[0];
    if (weights->dtype == logits->dtype &&
        reel_same_sizes(weights->rank, weights->shape, shape->rank, shape->size))
        return true;
    char wanted[160];
    reel_text text = reel_text_in(wanted, sizeof wanted);
    reel_text_shape(&text, shape->rank, shape->size);
    return reel_xent_error(call, "%s are %s, but must be %s %s for logits %s", what,
                           reel_describe(call->input[input]).text, wanted, reel_dtype_name(logits->dtype),
                           reel_describe(call->input[0]).text);
}

static bool xent_check_options(const reel_call *call, const reel_xent_inputs *in,
                               const reel_xent_shape *shape)
{
    const reel_cross_entropy *attributes = call->attributes;
    reel_shape rows = reel_xent_rows_shape(shape),
               classes = {.rank = 1, .size = {shape->shape.size[shape->axis]}};
    if ((unsigned)attributes->reduction > REEL_REDUCTION_SUM)
        return reel_xent_error(call, "reduction %d is none of none, mean, sum", (int)attributes->reduction);
    if ((unsigned)attributes->out_of_range > REEL_LABELS_IGNORE)
        return reel_xent_error(call, "out_of_range %d is no label policy", (int)attributes->out_of_range);
    return xent_check_number(call, "label_smoothing", attributes->label_smoothing, 0, 1, "in [0, 1]") &&
           (!attributes->validate || xent_check_number(call, "sum_tolerance", attributes->sum_tolerance, 0,
                                                       0x1p1023, "a finite number above 0")) &&
           xent_check_weights(call, in->class_weights, "class_weights", &classes) &&
           xent_check_weights(call, in->row_weights, "row_weights", &rows);
}

/* ---- The rule ---------------------------------------------------------------------------------- */

bool reel_xent_shape_rule(reel_call *call, reel_output *out)
{
    const reel_cross_entropy *attributes = call->attributes;
    const reel_array *logits = &call->in[0], *labels = &call->in[1];
    reel_xent_inputs in = reel_xent_inputs_of(attributes);
    if (call->inputs != in.count)
        return reel_xent_error(call, "%d inputs where %d are expected", call->inputs, in.count);
    if (!xent_check_dtypes(call) || !xent_check_shapes(call))
        return false;
    reel_xent_shape shape = reel_xent_shape_of(attributes, logits, labels);
    if (!xent_check_options(call, &in, &shape))
        return false;
    bool by_row = attributes->quantity & REEL_XENT_BY_ROW;
    reel_shape rows = reel_xent_rows_shape(&shape), scalar = {.rank = 0};
    bool reduced = by_row && attributes->reduction != REEL_REDUCTION_NONE;
    out[0].dtype = attributes->wide ? REEL_F64 : logits->dtype;
    out[0].shape = reduced ? scalar : by_row ? rows : shape.shape;
    if (call->outputs == 2) {
        out[1].dtype = logits->dtype;
        out[1].shape = shape.shape;
    }
    int64_t count = reel_shape_count(rows.rank, rows.size);
    if (reduced && count > 0) {
        int64_t block = reel_xent_block_rows(shape.shape.size[shape.axis]);
        call->scratch_bytes = 2 * sizeof(double) * (size_t)((count - 1) / block + 1);
    }
    return true;
}
