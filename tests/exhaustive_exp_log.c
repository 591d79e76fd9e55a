/* exhaustive_exp_log: the loss's exponential and logarithm over all f32 inputs, rounded to f32, against the exact
 * kernels' pairs of doubles (good to 2^-55). Some minutes; run by `meson test --benchmark`. Prints the
 * largest error in units in the last place, and fails where it is above what exp_log.h and exp_f32.h state.
 *
 * SPDX-License-Identifier: MIT
 */
#include "core/half.h"
#include "ops/kernels/exp_f32.h"
#include "ops/kernels/exp_log.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

struct tally {
    double   worst;
    float    at;
    uint64_t inputs, wrong;                         /* wrong: of infinities and NaN                */
};

/* The unit in the last place of an f32 as large as x; of the smallest normal number below that. */
static double ulp_of(double x)
{
    int exponent;
    frexp(x, &exponent);
    return ldexp(1, (exponent - 1 < -126 ? -126 : exponent - 1) - 23);
}

static void judge(struct tally *tally, float x, double plain, double high, double low)
{
    float got = (float)plain;
    if (isnan(x)) {
        tally->wrong += !isnan(got);
    } else if (!(high + low < 0x1.ffffffp127)) {
        tally->wrong += got != INFINITY;
    } else {
        double error = fabs(((double)got - high) - low) / ulp_of(high + low);
        tally->inputs++;
        if (!(error <= tally->worst)) {
            tally->worst = error;
            tally->at = x;
        }
    }
}

static struct tally all_inputs(bool logarithm)
{
    struct tally tally = {0};
    uint64_t first = logarithm ? 0 : 0x80000000u;           /* exp: of -0 and below; log1p: of 0 and above */
    uint64_t end = logarithm ? 0x7f800000u : 0x100000000u;
    for (uint64_t bits = first; bits < end; bits += REEL_WIDTH) {
        reel_vector x;
        for (int lane = 0; lane < REEL_WIDTH; lane++)
            x[lane] = reel_f32_of_bits((uint32_t)(bits + (uint64_t)lane));
        reel_pair in = {x, {0}};
        reel_pair exact = logarithm ? reel_pair_log1p(true, in)
                                    : reel_pair_scale(reel_pair_exp(true, in), reel_vector_of(REEL_EXP_UNIT(true)));
        reel_pair plain = logarithm ? reel_pair_log1p(false, in) : reel_pair_exp(false, in);
        for (int lane = 0; lane < REEL_WIDTH; lane++)
            judge(&tally, (float)x[lane], plain.hi[lane], exact.hi[lane], exact.lo[lane]);
    }
    return tally;
}

/* The exponential in lanes of f32, whose two parts have more digits than an f32: its error in units of 2^-24 of the result. */
static struct tally all_parts(void)
{
    struct tally tally = {0};
    for (uint64_t bits = 0x80000000u; bits < 0x100000000u; bits += REEL_WIDTH_F32) {
        reel_vector_f32 x;
        for (int lane = 0; lane < REEL_WIDTH_F32; lane++)
            x[lane] = reel_f32_of_bits((uint32_t)(bits + (uint64_t)lane));
        reel_exp_parts got = reel_exp_f32(x, (reel_vector_f32){0});
        for (int half = 0; half < 2; half++) {
            reel_vector input = reel_widen_f32(x, half), power = reel_widen_f32(got.power, half);
            reel_pair exact = reel_pair_exp(true, reel_pair_of(input));
            reel_vector parts = reel_multiply_add(power, reel_widen_f32(got.rise, half), power);
            for (int lane = 0; lane < REEL_WIDTH; lane++) {
                double error = fabs((parts[lane] - exact.hi[lane]) - exact.lo[lane]) / exact.hi[lane] * 0x1p24;
                bool meant = input[lane] >= (double)REEL_EXP_F32_LEAST;
                tally.inputs += meant;
                tally.wrong += isnan(input[lane]) && !isnan(parts[lane]);
                if (!meant || error <= tally.worst)
                    continue;
                tally.worst = error;
                tally.at = (float)input[lane];
            }
        }
    }
    return tally;
}

int main(void)
{
    bool failed = false;
    for (int logarithm = 0; logarithm < 2; logarithm++) {
        struct tally tally = all_inputs(logarithm);
        printf("%-6s %10llu inputs   at most %.8f ulp, at %a   %llu infinities or NaN wrong\n",
               logarithm ? "log1p" : "exp", (unsigned long long)tally.inputs, tally.worst, (double)tally.at,
               (unsigned long long)tally.wrong);
        failed |= tally.wrong != 0 || tally.worst > (logarithm ? .500001 : .500023);
    }
    struct tally parts = all_parts();
    printf("parts  %10llu inputs   at most %.8f of 2^-24, at %a   %llu wrong\n", (unsigned long long)parts.inputs, parts.worst,
           (double)parts.at, (unsigned long long)parts.wrong);
    return failed || parts.wrong != 0 || parts.worst > .7504;
}
