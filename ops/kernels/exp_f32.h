/* The exponential for softmax and its family, on vectors of f32, without a branch or a table.
 *
 *     z = k log 2 + r with |r| <= log 2 / 2, and e^z = 2^k (1 + r + r^2 P(r))
 *
 * P is a minimax polynomial, good to 2^-28.2. The largest logit m of a row is not subtracted, for that would have to be
 * rounded: exponentials come in units of a power of two near e^m instead, 2^(K - 64) with K = m / log 2 rounded.
 */
#ifndef REEL_OPS_KERNELS_EXP_F32_H
#define REEL_OPS_KERNELS_EXP_F32_H

#include "ops/kernels/lanes_f32.h"

/* So far below the largest logit nothing is seen of an exponential, and down to there it is a normal number. */
#define REEL_EXP_F32_LEAST (-130.5f)

#define REEL_EXP_F32_INTEGERS 0x1.8p23f             /* what is added to it is rounded to an integer */
#define REEL_EXP_F32_PER_LOG2 0x1.715476p0f         /* 1 / log 2                                   */

/* What is added to z / log 2, to give in the low bits the exponent of 2^k in the unit that goes with the row's largest
 * logit. */
REEL_INLINE reel_vector_f32 reel_exp_f32_integers(reel_vector_f32 max)
{
    const reel_vector_f32 integers = reel_spread_f32(REEL_EXP_F32_INTEGERS);
    reel_vector_f32 unit = reel_fma_f32(max, reel_spread_f32(REEL_EXP_F32_PER_LOG2), integers) - integers;
    return reel_spread_f32(REEL_EXP_F32_INTEGERS + 127 + 64) - unit;
}

/* e^z in units, for |max| < 2^20 and z from max + REEL_EXP_F32_LEAST to max: good to 0.66 units in the last place
 * (measured over all z of some rows). A NaN stays one.
 *
 * k log 2_hi needs no rounding: it is a multiple of z's last digit, nearly as large as z. */
REEL_INLINE reel_vector_f32 reel_exp_f32(reel_vector_f32 z, reel_vector_f32 integers)
{
    const reel_vector_f32 minus_log2_hi = reel_spread_f32(-0x1.62e43p-1f), minus_log2_lo = reel_spread_f32(0x1.05c61p-29f);
    reel_vector_f32 shifted = reel_fma_f32(z, reel_spread_f32(REEL_EXP_F32_PER_LOG2), integers), k = shifted - integers;
    reel_vector_f32 r = reel_fma_f32(k, minus_log2_lo, reel_fused_f32(k, minus_log2_hi, z));
    reel_vector_f32 p = reel_fma_f32(reel_spread_f32(0x1.6a415ep-10f), r, reel_spread_f32(0x1.1239c6p-7f));
    p = reel_fma_f32(p, r, reel_spread_f32(0x1.5558bcp-5f));
    p = reel_fma_f32(p, r, reel_spread_f32(0x1.555492p-3f));
    p = reel_fma_f32(p, r, reel_spread_f32(0x1.fffffcp-2f));
    reel_vector_f32 power = (reel_vector_f32)((reel_bits_f32)shifted << 23);
    return reel_fma_f32(reel_fma_f32(r * r, p, r), power, power);
}

/* ... of the largest logit */
REEL_INLINE reel_vector_f32 reel_exp_f32_largest(reel_vector_f32 max)
{
    return reel_exp_f32(max, reel_exp_f32_integers(max));
}

#endif
