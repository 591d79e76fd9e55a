/* Between an image x [c, h, w] of one group and the unfolded u [c kh kw, oh ow], whose columns are what the
 * window sees at each place:
 *
 *     unfold    u[c k, p] = x[c, p stride - padding + k dilation], 0 outside of the image
 *     fold      x[c, q] = sum of the u that came from there
 *
 * Row by row: a row of u is a stretch of a row of x, with zeros before and behind. */
#include "ops/conv2d.h"
#include "core/dtype.h"

#include <string.h>

void reel_conv2d_unfold(const reel_conv2d_plan *p, const reel_array *x, int64_t n, int64_t group,
                        reel_dtype works_in, char *to)
{
    const reel_window *v = &p->window;
    const int64_t *stride = x->strides, x_size = (int64_t)reel_dtype_size(x->dtype);
    const int64_t size = (int64_t)reel_dtype_size(works_in), row = p->ow * size;
    for (int64_t c = 0; c < p->c; c++)
        for (int64_t kh = 0; kh < v->kernel[0]; kh++)
            for (int64_t kw = 0; kw < v->kernel[1]; kw++) {
                int64_t top, bottom, left, right;
                reel_window_inside(v, 0, kh, p->h, p->oh, &top, &bottom);
                reel_window_inside(v, 1, kw, p->w, p->ow, &left, &right);
                int64_t start = n * stride[0] + (group * p->c + c) * stride[1] +
                                (left * v->stride[1] - v->padding[1] + kw * v->dilation[1]) * stride[3];
                for (int64_t oh = 0; oh < p->oh; oh++, to += row) {
                    if (oh < top || oh >= bottom) {
                        memset(to, 0, (size_t)row);
                        continue;
                    }
                    int64_t h = oh * v->stride[0] - v->padding[0] + kh * v->dilation[0];
                    memset(to, 0, (size_t)(left * size));
                    reel_convert_strided(works_in, to + left * size, 1, x->dtype,
                                         (const char *)x->data + (start + h * stride[2]) * x_size,
                                         v->stride[1] * stride[3], right - left);
                    memset(to + right * size, 0, (size_t)((p->ow - right) * size));
                }
            }
}

#define CONV_FOLD(NAME, TYPE)                                                                        \
    static void NAME(const reel_conv2d_plan *p, const TYPE *from, TYPE *x)                           \
    {                                                                                                \
        const reel_window *v = &p->window;                                                           \
        for (int64_t c = 0; c < p->c; c++, x += p->h * p->w)                                         \
            for (int64_t kh = 0; kh < v->kernel[0]; kh++)                                            \
                for (int64_t kw = 0; kw < v->kernel[1]; kw++, from += p->places) {                   \
                    int64_t top, bottom, left, right, step = v->stride[1];                           \
                    reel_window_inside(v, 0, kh, p->h, p->oh, &top, &bottom);                        \
                    reel_window_inside(v, 1, kw, p->w, p->ow, &left, &right);                        \
                    for (int64_t oh = top; oh < bottom; oh++) {                                      \
                        int64_t h = oh * v->stride[0] - v->padding[0] + kh * v->dilation[0];         \
                        TYPE *row = x + h * p->w + kw * v->dilation[1] - v->padding[1];              \
                        for (int64_t ow = left; ow < right; ow++)                                    \
                            row[ow * step] += from[oh * p->ow + ow];                                 \
                    }                                                                                \
                }                                                                                    \
    }
CONV_FOLD(conv_fold_f32, float)
CONV_FOLD(conv_fold_f64, double)

void reel_conv2d_fold(const reel_conv2d_plan *plan, reel_dtype works_in, const void *from, void *x)
{
    memset(x, 0, (size_t)(plan->c * plan->h * plan->w) * reel_dtype_size(works_in));
    if (works_in == REEL_F64)
        conv_fold_f64(plan, from, x);
    else
        conv_fold_f32(plan, from, x);
}
