/* The exponential for softmax and its family, on vectors of f32, without a branch or a table.
 *
 *     x = k log 2 + r with |r| <= log 2 / 2, and e^x = 2^k (1 + r + r^2 P(r))
 *
 * P is a minimax polynomial, good to 2^-28.2. The power of two and the rise above it, r + r^2 P(r), are told apart, as
 * an f32 has no room for the digits of both.
 */
#ifndef REEL_OPS_KERNELS_EXP_F32_H
#define REEL_OPS_KERNELS_EXP_F32_H

#include "ops/kernels/lanes_f32.h"

/* Exponentials come in units of 2^-64, so that all of those that a result could show are normal numbers: those of
 * numbers down to the least. */
#define REEL_EXP_F32_UNIT  0x1p-64
#define REEL_EXP_F32_LEAST (-131.f)

#define REEL_EXP_F32_INTEGERS 0x1.8p23f             /* what is added to it is rounded to an integer */

/* power (1 + rise) */
typedef struct reel_exp_parts {
    reel_vector_f32 power, rise;
} reel_exp_parts;

/* x / log 2 rounded to an integer, in the low bits. */
REEL_INLINE reel_vector_f32 reel_exp_f32_shifted(reel_vector_f32 x)
{
    return reel_fma_f32(x, reel_spread_f32(0x1.715476p0f), reel_spread_f32(REEL_EXP_F32_INTEGERS));
}

REEL_INLINE reel_vector_f32 reel_exp_f32_power(reel_vector_f32 shifted)
{
    return (reel_vector_f32)(((reel_bits_f32)shifted + (127 + 64)) << 23);
}

/* e^(x + rest), in units, for x <= 0, not less than the least, and a rest too small to show in x: both parts together are
 * good to 0.7504 * 2^-24 of it (measured over all x). A NaN stays one. */
REEL_INLINE reel_exp_parts reel_exp_f32(reel_vector_f32 x, reel_vector_f32 rest)
{
    const reel_vector_f32 minus_log2_hi = reel_spread_f32(-0x1.62e4p-1f); /* 15 bits: times k it is exact */
    const reel_vector_f32 minus_log2_lo = reel_spread_f32(-0x1.7f7d1cp-20f);
    reel_vector_f32 shifted = reel_exp_f32_shifted(x), k = shifted - reel_spread_f32(REEL_EXP_F32_INTEGERS);
    reel_vector_f32 r = reel_fma_f32(k, minus_log2_hi, x) + reel_fma_f32(k, minus_log2_lo, rest);
    reel_vector_f32 p = reel_fma_f32(reel_spread_f32(0x1.6a415ep-10f), r, reel_spread_f32(0x1.1239c6p-7f));
    p = reel_fma_f32(p, r, reel_spread_f32(0x1.5558bcp-5f));
    p = reel_fma_f32(p, r, reel_spread_f32(0x1.555492p-3f));
    p = reel_fma_f32(p, r, reel_spread_f32(0x1.fffffcp-2f));
    return (reel_exp_parts){reel_exp_f32_power(shifted), reel_fma_f32(r * r, p, r)};
}

#endif
