/* concatenate: tensors of one dtype one behind the other along an axis; dx_i = dy's stretch of it, a view. */
#include "core/dtype.h"
#include "core/shape.h"
#include "ops/op.h"

struct concatenate {
    int axis;
};

static bool concatenate_shape(reel_call *call, reel_output *out)
{
    const reel_array *first = call->in;
    int axis;
    if (!reel_check_axis(call, 0, ((const struct concatenate *)call->attributes)->axis, &axis))
        return false;
    out->dtype = first->dtype;
    out->shape = reel_make_shape(first->rank, first->shape);
    for (int i = 1; i < call->inputs; i++) {
        const reel_array *x = &call->in[i];
        bool fits = x->dtype == first->dtype && x->rank == first->rank;
        for (int d = 0; fits && d < x->rank; d++)
            fits = d == axis || x->shape[d] == first->shape[d];
        if (!fits)
            return reel_call_error(call, "input %d, %s, does not fit the first, %s, along axis %d", i + 1,
                                   reel_describe(call->input[i]).text, reel_describe(call->input[0]).text,
                                   axis);
        if (__builtin_add_overflow(out->shape.size[axis], x->shape[axis], &out->shape.size[axis]))
            return reel_call_error(call, "the result has too many elements");
    }
    return true;
}

static bool concatenate_forward(const reel_call *call)
{
    const reel_array *y = &call->out[0];
    int64_t size = (int64_t)reel_dtype_size(y->dtype), start = 0;
    int axis;
    reel_normal_axis(((const struct concatenate *)call->attributes)->axis, y->rank, &axis);
    for (int i = 0; i < call->inputs; i++) {
        const reel_array *x = &call->in[i];
        const int64_t *strides[] = {x->strides, y->strides};
        reel_walk walk;
        for (reel_walk_start(&walk, x->rank, x->shape, 2, strides); walk.more; reel_walk_next(&walk))
            reel_convert_strided(y->dtype, (char *)y->data + (start + walk.offset[1]) * size, walk.step[1],
                                 x->dtype, (const char *)x->data + walk.offset[0] * size, walk.step[0],
                                 walk.length);
        start += x->shape[axis] * y->strides[axis];
    }
    return true;
}

static void concatenate_vjp(const reel_call *call, const reel_tensor dy[], reel_tensor dx[],
                            const bool wanted[])
{
    int axis;
    reel_normal_axis(((const struct concatenate *)call->attributes)->axis, reel_shape_of(dy[0]).rank, &axis);
    int64_t start = 0;
    for (int i = 0; i < call->inputs; i++) {
        int64_t stop = start + reel_shape_of(call->input[i]).size[axis];
        if (wanted[i])
            dx[i] = reel_slice(dy[0], axis, start, stop, 1);
        start = stop;
    }
}

static void concatenate_reference(const void *attributes, const reel_reference_array *in, int inputs,
                                  reel_reference_array *out, int outputs)
{
    (void)outputs;
    int axis = ((const struct concatenate *)attributes)->axis;
    axis = axis < 0 ? axis + out->rank : axis;
    int64_t inner = 1;
    for (int d = axis + 1; d < out->rank; d++)
        inner *= out->shape[d];
    for (int64_t i = 0; i < out->count; i++) {
        int64_t position = i / inner % out->shape[axis], outer = i / inner / out->shape[axis];
        int k = 0;
        while (k < inputs - 1 && position >= in[k].shape[axis])
            position -= in[k++].shape[axis];
        out->value[i] = in[k].value[(outer * in[k].shape[axis] + position) * inner + i % inner];
    }
}

static const struct concatenate concatenate_rows = {0}, concatenate_last = {-1}, concatenate_far = {2};
static const reel_sample concatenate_samples[] = {
    {.note = "rows", .inputs = 3, .in = {{.shape = REEL_SIZES(2, 3)}, {.shape = REEL_SIZES(1, 3)},
     {.shape = REEL_SIZES(3, 3)}}, .attributes = &concatenate_rows},
    {.note = "the last axis", .inputs = 2, .in = {{.shape = REEL_SIZES(2, 2, 3)},
     {.shape = REEL_SIZES(2, 2, 1)}},
     .attributes = &concatenate_last},
    {.note = "one", .inputs = 1, .in = {{.shape = REEL_SIZES(4)}}, .attributes = &concatenate_rows},
    {.note = "with nothing", .inputs = 2, .in = {{.shape = REEL_SIZES(0, 2)}, {.shape = REEL_SIZES(3, 2)}},
     .attributes = &concatenate_rows},
    {.note = "integers", .inputs = 2, .in = {{.shape = REEL_SIZES(3), .dtype = REEL_U8},
     {.shape = REEL_SIZES(2), .dtype = REEL_U8}}, .attributes = &concatenate_rows},
    {.note = "transposed and reversed", .inputs = 2, .in = {{.shape = REEL_SIZES(3, 2),
     .layout = REEL_TRANSPOSED},
     {.shape = REEL_SIZES(3, 2), .layout = REEL_REVERSED}}, .attributes = &concatenate_last},
    {.note = "sizes differ", .inputs = 2, .in = {{.shape = REEL_SIZES(2, 3)}, {.shape = REEL_SIZES(3, 2)}},
     .attributes = &concatenate_rows,
     .error = "input 2, [3,2] f32, does not fit the first, [2,3] f32, along axis 0"},
    {.note = "dtypes differ", .inputs = 2, .in = {{.shape = REEL_SIZES(3), .dtype = REEL_F32},
     {.shape = REEL_SIZES(3), .dtype = REEL_F64}}, .attributes = &concatenate_rows,
     .error = "does not fit the first"},
    {.note = "no such axis", .inputs = 1, .in = {{.shape = REEL_SIZES(3)}}, .attributes = &concatenate_far,
     .error = "axis 2 is not in"},
};

const reel_op reel_op_concatenate = {
    .size = sizeof(reel_op), .name = "concatenate", .inputs = REEL_ANY, .outputs = 1,
    .attributes = sizeof(struct concatenate), .flags = REEL_OUTPUT_UNREAD | REEL_INPUTS_UNREAD,
    .shape = concatenate_shape, .forward = concatenate_forward, .vjp = concatenate_vjp,
    .example = "reel_concatenate(REEL_TENSORS(a, b, c), 0)",
    .formula = "y = x_1, x_2, ... along an axis; dx_i = dy's stretch of it",
    REEL_TRUTH(concatenate_reference), REEL_SAMPLES(concatenate_samples),
};

reel_tensor reel_concatenate_at(REEL_PLACE, reel_tensors xs, int axis)
{
    return reel_apply_one(file, line, &reel_op_concatenate, xs, &(const struct concatenate){axis});
}
