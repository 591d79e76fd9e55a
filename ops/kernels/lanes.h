/* Vectors of doubles, as wide as the instruction set that a file is built for has them, and eight lanes made
 * of them. Whatever the width, eight numbers are worked on in the same way and summed in the same order, so
 * that results have the same bits on every CPU.
 *
 * The types are GCC's vector extension: + - * / work on all lanes, a comparison gives a mask of zeros and
 * ones, a cast to the mask type shows a number's bits.
 */
#ifndef REEL_OPS_KERNELS_LANES_H
#define REEL_OPS_KERNELS_LANES_H

#include <stdint.h>
#include <string.h>

#if defined(__AVX512F__) && defined(__AVX512DQ__)
#define REEL_VECTOR_BYTES 64
#elif defined(__AVX2__)
#define REEL_VECTOR_BYTES 32
#else
#define REEL_VECTOR_BYTES 16
#endif

enum { REEL_LANES = 8, REEL_WIDTH = REEL_VECTOR_BYTES / 8 };

typedef double   reel_vector __attribute__((vector_size(REEL_VECTOR_BYTES)));
typedef int64_t  reel_mask __attribute__((vector_size(REEL_VECTOR_BYTES)));
typedef uint64_t reel_bits __attribute__((vector_size(REEL_VECTOR_BYTES)));

#define REEL_INLINE static inline __attribute__((always_inline))

/* for (REEL_EACH_VECTOR(i)) walks over eight lanes, REEL_WIDTH at a time. */
#define REEL_EACH_VECTOR(i) int i = 0; i < REEL_LANES; i += REEL_WIDTH

REEL_INLINE reel_vector reel_vector_of(double x)
{
    return (reel_vector){0} + x;
}

REEL_INLINE reel_vector reel_load(const double *at)
{
    reel_vector x;
    memcpy(&x, at, sizeof x);
    return x;
}

REEL_INLINE void reel_store(double *at, reel_vector x)
{
    memcpy(at, &x, sizeof x);
}

REEL_INLINE reel_vector reel_select(reel_mask condition, reel_vector a, reel_vector b)
{
    return (reel_vector)((condition & (reel_mask)a) | (~condition & (reel_mask)b));
}

/* The larger; a where b is NaN, b where a is. */
REEL_INLINE reel_vector reel_larger(reel_vector a, reel_vector b)
{
    return reel_select((a > b) | (b != b), a, b);
}

REEL_INLINE reel_vector reel_magnitude(reel_vector x)
{
    return (reel_vector)((reel_bits)x & 0x7fffffffffffffffu);
}

#endif
