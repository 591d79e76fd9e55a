/* Shapes and strides: arithmetic on small arrays of int64_t. Strides count elements, not bytes. */
#ifndef REEL_CORE_SHAPE_H
#define REEL_CORE_SHAPE_H

#include <reel.h>
#include "core/text.h"

/* Wide enough for products of sizes and strides. */
__extension__ typedef __int128 reel_wide;

/* The number of elements, or -1 where it does not fit in an int64_t or a size is negative. */
int64_t reel_shape_count(int rank, const int64_t *size);

/* Strides of a contiguous array, the last dimension fastest. */
void reel_contiguous_strides(int rank, const int64_t *size, int64_t *strides);

/* Whether an array is laid out so; strides of dimensions of size 1 do not matter. */
bool reel_is_contiguous(int rank, const int64_t *size, const int64_t *strides);

bool reel_same_sizes(int rank_a, const int64_t *a, int rank_b, const int64_t *b);

/* axis in [-rank, rank) counted from the front; false where it is not in that range. */
bool reel_normal_axis(int axis, int rank, int *normal);

/* NumPy's broadcasting of two shapes into `out`; false where they do not broadcast. */
bool reel_broadcast_shapes(int rank_a, const int64_t *a, int rank_b, const int64_t *b, reel_shape *out);

/* The strides with which an array of shape `size` is read as one of shape `to`, to which it broadcasts:
 * 0 along each dimension that stretches. */
void reel_broadcast_strides(int rank, const int64_t *size, const int64_t *strides, const reel_shape *to,
                            int64_t *out);

/* Appends "[2,3]". */
void reel_text_shape(reel_text *text, int rank, const int64_t *size);

/* A walk over all positions of a shape but its last dimension, for several arrays at once: the element
 * offset of each array at the start of each run of the last dimension.
 *
 *     reel_walk walk;
 *     for (reel_walk_start(&walk, rank, size, arrays, strides); walk.more; reel_walk_next(&walk))
 *         run(walk.length, a + walk.offset[0], walk.step[0], ...);
 *
 * Dimensions that can be merged are merged first, so that a contiguous array is one run. */
enum { REEL_WALK_ARRAYS = 6 };

typedef struct reel_walk {
    bool    more;
    int     rank, arrays;
    int64_t size[REEL_MAX_RANK];
    int64_t stride[REEL_WALK_ARRAYS][REEL_MAX_RANK];
    int64_t position[REEL_MAX_RANK];
    int64_t length;                                 /* of a run                                    */
    int64_t step[REEL_WALK_ARRAYS];                 /* stride along a run                          */
    int64_t offset[REEL_WALK_ARRAYS];
} reel_walk;

void reel_walk_start(reel_walk *walk, int rank, const int64_t *size, int arrays, const int64_t *const strides[]);
void reel_walk_next(reel_walk *walk);

#endif
