/* one_hot: y[..., c] = 1 where c is the index, else 0. No gradient: it comes from integers. */
#include "core/dtype.h"
#include "core/shape.h"
#include "ops/indices.h"

#include <string.h>

struct one_hot {
    int64_t    depth;
    reel_dtype dtype;
};

static bool one_hot_shape(reel_call *call, reel_output *out)
{
    const struct one_hot *one_hot = call->attributes;
    const reel_array *x = &call->in[0];
    if (!reel_check_index_dtype(call, 0))
        return false;
    if (!reel_dtype_size(one_hot->dtype))
        return reel_call_error(call, "there is no such dtype (%d)", (int)one_hot->dtype);
    if (one_hot->depth < 0)
        return reel_call_error(call, "%lld classes", (long long)one_hot->depth);
    if (x->rank == REEL_MAX_RANK)
        return reel_call_error(call, "%s has rank %d already, the most there is",
                               reel_describe(call->input[0]).text, REEL_MAX_RANK);
    out->dtype = one_hot->dtype;
    out->shape = reel_make_shape(x->rank, x->shape);
    out->shape.size[out->shape.rank++] = one_hot->depth;
    return true;
}

static bool one_hot_forward(const reel_call *call)
{
    const struct one_hot *one_hot = call->attributes;
    const reel_array *x = &call->in[0], *y = &call->out[0];
    int64_t size = (int64_t)reel_dtype_size(y->dtype), x_size = (int64_t)reel_dtype_size(x->dtype);
    double one = 1;
    if (!reel_check_indices(call, 0, one_hot->depth))
        return false;
    memset(y->data, 0, (size_t)(y->count * size));
    const int64_t *strides[] = {x->strides};
    char *row = y->data;
    reel_walk walk;
    for (reel_walk_start(&walk, x->rank, x->shape, 1, strides); walk.more; reel_walk_next(&walk))
        for (int64_t i = 0; i < walk.length; i++, row += one_hot->depth * size) {
            int64_t index;
            reel_convert(REEL_I64, &index, x->dtype,
                         (const char *)x->data + (walk.offset[0] + i * walk.step[0]) * x_size, 1);
            reel_convert(y->dtype, row + index * size, REEL_F64, &one, 1);
        }
    return true;
}

static void one_hot_promote(void *attributes)
{
    struct one_hot *one_hot = attributes;
    if (reel_dtype_is_float(one_hot->dtype))
        one_hot->dtype = REEL_F64;
}

static void one_hot_reference(const void *attributes, const reel_reference_array *in, int inputs,
                              reel_reference_array *out, int outputs)
{
    (void)inputs;
    (void)outputs;
    int64_t depth = ((const struct one_hot *)attributes)->depth;
    for (int64_t i = 0; i < out->count; i++)
        out->value[i] = (double)(i % depth) == in->value[i / depth];
}

static const struct one_hot one_hot_four = {4, REEL_F32}, one_hot_bytes = {4, REEL_U8},
                            one_hot_none = {4, REEL_NO_DTYPE};
static const reel_sample one_hot_samples[] = {
    {.note = "a list", .in = {{.shape = REEL_SIZES(5), .low = 0, .high = 4, .dtype = REEL_I64}},
     .attributes = &one_hot_four},
    {.note = "a matrix", .in = {{.shape = REEL_SIZES(2, 3), .low = 0, .high = 4, .dtype = REEL_I32}},
     .attributes = &one_hot_bytes},
    {.note = "a scalar", .in = {{.low = 0, .high = 4, .dtype = REEL_U8}}, .attributes = &one_hot_four},
    {.note = "empty", .in = {{.shape = REEL_SIZES(0), .dtype = REEL_I64}}, .attributes = &one_hot_four},
    {.note = "transposed", .in = {{.shape = REEL_SIZES(2, 3), .low = 0, .high = 4, .dtype = REEL_I64,
     .layout = REEL_TRANSPOSED}}, .attributes = &one_hot_four},
    {.note = "too large", .in = {{.shape = REEL_SIZES(2), .values = (const double[]){3, 4},
     .dtype = REEL_I64}},
     .attributes = &one_hot_four, .error = "element 1 of the indices is 4, which is not in [0, 4)"},
    {.note = "floating", .in = {{.shape = REEL_SIZES(2)}}, .attributes = &one_hot_four,
     .error = "are not integers"},
    {.note = "no dtype", .in = {{.shape = REEL_SIZES(2), .dtype = REEL_I64}}, .attributes = &one_hot_none,
     .error = "no such dtype"},
};

const reel_op reel_op_one_hot = {
    .size = sizeof(reel_op), .name = "one_hot", .inputs = 1, .outputs = 1,
    .attributes = sizeof(struct one_hot),
    .flags = REEL_NO_GRADIENT, .shape = one_hot_shape, .forward = one_hot_forward, .promote = one_hot_promote,
    .example = "reel_one_hot(a, 4, REEL_F32)",
    .formula = "y[c] = 1 where c is the index, else 0", REEL_TRUTH(one_hot_reference),
    REEL_SAMPLES(one_hot_samples),
};

reel_tensor reel_one_hot_at(REEL_PLACE, reel_tensor indices, int64_t classes, reel_dtype dtype)
{
    struct one_hot one_hot;
    memset(&one_hot, 0, sizeof one_hot);
    one_hot.depth = classes;
    one_hot.dtype = dtype;
    return reel_apply_one(file, line, &reel_op_one_hot, REEL_TENSORS(indices), &one_hot);
}
