/* The exponential for softmax and its family, on vectors of f32, without a branch.
 *
 *     z = n log 2 / 8 + r with |r| <= log 2 / 16, and e^z = 2^(n / 8) (1 + r + r^2 (1/2 + r P(r)))
 *
 * P is a minimax polynomial, good to 2^-32. 2^(n / 8) is a power of two times one of eight numbers. Nothing is subtracted from
 * a row's logits, for that would have to be rounded: exponentials come in units of a power of two instead, 2^(K - 56) with
 * K = a / log 2 rounded, where a (`reference`) is the row's largest logit or one not far below it. And in units of a number
 * c, chosen so that the eight numbers c 2^(j / 8) are almost exact when they are rounded to f32.
 */
#ifndef REEL_OPS_KERNELS_EXP_F32_H
#define REEL_OPS_KERNELS_EXP_F32_H

#include "ops/kernels/lanes_f32.h"

/* So far below the largest logit nothing is seen of an exponential. From so far below the reference, which is no larger, to
 * the most above it, exponentials are normal numbers. */
#define REEL_EXP_F32_LEAST (-125.0f)
#define REEL_EXP_F32_MOST  44.0f

/* The magnitude of an ordinary logit is less. Rows whose reference or largest logit is not ordinary are not suited. */
#define REEL_EXP_F32_ORDINARY 0x1p18f

#define REEL_EXP_F32_INTEGERS  0x1.8p23f            /* what is added to it is rounded to an integer */
#define REEL_EXP_F32_UNIT      56
#define REEL_EXP_F32_PER_LOG2  0x1.715476p0f        /* 1 / log 2                                   */
#define REEL_EXP_F32_CONSTANT  0x1.16747bf7c5b82p0  /* c, for tests                                */

/* What is added to 8 z / log 2, to give in the low bits n and the exponent of the unit that goes with the reference. */
REEL_INLINE reel_vector_f32 reel_exp_f32_integers(reel_vector_f32 reference)
{
    const reel_vector_f32 integers = reel_spread_f32(REEL_EXP_F32_INTEGERS);
    reel_vector_f32 exponent = reel_fma_f32(reference, reel_spread_f32(REEL_EXP_F32_PER_LOG2), integers) - integers;
    return reel_spread_f32(REEL_EXP_F32_INTEGERS + 8 * REEL_EXP_F32_UNIT) - 8 * exponent;
}

/* for (REEL_EXP_F32_EACH(j, n)) */
#define REEL_EXP_F32_EACH(j, n) _Pragma("GCC unroll 8") for (int j = 0; j < (n); j++)

enum { REEL_EXP_F32_VECTORS = 8 };                  /* at most                                     */

/* Of e^z in units the power of two and of its root, and what e^z is larger by: a part p of it. For z that is ordinary and from
 * REEL_EXP_F32_LEAST to REEL_EXP_F32_MOST above the reference; a NaN stays one. Of several vectors, as each step waits for
 * the one before: a CPU does not look far enough ahead to find the next vector by itself.
 *
 * z - n log 2_hi / 8 needs no rounding, as both are multiples of z's last digit or of the constant's. n, added where the
 * third bit of a mantissa is, adds the part of n / 8 behind the point to the number and the one before it to the exponent. */
REEL_INLINE void reel_exp_f32_parts(int vectors, const reel_vector_f32 *z, const reel_vector_f32 *integers,
                                    reel_vector_f32 *power, reel_vector_f32 *p)
{
    static const float eighths[8] = {               /* c 2^(j / 8) - j / 8                         */
        0x1.16747cp0f,         0x1.2fa848p0f - .125f, 0x1.4b2404p0f - .25f, 0x1.691c8ap0f - .375f,
        0x1.89cb7cp0f - .5f,   0x1.ad6fb4p0f - .625f, 0x1.d44dbcp0f - .75f, 0x1.feb052p0f - .875f,
    };
    reel_vector_f32 r[REEL_EXP_F32_VECTORS];
    REEL_EXP_F32_EACH(j, vectors)
        power[j] = reel_fma_f32(z[j], reel_spread_f32(8 * REEL_EXP_F32_PER_LOG2), integers[j]);
    REEL_EXP_F32_EACH(j, vectors) {
        reel_vector_f32 k = power[j] - integers[j];
        r[j] = reel_fused_f32(k, reel_spread_f32(-0x1.62e43p-4f), z[j]);
        r[j] = reel_fma_f32(k, reel_spread_f32(0x1.05c61p-32f), r[j]);
        reel_bits_f32 n = (reel_bits_f32)power[j];
        power[j] = (reel_vector_f32)((reel_bits_f32)reel_look_up_f32(eighths, n) + (n << 20));
    }
    REEL_EXP_F32_EACH(j, vectors)
        p[j] = reel_fma_f32(r[j], reel_spread_f32(0x1.555556p-5f), reel_spread_f32(0x1.555cf2p-3f));
    REEL_EXP_F32_EACH(j, vectors)
        p[j] = reel_fma_f32(p[j], r[j], reel_spread_f32(0.5f));
    REEL_EXP_F32_EACH(j, vectors)
        p[j] = reel_fma_f32(r[j] * r[j], p[j], r[j]);
}

/* e^z in units: good to 0.59 units in the last place, measured over all z of some rows (0.62 without fused multiply-add). */
REEL_INLINE void reel_exp_f32_several(int vectors, const reel_vector_f32 *z, const reel_vector_f32 *integers,
                                      reel_vector_f32 *e)
{
    reel_vector_f32 power[REEL_EXP_F32_VECTORS], p[REEL_EXP_F32_VECTORS];
    reel_exp_f32_parts(vectors, z, integers, power, p);
    REEL_EXP_F32_EACH(j, vectors)
        e[j] = reel_fma_f32(p[j], power[j], power[j]);
}

REEL_INLINE reel_vector_f32 reel_exp_f32(reel_vector_f32 z, reel_vector_f32 integers)
{
    reel_vector_f32 e;
    reel_exp_f32_several(1, &z, &integers, &e);
    return e;
}

/* ... and what rounding has taken from it. */
REEL_INLINE reel_vector_f32 reel_exp_f32_exactly(reel_vector_f32 z, reel_vector_f32 integers, reel_vector_f32 *rest)
{
    reel_vector_f32 power, p;
    reel_exp_f32_parts(1, &z, &integers, &power, &p);
    reel_vector_f32 e = reel_fma_f32(p, power, power);
    *rest = reel_fma_f32(p, power, power - e);
    return e;
}

#endif
