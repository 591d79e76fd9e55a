/* pad: x with a constant around it; dx = dy without its border, a view. And flip, which is slices by -1. */
#include "core/dtype.h"
#include "core/options.h"
#include "core/shape.h"
#include "ops/op.h"

#include <string.h>

struct pad {
    int64_t before[REEL_MAX_RANK], after[REEL_MAX_RANK];
    double  value;
};

static bool pad_shape(reel_call *call, reel_output *out)
{
    const struct pad *pad = call->attributes;
    const reel_array *x = &call->in[0];
    out->dtype = x->dtype;
    out->shape = reel_make_shape(x->rank, x->shape);
    for (int i = 0; i < REEL_MAX_RANK; i++) {
        int64_t before = pad->before[i], after = pad->after[i], *size = &out->shape.size[i];
        if (i >= x->rank && (before || after))
            return reel_call_error(call, "%lld and %lld around axis %d, which %s does not have",
                                   (long long)before, (long long)after, i,
                                   reel_describe(call->input[0]).text);
        if (before < 0 || after < 0)
            return reel_call_error(call, "%lld and %lld around axis %d: padding is not negative",
                                   (long long)before, (long long)after, i);
        if (i < x->rank &&
            (__builtin_add_overflow(*size, before, size) || __builtin_add_overflow(*size, after, size)))
            return reel_call_error(call, "the result has too many elements");
    }
    return true;
}

static bool pad_forward(const reel_call *call)
{
    const struct pad *pad = call->attributes;
    const reel_array *x = &call->in[0], *y = &call->out[0];
    int64_t size = (int64_t)reel_dtype_size(x->dtype), start = 0;
    reel_values value = reel_fill(x->dtype, pad->value);
    reel_values_copy(&value, y->data, y->count);
    for (int i = 0; i < x->rank; i++)
        start += pad->before[i] * y->strides[i];
    const int64_t *strides[] = {x->strides, y->strides};
    reel_walk walk;
    for (reel_walk_start(&walk, x->rank, x->shape, 2, strides); walk.more; reel_walk_next(&walk))
        reel_convert_strided(x->dtype, (char *)y->data + (start + walk.offset[1]) * size, walk.step[1],
                             x->dtype, (const char *)x->data + walk.offset[0] * size, walk.step[0],
                             walk.length);
    return true;
}

static void pad_vjp(const reel_call *call, const reel_tensor dy[], reel_tensor dx[], const bool wanted[])
{
    (void)wanted;
    const struct pad *pad = call->attributes;
    reel_shape shape = reel_shape_of(call->input[0]);
    dx[0] = dy[0];
    for (int i = 0; i < shape.rank; i++)
        if (pad->before[i] || pad->after[i])
            dx[0] = reel_slice(dx[0], i, pad->before[i], pad->before[i] + shape.size[i], 1);
}

static void pad_reference(const void *attributes, const reel_reference_array *in, int inputs,
                          reel_reference_array *out, int outputs)
{
    (void)inputs;
    (void)outputs;
    const struct pad *pad = attributes;
    for (int64_t i = 0; i < out->count; i++) {
        int64_t rest = i, at = 0, stride = 1;
        bool inside = true;
        for (int d = out->rank - 1; d >= 0; d--) {
            int64_t position = rest % out->shape[d] - pad->before[d];
            rest /= out->shape[d];
            inside &= position >= 0 && position < in->shape[d];
            at += position * stride;
            stride *= in->shape[d];
        }
        out->value[i] = inside ? in->value[at] : pad->value;
    }
}

static const struct pad pad_frame = {{1, 2}, {3, 0}, .5}, pad_middle = {{0, 1, 0}, {0, 1, 0}, 0},
                        pad_none = {{0}, {0}, 7}, pad_negative = {{1}, {-1}, 0}, pad_ends = {{2}, {1}, -2};
static const reel_sample pad_samples[] = {
    {.note = "a frame", .in = {{.shape = REEL_SIZES(2, 3)}}, .attributes = &pad_frame},
    {.note = "the middle axis", .in = {{.shape = REEL_SIZES(2, 2, 3)}}, .attributes = &pad_middle},
    {.note = "not at all", .in = {{.shape = REEL_SIZES(4)}}, .attributes = &pad_none},
    {.note = "a scalar", .attributes = &pad_none},
    {.note = "empty", .in = {{.shape = REEL_SIZES(0, 3)}}, .attributes = &pad_frame},
    {.note = "integers", .in = {{.shape = REEL_SIZES(3), .dtype = REEL_I64}}, .attributes = &pad_ends},
    {.note = "transposed", .in = {{.shape = REEL_SIZES(3, 4), .layout = REEL_TRANSPOSED}},
     .attributes = &pad_frame},
    {.note = "reversed", .in = {{.shape = REEL_SIZES(5), .layout = REEL_REVERSED}}, .attributes = &pad_ends},
    {.note = "no such axis", .in = {{.shape = REEL_SIZES(3)}}, .attributes = &pad_frame,
     .error = "2 and 0 around axis 1, which [3] f32 does not have"},
    {.note = "negative", .in = {{.shape = REEL_SIZES(3)}}, .attributes = &pad_negative,
     .error = "padding is not negative"},
};

const reel_op reel_op_pad = {
    .size = sizeof(reel_op), .name = "pad", .inputs = 1, .outputs = 1, .attributes = sizeof(struct pad),
    .flags = REEL_OUTPUT_UNREAD | REEL_INPUTS_UNREAD,
    .shape = pad_shape, .forward = pad_forward, .vjp = pad_vjp,
    .example = "reel_pad(a, .before = {1, 2}, .after = {3, 0}, .value = .5)",
    .formula = "y = x with a constant around it; dx = dy without its border", REEL_TRUTH(pad_reference),
    REEL_SAMPLES(pad_samples),
};

reel_tensor reel_pad_at(REEL_PLACE, const reel_pad_options *options)
{
    reel_pad_options o;
    reel_known_options(&o, sizeof o, options);
    struct pad pad;
    memcpy(pad.before, o.before, sizeof pad.before);
    memcpy(pad.after, o.after, sizeof pad.after);
    pad.value = o.value;
    return reel_apply_one(file, line, &reel_op_pad, REEL_TENSORS(o.x), &pad);
}

/* Not an op of its own: a view for each axis. */
reel_tensor reel_flip_at(REEL_PLACE, reel_tensor x, reel_axes axes)
{
    int rank = reel_shape_of(x).rank;
    bool all = axes.count == 0;
    unsigned seen = 0;
    for (int i = 0; i < (all ? rank : axes.count) && i < REEL_MAX_RANK; i++) {
        int axis = all ? i : axes.axis[i], normal;
        if (reel_normal_axis(axis, rank, &normal) && seen >> normal & 1) {
            reel_error_set_at(file, line, x.tape, "flip: axis %d is named twice", axis);
            return (reel_tensor){x.tape, 0, 0};
        }
        if (reel_normal_axis(axis, rank, &normal))
            seen |= 1u << normal;
        x = reel_slice_at(file, line, x, axis, REEL_END, REEL_END, -1);
    }
    return x;
}
