/* avg_pool2d: the mean of each window, and avg_pool2d_gradient, its transpose.
 *
 *     y[p] = sum_(q in window p) x[q] / n_p         dx = avg_pool2d_gradient(dy)
 *     x[q] = sum_(p: q in window p) g[p] / n_p      dg = avg_pool2d(dy)
 *
 * n_p is the number of elements of the kernel, or of those that lie inside the image. Sums are made in f64
 * and rounded once. */
#include "ops/window.h"
#include "core/dtype.h"
#include "core/options.h"

#include <string.h>

struct avg_pool {
    reel_window window;                             /* first: read as such by reel_check_pool()    */
    int64_t     size[2];                            /* of avg_pool2d_gradient's result             */
    bool        exclude_padding;
};

struct avg_pool_run {
    const struct avg_pool *pool;
    const reel_array      *in, *out;
    const int64_t         *x_size, *y_size;         /* height and width of an image and of the result */
    char                  *scratch;                 /* for each piece a plane of both              */
    int64_t                pieces;
    bool                   back;
};

extern const reel_op reel_op_avg_pool2d, reel_op_avg_pool2d_gradient;

static size_t avg_pool_stretch(const int64_t *x_size, const int64_t *y_size)
{
    return reel_scratch_room(x_size[0] * x_size[1], sizeof(double)) +
           reel_scratch_room(y_size[0] * y_size[1], sizeof(double));
}

static bool avg_pool_result(reel_call *call, reel_output *out, const int64_t *size, const int64_t *other)
{
    const reel_array *x = &call->in[0];
    call->scratch_bytes =
        (size_t)reel_pieces(call, x->shape[0] * x->shape[1]) * avg_pool_stretch(size, other);
    out->dtype = x->dtype;
    out->shape = REEL_SHAPE(x->shape[0], x->shape[1], size[0], size[1]);
    return true;
}

static bool avg_pool2d_shape(reel_call *call, reel_output *out)
{
    const struct avg_pool *pool = call->attributes;
    int64_t slid[2];
    return reel_check_dtype(call, 0, REEL_FLOATS) &&
           reel_check_pool(call, &pool->window, call->in[0].shape + 2, slid) &&
           avg_pool_result(call, out, slid, call->in[0].shape + 2);
}

static bool avg_pool2d_gradient_shape(reel_call *call, reel_output *out)
{
    const struct avg_pool *pool = call->attributes;
    const reel_array *g = &call->in[0];
    int64_t slid[2];
    if (!reel_check_dtype(call, 0, REEL_FLOATS) || !reel_check_pool(call, &pool->window, pool->size, slid))
        return false;
    if (g->shape[2] != slid[0] || g->shape[3] != slid[1])
        return reel_call_error(call, "%s is not of the size [%lld,%lld] that the windows give",
                               reel_describe(call->input[0]).text, (long long)slid[0], (long long)slid[1]);
    return avg_pool_result(call, out, pool->size, slid);
}

/* Between a plane of x and one of y: y = the means of x, or x = their transpose. */
static void avg_pool_plane(const struct avg_pool_run *run, double *x, double *y)
{
    const reel_window *v = &run->pool->window;
    int64_t width = run->x_size[1];
    for (int64_t oh = 0; oh < run->y_size[0]; oh++)
        for (int64_t ow = 0; ow < run->y_size[1]; ow++, y++) {
            int64_t rows[2], columns[2];
            reel_pool_inside(v, 0, oh, run->x_size[0], rows);
            reel_pool_inside(v, 1, ow, width, columns);
            int64_t inside = (rows[1] - rows[0]) * (columns[1] - columns[0]);
            double n = (double)(run->pool->exclude_padding ? inside : v->kernel[0] * v->kernel[1]), sum = 0;
            for (int64_t h = rows[0]; h < rows[1]; h++)
                for (int64_t w = columns[0]; w < columns[1]; w++)
                    if (run->back)
                        x[h * width + w] += *y / n;
                    else
                        sum += x[h * width + w];
            if (!run->back)
                *y = sum / n;
        }
}

static void avg_pool_pieces(void *context, int64_t begin, int64_t end)
{
    const struct avg_pool_run *run = context;
    const reel_array *in = run->in, *out = run->out;
    int64_t planes = in->shape[0] * in->shape[1], n = out->shape[2] * out->shape[3];
    int64_t bytes = n * (int64_t)reel_dtype_size(out->dtype);
    for (int64_t piece = begin; piece < end; piece++) {
        double *x =
            (double *)(void *)(run->scratch + (size_t)piece * avg_pool_stretch(run->x_size, run->y_size));
        double *y = x + reel_scratch_room(run->x_size[0] * run->x_size[1], sizeof *x) / sizeof *x;
        double *from = run->back ? y : x, *to = run->back ? x : y;
        for (int64_t i = reel_piece_begin(planes, run->pieces, piece);
             i < reel_piece_begin(planes, run->pieces, piece + 1); i++) {
            reel_plane_read(in, i / in->shape[1], i % in->shape[1], from);
            memset(to, 0, (size_t)n * sizeof *to);
            avg_pool_plane(run, x, y);
            reel_convert(out->dtype, (char *)out->data + i * bytes, REEL_F64, to, n);
        }
    }
}

static bool avg_pool_forward(const reel_call *call, bool back)
{
    const reel_array *in = &call->in[0], *out = &call->out[0];
    struct avg_pool_run run = {
        .pool = call->attributes, .in = in, .out = out, .x_size = (back ? out : in)->shape + 2,
        .y_size = (back ? in : out)->shape + 2, .scratch = call->scratch,
        .pieces = reel_pieces(call, in->shape[0] * in->shape[1]), .back = back,
    };
    if (out->count > 0)
        reel_call_parallel(call, run.pieces, 1, avg_pool_pieces, &run);
    return true;
}

static bool avg_pool2d_forward(const reel_call *call)
{
    return avg_pool_forward(call, false);
}

static bool avg_pool2d_gradient_forward(const reel_call *call)
{
    return avg_pool_forward(call, true);
}

static void avg_pool2d_vjp(const reel_call *call, const reel_tensor dy[], reel_tensor dx[],
                           const bool wanted[])
{
    (void)wanted;
    struct avg_pool pool;
    memcpy(&pool, call->attributes, sizeof pool);
    reel_shape shape = reel_shape_of(call->input[0]);
    memcpy(pool.size, shape.size + 2, sizeof pool.size);
    dx[0] = reel_apply_one(REEL_HERE, &reel_op_avg_pool2d_gradient, REEL_TENSORS(dy[0]), &pool);
}

static void avg_pool2d_gradient_vjp(const reel_call *call, const reel_tensor dy[], reel_tensor dx[],
                                    const bool wanted[])
{
    (void)wanted;
    dx[0] = reel_apply_one(REEL_HERE, &reel_op_avg_pool2d, REEL_TENSORS(dy[0]), call->attributes);
}

/* ---- References ------------------------------------------------------------------------------------ */

/* The weight with which element (h, w) of an image goes into window (oh, ow). */
static double avg_pool_weight(const struct avg_pool *pool, const int64_t *size, int64_t oh, int64_t ow,
                              int64_t h, int64_t w)
{
    const int64_t at[2] = {h, w}, out[2] = {oh, ow};
    int64_t n = 1;
    for (int axis = 0; axis < 2; axis++) {
        int64_t start = out[axis] * pool->window.stride[axis] - pool->window.padding[axis], inside = 0;
        for (int64_t k = start; k < start + pool->window.kernel[axis]; k++)
            inside += k >= 0 && k < size[axis];
        if (at[axis] < start || at[axis] >= start + pool->window.kernel[axis])
            return 0;
        n *= pool->exclude_padding ? inside : pool->window.kernel[axis];
    }
    return 1. / (double)n;
}

static void avg_pool_by_pairs(const struct avg_pool *pool, const reel_reference_array *in,
                              reel_reference_array *out, bool back)
{
    const reel_reference_array *x = back ? out : in, *y = back ? in : out;
    int64_t places = y->shape[2] * y->shape[3], elements = x->shape[2] * x->shape[3];
    for (int64_t i = 0; i < out->count; i++)
        out->value[i] = 0;
    for (int64_t i = 0; i < y->count; i++)
        for (int64_t e = 0; e < elements; e++) {
            double weight = avg_pool_weight(pool, x->shape + 2, i % places / y->shape[3], i % y->shape[3],
                                            e / x->shape[3], e % x->shape[3]);
            int64_t at = i / places * elements + e;
            if (weight > 0)
                out->value[back ? at : i] += weight * in->value[back ? i : at];
        }
}

static void avg_pool2d_reference(const void *attributes, const reel_reference_array *in, int inputs,
                                 reel_reference_array *out, int outputs)
{
    (void)inputs;
    (void)outputs;
    avg_pool_by_pairs(attributes, in, out, false);
}

static void avg_pool2d_gradient_reference(const void *attributes, const reel_reference_array *in, int inputs,
                                          reel_reference_array *out, int outputs)
{
    (void)inputs;
    (void)outputs;
    avg_pool_by_pairs(attributes, in, out, true);
}

static const struct avg_pool avg_two = {{{2, 2}, {2, 2}, {0, 0}, {1, 1}}, {4, 6}, false},
                             avg_padded = {{{3, 2}, {2, 1}, {1, 1}, {1, 1}}, {5, 4}, false},
                             avg_inside = {{{3, 2}, {2, 1}, {1, 1}, {1, 1}}, {5, 4}, true},
                             avg_gaps = {{{1, 2}, {2, 3}, {0, 0}, {1, 1}}, {5, 7}, false},
                             avg_wide = {{{2, 2}, {2, 2}, {2, 0}, {1, 1}}, {4, 6}, false};

static const reel_sample avg_pool2d_samples[] = {
    {.note = "one image", .in = {{.shape = REEL_SIZES(1, 1, 4, 6)}}, .attributes = &avg_two},
    {.note = "two by two", .in = {{.shape = REEL_SIZES(2, 2, 4, 6)}}, .attributes = &avg_two},
    {.note = "overlapping, padded", .in = {{.shape = REEL_SIZES(1, 2, 5, 4)}}, .attributes = &avg_padded},
    {.note = "the inside alone", .in = {{.shape = REEL_SIZES(1, 2, 5, 4)}}, .attributes = &avg_inside},
    {.note = "with gaps", .in = {{.shape = REEL_SIZES(2, 1, 5, 7)}}, .attributes = &avg_gaps},
    {.note = "no images", .in = {{.shape = REEL_SIZES(0, 2, 4, 6)}}, .attributes = &avg_two},
    {.note = "transposed", .in = {{.shape = REEL_SIZES(2, 2, 5, 4), .layout = REEL_TRANSPOSED}},
     .attributes = &avg_padded},
    {.note = "much padding", .in = {{.shape = REEL_SIZES(1, 1, 4, 6)}}, .attributes = &avg_wide,
     .error = "a padding of 2 is not less than the window of 2"},
    {.note = "a matrix", .in = {{.shape = REEL_SIZES(3, 3)}}, .attributes = &avg_two,
     .error = "[3,3] f32 is not of four dimensions"},
};

static const reel_sample avg_pool2d_gradient_samples[] = {
    {.note = "two by two", .in = {{.shape = REEL_SIZES(2, 2, 2, 3)}}, .attributes = &avg_two},
    {.note = "overlapping, padded", .in = {{.shape = REEL_SIZES(1, 2, 3, 5)}}, .attributes = &avg_padded},
    {.note = "the inside alone", .in = {{.shape = REEL_SIZES(1, 2, 3, 5)}}, .attributes = &avg_inside},
    {.note = "with gaps", .in = {{.shape = REEL_SIZES(2, 1, 3, 2)}}, .attributes = &avg_gaps},
    {.note = "no images", .in = {{.shape = REEL_SIZES(0, 2, 2, 3)}}, .attributes = &avg_two},
    {.note = "reversed", .in = {{.shape = REEL_SIZES(2, 2, 3, 5), .layout = REEL_REVERSED}},
     .attributes = &avg_padded},
    {.note = "sizes differ", .in = {{.shape = REEL_SIZES(2, 2, 3, 3)}}, .attributes = &avg_two,
     .error = "[2,2,3,3] f32 is not of the size [2,3] that the windows give"},
};

#define AVG_POOL_OP(NAME, FORMULA, EXAMPLE)                                                          \
    const reel_op reel_op_##NAME = {                                                                 \
        .size = sizeof(reel_op), .name = #NAME, .inputs = 1, .outputs = 1,                           \
        .attributes = sizeof(struct avg_pool), .flags = REEL_OUTPUT_UNREAD | REEL_INPUTS_UNREAD,     \
        .shape = NAME##_shape, .forward = NAME##_forward, .vjp = NAME##_vjp, .formula = FORMULA,     \
        .example = EXAMPLE, REEL_TRUTH(NAME##_reference), REEL_SAMPLES(NAME##_samples),              \
    };

AVG_POOL_OP(avg_pool2d, "y = the mean of each window; dx = avg_pool2d_gradient(dy)",
            "reel_avg_pool2d(a, .kernel = {2, 2})")
AVG_POOL_OP(avg_pool2d_gradient, "y = g / n added to each element of its window; dg = avg_pool2d(dy)", NULL)

reel_tensor reel_avg_pool2d_at(REEL_PLACE, const reel_pool2d_options *options)
{
    reel_pool2d_options o;
    reel_known_options(&o, sizeof o, options);
    struct avg_pool pool;
    memset(&pool, 0, sizeof pool);
    pool.window = reel_pool_window(&o);
    pool.exclude_padding = o.exclude_padding;
    return reel_apply_one(file, line, &reel_op_avg_pool2d, REEL_TENSORS(o.x), &pool);
}
