/* gather: y[o, j, i] = x[o, k[o, j, i], i] along an axis, for integer indices k, which may stretch.
 *
 *     dx = dy added up where it came from (scatter_add)      dk: none, they are integers
 *
 * take, with indices of any shape for one axis, and the embedding lookup are gathers between two reshapes. */
#include "core/dtype.h"
#include "core/shape.h"
#include "ops/indices.h"

#include <string.h>

enum { GATHER_BLOCK = 256 };

struct gather {
    int axis;
};

static bool gather_shape(reel_call *call, reel_output *out)
{
    const reel_array *x = &call->in[0];
    int axis;
    if (!reel_check_axis(call, 0, ((const struct gather *)call->attributes)->axis, &axis) ||
        !reel_check_index_dtype(call, 1) || !reel_check_picks(call, axis, false))
        return false;
    out->dtype = x->dtype;
    out->shape = reel_make_shape(x->rank, x->shape);
    out->shape.size[axis] = call->in[1].shape[axis];
    return true;
}

/* y[i] = x[i * step + k[i] * pitch], by the size of an element. */
#define GATHER_RUN(NAME, TYPE)                                                                       \
    static void NAME(int64_t n, void *y, const void *x, int64_t step, int64_t pitch, const int64_t *k) \
    {                                                                                                \
        for (int64_t i = 0; i < n; i++)                                                              \
            ((TYPE *)y)[i] = ((const TYPE *)x)[i * step + k[i] * pitch];                             \
    }
GATHER_RUN(gather_bytes, uint8_t)
GATHER_RUN(gather_halves, uint16_t)
GATHER_RUN(gather_words, uint32_t)
GATHER_RUN(gather_doubles, uint64_t)

static void gather_run(int64_t size, int64_t n, void *y, const void *x, int64_t step, int64_t pitch,
                       const int64_t *k)
{
    (size == 1 ? gather_bytes : size == 2 ? gather_halves : size == 4 ? gather_words : gather_doubles)(
        n, y, x, step, pitch, k);
}

static bool gather_forward(const reel_call *call)
{
    const reel_array *x = &call->in[0], *k = &call->in[1], *y = &call->out[0];
    int64_t size = (int64_t)reel_dtype_size(x->dtype), k_size = (int64_t)reel_dtype_size(k->dtype);
    int64_t still[REEL_MAX_RANK], stretched[REEL_MAX_RANK], block[GATHER_BLOCK];
    int axis;
    reel_normal_axis(((const struct gather *)call->attributes)->axis, x->rank, &axis);
    if (!reel_check_indices(call, 1, x->shape[axis]))
        return false;
    reel_shape shape = reel_make_shape(y->rank, y->shape);
    reel_broadcast_strides(k->rank, k->shape, k->strides, &shape, stretched);
    memcpy(still, x->strides, (size_t)x->rank * sizeof *still);
    still[axis] = 0;                                /* the index walks along this axis             */
    const int64_t *strides[] = {y->strides, still, stretched};
    reel_walk walk;
    for (reel_walk_start(&walk, y->rank, y->shape, 3, strides); walk.more; reel_walk_next(&walk))
        for (int64_t at = 0; at < walk.length; at += GATHER_BLOCK) {
            int64_t n = walk.length - at < GATHER_BLOCK ? walk.length - at : GATHER_BLOCK;
            int64_t first = walk.offset[2] + at * walk.step[2];
            reel_convert_strided(REEL_I64, block, 1, k->dtype, (const char *)k->data + first * k_size,
                                 walk.step[2], n);
            char *to = (char *)y->data + (walk.offset[0] + at) * size;
            const char *from = (const char *)x->data + (walk.offset[1] + at * walk.step[1]) * size;
            if (walk.step[2] == 0)
                reel_convert_strided(y->dtype, to, 1, x->dtype, from + block[0] * x->strides[axis] * size,
                                     walk.step[1], n);
            else
                gather_run(size, n, to, from, walk.step[1], x->strides[axis], block);
        }
    return true;
}

static void gather_vjp(const reel_call *call, const reel_tensor dy[], reel_tensor dx[], const bool wanted[])
{
    (void)wanted;
    reel_shape shape = reel_shape_of(call->input[0]);
    int axis;
    reel_normal_axis(((const struct gather *)call->attributes)->axis, shape.rank, &axis);
    dx[0] = reel_scatter_add(dy[0], call->input[1], axis, shape.size[axis]);
}

static void gather_reference(const void *attributes, const reel_reference_array *in, int inputs,
                             reel_reference_array *out, int outputs)
{
    (void)inputs;
    (void)outputs;
    int axis = ((const struct gather *)attributes)->axis;
    axis = axis < 0 ? axis + out->rank : axis;
    for (int64_t i = 0; i < out->count; i++) {
        int64_t position[REEL_MAX_RANK], rest = i, pick = 0, at = 0;
        for (int d = out->rank - 1; d >= 0; rest /= out->shape[d], d--)
            position[d] = rest % out->shape[d];
        for (int d = 0; d < out->rank; d++)
            pick = pick * in[1].shape[d] + (in[1].shape[d] == 1 ? 0 : position[d]);
        position[axis] = (int64_t)in[1].value[pick];
        for (int d = 0; d < out->rank; d++)
            at = at * in[0].shape[d] + position[d];
        out->value[i] = in[0].value[at];
    }
}

static const struct gather gather_rows = {0}, gather_last = {-1}, gather_middle = {1};
#define GATHER_PICKS(n, ...) {.shape = REEL_SIZES(__VA_ARGS__), .low = 0, .high = n, .dtype = REEL_I64}
static const reel_sample gather_samples[] = {
    {.note = "rows", .in = {{.shape = REEL_SIZES(4, 3)}, GATHER_PICKS(4, 6, 1)}, .attributes = &gather_rows},
    {.note = "one a row", .in = {{.shape = REEL_SIZES(4, 3)}, GATHER_PICKS(3, 4, 1)},
     .attributes = &gather_last},
    {.note = "the middle axis", .in = {{.shape = REEL_SIZES(2, 3, 2)}, GATHER_PICKS(3, 1, 5, 2)},
     .attributes = &gather_middle},
    {.note = "longer than a block", .in = {{.shape = REEL_SIZES(2, 5)}, GATHER_PICKS(5, 2, 300)},
     .attributes = &gather_last},
    {.note = "integers by i32", .in = {{.shape = REEL_SIZES(5), .dtype = REEL_U8},
     {.shape = REEL_SIZES(3), .values = (const double[]){4, 0, 4}, .dtype = REEL_I32}},
     .attributes = &gather_rows},
    {.note = "no indices", .in = {{.shape = REEL_SIZES(4, 3)}, GATHER_PICKS(4, 0, 1)},
     .attributes = &gather_rows},
    {.note = "transposed", .in = {{.shape = REEL_SIZES(4, 3),
     .layout = REEL_TRANSPOSED}, GATHER_PICKS(3, 4, 2)},
     .attributes = &gather_last},
    {.note = "reversed, strided indices", .in = {{.shape = REEL_SIZES(4, 3), .layout = REEL_REVERSED},
     {.shape = REEL_SIZES(2, 3), .low = 0, .high = 4, .dtype = REEL_I64, .layout = REEL_EVERY_OTHER}},
     .attributes = &gather_rows},
    {.note = "too large", .in = {{.shape = REEL_SIZES(4)}, {.shape = REEL_SIZES(3),
     .values = (const double[]){0, 4, 1}, .dtype = REEL_I64}}, .attributes = &gather_rows,
     .error = "element 1 of the indices is 4, which is not in [0, 4)"},
    {.note = "negative", .in = {{.shape = REEL_SIZES(4, 2)}, {.shape = REEL_SIZES(1, 1),
     .values = (const double[]){-1}, .dtype = REEL_I32}}, .attributes = &gather_rows,
     .error = "element 0 of the indices is -1, which is not in [0, 4)"},
    {.note = "floating indices", .in = {{.shape = REEL_SIZES(4)}, {.shape = REEL_SIZES(2)}},
     .attributes = &gather_rows,
     .error = "are not integers"},
    {.note = "sizes differ", .in = {{.shape = REEL_SIZES(4, 3)}, GATHER_PICKS(4, 2, 2)},
     .attributes = &gather_rows,
     .error = "the indices [2,2] i64 do not fit [4,3] f32 along axis 0"},
};

#define GATHER_OP(NAME)                                                                              \
    {                                                                                                \
        .size = sizeof(reel_op), .name = NAME, .inputs = 2, .outputs = 1,                            \
        .attributes = sizeof(struct gather), .flags = REEL_OUTPUT_UNREAD, .shape = gather_shape,     \
        .forward = gather_forward, .vjp = gather_vjp,                                                \
        .example = "reel_gather(a, b, 0)",                                                           \
        .formula = "y[j] = x[k[j]] along an axis; dx = dy added up at k",                            \
        REEL_TRUTH(gather_reference), REEL_SAMPLES(gather_samples),                                  \
    }

/* The same op under the names of the calls, for messages and prints. */
const reel_op reel_op_gather = GATHER_OP("gather");
static const reel_op gather_take = GATHER_OP("take"), gather_embedding = GATHER_OP("embedding");

static reel_tensor gather_by(REEL_PLACE, const reel_op *op, reel_tensor x, reel_tensor indices, int axis)
{
    return reel_apply_one(file, line, op, REEL_TENSORS(x, indices), &(const struct gather){axis});
}

reel_tensor reel_gather_at(REEL_PLACE, reel_tensor x, reel_tensor indices, int axis)
{
    return gather_by(file, line, &reel_op_gather, x, indices, axis);
}

/* The indices' own dimensions stand in the axis's place. */
static reel_tensor gather_in_place(REEL_PLACE, const reel_op *op, reel_tensor x, reel_tensor indices, int axis)
{
    reel_shape shape = reel_shape_of(x), picks = reel_shape_of(indices), flat = {.rank = shape.rank},
               result = {0};
    int at;
    bool integers = picks.rank >= 0 && !reel_dtype_is_float(reel_dtype_of(indices));
    if (!integers || !reel_normal_axis(axis, shape.rank, &at))
        return gather_by(file, line, op, x, indices, axis);         /* which says what is wrong    */
    if (shape.rank - 1 + picks.rank > REEL_MAX_RANK) {
        reel_error_set_at(file, line, x.tape, "%s: %s by the indices %s has more than %d dimensions", op->name,
                          reel_describe(x).text, reel_describe(indices).text, REEL_MAX_RANK);
        return (reel_tensor){x.tape, 0, 0};
    }
    for (int i = 0; i < shape.rank; i++) {
        flat.size[i] = i == at ? reel_count(indices) : 1;
        for (int j = 0; i == at && j < picks.rank; j++)
            result.size[result.rank++] = picks.size[j];
        if (i != at)
            result.size[result.rank++] = shape.size[i];
    }
    reel_tensor y = gather_by(file, line, op, x, reel_reshape_at(file, line, indices, flat), at);
    return picks.rank == 1 ? y : reel_reshape_at(file, line, y, result);
}

reel_tensor reel_take_at(REEL_PLACE, reel_tensor x, reel_tensor indices, int axis)
{
    return gather_in_place(file, line, &gather_take, x, indices, axis);
}

reel_tensor reel_embedding_at(REEL_PLACE, reel_tensor table, reel_tensor indices)
{
    return gather_in_place(file, line, &gather_embedding, table, indices, 0);
}
