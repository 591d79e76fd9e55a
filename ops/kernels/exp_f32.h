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

/* for (REEL_EXP_F32_EACH(j, n)) */
#define REEL_EXP_F32_EACH(j, n) _Pragma("GCC unroll 8") for (int j = 0; j < (n); j++)

enum { REEL_EXP_F32_MOST = 8 };                     /* vectors                                     */

/* e^z in units, for |max| < 2^20 and z from max + REEL_EXP_F32_LEAST to max: good to 0.99 units in the last place
 * (measured over all z of some rows). A NaN stays one. Of several vectors, as each step waits for the one before: a CPU
 * does not look far enough ahead to find the next vector by itself.
 *
 * k log 2_hi needs no rounding: it is a multiple of z's last digit, nearly as large as z. */
REEL_INLINE void reel_exp_f32_several(int n, const reel_vector_f32 *z, const reel_vector_f32 *integers, reel_vector_f32 *e)
{
    static const float tail[] = {0x1.1239c6p-7f, 0x1.5558bcp-5f, 0x1.555492p-3f, 0x1.fffffcp-2f};
    reel_vector_f32 power[REEL_EXP_F32_MOST], r[REEL_EXP_F32_MOST], p[REEL_EXP_F32_MOST];
    REEL_EXP_F32_EACH(j, n)
        power[j] = reel_fma_f32(z[j], reel_spread_f32(REEL_EXP_F32_PER_LOG2), integers[j]);
    REEL_EXP_F32_EACH(j, n) {
        reel_vector_f32 k = power[j] - integers[j];
        r[j] = reel_fused_f32(k, reel_spread_f32(-0x1.62e43p-1f), z[j]);
        r[j] = reel_fma_f32(k, reel_spread_f32(0x1.05c61p-29f), r[j]);
        power[j] = (reel_vector_f32)((reel_bits_f32)power[j] << 23);
        p[j] = reel_spread_f32(0x1.6a415ep-10f);
    }
    REEL_EXP_F32_EACH(step, 4)
        REEL_EXP_F32_EACH(j, n)
            p[j] = reel_fma_f32(p[j], r[j], reel_spread_f32(tail[step]));
    REEL_EXP_F32_EACH(j, n)
        p[j] = reel_fma_f32(r[j] * r[j], p[j], r[j]);
    REEL_EXP_F32_EACH(j, n)
        e[j] = reel_fma_f32(p[j], power[j], power[j]);
}

REEL_INLINE reel_vector_f32 reel_exp_f32(reel_vector_f32 z, reel_vector_f32 integers)
{
    reel_vector_f32 e;
    reel_exp_f32_several(1, &z, &integers, &e);
    return e;
}

/* ... of the largest logit */
REEL_INLINE reel_vector_f32 reel_exp_f32_largest(reel_vector_f32 max)
{
    return reel_exp_f32(max, reel_exp_f32_integers(max));
}

#endif
