/* stack: y[i] = x_i, tensors of one dtype and shape along a new first axis; dx_i = dy[i], a view. */
#include "core/dtype.h"
#include "core/shape.h"
#include "ops/op.h"

static bool stack_shape(reel_call *call, reel_output *out)
{
    const reel_array *first = call->in;
    for (int i = 1; i < call->inputs; i++) {
        const reel_array *x = &call->in[i];
        if (x->dtype != first->dtype || !reel_same_sizes(x->rank, x->shape, first->rank, first->shape))
            return reel_call_error(call, "input %d, %s, differs from the first, %s", i + 1,
                                   reel_describe(call->input[i]).text, reel_describe(call->input[0]).text);
    }
    if (first->rank == REEL_MAX_RANK)
        return reel_call_error(call, "%s has rank %d already, the most there is",
                               reel_describe(call->input[0]).text, REEL_MAX_RANK);
    out->dtype = first->dtype;
    out->shape.rank = first->rank + 1;
    out->shape.size[0] = call->inputs;
    for (int i = 0; i < first->rank; i++)
        out->shape.size[i + 1] = first->shape[i];
    return true;
}

static bool stack_forward(const reel_call *call)
{
    char *y = call->out->data;
    for (int i = 0; i < call->inputs; i++) {
        const reel_array *x = &call->in[i];
        int64_t size = (int64_t)reel_dtype_size(x->dtype);
        const int64_t *strides[] = {x->strides};
        reel_walk walk;
        for (reel_walk_start(&walk, x->rank, x->shape, 1, strides); walk.more; reel_walk_next(&walk)) {
            reel_convert_strided(x->dtype, y, 1, x->dtype, (const char *)x->data + walk.offset[0] * size,
                                 walk.step[0], walk.length);
            y += walk.length * size;
        }
    }
    return true;
}

static void stack_vjp(const reel_call *call, const reel_tensor dy[], reel_tensor dx[], const bool wanted[])
{
    reel_shape shape = reel_shape_of(call->input[0]);
    for (int i = 0; i < call->inputs; i++)
        if (wanted[i])
            dx[i] = reel_reshape(reel_slice(dy[0], 0, i, i + 1, 1), shape);
}

static void stack_reference(const void *attributes, const reel_reference_array *in, int inputs,
                            reel_reference_array *out, int outputs)
{
    (void)attributes;
    (void)inputs;
    (void)outputs;
    for (int64_t i = 0; i < out->count; i++)
        out->value[i] = in[i / in->count].value[i % in->count];
}

static const reel_sample stack_samples[] = {
    {.note = "rows", .inputs = 3,
     .in = {{.shape = REEL_SIZES(4)}, {.shape = REEL_SIZES(4)}, {.shape = REEL_SIZES(4)}}},
    {.note = "scalars", .inputs = 2},
    {.note = "one", .inputs = 1, .in = {{.shape = REEL_SIZES(2, 3)}}},
    {.note = "empty", .inputs = 2, .in = {{.shape = REEL_SIZES(0, 2)}, {.shape = REEL_SIZES(0, 2)}}},
    {.note = "transposed and reversed", .inputs = 2,
     .in = {{.shape = REEL_SIZES(3, 2), .layout = REEL_TRANSPOSED},
            {.shape = REEL_SIZES(3, 2), .layout = REEL_REVERSED}}},
    {.note = "shapes differ", .inputs = 2, .in = {{.shape = REEL_SIZES(3)}, {.shape = REEL_SIZES(1)}},
     .error = "differs from the first"},
    {.note = "dtypes differ", .inputs = 2,
     .in = {{.shape = REEL_SIZES(3), .dtype = REEL_F32}, {.shape = REEL_SIZES(3), .dtype = REEL_F64}},
     .error = "differs from the first"},
};

const reel_op reel_op_stack = {
    .size = sizeof(reel_op), .name = "stack", .inputs = REEL_ANY, .outputs = 1,
    .flags = REEL_OUTPUT_UNREAD | REEL_INPUTS_UNREAD,
    .shape = stack_shape, .forward = stack_forward, .vjp = stack_vjp,
    .example = "reel_stack(REEL_TENSORS(a, b, c))",
    .formula = "y[i] = x_i; dx_i = dy[i]", REEL_TRUTH(stack_reference), REEL_SAMPLES(stack_samples),
};

reel_tensor reel_stack_at(REEL_PLACE, reel_tensors xs)
{
    return reel_apply_one(file, line, &reel_op_stack, xs, NULL);
}
