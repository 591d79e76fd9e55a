/* Vectors of doubles, as wide as the instruction set that a file is built for has them, and eight lanes made
 * of them. Whatever the width, eight numbers are worked on in the same way and summed in the same order, so
 * that results have the same bits on every CPU that has fused multiply-add.
 *
 * The types are GCC's vector extension: + - * / work on all lanes, a comparison gives a mask of zeros and
 * ones, a cast to the mask type shows a number's bits.
 */
#ifndef REEL_OPS_KERNELS_LANES_H
#define REEL_OPS_KERNELS_LANES_H

#include "ops/kernels/levels.h"

#include <stdint.h>
#include <string.h>

#define REEL_VECTOR_BYTES REEL_AT_LEVEL(REEL_BYTES)
#if REEL_VECTOR_BYTES >= 32
#include <immintrin.h>
#endif

enum { REEL_LANES = 8, REEL_WIDTH = REEL_VECTOR_BYTES / 8 };

typedef double   reel_vector __attribute__((vector_size(REEL_VECTOR_BYTES)));
typedef int64_t  reel_mask __attribute__((vector_size(REEL_VECTOR_BYTES)));
typedef uint64_t reel_bits __attribute__((vector_size(REEL_VECTOR_BYTES)));

#define REEL_INLINE static inline __attribute__((always_inline))
#define REEL_RARE   __attribute__((cold, noinline))  /* built for size, out of the way                */

/* Hides from compilers where a pointer comes from. They keep it by itself then, where they would rather add an index to an
 * address in each instruction, which many a CPU takes for two; and read again what it points to, where they would rather
 * keep that in registers of another kind. */
#define REEL_HIDE(pointer) __asm__("" : "+r"(pointer))

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

/* As many f32. Converted number by number, gcc 12 would take an f64 that was rounded to f32 and read again for what it was
 * before. */
typedef float reel_narrow_vector __attribute__((vector_size(REEL_VECTOR_BYTES / 2)));

REEL_INLINE reel_vector reel_load_f32(const float *at)
{
#if REEL_VECTOR_BYTES == 64
    return (reel_vector)_mm512_cvtps_pd(_mm256_loadu_ps(at));
#elif REEL_VECTOR_BYTES == 32
    return (reel_vector)_mm256_cvtps_pd(_mm_loadu_ps(at));
#else
    reel_narrow_vector x;
    memcpy(&x, at, sizeof x);
    return __builtin_convertvector(x, reel_vector);
#endif
}

REEL_INLINE void reel_store_f32(float *at, reel_vector x)
{
#if REEL_VECTOR_BYTES == 64
    _mm256_storeu_ps(at, _mm512_cvtpd_ps((__m512d)x));
#elif REEL_VECTOR_BYTES == 32
    _mm_storeu_ps(at, _mm256_cvtpd_ps((__m256d)x));
#else
    reel_narrow_vector narrow = __builtin_convertvector(x, reel_narrow_vector);
    memcpy(at, &narrow, sizeof narrow);
#endif
}

REEL_INLINE reel_vector reel_select(reel_mask condition, reel_vector a, reel_vector b)
{
#if REEL_VECTOR_BYTES == 64
    return (reel_vector)_mm512_mask_blend_pd(_mm512_movepi64_mask((__m512i)condition), (__m512d)b, (__m512d)a);
#elif REEL_VECTOR_BYTES == 32
    return (reel_vector)_mm256_blendv_pd((__m256d)b, (__m256d)a, (__m256d)condition);
#else
    return (reel_vector)((condition & (reel_mask)a) | (~condition & (reel_mask)b));
#endif
}

/* What a comparison tells of each lane, in the form that selecting by it costs least. */
#if REEL_VECTOR_BYTES == 64
typedef __mmask8 reel_condition;
#else
typedef reel_mask reel_condition;
#endif

REEL_INLINE reel_condition reel_lanes_equal(reel_vector a, reel_vector b)
{
#if REEL_VECTOR_BYTES == 64
    return _mm512_cmp_pd_mask((__m512d)a, (__m512d)b, _CMP_EQ_OQ);
#else
    return a == b;
#endif
}

REEL_INLINE reel_condition reel_lanes_less(reel_vector a, reel_vector b)
{
#if REEL_VECTOR_BYTES == 64
    return _mm512_cmp_pd_mask((__m512d)a, (__m512d)b, _CMP_LT_OQ);
#else
    return a < b;
#endif
}

/* A bit for each lane. */
REEL_INLINE unsigned reel_condition_bits(reel_condition condition)
{
#if REEL_VECTOR_BYTES == 64
    return condition;
#elif REEL_VECTOR_BYTES == 32
    return (unsigned)_mm256_movemask_pd((__m256d)condition);
#else
    unsigned bits = 0;
    for (int lane = 0; lane < REEL_WIDTH; lane++)
        bits |= (unsigned)(condition[lane] & 1) << lane;
    return bits;
#endif
}

REEL_INLINE reel_vector reel_choose(reel_condition condition, reel_vector a, reel_vector b)
{
#if REEL_VECTOR_BYTES == 64
    return (reel_vector)_mm512_mask_blend_pd(condition, (__m512d)b, (__m512d)a);
#else
    return reel_select(condition, a, b);
#endif
}

/* The larger; b where either is NaN. */
REEL_INLINE reel_vector reel_larger(reel_vector a, reel_vector b)
{
#if REEL_VECTOR_BYTES == 64
    return (reel_vector)_mm512_max_pd((__m512d)a, (__m512d)b);
#elif REEL_VECTOR_BYTES == 32
    return (reel_vector)_mm256_max_pd((__m256d)a, (__m256d)b);
#else
    return reel_select(a > b, a, b);
#endif
}

/* a b + c, rounded once where the instruction set can. */
REEL_INLINE reel_vector reel_multiply_add(reel_vector a, reel_vector b, reel_vector c)
{
#if REEL_VECTOR_BYTES == 64
    return (reel_vector)_mm512_fmadd_pd((__m512d)a, (__m512d)b, (__m512d)c);
#elif REEL_VECTOR_BYTES == 32
    return (reel_vector)_mm256_fmadd_pd((__m256d)a, (__m256d)b, (__m256d)c);
#else
    return a * b + c;
#endif
}

/* c - a b, in the same way. */
REEL_INLINE reel_vector reel_multiply_subtract(reel_vector a, reel_vector b, reel_vector c)
{
#if REEL_VECTOR_BYTES == 64
    return (reel_vector)_mm512_fnmadd_pd((__m512d)a, (__m512d)b, (__m512d)c);
#elif REEL_VECTOR_BYTES == 32
    return (reel_vector)_mm256_fnmadd_pd((__m256d)a, (__m256d)b, (__m256d)c);
#else
    return c - a * b;
#endif
}

REEL_INLINE reel_vector reel_magnitude(reel_vector x)
{
    return (reel_vector)((reel_bits)x & 0x7fffffffffffffffu);
}

/* ---- Products ----------------------------------------------------------------------------------------------
 * For both types of numbers: a b + c rounded once, save on the baseline, which has no such instruction; one number
 * in all lanes; and as many bytes, widened, as a vector has numbers. */

#ifdef __SSE2__
#include <immintrin.h>
#endif

typedef float reel_vector_f32 __attribute__((vector_size(REEL_VECTOR_BYTES)));
typedef double reel_vector_f64 __attribute__((vector_size(REEL_VECTOR_BYTES)));

REEL_INLINE reel_vector_f32 reel_numbers_f32(const float *at)
{
    reel_vector_f32 x;
    memcpy(&x, at, sizeof x);
    return x;
}

REEL_INLINE reel_vector_f64 reel_numbers_f64(const double *at)
{
    return reel_load(at);
}

REEL_INLINE void reel_put_f32(float *at, reel_vector_f32 x)
{
    memcpy(at, &x, sizeof x);
}

REEL_INLINE void reel_put_f64(double *at, reel_vector_f64 x)
{
    reel_store(at, x);
}

#if REEL_VECTOR_BYTES == 64

REEL_INLINE reel_vector_f32 reel_fma_f32(reel_vector_f32 a, reel_vector_f32 b, reel_vector_f32 c)
{
    return (reel_vector_f32)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
}

REEL_INLINE reel_vector_f64 reel_fma_f64(reel_vector_f64 a, reel_vector_f64 b, reel_vector_f64 c)
{
    return (reel_vector_f64)_mm512_fmadd_pd((__m512d)a, (__m512d)b, (__m512d)c);
}

REEL_INLINE reel_vector_f32 reel_spread_f32(float x)
{
    return (reel_vector_f32)_mm512_set1_ps(x);
}

REEL_INLINE reel_vector_f64 reel_spread_f64(double x)
{
    return (reel_vector_f64)_mm512_set1_pd(x);
}

REEL_INLINE reel_vector_f32 reel_load_bytes_f32(const uint8_t *at)
{
    return (reel_vector_f32)_mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i_u *)at)));
}

#elif REEL_VECTOR_BYTES == 32

REEL_INLINE reel_vector_f32 reel_fma_f32(reel_vector_f32 a, reel_vector_f32 b, reel_vector_f32 c)
{
    return (reel_vector_f32)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
}

REEL_INLINE reel_vector_f64 reel_fma_f64(reel_vector_f64 a, reel_vector_f64 b, reel_vector_f64 c)
{
    return (reel_vector_f64)_mm256_fmadd_pd((__m256d)a, (__m256d)b, (__m256d)c);
}

REEL_INLINE reel_vector_f32 reel_spread_f32(float x)
{
    return (reel_vector_f32)_mm256_set1_ps(x);
}

REEL_INLINE reel_vector_f64 reel_spread_f64(double x)
{
    return (reel_vector_f64)_mm256_set1_pd(x);
}

REEL_INLINE reel_vector_f32 reel_load_bytes_f32(const uint8_t *at)
{
    return (reel_vector_f32)_mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_loadu_si64(at)));
}

#else

REEL_INLINE reel_vector_f32 reel_fma_f32(reel_vector_f32 a, reel_vector_f32 b, reel_vector_f32 c)
{
    return a * b + c;
}

REEL_INLINE reel_vector_f64 reel_fma_f64(reel_vector_f64 a, reel_vector_f64 b, reel_vector_f64 c)
{
    return a * b + c;
}

REEL_INLINE reel_vector_f32 reel_spread_f32(float x)
{
    return (reel_vector_f32){x, x, x, x};
}

REEL_INLINE reel_vector_f64 reel_spread_f64(double x)
{
    return (reel_vector_f64){x, x};
}

REEL_INLINE reel_vector_f32 reel_load_bytes_f32(const uint8_t *at)
{
#ifdef __SSE2__
    int32_t four;
    memcpy(&four, at, sizeof four);
    __m128i zero = _mm_setzero_si128(), pairs = _mm_unpacklo_epi8(_mm_cvtsi32_si128(four), zero);
    return (reel_vector_f32)_mm_cvtepi32_ps(_mm_unpacklo_epi16(pairs, zero));
#else
    return (reel_vector_f32){at[0], at[1], at[2], at[3]};
#endif
}

#endif

#endif
