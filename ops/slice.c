/* slice: y = x[start:stop:step] along one axis, a view; dx = dy put back among zeros.
 * unslice: y = zeros but for x at y[start::step]; dx = dy sliced. */
#include "core/dtype.h"
#include "core/shape.h"
#include "ops/op.h"

#include <string.h>

/* ---- slice ---------------------------------------------------------------------------------------------------- */

struct slice {
    int     axis;
    int64_t start, stop, step;
};

static int64_t clamp(int64_t x, int64_t low, int64_t high)
{
    return x < low ? low : x > high ? high : x;
}

/* Python's rules: the first position and how many there are. */
static int64_t slice_positions(const struct slice *slice, int64_t size, int64_t *first)
{
    bool forwards = slice->step > 0;
    int64_t low = forwards ? 0 : -1, high = forwards ? size : size - 1;
    int64_t start = slice->start, stop = slice->stop;
    start = start == REEL_END ? (forwards ? low : high) : clamp(start < 0 ? start + size : start, low, high);
    stop = stop == REEL_END ? (forwards ? high : low) : clamp(stop < 0 ? stop + size : stop, low, high);
    *first = start;
    int64_t span = forwards ? stop - start : start - stop;
    int64_t step = forwards ? slice->step : -slice->step;
    return span > 0 ? (span - 1) / step + 1 : 0;
}

static bool slice_shape(reel_call *call, reel_output *out)
{
    const struct slice *slice = call->attributes;
    int axis;
    int64_t first;
    if (!reel_check_axis(call, 0, slice->axis, &axis))
        return false;
    if (slice->step == 0 || slice->step == INT64_MIN)
        return reel_call_error(call, "the step is %lld for %s", (long long)slice->step,
                               reel_describe(call->input[0]).text);
    reel_view_output(call, out);
    out->shape.size[axis] = slice_positions(slice, call->in[0].shape[axis], &first);
    out->offset = out->shape.size[axis] ? first * call->in[0].strides[axis] : 0;
    out->strides[axis] *= out->shape.size[axis] > 1 ? slice->step : 1;
    return true;
}

static void slice_vjp(const reel_call *call, const reel_tensor dy[], reel_tensor dx[], const bool wanted[])
{
    (void)wanted;
    const struct slice *slice = call->attributes;
    reel_shape shape = reel_shape_of(call->input[0]);
    int axis;
    int64_t first;
    reel_normal_axis(slice->axis, shape.rank, &axis);
    int64_t n = slice_positions(slice, shape.size[axis], &first);
    dx[0] = reel_unslice(dy[0], axis, shape.size[axis], n ? first : 0, n > 1 ? slice->step : 1);
}

/* Element i of the output, as a list of positions, and back. */
static int64_t move_along(const reel_reference_array *from, const reel_reference_array *to, int64_t i, int axis,
                          int64_t start, int64_t step)
{
    int64_t inner = 1, own = from->shape[axis];
    for (int d = axis + 1; d < from->rank; d++)
        inner *= from->shape[d];
    int64_t position = i / inner % own, outer = i / (inner * own);
    return (outer * to->shape[axis] + start + position * step) * inner + i % inner;
}

static void slice_reference(const void *attributes, const reel_reference_array *in, int inputs,
                            reel_reference_array *out, int outputs)
{
    (void)inputs;
    (void)outputs;
    const struct slice *slice = attributes;
    int axis = slice->axis < 0 ? slice->axis + in->rank : slice->axis;
    int64_t first = slice->start == REEL_END ? (slice->step > 0 ? 0 : in->shape[axis] - 1) : slice->start;
    first = first < 0 ? first + in->shape[axis] : first;
    for (int64_t i = 0; i < out->count; i++)
        out->value[i] = in->value[move_along(out, in, i, axis, first, slice->step)];
}

static const struct slice slice_middle = {1, 1, 3, 1}, slice_back = {0, REEL_END, REEL_END, -2},
                          slice_one = {-1, -1, REEL_END, 1}, slice_none = {0, 2, 1, 1}, slice_far = {3, 0, 1, 1},
                          slice_still = {0, 0, 1, 0};
static const reel_sample slice_samples[] = {
    {.note = "the middle", .in = {{.shape = REEL_SIZES(2, 4)}}, .attributes = &slice_middle},
    {.note = "backwards by twos", .in = {{.shape = REEL_SIZES(5, 2)}}, .attributes = &slice_back},
    {.note = "the last", .in = {{.shape = REEL_SIZES(2, 3)}}, .attributes = &slice_one},
    {.note = "nothing", .in = {{.shape = REEL_SIZES(3)}}, .attributes = &slice_none},
    {.note = "of nothing", .in = {{.shape = REEL_SIZES(0, 4)}}, .attributes = &slice_middle},
    {.note = "transposed", .in = {{.shape = REEL_SIZES(3, 4), .layout = REEL_TRANSPOSED}}, .attributes = &slice_middle},
    {.note = "no such axis", .in = {{.shape = REEL_SIZES(3)}}, .attributes = &slice_far, .error = "axis 3 is not in"},
    {.note = "no step", .in = {{.shape = REEL_SIZES(3)}}, .attributes = &slice_still, .error = "the step is 0"},
};

const reel_op reel_op_slice = {
    .size = sizeof(reel_op), .name = "slice", .inputs = 1, .outputs = 1, .attributes = sizeof(struct slice),
    .flags = REEL_OUTPUT_UNREAD | REEL_INPUTS_UNREAD, .shape = slice_shape, .vjp = slice_vjp,
    .example = "reel_slice(a, 1, 1, 3, 1)",
    .formula = "y = x[start:stop:step]; dx = dy among zeros", REEL_TRUTH(slice_reference), REEL_SAMPLES(slice_samples),
};

/* An attribute struct is compared and copied byte by byte, so its padding is cleared. */
reel_tensor reel_slice_at(REEL_PLACE, reel_tensor x, int axis, int64_t start, int64_t stop, int64_t step)
{
    struct slice slice;
    memset(&slice, 0, sizeof slice);
    slice.axis = axis;
    slice.start = start;
    slice.stop = stop;
    slice.step = step;
    return reel_apply_one(file, line, &reel_op_slice, REEL_TENSORS(x), &slice);
}

/* ---- unslice -------------------------------------------------------------------------------------------------- */

struct unslice {
    int     axis;
    int64_t size, start, step;
};

static bool unslice_shape(reel_call *call, reel_output *out)
{
    const struct unslice *u = call->attributes;
    const reel_array *x = &call->in[0];
    int axis;
    if (!reel_check_axis(call, 0, u->axis, &axis))
        return false;
    int64_t n = x->shape[axis];
    reel_wide last = u->start + (reel_wide)(n - 1) * u->step;
    if (u->step == 0 || u->size < n || (n && (u->start < 0 || u->start >= u->size || last < 0 || last >= u->size)))
        return reel_call_error(call, "%s does not lie at %lld, by %lld, in a size of %lld",
                               reel_describe(call->input[0]).text, (long long)u->start, (long long)u->step,
                               (long long)u->size);
    out->dtype = x->dtype;
    out->shape = reel_make_shape(x->rank, x->shape);
    out->shape.size[axis] = u->size;
    return true;
}

static bool unslice_forward(const reel_call *call)
{
    const struct unslice *u = call->attributes;
    const reel_array *x = &call->in[0], *y = &call->out[0];
    int64_t size = (int64_t)reel_dtype_size(x->dtype), stride[REEL_MAX_RANK], start = 0;
    int axis;
    reel_normal_axis(u->axis, x->rank, &axis);
    memset(y->data, 0, (size_t)(y->count * size));
    for (int i = 0; i < x->rank; i++)
        stride[i] = y->strides[i] * (i == axis ? u->step : 1);
    start = u->start * y->strides[axis];
    const int64_t *strides[] = {x->strides, stride};
    reel_walk walk;
    for (reel_walk_start(&walk, x->rank, x->shape, 2, strides); walk.more; reel_walk_next(&walk))
        reel_convert_strided(x->dtype, (char *)y->data + (start + walk.offset[1]) * size, walk.step[1], x->dtype,
                             (const char *)x->data + walk.offset[0] * size, walk.step[0], walk.length);
    return true;
}

/* A stop before the front is one left out, since a negative one would count from the end. */
static void unslice_vjp(const reel_call *call, const reel_tensor dy[], reel_tensor dx[], const bool wanted[])
{
    (void)wanted;
    const struct unslice *u = call->attributes;
    reel_shape shape = reel_shape_of(call->input[0]);
    int axis;
    reel_normal_axis(u->axis, shape.rank, &axis);
    int64_t stop = u->start + shape.size[axis] * u->step;
    dx[0] = reel_slice(dy[0], axis, u->start, stop < 0 ? REEL_END : stop, u->step);
}

static void unslice_reference(const void *attributes, const reel_reference_array *in, int inputs,
                              reel_reference_array *out, int outputs)
{
    (void)inputs;
    (void)outputs;
    const struct unslice *u = attributes;
    int axis = u->axis < 0 ? u->axis + in->rank : u->axis;
    for (int64_t i = 0; i < out->count; i++)
        out->value[i] = 0;
    for (int64_t i = 0; i < in->count; i++)
        out->value[move_along(in, out, i, axis, u->start, u->step)] = in->value[i];
}

static const struct unslice unslice_middle = {1, 5, 1, 1}, unslice_back = {0, 6, 5, -2}, unslice_small = {0, 2, 0, 1};
static const reel_sample unslice_samples[] = {
    {.note = "the middle", .in = {{.shape = REEL_SIZES(2, 3)}}, .attributes = &unslice_middle},
    {.note = "backwards by twos", .in = {{.shape = REEL_SIZES(3, 2)}}, .attributes = &unslice_back},
    {.note = "nothing", .in = {{.shape = REEL_SIZES(0)}}, .attributes = &(const struct unslice){0, 3, 0, 1}},
    {.note = "transposed", .in = {{.shape = REEL_SIZES(2, 4), .layout = REEL_TRANSPOSED}}, .attributes = &unslice_middle},
    {.note = "too small", .in = {{.shape = REEL_SIZES(3)}}, .attributes = &unslice_small, .error = "does not lie at 0"},
};

const reel_op reel_op_unslice = {
    .size = sizeof(reel_op), .name = "unslice", .inputs = 1, .outputs = 1, .attributes = sizeof(struct unslice),
    .flags = REEL_OUTPUT_UNREAD | REEL_INPUTS_UNREAD,
    .shape = unslice_shape, .forward = unslice_forward, .vjp = unslice_vjp,
    .example = "reel_unslice(a, 1, 5, 1, 1)",
    .formula = "y = zeros but for y[start::step] = x; dx = dy[start::step]", REEL_TRUTH(unslice_reference),
    REEL_SAMPLES(unslice_samples),
};

reel_tensor reel_unslice_at(REEL_PLACE, reel_tensor y, int axis, int64_t size, int64_t start, int64_t step)
{
    struct unslice unslice;
    memset(&unslice, 0, sizeof unslice);
    unslice.axis = axis;
    unslice.size = size;
    unslice.start = start;
    unslice.step = step;
    return reel_apply_one(file, line, &reel_op_unslice, REEL_TENSORS(y), &unslice);
}
