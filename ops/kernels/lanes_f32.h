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

REEL_INLINE reel_condition_f32 reel_equal_i32(reel_mask_f32 a, reel_mask_f32 b)
{
#if REEL_VECTOR_BYTES == 64
    return _mm512_cmpeq_epi32_mask((__m512i)a, (__m512i)b);
#else
    return a == b;
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

REEL_INLINE bool reel_none_f32(reel_condition_f32 condition)
{
#if REEL_VECTOR_BYTES == 64
    return condition == 0;
#else
    return reel_all_f32(~condition);
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

/* Two vectors of doubles in one. A CPU waits long for a vector that it has just written in parts. */
REEL_INLINE reel_vector_f32 reel_narrow_f32(reel_vector low, reel_vector high)
{
#if REEL_VECTOR_BYTES == 64
    __m512 x = _mm512_castps256_ps512(_mm512_cvtpd_ps((__m512d)low));
    return (reel_vector_f32)_mm512_insertf32x8(x, _mm512_cvtpd_ps((__m512d)high), 1);
#elif REEL_VECTOR_BYTES == 32
    __m256 x = _mm256_castps128_ps256(_mm256_cvtpd_ps((__m256d)low));
    return (reel_vector_f32)_mm256_insertf128_ps(x, _mm256_cvtpd_ps((__m256d)high), 1);
#else
    reel_vector_f32 x;
    reel_store_f32((float *)&x, low);
    reel_store_f32((float *)&x + REEL_WIDTH, high);
    return x;
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

/* The next byte of each four, widened: byte `at`. Those before may be shifted out. */
REEL_INLINE reel_vector_f32 reel_next_byte_f32(reel_bits_f32 *fours, int at)
{
#if REEL_VECTOR_BYTES == 64
    const __m512i first = _mm512_broadcast_i32x4(_mm_setr_epi32(0, 4, 8, 12));
    const __m512i with_zeros = _mm512_or_si512(first, _mm512_set1_epi32((int)0x80808000 + at));
    return (reel_vector_f32)_mm512_cvtepi32_ps(_mm512_shuffle_epi8((__m512i)*fours, with_zeros));
#else
    (void)at;
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    reel_mask_f32 byte = (reel_mask_f32)(*fours >> 24);
    *fours <<= 8;
#else
    reel_mask_f32 byte = (reel_mask_f32)(*fours & 255);
    *fours >>= 8;
#endif
    return __builtin_convertvector(byte, reel_vector_f32);
#endif
}

/* ---- Turning: fours of rows into fours of classes --------------------------------------------------------- */

/* The address of an element, by its place in an array and the elements' size in bytes. */
REEL_INLINE const void *reel_row_at(const void *array, int64_t size, int64_t place)
{
    return (const char *)array + size * place;
}

/* A vector of fours, of every fourth row: four numbers from where `row` says that each begins in the array. They may
 * be any sixteen bytes, as they are only moved; `size` is that of the elements by which `row` counts. */
REEL_INLINE reel_vector_f32 reel_take_fours_f32(const void *array, int64_t size, const int64_t *row)
{
#if REEL_VECTOR_BYTES == 64
    __m512 x = _mm512_castps128_ps512(_mm_loadu_ps(reel_row_at(array, size, row[0])));
    x = _mm512_mask_broadcast_f32x4(x, 0x00f0, _mm_loadu_ps(reel_row_at(array, size, row[4])));
    x = _mm512_mask_broadcast_f32x4(x, 0x0f00, _mm_loadu_ps(reel_row_at(array, size, row[8])));
    x = _mm512_mask_broadcast_f32x4(x, 0xf000, _mm_loadu_ps(reel_row_at(array, size, row[12])));
    return (reel_vector_f32)x;
#elif REEL_VECTOR_BYTES == 32
    __m256 x = _mm256_castps128_ps256(_mm_loadu_ps(reel_row_at(array, size, row[0])));
    return (reel_vector_f32)_mm256_insertf128_ps(x, _mm_loadu_ps(reel_row_at(array, size, row[4])), 1);
#else
    reel_vector_f32 x;
    memcpy(&x, reel_row_at(array, size, row[0]), sizeof x);
    return x;
#endif
}

REEL_INLINE void reel_put_fours_f32(float *array, const int64_t *row, reel_vector_f32 x)
{
#if REEL_VECTOR_BYTES == 64
    _mm_storeu_ps(array + row[0], _mm512_castps512_ps128((__m512)x));
    _mm_storeu_ps(array + row[4], _mm512_extractf32x4_ps((__m512)x, 1));
    _mm_storeu_ps(array + row[8], _mm512_extractf32x4_ps((__m512)x, 2));
    _mm_storeu_ps(array + row[12], _mm512_extractf32x4_ps((__m512)x, 3));
#elif REEL_VECTOR_BYTES == 32
    _mm_storeu_ps(array + row[0], _mm256_castps256_ps128((__m256)x));
    _mm_storeu_ps(array + row[4], _mm256_extractf128_ps((__m256)x, 1));
#else
    reel_put_f32(array + row[0], x);
#endif
}

/* In each four, number j of a[i] and number i of a[j] change places. */
REEL_INLINE void reel_turn_fours_f32(reel_vector_f32 a[4])
{
#if REEL_VECTOR_BYTES == 64
#define REEL_MIX(half, a, b) (reel_vector_f32)_mm512_unpack##half##_ps((__m512)(a), (__m512)(b))
#define REEL_MIX_TWOS(half, a, b) (reel_vector_f32)_mm512_unpack##half##_pd((__m512d)(a), (__m512d)(b))
#elif REEL_VECTOR_BYTES == 32
#define REEL_MIX(half, a, b) (reel_vector_f32)_mm256_unpack##half##_ps((__m256)(a), (__m256)(b))
#define REEL_MIX_TWOS(half, a, b) (reel_vector_f32)_mm256_unpack##half##_pd((__m256d)(a), (__m256d)(b))
#else
    enum { lo = 0, hi = 2 };
#define REEL_MIX(half, a, b) __builtin_shufflevector(a, b, half, half + 4, half + 1, half + 5)
#define REEL_MIX_TWOS(half, a, b) __builtin_shufflevector(a, b, half, half + 1, half + 4, half + 5)
#endif
    const reel_vector_f32 low = REEL_MIX(lo, a[0], a[1]), high = REEL_MIX(hi, a[0], a[1]);
    const reel_vector_f32 low_next = REEL_MIX(lo, a[2], a[3]), high_next = REEL_MIX(hi, a[2], a[3]);
    a[0] = REEL_MIX_TWOS(lo, low, low_next);
    a[1] = REEL_MIX_TWOS(hi, low, low_next);
    a[2] = REEL_MIX_TWOS(lo, high, high_next);
    a[3] = REEL_MIX_TWOS(hi, high, high_next);
#undef REEL_MIX
#undef REEL_MIX_TWOS
}

#endif
