/* Labels of a softmax cross-entropy: what an integer label means for its row, and the checks that come before
 * anything is computed. */
#include "ops/cross_entropy.h"
#include "core/dtype.h"
#include "core/shape.h"
#include "core/text.h"

#include <math.h>

reel_xent_label reel_xent_read_label(const reel_cross_entropy *attributes, const reel_array *labels,
                                     int64_t element, int64_t classes)
{
    int64_t class = reel_xent_class_at(labels, element);
    if (attributes->ignore_index != REEL_NO_INDEX && class == attributes->ignore_index)
        return (reel_xent_label){-1, REEL_XENT_OUT_OF_IT};
    if (class >= 0 && class < classes)
        return (reel_xent_label){class, REEL_XENT_COUNTS};
    bool ignored = attributes->out_of_range == REEL_LABELS_IGNORE;
    return (reel_xent_label){class, ignored ? REEL_XENT_OUT_OF_IT : REEL_XENT_SPOILT};
}

/* A number that is no class has its sign set, or else the rest to the last class has. */
static bool label_any_beyond(const int32_t *restrict label, int64_t count, int64_t classes)
{
    const uint32_t last = classes > INT32_MAX ? INT32_MAX : (uint32_t)classes - 1;
    uint32_t signs = 0;
    #pragma omp simd reduction(|: signs)
    for (int64_t i = 0; i < count; i++)
        signs |= (uint32_t)label[i] | (last - (uint32_t)label[i]);
    return signs >> 31;
}

static bool label_all_below(const reel_array *labels, const reel_walk *walk, int64_t classes)
{
    const int64_t step = walk->step[0];
    if (labels->dtype == REEL_I32 && step == 1)
        return !label_any_beyond((const int32_t *)labels->data + walk->offset[0], walk->length, classes);
    bool all = true;
    for (int64_t i = 0; i < walk->length; i++)
        all &= (uint64_t)reel_xent_class_at(labels, walk->offset[0] + i * step) < (uint64_t)classes;
    return all;
}

bool reel_xent_labels_all_count(const reel_cross_entropy *attributes, const reel_array *labels, int64_t classes)
{
    bool all = attributes->ignore_index < 0 || attributes->ignore_index >= classes;
    const int64_t *const strides[] = {labels->strides};
    reel_walk walk;
    for (reel_walk_start(&walk, labels->rank, labels->shape, 1, strides); walk.more && all; reel_walk_next(&walk))
        all = label_all_below(labels, &walk, classes);
    return all;
}

/* "row 5", and where that is, if the rows have more than one dimension. */
static void label_row_text(reel_text *text, const reel_shape *rows, int64_t row)
{
    int64_t position[REEL_MAX_RANK];
    reel_text_add(text, "row %lld", (long long)row);
    if (rows->rank < 2)
        return;
    for (int i = rows->rank - 1; i >= 0; i--) {
        position[i] = row % rows->size[i];
        row /= rows->size[i];
    }
    reel_text_add(text, " (at ");
    reel_text_shape(text, rows->rank, position);
    reel_text_add(text, ")");
}

/* The rows in order, with the labels' first element in each. */
struct label_walk {
    reel_shape rows;
    int64_t    strides[REEL_MAX_RANK], count;
};

static struct label_walk label_rows(const reel_array *labels, const reel_xent_shape *shape, bool sparse)
{
    struct label_walk walk = {.rows = reel_xent_rows_shape(shape)};
    int64_t strides[REEL_MAX_RANK];
    walk.count = reel_shape_count(walk.rows.rank, walk.rows.size);
    reel_broadcast_strides(labels->rank, labels->shape, labels->strides, sparse ? &walk.rows : &shape->shape,
                           strides);
    for (int i = 0; i < walk.rows.rank; i++)
        walk.strides[i] = strides[sparse || i < shape->axis ? i : i + 1];
    return walk;
}

static int64_t label_element(const struct label_walk *walk, int64_t row)
{
    int64_t element = 0;
    for (int i = walk->rows.rank - 1; i >= 0; i--) {
        element += row % walk->rows.size[i] * walk->strides[i];
        row /= walk->rows.size[i];
    }
    return element;
}

static bool label_check_integers(const reel_call *call, const reel_xent_shape *shape,
                                 const struct label_walk *walk)
{
    const reel_cross_entropy *attributes = call->attributes;
    int64_t classes = shape->shape.size[shape->axis];
    for (int64_t row = 0; row < walk->count; row++) {
        reel_xent_label label =
            reel_xent_read_label(attributes, &call->in[1], label_element(walk, row), classes);
        if (label.fate != REEL_XENT_SPOILT)
            continue;
        char where[200];
        reel_text text = reel_text_in(where, sizeof where);
        label_row_text(&text, &walk->rows, row);
        return reel_xent_error(
            call,
            "Received a label value of %lld which is outside the valid range of [0, %lld), in "
            "%s of the labels %s",
            (long long)label.class, (long long)classes, where, reel_call_describe(call, 1).text);
    }
    return true;
}

/* What is wrong with a row of dense labels, into `text`; false where nothing is. */
static bool label_fault(const reel_cross_entropy *attributes, const reel_array *labels, int64_t element,
                        int64_t step, int64_t classes, reel_text *text)
{
    size_t size = reel_dtype_size(labels->dtype);
    long double sum = 0;
    for (int64_t class = 0; class < classes; class ++) {
        double y;
        const char *at = (const char *)labels->data + (element + class * step) * (int64_t)size;
        reel_convert(REEL_F64, &y, labels->dtype, at, 1);
        sum += y;
        if (isfinite(y) && y >= 0)
            continue;
        reel_text_add(text, "holds ");
        reel_text_number(text, labels->dtype, y);
        reel_text_add(text, " for class %lld: labels must be finite and not negative", (long long)class);
        return true;
    }
    if (fabsl(sum - 1) <= attributes->sum_tolerance)
        return false;
    reel_text_add(text, "sums to ");
    reel_text_number(text, REEL_F64, (double)sum);
    reel_text_add(text, ", which is not 1 within ");
    reel_text_number(text, REEL_F64, attributes->sum_tolerance);
    return true;
}

static bool label_check_dense(const reel_call *call, const reel_xent_shape *shape,
                              const struct label_walk *walk)
{
    const reel_array *labels = &call->in[1];
    int64_t strides[REEL_MAX_RANK], classes = shape->shape.size[shape->axis];
    reel_broadcast_strides(labels->rank, labels->shape, labels->strides, &shape->shape, strides);
    for (int64_t row = 0; row < walk->count; row++) {
        char fault[200], where[200];
        reel_text text = reel_text_in(fault, sizeof fault), place = reel_text_in(where, sizeof where);
        if (!label_fault(call->attributes, labels, label_element(walk, row), strides[shape->axis], classes,
                         &text))
            continue;
        label_row_text(&place, &walk->rows, row);
        return reel_xent_error(call, "%s of the labels %s %s", where, reel_call_describe(call, 1).text, fault);
    }
    return true;
}

bool reel_xent_check_labels(const reel_call *call, const reel_xent_shape *shape)
{
    const reel_cross_entropy *attributes = call->attributes;
    bool integers = attributes->sparse && attributes->out_of_range == REEL_LABELS_ERROR;
    bool dense = !attributes->sparse && attributes->validate;
    if (!integers && !dense)
        return true;
    struct label_walk walk = label_rows(&call->in[1], shape, attributes->sparse);
    return integers ? label_check_integers(call, shape, &walk) : label_check_dense(call, shape, &walk);
}
