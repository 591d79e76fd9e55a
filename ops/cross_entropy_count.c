/* sparse_softmax_cross_entropy_count: how many rows count, as a number of the logits' dtype. Rows whose label
 * is ignored do not. */
#include "ops/cross_entropy.h"
#include "core/dtype.h"
#include "core/shape.h"
#include "ops/op.h"

static bool count_shape(reel_call *call, reel_output *out)
{
    if (!reel_xent_shape_rule(call, out))
        return false;
    out->shape.rank = 0;
    return true;
}

static bool count_forward(const reel_call *call)
{
    const reel_cross_entropy *attributes = call->attributes;
    const reel_array *labels = &call->in[1];
    reel_xent_shape shape = reel_xent_shape_of(attributes, &call->in[0], labels);
    reel_shape rows = reel_xent_rows_shape(&shape);
    int64_t strides[REEL_MAX_RANK], count = 0;
    reel_broadcast_strides(labels->rank, labels->shape, labels->strides, &rows, strides);
    reel_walk walk;
    for (reel_walk_start(&walk, rows.rank, rows.size, 1, (const int64_t *const[]){strides}); walk.more;
         reel_walk_next(&walk))
        for (int64_t i = 0; i < walk.length; i++)
            count += reel_xent_read_label(attributes, labels, walk.offset[0] + i * walk.step[0],
                                          shape.shape.size[shape.axis]).fate != REEL_XENT_OUT_OF_IT;
    reel_convert(call->out[0].dtype, call->out[0].data, REEL_I64, &count, 1);
    return true;
}

/* Labels of size 1 along a dimension stand for all rows along it. */
static void count_reference(const void *attributes, const reel_reference_array *in, int inputs,
                            reel_reference_array *out, int outputs)
{
    const reel_cross_entropy *a = attributes;
    (void)inputs;
    (void)outputs;
    int64_t rows = 1, classes = in[0].shape[in[0].rank + a->axis];
    for (int i = 0, j = 0; i < in[0].rank; i++)
        if (i != in[0].rank + a->axis) {
            rows *= in[0].shape[i] == 1 ? in[1].shape[j] : in[0].shape[i];
            j++;
        }
    double counted = 0;
    for (int64_t i = 0; i < in[1].count; i++) {
        double label = in[1].value[i];
        bool outside = label < 0 || label >= (double)classes;
        bool ignored = (a->ignore_index != REEL_NO_INDEX && label == (double)a->ignore_index) ||
                       (outside && a->out_of_range == REEL_LABELS_IGNORE);
        counted += !ignored;
    }
    out[0].value[0] = in[1].count ? counted * (double)(rows / in[1].count) : 0;
}

const reel_op reel_op_sparse_softmax_cross_entropy_count = {
    .size = sizeof(reel_op), .name = "sparse_softmax_cross_entropy_count", .inputs = 2, .outputs = 1,
    .attributes = sizeof(reel_cross_entropy), .flags = REEL_NO_GRADIENT, .shape = count_shape,
    .forward = count_forward, .formula = "n = the number of rows that count", REEL_TRUTH(count_reference),
    REEL_COUNTED_SAMPLES(reel_xent_count_samples, REEL_XENT_COUNT_SAMPLES),
};
