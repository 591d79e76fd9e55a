/* A window that slides over images [N, C, H, W], for convolution and pooling.
 *
 *     out = (size + 2 padding - dilation (kernel - 1) - 1) / stride + 1, rounded down
 *
 * Position o of the result sees position o stride - padding + k dilation of the image, for k in [0,
 * kernel). Pairs are of height and width. */
#ifndef REEL_OPS_WINDOW_H
#define REEL_OPS_WINDOW_H

#include "ops/op.h"

typedef struct reel_window {
    int64_t kernel[2], stride[2], padding[2], dilation[2];
} reel_window;

/* Whether input `input` is of four dimensions, or an error. */
bool reel_check_images(reel_call *call, int input);

/* The sizes of the result, or an error. */
bool reel_window_slide(reel_call *call, const reel_window *window, const int64_t size[2], int64_t out[2]);

/* The positions o of the result, from `first` on and `last` not included, at which element k of the window
 * lies inside the image. */
void reel_window_inside(const reel_window *window, int axis, int64_t k, int64_t size, int64_t out,
                        int64_t *first, int64_t *last);

/* For pooling, where padding is less than the kernel and no dilation is: the window of a call's options,
 * its check, and the range of an image's elements that position o of the result sees, which is never
 * empty. */
reel_window reel_pool_window(const reel_pool2d_options *options);
bool reel_check_pool(reel_call *call, const reel_window *window, const int64_t size[2], int64_t out[2]);
void        reel_pool_inside(const reel_window *window, int axis, int64_t o, int64_t size, int64_t range[2]);

/* Plane c of image n as doubles, the last dimension fastest. */
void reel_plane_read(const reel_array *images, int64_t n, int64_t c, double *plane);

/* Work that needs scratch memory of its own on each thread: [0, count) in as many pieces as there are
 * threads, at most one an element. Piece i begins at reel_piece_begin(). */
int64_t reel_pieces(const reel_call *call, int64_t count);
int64_t reel_piece_begin(int64_t count, int64_t pieces, int64_t i);

/* `bytes` brought up to a multiple of 64, so that what follows in scratch memory is aligned. */
size_t reel_scratch_room(int64_t count, size_t size);

#endif
