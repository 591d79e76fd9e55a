/* Half floats: IEEE 754 binary16 (f16) and bfloat16 (bf16, the upper half of binary32).
 *
 *            sign exponent fraction   smallest subnormal   smallest normal   largest
 *     f16     1      5       10             2^-24              2^-14          65504
 *     bf16    1      8        7             2^-133             2^-126         (2 - 2^-7) 2^127
 *
 * Widening is exact. Narrowing rounds once, to nearest, ties to even, also from f64: going through f32
 * would round twice, and 1 + 2^-11 + 2^-30 would become 1 in f16 and not 1 + 2^-10. What rounds beyond the
 * largest value is an infinity. A NaN stays a NaN with its sign and the upper bits of its payload, and
 * becomes a quiet one.
 *
 * No function has a branch, and each makes the same one addition or subtraction whatever its argument is,
 * so that a loop over any of them vectorises on every CPU. They need the rounding mode that C starts with;
 * it does not matter to them whether the CPU flushes subnormals to zero.
 */
#ifndef REEL_CORE_HALF_H
#define REEL_CORE_HALF_H

#include <stdint.h>
#include <string.h>

/* Inside of a loop, whatever a compiler thinks of its length: a call in it would keep it from becoming vectors. */
#define REEL_HALF static inline __attribute__((always_inline))

static inline uint32_t reel_f32_bits(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static inline float reel_f32_of_bits(uint32_t bits)
{
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static inline uint64_t reel_f64_bits(double x)
{
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static inline double reel_f64_of_bits(uint64_t bits)
{
    double x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* The exponent is raised by 112, the difference of the biases 127 and 15, and that of infinity and NaN once
 * more, to the top. A subnormal, 0.f 2^-14, is read as 1.f 2^-14, and 2^-14 is taken off; from all others 0,
 * which makes a NaN quiet. */
REEL_HALF float reel_f16_to_f32(uint16_t half)
{
    uint32_t sign = (uint32_t)(half & 0x8000) << 16;
    uint32_t magnitude = half & 0x7fff;
    uint32_t raise = magnitude < 0x0400 ? 113u << 23 : magnitude < 0x7c00 ? 112u << 23 : 224u << 23;
    uint32_t excess = magnitude < 0x0400 ? 113u << 23 : 0;                      /* 2^-14           */
    float x = reel_f32_of_bits((magnitude << 13) + raise) - reel_f32_of_bits(excess);
    return reel_f32_of_bits(sign | reel_f32_bits(x));
}

REEL_HALF float reel_bf16_to_f32(uint16_t half)
{
    uint32_t bits = (uint32_t)half << 16;
    return reel_f32_of_bits(bits | ((half & 0x7fff) > 0x7f80 ? 0x400000u : 0));
}

/* The CPU rounds where we want it in a sum with a larger number. Let 2^e <= |x| < 2^(e+1), or e = -14 where
 * |x| is less. Floats from 2^(e+13) on lie 2^(e-10) apart, as the f16 at x do; so in 2^(e+13) + |x| the lower
 * bits are |x| in units of the last place of f16, rounded, hidden bit included. With e held at 15, all from
 * 65520 on comes out as infinity or more. A NaN is more too, and gets its payload back. */
REEL_HALF uint16_t reel_f32_to_f16(float x)
{
    const uint32_t least = 113u << 23, most = 142u << 23;                       /* 2^-14, 2^15     */
    uint32_t bits = reel_f32_bits(x);
    uint32_t magnitude = bits & 0x7fffffffu;
    uint32_t power = magnitude & 0x7f800000u;
    uint32_t held = power < least ? least : power < most ? power : most;        /* 2^e             */
    uint32_t larger = held + (13u << 23);
    float sum = reel_f32_of_bits(larger) + reel_f32_of_bits(magnitude);
    uint32_t half = reel_f32_bits(sum) - larger + ((held - least) >> 13);
    uint32_t nan = magnitude > 0x7f800000u ? 0x200 | (magnitude >> 13 & 0x3ff) : 0;
    return (uint16_t)((bits >> 16 & 0x8000) | (half < 0x7c00 ? half : 0x7c00) | nan);
}

/* Adding just under a half of what is dropped, and one more where the kept part is odd, carries into the
 * kept part exactly where rounding to even goes up; a carry out of the fraction raises the exponent, up to
 * infinity. */
REEL_HALF uint16_t reel_f32_to_bf16(float x)
{
    uint32_t bits = reel_f32_bits(x);
    uint32_t rounded = (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
    return (uint16_t)((bits & 0x7fffffffu) > 0x7f800000u ? bits >> 16 | 0x40 : rounded);
}

/* The same from f64, to a format with `drop` bits less of fraction, whose normal numbers begin at the power
 * of two `least` and end with the binade of `most`. */
REEL_HALF uint16_t reel_f64_to_half(double x, int drop, uint64_t least, uint64_t most)
{
    const uint64_t f64_infinity = 2047ull << 52, infinity = (most - least + (2ull << 52)) >> drop;
    uint64_t bits = reel_f64_bits(x);
    uint64_t magnitude = bits & 0x7fffffffffffffffu;
    uint64_t power = magnitude & f64_infinity;
    uint64_t held = power < least ? least : power < most ? power : most;
    uint64_t larger = held + ((uint64_t)drop << 52);
    double sum = reel_f64_of_bits(larger) + reel_f64_of_bits(magnitude);
    uint64_t half = reel_f64_bits(sum) - larger + ((held - least) >> drop);
    uint64_t nan = magnitude > f64_infinity ? (magnitude << 12 >> 12 | 1ull << 51) >> drop : 0;
    return (uint16_t)((bits >> 48 & 0x8000) | (half < infinity ? half : infinity) | nan);
}

REEL_HALF uint16_t reel_f64_to_f16(double x)
{
    return reel_f64_to_half(x, 42, 1009ull << 52, 1038ull << 52);               /* 2^-14, 2^15     */
}

REEL_HALF uint16_t reel_f64_to_bf16(double x)
{
    return reel_f64_to_half(x, 45, 897ull << 52, 1150ull << 52);                /* 2^-126, 2^127   */
}

#endif
