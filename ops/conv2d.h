/* The three ops of a convolution, from inside. x are images [N, C, H, W], w kernels [O, C / groups, KH, KW],
 * and g is of the result's shape, [N, O, OH, OW]. Each op is bilinear in two of them:
 *
 *     conv2d                    y[n, o, p] = sum_(c, k) w[o, c, k] x[n, c, q]
 *     conv2d_input_gradient     x[n, c, q] = sum_(o, k, p) w[o, c, k] g[n, o, p]
 *     conv2d_weight_gradient    w[o, c, k] = sum_(n, p) g[n, o, p] x[n, c, q]
 *
 * each over the places p, window elements k and image elements q with q = p stride - padding + k dilation.
 *
 * They are the three partial derivatives of one trilinear form, sum g y, so that the VJPs of each are the
 * other two. A channel o sees the channels c of its own group; outside of an image x is 0. */
#ifndef REEL_OPS_CONV2D_H
#define REEL_OPS_CONV2D_H

#include "ops/window.h"

typedef struct reel_conv2d {
    int64_t stride[2], padding[2], dilation[2], groups;
    int64_t size[2];                                /* what the operands' shapes do not say: the height and
                                                       width of x or of w, where that is the result */
} reel_conv2d;

/* All sizes of one application. */
typedef struct reel_conv2d_plan {
    reel_window window;
    int64_t     n, groups;
    int64_t     c, o;                               /* channels in and out, of one group           */
    int64_t     h, w, oh, ow;
    int64_t     depth, places;                      /* c kh kw, and oh ow                          */
} reel_conv2d_plan;

/* Of a recorded call. */
reel_conv2d_plan reel_conv2d_plan_of(const reel_conv2d *conv, const reel_array *x, const reel_array *w,
                                     const reel_array *g);

/* conv2d_unfold.c */
void reel_conv2d_unfold(const reel_conv2d_plan *plan, const reel_array *x, int64_t n, int64_t group,
                        reel_dtype works_in, char *to);
void reel_conv2d_fold(const reel_conv2d_plan *plan, reel_dtype works_in, void *from, void *x);     /* spends
                                                       `from`                                      */

/* conv2d_run.c */
size_t reel_conv2d_scratch(const reel_call *call, const reel_conv2d_plan *plan);
bool   reel_conv2d_forward(const reel_call *call);
bool   reel_conv2d_input_gradient_forward(const reel_call *call);
bool   reel_conv2d_weight_gradient_forward(const reel_call *call);

/* conv2d_reference.c */
void reel_conv2d_reference(const void *attributes, const reel_reference_array *in, int inputs,
                           reel_reference_array *out, int outputs);
void reel_conv2d_input_gradient_reference(const void *attributes, const reel_reference_array *in, int inputs,
                                          reel_reference_array *out, int outputs);
void reel_conv2d_weight_gradient_reference(const void *attributes, const reel_reference_array *in, int inputs,
                                           reel_reference_array *out, int outputs);

/* conv2d_samples.c */
enum { REEL_CONV2D_SAMPLES = 13 };
extern const reel_sample reel_conv2d_samples[REEL_CONV2D_SAMPLES],
                         reel_conv2d_input_gradient_samples[REEL_CONV2D_SAMPLES],
                         reel_conv2d_weight_gradient_samples[REEL_CONV2D_SAMPLES];

#endif
