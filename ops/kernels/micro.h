/* Micro-kernels of our own, for the loops of gemm.c where BLIS is not there.
 *
 *     C[rows, cols] (+)= left[k, rows]' right[k, cols]
 *
 * Slivers of A and B, packed, stream past a tile of sums in registers, which then goes to C.
 *
 * Bits. Terms are added in ascending order, and their sum to C. With fused multiply-adds the bits are the
 * same at every level, although the tiles are not. */
#ifndef REEL_OPS_KERNELS_MICRO_H
#define REEL_OPS_KERNELS_MICRO_H

#include "ops/kernels/levels.h"

#include <stdbool.h>
#include <stdint.h>

enum { REEL_MICRO_BYTES = 24 * 64 };                /* of the largest tile                         */

/* C has contiguous rows, c_row elements apart. Where `add` is false it is not read. */
typedef struct reel_micro {
    int64_t rows, cols;
    void  (*run)(int64_t k, const void *left, const void *right, bool add, void *c, int64_t c_row);
} reel_micro;

/* For f32, and for f64. */
#ifdef REEL_LEVEL
#define reel_micros REEL_AT_LEVEL(reel_micros)
extern const reel_micro reel_micros[2];
#else
extern const reel_micro reel_micros_baseline[2];
extern const reel_micro reel_micros_avx2[2];
extern const reel_micro reel_micros_avx512[2];
#endif

#endif
