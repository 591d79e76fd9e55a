/* max_pool2d: the largest element of each window, and where it lies in its plane [h w].
 *
 *     y = x[k]        dx = dy added up at k        k: no gradient, i32
 *
 * The first of several that are largest counts, and a NaN before all numbers. Outside of the image there
 * is nothing. Since the places k are a result, the gradient is a scatter_add over flat planes, which can
 * be differentiated again.
 *
 * f64 works in f64, all others in f32, which holds them exactly. */
#include "ops/window.h"
#include "core/dtype.h"
#include "core/options.h"
#include "core/shape.h"

#include <math.h>
#include <string.h>

struct max_pool_run {
    const reel_array  *x, *y;
    const reel_window *window;
    int32_t           *places;
    reel_dtype         works_in;
    char              *scratch;                     /* a plane and a row for each piece            */
    int64_t            pieces;
};

/* The plane of a piece, in bytes; its row of the result lies behind. */
static size_t max_pool_stretch(const reel_array *x)
{
    return reel_scratch_room(x->shape[2] * x->shape[3], sizeof(double));
}

static bool max_pool_shape(reel_call *call, reel_output *out)
{
    const reel_window *window = call->attributes;
    const reel_array *x = &call->in[0];
    int64_t slid[2];
    if (!reel_check_dtype(call, 0, REEL_FLOATS) || !reel_check_pool(call, window, x->shape + 2, slid))
        return false;
    if (x->shape[2] * x->shape[3] > INT32_MAX)
        return reel_call_error(call, "a plane of %s has too many elements",
                               reel_describe(call->input[0]).text);
    call->scratch_bytes = (size_t)reel_pieces(call, x->shape[0] * x->shape[1]) *
                          (max_pool_stretch(x) + reel_scratch_room(slid[1], sizeof(double)));
    out[0].dtype = x->dtype;
    out[0].shape = REEL_SHAPE(x->shape[0], x->shape[1], slid[0], slid[1]);
    out[1].dtype = REEL_I32;
    out[1].shape = REEL_SHAPE(x->shape[0], x->shape[1], slid[0] * slid[1]);
    return true;
}

/* One row of the result, into `best` and `places`. Each window is gone through row by row, all windows
 * side by side; without branches, since which element is larger is nothing that a CPU could guess. The loop
 * over the windows is made for strides of 1 and 2, which vectors can load. */
#define MAX_POOL_ROW(NAME, TYPE)                                                                     \
    static inline __attribute__((always_inline)) void NAME##_at(                                     \
        const TYPE *restrict from, int32_t start, int32_t step, int32_t count, TYPE *restrict best,  \
        int32_t *restrict places)                                                                    \
    {                                                                                                \
        REEL_LONG_VECTORS_##TYPE                                                                     \
        for (int32_t i = 0; i < count; i++) {                                                        \
            TYPE x = from[i * step], old = best[i];                                                  \
            int32_t place = start + i * step, old_place = places[i];                                 \
            bool better = (x > old) | ((x != x) & (old == old));                                     \
            best[i] = better ? x : old;                                                              \
            places[i] = better ? place : old_place;                                                  \
        }                                                                                            \
    }                                                                                                \
    static void NAME(const struct max_pool_run *run, const TYPE *plane, int64_t oh, TYPE *best,      \
                     int32_t *places)                                                                \
    {                                                                                                \
        const reel_window *v = run->window;                                                          \
        int64_t rows[2], width = run->x->shape[3], out = run->y->shape[3], step = v->stride[1];      \
        reel_pool_inside(v, 0, oh, run->x->shape[2], rows);                                          \
        for (int64_t ow = 0; ow < out; ow++) {                                                       \
            int64_t left = ow * step - v->padding[1];                                                \
            places[ow] = (int32_t)(rows[0] * width + (left < 0 ? 0 : left));                         \
            best[ow] = plane[places[ow]];                                                            \
        }                                                                                            \
        for (int64_t h = rows[0]; h < rows[1]; h++)                                                  \
            for (int64_t k = 0; k < v->kernel[1]; k++) {                                             \
                int64_t first, last;                                                                 \
                reel_window_inside(v, 1, k, width, out, &first, &last);                              \
                int32_t at = (int32_t)(h * width + first * step - v->padding[1] + k);                \
                int32_t n = (int32_t)(last - first);                                                 \
                if (step == 1)                                                                       \
                    NAME##_at(plane + at, at, 1, n, best + first, places + first);                   \
                else if (step == 2)                                                                  \
                    NAME##_at(plane + at, at, 2, n, best + first, places + first);                   \
                else                                                                                 \
                    NAME##_at(plane + at, at, (int32_t)step, n, best + first, places + first);       \
            }                                                                                        \
    }
MAX_POOL_ROW(max_pool_row_f32, float)
MAX_POOL_ROW(max_pool_row_f64, double)

/* Plane number `index`: where it lies, or copied to `room`. */
static const void *max_pool_read(const struct max_pool_run *run, int64_t index, char *room)
{
    const reel_array *x = run->x;
    int64_t size = (int64_t)reel_dtype_size(x->dtype), works = (int64_t)reel_dtype_size(run->works_in);
    const char *data = (const char *)x->data + (index / x->shape[1] * x->strides[0] +
                                                index % x->shape[1] * x->strides[1]) * size;
    if (x->dtype == run->works_in && reel_is_contiguous(2, x->shape + 2, x->strides + 2))
        return data;
    for (int64_t h = 0; h < x->shape[2]; h++)
        reel_convert_strided(run->works_in, room + h * x->shape[3] * works, 1, x->dtype,
                             data + h * x->strides[2] * size, x->strides[3], x->shape[3]);
    return room;
}

static void max_pool_plane(const struct max_pool_run *run, int64_t index, char *scratch)
{
    const reel_array *y = run->y;
    int64_t width = y->shape[3], size = (int64_t)reel_dtype_size(y->dtype);
    const void *plane = max_pool_read(run, index, scratch);
    char *room = scratch + max_pool_stretch(run->x);
    for (int64_t oh = 0; oh < y->shape[2]; oh++) {
        int64_t at = (index * y->shape[2] + oh) * width;
        char *to = (char *)y->data + at * size;
        void *best = y->dtype == run->works_in ? to : room;
        if (run->works_in == REEL_F64)
            max_pool_row_f64(run, plane, oh, best, run->places + at);
        else
            max_pool_row_f32(run, plane, oh, best, run->places + at);
        if (best == room)
            reel_convert(y->dtype, to, run->works_in, best, width);
    }
}

static void max_pool_pieces(void *context, int64_t begin, int64_t end)
{
    const struct max_pool_run *run = context;
    int64_t planes = run->x->shape[0] * run->x->shape[1];
    size_t room = max_pool_stretch(run->x) + reel_scratch_room(run->y->shape[3], sizeof(double));
    for (int64_t piece = begin; piece < end; piece++)
        for (int64_t i = reel_piece_begin(planes, run->pieces, piece);
             i < reel_piece_begin(planes, run->pieces, piece + 1); i++)
            max_pool_plane(run, i, run->scratch + (size_t)piece * room);
}

static bool max_pool_forward(const reel_call *call)
{
    const reel_array *x = &call->in[0];
    struct max_pool_run run = {x, &call->out[0], call->attributes, call->out[1].data,
                               x->dtype == REEL_F64 ? REEL_F64 : REEL_F32, call->scratch,
                               reel_pieces(call, x->shape[0] * x->shape[1])};
    if (call->out[0].count > 0)
        reel_call_parallel(call, run.pieces, 1, max_pool_pieces, &run);
    return true;
}

static void max_pool_vjp(const reel_call *call, const reel_tensor dy[], reel_tensor dx[], const bool wanted[])
{
    (void)wanted;
    reel_shape x = reel_shape_of(call->input[0]), places = reel_shape_of(call->output[1]);
    if (dy[0].tape)
        dx[0] = reel_reshape(
            reel_scatter_add(reel_reshape(dy[0], places), call->output[1], 2, x.size[2] * x.size[3]), x);
}

/* Every element of x against every window. */
static void max_pool_reference(const void *attributes, const reel_reference_array *in, int inputs,
                               reel_reference_array *out, int outputs)
{
    (void)inputs;
    (void)outputs;
    const reel_window *v = attributes;
    int64_t height = in->shape[2], width = in->shape[3];
    for (int64_t i = 0; i < out[0].count; i++) {
        int64_t ow = i % out->shape[3], oh = i / out->shape[3] % out->shape[2], best = -1;
        const double *plane = in->value + i / out->shape[3] / out->shape[2] * height * width;
        for (int64_t at = height * width - 1; at >= 0; at--) {
            int64_t kh = at / width - (oh * v->stride[0] - v->padding[0]);
            int64_t kw = at % width - (ow * v->stride[1] - v->padding[1]);
            if (kh < 0 || kh >= v->kernel[0] || kw < 0 || kw >= v->kernel[1])
                continue;
            if (best < 0 || isnan(plane[at]) || plane[at] >= plane[best])
                best = at;
        }
        out[0].value[i] = plane[best];
        out[1].value[i] = (double)best;
    }
}

#define MAX_POOL(...) &(const reel_window){__VA_ARGS__, {1, 1}}
static const reel_sample max_pool_samples[] = {
    {.note = "one image", .in = {{.shape = REEL_SIZES(1, 1, 4, 6)}}, .attributes =
     MAX_POOL({2, 2}, {2, 2}, {0, 0})},
    {.note = "two by two", .in = {{.shape = REEL_SIZES(2, 2, 4, 6)}}, .attributes =
     MAX_POOL({2, 2}, {2, 2}, {0, 0})},
    {.note = "overlapping, padded", .in = {{.shape = REEL_SIZES(1, 2, 5, 4)}}, .attributes =
     MAX_POOL({3, 2}, {2, 1}, {1, 1})},
    {.note = "with gaps", .in = {{.shape = REEL_SIZES(2, 1, 5, 7)}}, .attributes =
     MAX_POOL({1, 2}, {2, 3}, {0, 0})},
    {.note = "ties", .in = {{.shape = REEL_SIZES(1, 1, 2, 2), .values = (const double[]){1, 2, 2, 1}}},
     .attributes = MAX_POOL({2, 2}, {2, 2}, {0, 0}), .kink = true},
    {.note = "no images", .in = {{.shape = REEL_SIZES(0, 2, 3, 3)}}, .attributes =
     MAX_POOL({2, 2}, {1, 1}, {0, 0})},
    {.note = "transposed", .in = {{.shape = REEL_SIZES(2, 2, 3, 4), .layout = REEL_TRANSPOSED}},
     .attributes = MAX_POOL({2, 2}, {1, 2}, {0, 0})},
    {.note = "reversed", .in = {{.shape = REEL_SIZES(2, 2, 3, 4), .layout = REEL_REVERSED}},
     .attributes = MAX_POOL({2, 3}, {1, 1}, {1, 0})},
    {.note = "much padding", .in = {{.shape = REEL_SIZES(1, 1, 3, 3)}}, .attributes =
     MAX_POOL({2, 2}, {2, 2}, {2, 0}),
     .error = "a padding of 2 is not less than the window of 2"},
    {.note = "a large window", .in = {{.shape = REEL_SIZES(1, 1, 3, 3)}}, .attributes =
     MAX_POOL({4, 2}, {2, 2}, {0, 0}),
     .error = "a window of 4, dilation 1, does not fit in 3 with a padding of 0"},
    {.note = "no stride", .in = {{.shape = REEL_SIZES(1, 1, 3, 3)}}, .attributes =
     MAX_POOL({2, 2}, {0, 2}, {0, 0}),
     .error = "a window of 2, stride 0"},
    {.note = "a matrix", .in = {{.shape = REEL_SIZES(3, 3)}}, .attributes = MAX_POOL({2, 2}, {2, 2}, {0, 0}),
     .error = "[3,3] f32 is not of four dimensions"},
};

const reel_op reel_op_max_pool2d = {
    .size = sizeof(reel_op), .name = "max_pool2d", .inputs = 1, .outputs = 2,
    .attributes = sizeof(reel_window),
    .shape = max_pool_shape, .forward = max_pool_forward, .vjp = max_pool_vjp,
    .example = "reel_max_pool2d(a, .kernel = {2, 2})",
    .formula = "y = x[k], the largest of each window; dx = dy added up at k", REEL_TRUTH(max_pool_reference),
    REEL_SAMPLES(max_pool_samples),
};

reel_tensor reel_max_pool2d_at(REEL_PLACE, const reel_pool2d_options *options)
{
    reel_pool2d_options o;
    reel_known_options(&o, sizeof o, options);
    reel_tensor outputs[2];
    reel_window window = reel_pool_window(&o);
    reel_apply_at(file, line, &reel_op_max_pool2d, REEL_TENSORS(o.x), &window, outputs, 2);
    return outputs[0];
}
