/* Sixteen lanes of f32, made of vectors as wide as the instruction set has them, beside the doubles of lanes.h. Whatever
 * the width, sixteen numbers are worked on in the same way. */
#ifndef REEL_OPS_KERNELS_LANES_F32_H
#define REEL_OPS_KERNELS_LANES_F32_H

#include "ops/kernels/lanes.h"

#include <stdbool.h>

enum { REEL_LANES_F32 = 16, REEL_WIDTH_F32 = REEL_VECTOR_BYTES / 4 };

typedef int32_t  reel_mask_f32 __attribute__((vector_size(REEL_VECTOR_BYTES)));
typedef uint32_t reel_bits_f32 __attribute__((vector_size(REEL_VECTOR_BYTES)));

/* for (REEL_EACH_VECTOR_F32(i)) walks over sixteen lanes, REEL_WIDTH_F32 at a time. */
#define REEL_EACH_VECTOR_F32(i) int i = 0; i < REEL_LANES_F32; i += REEL_WIDTH_F32

/* What a comparison tells of each lane. */
#if REEL_VECTOR_BYTES == 64
typedef __mmask16 reel_condition_f32;
#else
typedef reel_mask_f32 reel_condition_f32;
#endif

REEL_INLINE reel_condition_f32 reel_equal_f32(reel_vector_f32 a, reel_vector_f32 b)
{
#if REEL_VECTOR_BYTES == 64
    return _mm512_cmp_ps_mask((__m512)a, (__m512)b, _CMP_EQ_OQ);
#else
    return a == b;
#endif
}

REEL_INLINE reel_condition_f32 reel_less_f32(reel_vector_f32 a, reel_vector_f32 b)
{
#if REEL_VECTOR_BYTES == 64
    return _mm512_cmp_ps_mask((__m512)a, (__m512)b, _CMP_LT_OQ);
#else
    return a < b;
#endif
}

/* Whether the condition holds in all lanes. */
REEL_INLINE bool reel_all_f32(reel_condition_f32 condition)
{
#if REEL_VECTOR_BYTES == 64
    return condition == 0xffff;
#elif REEL_VECTOR_BYTES == 32
    return _mm256_movemask_ps((__m256)condition) == 0xff;
#else
    return (condition[0] & condition[1] & condition[2] & condition[3]) != 0;
#endif
}

/* a where the condition holds, else b. */
REEL_INLINE reel_vector_f32 reel_choose_f32(reel_condition_f32 condition, reel_vector_f32 a, reel_vector_f32 b)
{
#if REEL_VECTOR_BYTES == 64
    return (reel_vector_f32)_mm512_mask_blend_ps(condition, (__m512)b, (__m512)a);
#elif REEL_VECTOR_BYTES == 32
    return (reel_vector_f32)_mm256_blendv_ps((__m256)b, (__m256)a, (__m256)condition);
#else
    return (reel_vector_f32)((condition & (reel_mask_f32)a) | (~condition & (reel_mask_f32)b));
#endif
}

/* a where the condition holds, else 0; and the other way round. */
REEL_INLINE reel_vector_f32 reel_where_f32(reel_condition_f32 condition, reel_vector_f32 a)
{
#if REEL_VECTOR_BYTES == 64
    return (reel_vector_f32)_mm512_maskz_mov_ps(condition, (__m512)a);
#else
    return (reel_vector_f32)(condition & (reel_mask_f32)a);
#endif
}

REEL_INLINE reel_vector_f32 reel_unless_f32(reel_condition_f32 condition, reel_vector_f32 a)
{
#if REEL_VECTOR_BYTES == 64
    return (reel_vector_f32)_mm512_maskz_mov_ps((__mmask16)~condition, (__m512)a);
#else
    return (reel_vector_f32)(~condition & (reel_mask_f32)a);
#endif
}

/* The larger; b where either is NaN. */
REEL_INLINE reel_vector_f32 reel_larger_f32(reel_vector_f32 a, reel_vector_f32 b)
{
#if REEL_VECTOR_BYTES == 64
    return (reel_vector_f32)_mm512_max_ps((__m512)a, (__m512)b);
#elif REEL_VECTOR_BYTES == 32
    return (reel_vector_f32)_mm256_max_ps((__m256)a, (__m256)b);
#else
    return reel_choose_f32(a > b, a, b);
#endif
}

/* `count` numbers, but no more than a vector has, then zeros. */
REEL_INLINE reel_vector_f32 reel_some_f32(const float *at, int count)
{
#if REEL_VECTOR_BYTES == 64
    return (reel_vector_f32)_mm512_maskz_loadu_ps((__mmask16)((1u << count) - 1), at);
#elif REEL_VECTOR_BYTES == 32
    const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    return (reel_vector_f32)_mm256_maskload_ps(at, _mm256_cmpgt_epi32(_mm256_set1_epi32(count), lane));
#else
    reel_vector_f32 x = {0};
    memcpy(&x, at, (size_t)(count < 0 ? 0 : count < REEL_WIDTH_F32 ? count : REEL_WIDTH_F32) * sizeof *at);
    return x;
#endif
}

/* The largest of sixteen numbers that are not NaN. */
REEL_INLINE float reel_largest_f32(const float lanes[REEL_LANES_F32])
{
    typedef float   quarter __attribute__((vector_size(16)));
    typedef int32_t quarter_mask __attribute__((vector_size(16)));
    quarter most, other;
    memcpy(&most, lanes, sizeof most);
    for (int lane = 4; lane < REEL_LANES_F32; lane += 4) {
        memcpy(&other, lanes + lane, sizeof other);
        quarter_mask larger = other > most;
        most = (quarter)((larger & (quarter_mask)other) | (~larger & (quarter_mask)most));
    }
    const float even = most[0] > most[2] ? most[0] : most[2], odd = most[1] > most[3] ? most[1] : most[3];
    return even > odd ? even : odd;
}

/* a b + c rounded once, on the baseline too (but for a sum that lies almost halfway between two f32). */
REEL_INLINE reel_vector_f32 reel_fused_f32(reel_vector_f32 a, reel_vector_f32 b, reel_vector_f32 c)
{
#if REEL_VECTOR_BYTES >= 32
    return reel_fma_f32(a, b, c);
#else
    typedef double wide __attribute__((vector_size(2 * REEL_VECTOR_BYTES)));
    wide product = __builtin_convertvector(a, wide) * __builtin_convertvector(b, wide);
    return __builtin_convertvector(product + __builtin_convertvector(c, wide), reel_vector_f32);
#endif
}

/* table[at % 8] */
REEL_INLINE reel_vector_f32 reel_look_up_f32(const float table[8], reel_bits_f32 at)
{
#if REEL_VECTOR_BYTES == 64
    __m512 twice = _mm512_castpd_ps(_mm512_broadcast_f64x4(_mm256_castps_pd(_mm256_loadu_ps(table))));
    return (reel_vector_f32)_mm512_permutexvar_ps((__m512i)at, twice);
#elif REEL_VECTOR_BYTES == 32
    return (reel_vector_f32)_mm256_permutevar8x32_ps(_mm256_loadu_ps(table), (__m256i)at);
#else
    return (reel_vector_f32){table[at[0] % 8], table[at[1] % 8], table[at[2] % 8], table[at[3] % 8]};
#endif
}

#endif
