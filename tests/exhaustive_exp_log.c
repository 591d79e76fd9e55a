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

/* z - (K + 1) log 2, as a pair; K 0 or that of a row's reference. */
static reel_pair below_unit(reel_vector z, double unit)
{
    reel_vector k = reel_vector_of(unit + 1), near = z - k * REEL_LOG2_HI;      /* both without rounding          */
    reel_pair rest = reel_pair_product(true, k, reel_vector_of(-REEL_LOG2_LO));
    return reel_pair_add(true, reel_pair_of(near), rest);
}

/* The exponential in lanes of f32, of all logits that a row with this reference could have. */
static void all_of_row(float first, struct tally *tally)
{
    const reel_vector_f32 integers = reel_exp_f32_integers(reel_spread_f32(first));
    const double least = (double)(first + REEL_EXP_F32_LEAST), most = (double)(first + REEL_EXP_F32_MOST);
    const double unit = (double)(REEL_EXP_F32_INTEGERS + 8 * REEL_EXP_F32_UNIT - integers[0]) / 8;
    for (uint64_t bits = 0; bits < 0x100000000u; bits += REEL_WIDTH_F32) {
        reel_vector_f32 z;
        for (int lane = 0; lane < REEL_WIDTH_F32; lane++)
            z[lane] = reel_f32_of_bits((uint32_t)(bits + (uint64_t)lane));
        reel_vector_f32 got = reel_exp_f32(z, integers);
        float numbers[2][REEL_WIDTH_F32];
        reel_put_f32(numbers[0], z);
        reel_put_f32(numbers[1], got);
        for (int at = 0; at < REEL_WIDTH_F32; at += REEL_WIDTH) {
            reel_vector input = reel_load_f32(numbers[0] + at), e = reel_load_f32(numbers[1] + at);
            reel_pair exact = reel_pair_scale(reel_pair_exp(true, below_unit(input, unit)), reel_vector_of(2 * REEL_EXP_F32_CONSTANT));
            for (int lane = 0; lane < REEL_WIDTH; lane++) {
                tally->wrong += isnan(input[lane]) && !isnan(e[lane]);
                if (input[lane] >= least && input[lane] <= most)
                    judge(tally, (float)input[lane], e[lane], exact.hi[lane], exact.lo[lane]);
            }
        }
    }
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
    struct tally rows = {0};
    const float first[] = {0, 88.25f, -3000, 250000};
    for (size_t row = 0; row < sizeof first / sizeof *first; row++)
        all_of_row(first[row], &rows);
    printf("f32    %10llu inputs   at most %.8f ulp, at %a   %llu NaN wrong\n", (unsigned long long)rows.inputs, rows.worst,
           (double)rows.at, (unsigned long long)rows.wrong);
    return failed || rows.wrong != 0 || rows.worst > .63;
}
