/* Between an image x [c, h, w] of one group and the unfolded u [c kh kw, oh ow], whose columns are what the
 * window sees at each place:
 *
 *     unfold    u[c k, p] = x[c, p stride - padding + k dilation], 0 outside of the image
 *     fold      x[c, q] = sum of the u that came from there
 *
 * Row by row: a row of u is a stretch of a row of x, with zeros before and behind. Where the result is as
 * wide as the image and the window moves by single steps, as in most networks, neighbouring rows are so in
 * both, and all rows of u that one element of the window sees are one stretch of x, but for the elements at
 * the edges that lie outside of the image. */
#include "ops/conv2d.h"
#include "core/dtype.h"

#include <string.h>

/* One element (kh, kw) of the window: the places [top, bottom) x [left, right) at which it is inside of the
 * image, and where that lies, relative to the place. */
struct conv_view {
    int64_t top, bottom, left, right, kh, kw;
};

static struct conv_view conv_view(const reel_conv2d_plan *p, int64_t kh, int64_t kw)
{
    const reel_window *v = &p->window;
    struct conv_view view = {.kh = kh * v->dilation[0] - v->padding[0],
                             .kw = kw * v->dilation[1] - v->padding[1]};
    reel_window_inside(v, 0, kh, p->h, p->oh, &view.top, &view.bottom);
    reel_window_inside(v, 1, kw, p->w, p->ow, &view.left, &view.right);
    return view;
}

/* Whether rows of the result are as far apart as those of the image. */
static bool conv_in_step(const reel_conv2d_plan *p)
{
    return p->window.stride[0] == 1 && p->window.stride[1] == 1 && p->w == p->ow;
}

/* Zeros at the places of a row of u whose column lies outside of the image. */
static void conv_clear_edges(const reel_conv2d_plan *p, const struct conv_view *v, size_t size, char *u)
{
    for (int64_t oh = v->top; oh < v->bottom; oh++) {
        char *row = u + (size_t)(oh * p->ow) * size;
        for (size_t i = 0; i < (size_t)v->left * size; i += 4)
            memset(row + i, 0, 4);
        for (size_t i = (size_t)v->right * size; i < (size_t)p->ow * size; i += 4)
            memset(row + i, 0, 4);
    }
}

/* The row of u for one view of the plane x [h, w], which is contiguous and of the same dtype. */
static void conv_copy_view(const reel_conv2d_plan *p, const struct conv_view *v, size_t size, const char *x,
                           char *u)
{
    int64_t first = v->top * p->ow + v->left, last = (v->bottom - 1) * p->ow + v->right;
    memset(u, 0, (size_t)(v->top * p->ow) * size);
    memset(u + (size_t)(v->bottom * p->ow) * size, 0, (size_t)((p->oh - v->bottom) * p->ow) * size);
    if (v->top < v->bottom && v->left < v->right)
        memcpy(u + first * (int64_t)size, x + (first + v->kh * p->w + v->kw) * (int64_t)size,
               (size_t)(last - first) * size);
    conv_clear_edges(p, v, size, u);
}

/* The same for any strides and dtypes. */
static void conv_convert_view(const reel_conv2d_plan *p, const struct conv_view *v, const reel_array *x,
                              const char *plane, reel_dtype works_in, char *u)
{
    const int64_t *step = p->window.stride, x_size = (int64_t)reel_dtype_size(x->dtype);
    const int64_t size = (int64_t)reel_dtype_size(works_in), row = p->ow * size;
    for (int64_t oh = 0; oh < p->oh; oh++, u += row) {
        if (oh < v->top || oh >= v->bottom) {
            memset(u, 0, (size_t)row);
            continue;
        }
        int64_t from = (oh * step[0] + v->kh) * x->strides[2] + (v->left * step[1] + v->kw) * x->strides[3];
        memset(u, 0, (size_t)(v->left * size));
        reel_convert_strided(works_in, u + v->left * size, 1, x->dtype, plane + from * x_size,
                             step[1] * x->strides[3], v->right - v->left);
        memset(u + v->right * size, 0, (size_t)((p->ow - v->right) * size));
    }
}

void reel_conv2d_unfold(const reel_conv2d_plan *p, const reel_array *x, int64_t n, int64_t group,
                        reel_dtype works_in, char *to)
{
    size_t size = reel_dtype_size(works_in);
    bool copies = conv_in_step(p) && x->dtype == works_in && x->strides[3] == 1 && x->strides[2] == p->w;
    for (int64_t c = 0; c < p->c; c++) {
        const char *plane = (const char *)x->data + (n * x->strides[0] + (group * p->c + c) * x->strides[1]) *
                                                        (int64_t)reel_dtype_size(x->dtype);
        for (int64_t kh = 0; kh < p->window.kernel[0]; kh++)
            for (int64_t kw = 0; kw < p->window.kernel[1]; kw++, to += (size_t)p->places * size) {
                struct conv_view view = conv_view(p, kh, kw);
                if (copies)
                    conv_copy_view(p, &view, size, plane, to);
                else
                    conv_convert_view(p, &view, x, plane, works_in, to);
            }
    }
}

/* Adds the row u of one view to the plane x [h, w]. In step, the edges are made zeros, which add nothing. */
#define CONV_FOLD(NAME, TYPE)                                                                        \
    static void NAME(const reel_conv2d_plan *p, const struct conv_view *v, TYPE *u, TYPE *x)         \
    {                                                                                                \
        const int64_t *step = p->window.stride;                                                      \
        if (conv_in_step(p) && v->top < v->bottom && v->left < v->right) {                           \
            int64_t first = v->top * p->ow + v->left, last = (v->bottom - 1) * p->ow + v->right;     \
            TYPE *to = x + v->kh * p->w + v->kw;                                                     \
            conv_clear_edges(p, v, sizeof *u, (char *)u);                                            \
            _Pragma("omp simd")                                                                      \
            for (int64_t i = first; i < last; i++)                                                   \
                to[i] += u[i];                                                                       \
            return;                                                                                  \
        }                                                                                            \
        for (int64_t oh = v->top; oh < v->bottom; oh++) {                                            \
            TYPE *row = x + (oh * step[0] + v->kh) * p->w + v->kw;                                   \
            for (int64_t ow = v->left; ow < v->right; ow++)                                          \
                row[ow * step[1]] += u[oh * p->ow + ow];                                             \
        }                                                                                            \
    }
CONV_FOLD(conv_fold_f32, float)
CONV_FOLD(conv_fold_f64, double)

void reel_conv2d_fold(const reel_conv2d_plan *p, reel_dtype works_in, void *from, void *x)
{
    size_t size = reel_dtype_size(works_in), plane = (size_t)(p->h * p->w) * size;
    char *u = from, *to = x;
    memset(x, 0, (size_t)p->c * plane);
    for (int64_t c = 0; c < p->c; c++, to += plane)
        for (int64_t kh = 0; kh < p->window.kernel[0]; kh++)
            for (int64_t kw = 0; kw < p->window.kernel[1]; kw++, u += (size_t)p->places * size) {
                struct conv_view view = conv_view(p, kh, kw);
                if (works_in == REEL_F64)
                    conv_fold_f64(p, &view, (double *)(void *)u, (double *)(void *)to);
                else
                    conv_fold_f32(p, &view, (float *)(void *)u, (float *)(void *)to);
            }
}
