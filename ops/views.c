/* Views: other shapes and strides on the same memory.
 *
 *     reshape         dx = dy reshaped back
 *     permute         dx = dy permuted back
 *     broadcast       dx = dy summed down
 *     stop_gradient   no gradient
 *
 * and contiguous, which lays x out anew. */
#include "autograd/tape.h"
#include "core/shape.h"
#include "ops/op.h"

#include <string.h>

/* ---- reshape ------------------------------------------------------------------------------------------------- */

/* Strides for the new sizes on the old memory, where there are any. Both shapes are cut into the shortest
 * stretches of dimensions that hold the same number of elements; within a stretch the old dimensions must
 * step evenly. Sizes of 1 are left out first. */
static bool reshape_strides(const reel_array *x, const reel_shape *to, int64_t *strides)
{
    int64_t size[REEL_MAX_RANK], stride[REEL_MAX_RANK];
    int rank = 0;
    for (int i = 0; i < x->rank; i++)
        if (x->shape[i] != 1) {
            size[rank] = x->shape[i];
            stride[rank++] = x->strides[i];
        }
    int old = 0, next = 0;
    while (next < to->rank) {
        int64_t from_count = 1, to_count = 1;
        int first = old, start = next;
        do {
            if (from_count > to_count || next == start)
                to_count *= to->size[next++];
            else
                from_count *= size[old++];
        } while (from_count != to_count);
        for (int i = first; i + 1 < old; i++)
            if (stride[i] != stride[i + 1] * size[i + 1])
                return false;
        int64_t step = old > first ? stride[old - 1] : 1;
        for (int i = next - 1; i >= start; i--) {
            strides[i] = step;
            step *= to->size[i];
        }
    }
    return true;
}

/* A size of -1 is what the others leave. */
static bool reshape_sizes(reel_call *call, const reel_shape *wanted, reel_shape *to)
{
    int open = -1;
    *to = *wanted;
    if (to->rank < 0 || to->rank > REEL_MAX_RANK)
        return reel_call_error(call, "rank %d is not between 0 and %d", to->rank, REEL_MAX_RANK);
    for (int i = 0; i < to->rank; i++)
        if (to->size[i] == -1 && open < 0)
            open = i;
        else if (to->size[i] < 0)
            return reel_call_error(call, "dimension %d of the new shape has the size %lld", i, (long long)to->size[i]);
    int64_t count = call->in[0].count;
    if (open >= 0) {
        to->size[open] = 1;
        int64_t others = reel_shape_count(to->rank, to->size);
        to->size[open] = others > 0 ? count / others : 0;
    }
    if (reel_shape_count(to->rank, to->size) == count)
        return true;
    char sizes[128];
    reel_text text = reel_text_in(sizes, sizeof sizes);
    reel_text_shape(&text, wanted->rank, wanted->size);
    return reel_call_error(call, "%s does not have the elements of %s", sizes, reel_describe(call->input[0]).text);
}

static bool reshape_shape(reel_call *call, reel_output *out)
{
    const reel_array *x = &call->in[0];
    if (!reshape_sizes(call, call->attributes, &out->shape))
        return false;
    out->dtype = x->dtype;
    out->view_of = 0;
    if (x->count == 0 || reel_is_contiguous(x->rank, x->shape, x->strides))
        reel_contiguous_strides(out->shape.rank, out->shape.size, out->strides);
    else if (!reshape_strides(x, &out->shape, out->strides))
        return reel_call_error(call, "the strides of %s leave no view", reel_describe(call->input[0]).text);
    return true;
}

static void reshape_vjp(const reel_call *call, const reel_tensor dy[], reel_tensor dx[], const bool wanted[])
{
    (void)wanted;
    dx[0] = reel_reshape(dy[0], reel_shape_of(call->input[0]));
}

static void view_copy(const void *attributes, const reel_reference_array *in, int inputs, reel_reference_array *out,
                      int outputs)
{
    (void)attributes;
    (void)inputs;
    (void)outputs;
    for (int64_t i = 0; i < out->count; i++)
        out->value[i] = in->value[i];
}

static const reel_shape reshape_to_matrix = {2, {3, 4}}, reshape_to_open = {3, {2, -1, 1}}, reshape_to_scalar = {0, {0}};
static const reel_sample reshape_samples[] = {
    {.note = "to a matrix", .in = {{.shape = REEL_SIZES(2, 6)}}, .attributes = &reshape_to_matrix},
    {.note = "an open size", .in = {{.shape = REEL_SIZES(4, 3)}}, .attributes = &reshape_to_open},
    {.note = "to a scalar", .in = {{.shape = REEL_SIZES(1, 1)}}, .attributes = &reshape_to_scalar},
    {.note = "reversed whole", .in = {{.shape = REEL_SIZES(12), .layout = REEL_REVERSED}}, .attributes = &reshape_to_matrix},
    {.note = "empty", .in = {{.shape = REEL_SIZES(0, 4)}}, .attributes = &(const reel_shape){2, {7, 0}}},
    {.note = "too few", .in = {{.shape = REEL_SIZES(5)}}, .attributes = &reshape_to_matrix,
     .error = "[3,4] does not have the elements of [5]"},
};

const reel_op reel_op_reshape = {
    .size = sizeof(reel_op), .name = "reshape", .inputs = 1, .outputs = 1, .attributes = sizeof(reel_shape),
    .flags = REEL_OUTPUT_UNREAD | REEL_INPUTS_UNREAD, .shape = reshape_shape, .vjp = reshape_vjp,
    .example = "reel_reshape(a, REEL_SHAPE(3, 4))",
    .formula = "y = x in another shape; dx = dy in x's shape", REEL_TRUTH(view_copy), REEL_SAMPLES(reshape_samples),
};

/* Whether a view can do it, or the elements must be laid out anew first. */
static bool reshape_is_view(reel_tensor x, const reel_shape *to)
{
    reel_shape shape = reel_shape_of(x);
    int64_t strides[REEL_MAX_RANK], unused[REEL_MAX_RANK];
    reel_strides_of(x, strides);
    reel_array array = {.rank = shape.rank, .shape = shape.size, .strides = strides, .count = reel_count(x)};
    if (array.count <= 0 || reel_is_contiguous(shape.rank, shape.size, strides))
        return true;
    reel_shape full = *to;
    int64_t others = 1;
    for (int i = 0; i < full.rank && i < REEL_MAX_RANK; i++)
        others *= full.size[i] == -1 ? 1 : full.size[i];
    for (int i = 0; i < full.rank && i < REEL_MAX_RANK; i++)
        if (full.size[i] == -1 && others > 0)
            full.size[i] = array.count / others;
    bool legal = full.rank >= 0 && full.rank <= REEL_MAX_RANK && reel_shape_count(full.rank, full.size) == array.count;
    return !legal || reshape_strides(&array, &full, unused);
}

reel_tensor reel_reshape_at(REEL_PLACE, reel_tensor x, reel_shape shape)
{
    if (!reshape_is_view(x, &shape))
        x = reel_contiguous_at(file, line, x);
    return reel_apply_one(file, line, &reel_op_reshape, REEL_TENSORS(x), &shape);
}

/* ---- permute --------------------------------------------------------------------------------------------------- */

static bool permute_shape(reel_call *call, reel_output *out)
{
    const reel_axes *order = call->attributes;
    const reel_array *x = &call->in[0];
    unsigned seen = 0;
    if (order->count != x->rank)
        return reel_call_error(call, "an order of %d axes for %s", order->count, reel_describe(call->input[0]).text);
    reel_view_output(call, out);
    for (int i = 0; i < x->rank; i++) {
        int axis;
        if (!reel_check_axis(call, 0, order->axis[i], &axis))
            return false;
        seen |= 1u << axis;
        out->shape.size[i] = x->shape[axis];
        out->strides[i] = x->strides[axis];
    }
    return seen == (1u << x->rank) - 1 ||
           reel_call_error(call, "an axis is named twice for %s", reel_describe(call->input[0]).text);
}

static void permute_vjp(const reel_call *call, const reel_tensor dy[], reel_tensor dx[], const bool wanted[])
{
    (void)wanted;
    const reel_axes *order = call->attributes;
    reel_axes back = {.count = order->count};
    for (int i = 0; i < order->count; i++)
        back.axis[order->axis[i] < 0 ? order->axis[i] + order->count : order->axis[i]] = i;
    dx[0] = reel_permute(dy[0], back);
}

static void permute_reference(const void *attributes, const reel_reference_array *in, int inputs,
                              reel_reference_array *out, int outputs)
{
    (void)inputs;
    (void)outputs;
    const reel_axes *order = attributes;
    for (int64_t i = 0; i < out->count; i++) {
        int64_t position[REEL_MAX_RANK], rest = i, at = 0;
        for (int d = out->rank - 1; d >= 0; d--) {
            position[(order->axis[d] + out->rank) % out->rank] = rest % out->shape[d];
            rest /= out->shape[d];
        }
        for (int d = 0; d < in->rank; d++)
            at = at * in->shape[d] + position[d];
        out->value[i] = in->value[at];
    }
}

static const reel_axes permute_swap = {2, {1, 0}}, permute_turn = {3, {2, 0, -2}};
static const reel_sample permute_samples[] = {
    {.note = "a matrix", .in = {{.shape = REEL_SIZES(2, 3)}}, .attributes = &permute_swap},
    {.note = "three axes", .in = {{.shape = REEL_SIZES(2, 3, 4)}}, .attributes = &permute_turn},
    {.note = "a scalar", .attributes = &(const reel_axes){0, {0}}},
    {.note = "empty", .in = {{.shape = REEL_SIZES(0, 3)}}, .attributes = &permute_swap},
    {.note = "every other", .in = {{.shape = REEL_SIZES(4, 3), .layout = REEL_EVERY_OTHER}}, .attributes = &permute_swap},
    {.note = "too few axes", .in = {{.shape = REEL_SIZES(2, 3, 4)}}, .attributes = &permute_swap,
     .error = "an order of 2 axes for [2,3,4]"},
    {.note = "an axis twice", .in = {{.shape = REEL_SIZES(2, 3)}}, .attributes = &(const reel_axes){2, {1, -1}},
     .error = "named twice"},
};

const reel_op reel_op_permute = {
    .size = sizeof(reel_op), .name = "permute", .inputs = 1, .outputs = 1, .attributes = sizeof(reel_axes),
    .flags = REEL_OUTPUT_UNREAD | REEL_INPUTS_UNREAD, .shape = permute_shape, .vjp = permute_vjp,
    .example = "reel_permute(a, REEL_AXES(1, 0))",
    .formula = "y = x with its axes in another order; dx = dy with them in the old one",
    REEL_TRUTH(permute_reference), REEL_SAMPLES(permute_samples),
};

reel_tensor reel_permute_at(REEL_PLACE, reel_tensor x, reel_axes order)
{
    return reel_apply_one(file, line, &reel_op_permute, REEL_TENSORS(x), &order);
}

reel_tensor reel_transpose_at(REEL_PLACE, reel_tensor x)
{
    int rank = reel_shape_of(x).rank;
    reel_axes order = {.count = rank < 0 ? 0 : rank};
    for (int i = 0; i < rank; i++)
        order.axis[i] = i < rank - 2 ? i : 2 * rank - 3 - i;
    if (rank < 2)
        order.count = 2;                            /* the op's own error says what x is           */
    return reel_permute_at(file, line, x, order);
}

/* ---- broadcast --------------------------------------------------------------------------------------------------- */

static bool broadcast_shape(reel_call *call, reel_output *out)
{
    const reel_shape *to = call->attributes;
    const reel_array *x = &call->in[0];
    reel_shape both;
    bool legal = to->rank >= 0 && to->rank <= REEL_MAX_RANK;
    if (!legal || !reel_broadcast_shapes(x->rank, x->shape, to->rank, to->size, &both) ||
        !reel_same_sizes(both.rank, both.size, to->rank, to->size)) {
        char sizes[128];
        reel_text text = reel_text_in(sizes, sizeof sizes);
        reel_text_shape(&text, legal ? to->rank : 0, to->size);
        return reel_call_error(call, "%s does not broadcast to %s", reel_describe(call->input[0]).text, sizes);
    }
    out->dtype = x->dtype;
    out->shape = *to;
    out->view_of = 0;
    reel_broadcast_strides(x->rank, x->shape, x->strides, to, out->strides);
    return true;
}

static void broadcast_vjp(const reel_call *call, const reel_tensor dy[], reel_tensor dx[], const bool wanted[])
{
    (void)wanted;
    dx[0] = reel_sum_to(dy[0], reel_shape_of(call->input[0]));
}

REEL_REFERENCE(broadcast_reference, x[0])
static const reel_shape broadcast_to_matrix = {2, {3, 4}};
static const reel_sample broadcast_samples[] = {
    {.note = "a row", .in = {{.shape = REEL_SIZES(4)}}, .attributes = &broadcast_to_matrix},
    {.note = "a column", .in = {{.shape = REEL_SIZES(3, 1)}}, .attributes = &broadcast_to_matrix},
    {.note = "a scalar", .attributes = &broadcast_to_matrix},
    {.note = "as it is", .in = {{.shape = REEL_SIZES(3, 4), .layout = REEL_TRANSPOSED}}, .attributes = &broadcast_to_matrix},
    {.note = "of nothing", .in = {{.shape = REEL_SIZES(0)}}, .attributes = &(const reel_shape){2, {3, 0}}},
    {.note = "to nothing", .in = {{.shape = REEL_SIZES(1, 4)}}, .attributes = &(const reel_shape){2, {0, 4}}},
    {.note = "wrong", .in = {{.shape = REEL_SIZES(2)}}, .attributes = &broadcast_to_matrix,
     .error = "[2] f32 does not broadcast to [3,4]"},
};

const reel_op reel_op_broadcast = {
    .size = sizeof(reel_op), .name = "broadcast", .inputs = 1, .outputs = 1, .attributes = sizeof(reel_shape),
    .flags = REEL_OUTPUT_UNREAD | REEL_INPUTS_UNREAD, .shape = broadcast_shape, .vjp = broadcast_vjp,
    .example = "reel_broadcast(a, REEL_SHAPE(3, 4))",
    .formula = "y = x stretched; dx = dy summed down", REEL_TRUTH(broadcast_reference), REEL_SAMPLES(broadcast_samples),
};

reel_tensor reel_broadcast_at(REEL_PLACE, reel_tensor x, reel_shape shape)
{
    return reel_apply_one(file, line, &reel_op_broadcast, REEL_TENSORS(x), &shape);
}

/* Not an op of its own: a sum over the axes that were stretched, and a reshape. */
reel_tensor reel_sum_to_at(REEL_PLACE, reel_tensor x, reel_shape shape)
{
    reel_shape from = reel_shape_of(x), wider;
    bool legal = shape.rank >= 0 && shape.rank <= REEL_MAX_RANK;
    if (!reel_usable(file, line, "sum_to", x))
        return (reel_tensor){x.tape, 0, 0};
    if (legal && reel_same_sizes(from.rank, from.size, shape.rank, shape.size))
        return x;
    if (!legal || !reel_broadcast_shapes(shape.rank, shape.size, from.rank, from.size, &wider) ||
        !reel_same_sizes(wider.rank, wider.size, from.rank, from.size)) {
        reel_error_set_at(file, line, x.tape, "sum_to: the wanted shape does not broadcast to %s", reel_describe(x).text);
        return (reel_tensor){x.tape, 0, 0};
    }
    reel_axes axes = {0};
    int missing = from.rank - shape.rank;
    for (int i = 0; i < from.rank; i++)
        if (i < missing || shape.size[i - missing] != from.size[i])
            axes.axis[axes.count++] = i;
    reel_tensor sum = reel_sum_at(file, line, REEL_OPTIONS(reel_reduce_options, .x = x, .axes = axes));
    reel_shape summed = reel_shape_of(sum);
    bool done = reel_same_sizes(summed.rank, summed.size, shape.rank, shape.size);
    return done ? sum : reel_reshape_at(file, line, sum, shape);
}

reel_tensor reel_sum_like_at(REEL_PLACE, reel_tensor x, reel_tensor like)
{
    if (!reel_usable(file, line, "sum_like", x) || !reel_usable(file, line, "sum_like", like))
        return (reel_tensor){x.tape, 0, 0};
    return reel_sum_to_at(file, line, x, reel_shape_of(like));
}

/* ---- stop_gradient ------------------------------------------------------------------------------------------------ */

static bool same_view(reel_call *call, reel_output *out)
{
    reel_view_output(call, out);
    return true;
}

static const reel_sample same_samples[] = {
    {.note = "matrix", .in = {{.shape = REEL_SIZES(2, 3)}}},
    {.note = "scalar"},
    {.note = "empty", .in = {{.shape = REEL_SIZES(0)}}},
    {.note = "transposed", .in = {{.shape = REEL_SIZES(2, 3), .layout = REEL_TRANSPOSED}}},
    {.note = "reversed", .in = {{.shape = REEL_SIZES(300), .layout = REEL_REVERSED}}},
    {.note = "stretched", .in = {{.shape = REEL_SIZES(3, 2), .layout = REEL_STRETCHED}}},
};

const reel_op reel_op_stop_gradient = {
    .size = sizeof(reel_op), .name = "stop_gradient", .inputs = 1, .outputs = 1, .flags = REEL_NO_GRADIENT,
    .shape = same_view, .formula = "y = x, through which no gradient passes", REEL_TRUTH(view_copy),
    REEL_SAMPLES(same_samples),
};
REEL_DEFINE_UNARY(stop_gradient)

/* ---- contiguous ----------------------------------------------------------------------------------------------------- */

/* By the size of an element. */
#define CONTIGUOUS_KERNEL(NAME, TYPE)                                                                \
    static void NAME(int64_t n, const void *const in[], void *out, const void *attributes)           \
    {                                                                                                \
        (void)attributes;                                                                            \
        memcpy(out, in[0], (size_t)n * sizeof(TYPE));                                                \
    }
CONTIGUOUS_KERNEL(contiguous_bytes, uint8_t)
CONTIGUOUS_KERNEL(contiguous_words, uint32_t)
CONTIGUOUS_KERNEL(contiguous_doubles, uint64_t)

static const reel_kernels contiguous_kernels = {
    .of[REEL_F32] = contiguous_words, .of[REEL_F64] = contiguous_doubles, .of[REEL_I32] = contiguous_words,
    .of[REEL_I64] = contiguous_doubles, .of[REEL_U8] = contiguous_bytes};

static void contiguous_vjp(const reel_call *call, const reel_tensor dy[], reel_tensor dx[], const bool wanted[])
{
    (void)call;
    (void)wanted;
    dx[0] = dy[0];
}

const reel_op reel_op_contiguous = {
    .size = sizeof(reel_op), .name = "contiguous", .inputs = 1, .outputs = 1,
    .flags = REEL_OUTPUT_UNREAD | REEL_INPUTS_UNREAD,
    .kernels = &contiguous_kernels, .vjp = contiguous_vjp,
    .formula = "y = x, laid out anew; dx = dy", REEL_TRUTH(view_copy), REEL_SAMPLES(same_samples),
};

reel_tensor reel_contiguous_at(REEL_PLACE, reel_tensor x)
{
    reel_shape shape = reel_shape_of(x);
    int64_t strides[REEL_MAX_RANK];
    reel_strides_of(x, strides);
    if (!reel_failed(x.tape) && shape.rank >= 0 && reel_is_contiguous(shape.rank, shape.size, strides))
        return x;
    return reel_apply_one(file, line, &reel_op_contiguous, REEL_TENSORS(x), NULL);
}

/* ---- Values of their own ---------------------------------------------------------------------------------------------- */

reel_tensor reel_zeros_like_at(REEL_PLACE, reel_tensor x)
{
    return reel_constant_at(file, line, x.tape, reel_shape_of(x), reel_fill(reel_dtype_of(x), 0));
}

reel_tensor reel_ones_like_at(REEL_PLACE, reel_tensor x)
{
    return reel_constant_at(file, line, x.tape, reel_shape_of(x), reel_fill(reel_dtype_of(x), 1));
}
