/* Exponential and logarithm for softmax and its family, on vectors: as pairs (pair.h) with digits beyond
 * those of a double where `exact`, else as plain doubles. No branch and no table.
 *
 *                       largest error over
 *                       all f32 inputs, rounded to f32    a million f64 inputs, rounded to f64, and as a pair
 *     exp   plain       0.500022 ulp                      2^-38.9, relative
 *     exp   exact       0.5000000 ulp                     0.58 ulp        2^-55.9, relative
 *     log1p plain       0.5000000 ulp                     2.1 ulp
 *     log1p exact       0.5000000 ulp                     0.54 ulp        2^-56.9, relative
 *
 * exp: x = k log 2 + r with |r| <= log 2 / 2, and e^x = 2^k (1 + r + r^2 P(r)).
 * log: 1 + x = 2^k (1 + g) with 1 + g in [sqrt 1/2, sqrt 2], s = g / (2 + g), and
 *      log(1 + x) = k log 2 + 2 s + s^3 R(s^2), the series of 2 artanh s.
 * P and R are minimax polynomials, found with Remez's exchange in 60 digits.
 */
#ifndef REEL_OPS_KERNELS_EXP_LOG_H
#define REEL_OPS_KERNELS_EXP_LOG_H

#include "ops/kernels/pair.h"

#define REEL_LOG2    0x1.62e42fefa39efp-1
#define REEL_LOG2_HI 0x1.62e42fefa3800p-1           /* 42 bits: times k it is exact                */
#define REEL_LOG2_LO 0x1.ef35793c76730p-45

/* Exponentials of the exact kind come in units of 2^-64, so that they are normal numbers down to where even
 * a sum of them times a large gradient is 0. */
#define REEL_EXP_UNIT(exact) ((exact) ? 0x1p-64 : 1.0)

/* One step of Horner's scheme. */
REEL_INLINE reel_vector reel_exp_log_step(reel_vector p, reel_vector x, double coefficient)
{
    return reel_multiply_add(p, x, reel_vector_of(coefficient));
}

REEL_INLINE reel_vector reel_pair_exp_tail_exact(reel_vector r)
{
    reel_vector p = reel_exp_log_step(reel_vector_of(0x1.1f8b32643a71fp-29), r, 0x1.af4ddc8da64ccp-26);
    p = reel_exp_log_step(p, r, 0x1.27e4ccdc23e60p-22);
    p = reel_exp_log_step(p, r, 0x1.71de0237d1cfbp-19);
    p = reel_exp_log_step(p, r, 0x1.a01a01acf57b8p-16);
    p = reel_exp_log_step(p, r, 0x1.a01a01abe6071p-13);
    p = reel_exp_log_step(p, r, 0x1.6c16c16c15209p-10);
    p = reel_exp_log_step(p, r, 0x1.11111111100dfp-7);
    p = reel_exp_log_step(p, r, 0x1.5555555555558p-5);
    p = reel_exp_log_step(p, r, 0x1.5555555555557p-3);
    return reel_exp_log_step(p, r, 0.5);
}

REEL_INLINE reel_vector reel_pair_exp_tail_plain(reel_vector r)
{
    reel_vector p = reel_exp_log_step(reel_vector_of(0x1.a0e80a0a6d7bcp-16), r, 0x1.a18ebdd21561cp-13);
    p = reel_exp_log_step(p, r, 0x1.6c16f5ebcddecp-10);
    p = reel_exp_log_step(p, r, 0x1.11109c3f892f1p-7);
    p = reel_exp_log_step(p, r, 0x1.555554d7ed1f6p-5);
    p = reel_exp_log_step(p, r, 0x1.5555558174715p-3);
    return reel_exp_log_step(p, r, 0x1.0000000053f24p-1);
}

/* e^(x.hi + x.lo) in REEL_EXP_UNIT, for x.hi <= 0 and a small x.lo. Plain it is 0 below 2^-1022, exact below
 * 2^-1086. A NaN stays one. */
REEL_INLINE reel_pair reel_pair_exp(bool exact, reel_pair x)
{
    const reel_vector least = reel_vector_of(exact ? -753.5 : -709.0);
    const reel_vector integers = reel_vector_of(0x1.8p52);  /* adding it rounds to an integer in the low bits */
    const uint64_t bias = exact ? 1023 + 64 : 1023;
    reel_vector d = reel_larger(least, x.hi);
    reel_vector shifted = reel_multiply_add(d, reel_vector_of(0x1.71547652b82fep0), integers), k = shifted - integers;
    reel_vector power = (reel_vector)(((reel_bits)shifted + bias) << 52);
    if (!exact) {
        reel_vector r = reel_multiply_subtract(k, reel_vector_of(REEL_LOG2), d);
        return reel_pair_of(reel_multiply_add(reel_multiply_add(r * r, reel_pair_exp_tail_plain(r), r), power, power));
    }
    reel_vector near = reel_multiply_subtract(k, reel_vector_of(REEL_LOG2_HI), d);
    reel_vector far = k * REEL_LOG2_LO, r = near - far;
    reel_vector rest = ((near - r) - far) + x.lo, tail = r * r * reel_pair_exp_tail_exact(r);
    reel_vector one = 1 + r, one_rest = (1 - one) + r;
    reel_vector hi = one + tail, hi_rest = (one - hi) + tail;
    return (reel_pair){hi * power, reel_multiply_add(hi, rest, hi_rest + one_rest) * power};
}

REEL_INLINE reel_vector reel_pair_log_tail(reel_vector w)
{
    reel_vector p = reel_exp_log_step(reel_vector_of(0x1.0c09c782c35eep-3), w, 0x1.0fbdf30658cbdp-3);
    p = reel_exp_log_step(p, w, 0x1.3b1c3bf2e8c6cp-3);
    p = reel_exp_log_step(p, w, 0x1.745cf8e2a3677p-3);
    p = reel_exp_log_step(p, w, 0x1.c71c7201b2a2bp-3);
    p = reel_exp_log_step(p, w, 0x1.2492492476947p-2);
    p = reel_exp_log_step(p, w, 0x1.9999999999a39p-2);
    return reel_exp_log_step(p, w, 0x1.5555555555555p-1);
}

/* log(1 + x.hi + x.lo) for finite x.hi >= 0 and for NaN. All digits are kept down to the smallest x. */
REEL_INLINE reel_pair reel_pair_log1p(bool exact, reel_pair x)
{
    const uint64_t sqrt_half = 0x3fe6a09e667f3bcdu, integers = 0x4330000000000000u;    /* 2^52     */
    reel_bits exponent = ((reel_bits)(1 + x.hi) - sqrt_half) >> 52;
    reel_vector k = (reel_vector)(exponent | integers) - 0x1p52;
    reel_vector power = (reel_vector)((1023 - exponent) << 52);                         /* 2^-k    */
    reel_pair g = reel_pair_add(exact, reel_pair_scale(x, power), reel_pair_of(power - 1));
    reel_pair s = reel_pair_div(exact, g, reel_pair_add(exact, reel_pair_of(reel_vector_of(2)), g));
    reel_vector w = s.hi * s.hi, tail = s.hi * w * reel_pair_log_tail(w) + (2 * s.lo + k * REEL_LOG2_LO);
    reel_pair most = reel_pair_sum(exact, k * REEL_LOG2_HI, 2 * s.hi);
    reel_vector log = most.hi + tail;
    return (reel_pair){log, exact ? (most.hi - log) + tail + most.lo : (reel_vector){0}};
}

#endif
