/* Windows that slide over images, and scratch memory by thread. */
#include "ops/window.h"
#include "core/dtype.h"

enum { WINDOW_MOST = INT32_MAX };

bool reel_check_images(reel_call *call, int input)
{
    return call->in[input].rank == 4 ||
           reel_call_error(call, "%s is not of four dimensions", reel_describe(call->input[input]).text);
}

bool reel_window_slide(reel_call *call, const reel_window *w, const int64_t size[2], int64_t out[2])
{
    for (int i = 0; i < 2; i++) {
        if (w->kernel[i] < 1 || w->stride[i] < 1 || w->dilation[i] < 1 || w->padding[i] < 0 ||
            w->kernel[i] > WINDOW_MOST || w->stride[i] > WINDOW_MOST || w->dilation[i] > WINDOW_MOST ||
            w->padding[i] > WINDOW_MOST)
            return reel_call_error(call, "a window of %lld, stride %lld, padding %lld, dilation %lld",
                                   (long long)w->kernel[i], (long long)w->stride[i], (long long)w->padding[i],
                                   (long long)w->dilation[i]);
        int64_t reach = w->dilation[i] * (w->kernel[i] - 1) + 1, room = size[i] + 2 * w->padding[i];
        if (size[i] < 1 || reach > room)
            return reel_call_error(
                call, "a window of %lld, dilation %lld, does not fit in %lld with a padding of %lld",
                (long long)w->kernel[i], (long long)w->dilation[i], (long long)size[i],
                (long long)w->padding[i]);
        out[i] = (room - reach) / w->stride[i] + 1;
    }
    return true;
}

void reel_window_inside(const reel_window *w, int axis, int64_t k, int64_t size, int64_t out, int64_t *first,
                        int64_t *last)
{
    int64_t stride = w->stride[axis], start = k * w->dilation[axis] - w->padding[axis];
    if (start >= 0 && start + (out - 1) * stride < size) {     /* everywhere; divisions are slow    */
        *first = 0;
        *last = out;
        return;
    }
    int64_t before = start >= 0 ? 0 : -start, inside = start >= size ? 0 : size - start;
    int64_t from = stride == 1 ? before : (before + stride - 1) / stride;
    int64_t to = stride == 1 ? inside : (inside + stride - 1) / stride;
    *last = to < out ? to : out;
    *first = from < *last ? from : *last;
}

reel_window reel_pool_window(const reel_pool2d_options *options)
{
    reel_window window;
    for (int i = 0; i < 2; i++) {
        window.kernel[i] = options->kernel[i];
        window.stride[i] = options->stride[i] ? options->stride[i] : options->kernel[i];
        window.padding[i] = options->padding[i];
        window.dilation[i] = 1;
    }
    return window;
}

bool reel_check_pool(reel_call *call, const reel_window *w, const int64_t size[2], int64_t out[2])
{
    if (!reel_check_images(call, 0) || !reel_window_slide(call, w, size, out))
        return false;
    for (int i = 0; i < 2; i++)
        if (w->padding[i] >= w->kernel[i])
            return reel_call_error(call, "a padding of %lld is not less than the window of %lld",
                                   (long long)w->padding[i], (long long)w->kernel[i]);
    return true;
}

void reel_pool_inside(const reel_window *w, int axis, int64_t o, int64_t size, int64_t range[2])
{
    int64_t start = o * w->stride[axis] - w->padding[axis], stop = start + w->kernel[axis];
    range[0] = start < 0 ? 0 : start;
    range[1] = stop < size ? stop : size;
}

void reel_plane_read(const reel_array *images, int64_t n, int64_t c, double *plane)
{
    const int64_t *stride = images->strides, *shape = images->shape;
    int64_t start = n * stride[0] + c * stride[1], size = (int64_t)reel_dtype_size(images->dtype);
    for (int64_t h = 0; h < shape[2]; h++)
        reel_convert_strided(REEL_F64, plane + h * shape[3], 1, images->dtype,
                             (const char *)images->data + (start + h * stride[2]) * size, stride[3],
                             shape[3]);
}

int64_t reel_pieces(const reel_call *call, int64_t count)
{
    int64_t threads = reel_tape_threads(call->tape);
    return count < 1 ? 1 : count < threads ? count : threads;
}

int64_t reel_piece_begin(int64_t count, int64_t pieces, int64_t i)
{
    int64_t longer = count % pieces;
    return count / pieces * i + (i < longer ? i : longer);
}

size_t reel_scratch_room(int64_t count, size_t size)
{
    return ((size_t)count * size + 63) & ~(size_t)63;
}
