/* Skinny products: C = A B where B has few columns, such as a classifier's.
 *
 *     C[m, n] = A[m, k] B[k, n],  0 < n <= REEL_SKINNY_MOST,  k > 0
 *
 * A is read once, from where it lies; each number that is loaded meets all columns of B while it is in a
 * register. So a product takes hardly longer than reading A from memory does. How depends on the way A lies:
 *
 *     rows of A contiguous       skinny_rows.h        X W, images by weights; any other strides too
 *     ... and A holds bytes      skinny_bytes.h
 *     columns of A contiguous    skinny_columns.h     X' G, images by the gradient of the logits; bytes, too
 *
 * Bytes are widened to f32 on the way. Infinities and NaNs propagate as in any product.
 *
 * Bits. Element (i, j) is a sum over p in ascending order, started afresh every 256 terms and then added to
 * C: whatever m, n and the strides are. With fused multiply-adds it is gemm.h's sum, bit for bit. */
#ifndef REEL_OPS_KERNELS_SKINNY_H
#define REEL_OPS_KERNELS_SKINNY_H

#include "ops/kernels/levels.h"

#include <stdbool.h>
#include <stdint.h>

enum { REEL_SKINNY_MOST = 16 };

/* Element (i, j) of a matrix is at data[i * row + j * col]. */
typedef struct reel_skinny {
    int64_t     m, n, k;
    const void *a, *b;
    int64_t     a_row, a_col, b_row, b_col;
    void       *c;
    int64_t     c_row, c_col;
    bool        bytes, wide;                        /* A is u8; or all are f64, not f32            */
} reel_skinny;

typedef void (*reel_skinny_kernel)(const reel_skinny *product);

/* NULL where a level has none, for it is built for size, as the baseline is on x86-64: there BLIS is as fast or faster, on
 * one CPU up to 2.5 times, with its kernels for CPUs without AVX2. */
#ifdef REEL_LEVEL
#define reel_skinny_product REEL_AT_LEVEL(reel_skinny_product)
extern const reel_skinny_kernel reel_skinny_product;
#else
extern const reel_skinny_kernel reel_skinny_product_baseline, reel_skinny_product_avx2, reel_skinny_product_avx512;
#endif

#endif
