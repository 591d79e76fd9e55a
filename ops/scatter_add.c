/* scatter_add: y[o, k[o, j, i], i] += x[o, j, i] along an axis, from zeros on.
 *
 *     dx = dy gathered
 *
 * It is the VJP of gather and turns its every step round. Additions run in the order of x's elements;
 * those of the half types in f32, in scratch memory, rounded once. Pooling comes here with f32 by i32 along
 * the last axis, everything contiguous: those rows go the short way, divided among the threads. */
#include "core/dtype.h"
#include "core/shape.h"
#include "ops/indices.h"

#include <string.h>

enum { SCATTER_BLOCK = 256, SCATTER_GRAIN = 32768 };

struct scatter_add {
    int     axis;
    int64_t size;
};

static bool scatter_widens(reel_dtype dtype)
{
    return dtype == REEL_F16 || dtype == REEL_BF16;
}

static bool scatter_shape(reel_call *call, reel_output *out)
{
    const struct scatter_add *scatter = call->attributes;
    const reel_array *x = &call->in[0];
    int axis;
    if (!reel_check_axis(call, 0, scatter->axis, &axis) || !reel_check_index_dtype(call, 1) ||
        !reel_check_picks(call, axis, true))
        return false;
    out->dtype = x->dtype;
    out->shape = reel_make_shape(x->rank, x->shape);
    out->shape.size[axis] = scatter->size;
    int64_t count = reel_shape_count(out->shape.rank, out->shape.size);
    if (count < 0 || count > INT64_MAX / 16)
        return reel_call_error(call, "a size of %lld along axis %d is not possible", (long long)scatter->size,
                               axis);
    if (scatter_widens(x->dtype))
        call->scratch_bytes = (size_t)count * sizeof(float);
    return true;
}

/* y[i * step + k[i] * pitch] += x[i] */
#define SCATTER_RUN(NAME, TYPE, SUM)                                                                 \
    static void NAME(int64_t n, void *y, int64_t step, int64_t pitch, const int64_t *k, const void *x) \
    {                                                                                                \
        for (int64_t i = 0; i < n; i++) {                                                            \
            TYPE *to = (TYPE *)y + i * step + k[i] * pitch;                                          \
            *to = (TYPE)((SUM)*to + (SUM)((const TYPE *)x)[i]);                                      \
        }                                                                                            \
    }
SCATTER_RUN(scatter_f32, float, float)
SCATTER_RUN(scatter_f64, double, double)
SCATTER_RUN(scatter_i32, int32_t, uint32_t)
SCATTER_RUN(scatter_i64, int64_t, uint64_t)
SCATTER_RUN(scatter_u8, uint8_t, uint32_t)

typedef void scatter_run(int64_t n, void *y, int64_t step, int64_t pitch, const int64_t *k, const void *x);

static scatter_run *const scatter_runs[REEL_DTYPES] = {
    [REEL_F16] = scatter_f32, [REEL_BF16] = scatter_f32, [REEL_F32] = scatter_f32, [REEL_F64] = scatter_f64,
    [REEL_I32] = scatter_i32, [REEL_I64] = scatter_i64, [REEL_U8] = scatter_u8,
};

/* `sum` is y's memory, or that of its f32 double. */
static void scatter_into(const reel_call *call, int axis, reel_dtype works_in, char *sum)
{
    const reel_array *x = &call->in[0], *k = &call->in[1], *y = &call->out[0];
    int64_t size = (int64_t)reel_dtype_size(works_in), x_size = (int64_t)reel_dtype_size(x->dtype);
    int64_t still[REEL_MAX_RANK], stretched[REEL_MAX_RANK], picks[SCATTER_BLOCK];
    double values[SCATTER_BLOCK];
    reel_shape shape = reel_make_shape(x->rank, x->shape);
    reel_broadcast_strides(k->rank, k->shape, k->strides, &shape, stretched);
    memcpy(still, y->strides, (size_t)y->rank * sizeof *still);
    still[axis] = 0;                                /* the index walks along this axis             */
    const int64_t *strides[] = {x->strides, still, stretched};
    reel_walk walk;
    for (reel_walk_start(&walk, x->rank, x->shape, 3, strides); walk.more; reel_walk_next(&walk))
        for (int64_t at = 0; at < walk.length; at += SCATTER_BLOCK) {
            int64_t n = walk.length - at < SCATTER_BLOCK ? walk.length - at : SCATTER_BLOCK;
            int64_t from = walk.offset[0] + at * walk.step[0], pick = walk.offset[2] + at * walk.step[2];
            reel_convert_strided(REEL_I64, picks, 1, k->dtype,
                                 (const char *)k->data + pick * (int64_t)reel_dtype_size(k->dtype),
                                 walk.step[2], n);
            reel_convert_strided(works_in, values, 1, x->dtype, (const char *)x->data + from * x_size,
                                 walk.step[0], n);
            scatter_runs[works_in](n, sum + (walk.offset[1] + at * walk.step[1]) * size, walk.step[1],
                                   y->strides[axis], picks, values);
        }
}

static bool scatter_is_plain(const reel_call *call, int axis)
{
    const reel_array *x = &call->in[0], *k = &call->in[1];
    return x->dtype == REEL_F32 && k->dtype == REEL_I32 && axis == x->rank - 1 &&
           reel_same_sizes(x->rank, x->shape, k->rank, k->shape) &&
           reel_is_contiguous(x->rank, x->shape, x->strides) &&
           reel_is_contiguous(k->rank, k->shape, k->strides);
}

/* Rows [begin, end). */
static void scatter_plain_rows(void *context, int64_t begin, int64_t end)
{
    const reel_call *call = context;
    int64_t n = call->in[0].shape[call->in[0].rank - 1], size = call->out[0].shape[call->out[0].rank - 1];
    const float *x = call->in[0].data;
    const int32_t *k = call->in[1].data;
    float *y = call->out[0].data;
    memset(y + begin * size, 0, (size_t)((end - begin) * size) * sizeof *y);
    for (int64_t row = begin; row < end; row++)
        for (int64_t i = row * n; i < (row + 1) * n; i++)
            y[row * size + k[i]] += x[i];
}

static bool scatter_forward(const reel_call *call)
{
    const struct scatter_add *scatter = call->attributes;
    const reel_array *y = &call->out[0];
    bool widens = scatter_widens(y->dtype);
    reel_dtype works_in = widens ? REEL_F32 : y->dtype;
    char *sum = widens ? call->scratch : y->data;
    int axis;
    reel_normal_axis(scatter->axis, y->rank, &axis);
    if (!reel_check_indices(call, 1, scatter->size))
        return false;
    if (y->count == 0)
        return true;
    if (scatter_is_plain(call, axis)) {
        reel_call_parallel(call, y->count / scatter->size, SCATTER_GRAIN / scatter->size + 1,
                           scatter_plain_rows, (void *)call);
        return true;
    }
    memset(sum, 0, (size_t)y->count * reel_dtype_size(works_in));
    scatter_into(call, axis, works_in, sum);
    if (widens)
        reel_convert(y->dtype, y->data, REEL_F32, sum, y->count);
    return true;
}

static void scatter_vjp(const reel_call *call, const reel_tensor dy[], reel_tensor dx[], const bool wanted[])
{
    (void)wanted;
    dx[0] = reel_gather(dy[0], call->input[1], ((const struct scatter_add *)call->attributes)->axis);
}

static void scatter_reference(const void *attributes, const reel_reference_array *in, int inputs,
                              reel_reference_array *out, int outputs)
{
    (void)inputs;
    (void)outputs;
    int axis = ((const struct scatter_add *)attributes)->axis;
    axis = axis < 0 ? axis + out->rank : axis;
    for (int64_t i = 0; i < out->count; i++)
        out->value[i] = 0;
    for (int64_t i = 0; i < in[0].count; i++) {
        int64_t position[REEL_MAX_RANK], rest = i, pick = 0, at = 0;
        for (int d = out->rank - 1; d >= 0; rest /= in[0].shape[d], d--)
            position[d] = rest % in[0].shape[d];
        for (int d = 0; d < out->rank; d++)
            pick = pick * in[1].shape[d] + (in[1].shape[d] == 1 ? 0 : position[d]);
        position[axis] = (int64_t)in[1].value[pick];
        for (int d = 0; d < out->rank; d++)
            at = at * out->shape[d] + position[d];
        out->value[at] += in[0].value[i];
    }
}

static const struct scatter_add scatter_rows = {0, 4}, scatter_last = {-1, 3}, scatter_middle = {1, 3};
#define SCATTER_PICKS(n, ...) {.shape = REEL_SIZES(__VA_ARGS__), .low = 0, .high = n, .dtype = REEL_I64}
static const reel_sample scatter_samples[] = {
    {.note = "rows", .in = {{.shape = REEL_SIZES(6, 3)}, SCATTER_PICKS(4, 6, 1)},
     .attributes = &scatter_rows},
    {.note = "one a row", .in = {{.shape = REEL_SIZES(4, 1)}, SCATTER_PICKS(3, 4, 1)},
     .attributes = &scatter_last},
    {.note = "the middle axis", .in = {{.shape = REEL_SIZES(2, 5, 2)}, SCATTER_PICKS(3, 1, 5, 2)},
     .attributes = &scatter_middle},
    {.note = "longer than a block", .in = {{.shape = REEL_SIZES(2, 300)}, SCATTER_PICKS(3, 2, 300)},
     .attributes = &scatter_last},
    {.note = "integers by i32", .in = {{.shape = REEL_SIZES(3), .dtype = REEL_U8},
     {.shape = REEL_SIZES(3), .values = (const double[]){3, 0, 3}, .dtype = REEL_I32}},
     .attributes = &scatter_rows},
    {.note = "nothing", .in = {{.shape = REEL_SIZES(0, 3)}, SCATTER_PICKS(4, 0, 1)},
     .attributes = &scatter_rows},
    {.note = "transposed", .in = {{.shape = REEL_SIZES(4, 3),
     .layout = REEL_TRANSPOSED}, SCATTER_PICKS(3, 4, 3)},
     .attributes = &scatter_last},
    {.note = "reversed, strided indices", .in = {{.shape = REEL_SIZES(2, 3), .layout = REEL_REVERSED},
     {.shape = REEL_SIZES(2, 3), .low = 0, .high = 4, .dtype = REEL_I64, .layout = REEL_EVERY_OTHER}},
     .attributes = &scatter_rows},
    {.note = "too large", .in = {{.shape = REEL_SIZES(3)}, {.shape = REEL_SIZES(3),
     .values = (const double[]){0, 4, 1}, .dtype = REEL_I64}}, .attributes = &scatter_rows,
     .error = "element 1 of the indices is 4, which is not in [0, 4)"},
    {.note = "sizes differ", .in = {{.shape = REEL_SIZES(4, 3)}, SCATTER_PICKS(4, 2, 1)},
     .attributes = &scatter_rows,
     .error = "the indices [2,1] i64 do not fit [4,3] f32 along axis 0"},
    {.note = "a negative size", .in = {{.shape = REEL_SIZES(2)}, SCATTER_PICKS(1, 2)},
     .attributes = &(const struct scatter_add){0, -1}, .error = "a size of -1 along axis 0 is not possible"},
};

const reel_op reel_op_scatter_add = {
    .size = sizeof(reel_op), .name = "scatter_add", .inputs = 2, .outputs = 1,
    .attributes = sizeof(struct scatter_add), .flags = REEL_OUTPUT_UNREAD,
    .shape = scatter_shape, .forward = scatter_forward, .vjp = scatter_vjp,
    .example = "reel_scatter_add(a, b, 0, 4)",
    .formula = "y = 0, y[k[j]] += x[j] along an axis; dx = dy gathered", REEL_TRUTH(scatter_reference),
    REEL_SAMPLES(scatter_samples),
};

reel_tensor reel_scatter_add_at(REEL_PLACE, reel_tensor x, reel_tensor indices, int axis, int64_t size)
{
    struct scatter_add scatter;
    memset(&scatter, 0, sizeof scatter);
    scatter.axis = axis;
    scatter.size = size;
    return reel_apply_one(file, line, &reel_op_scatter_add, REEL_TENSORS(x, indices), &scatter);
}
