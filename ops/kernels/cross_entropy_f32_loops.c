/* The loops over groups of sixteen numbers, one a lane. cross_entropy_f32.h says what a group is. */
#include "ops/kernels/cross_entropy_f32.h"
#include "ops/kernels/exp_f32.h"

#include <float.h>

/* for (LOOPS_EACH_GROUP(at, i, groups)): lanes i ... of each group. */
#define LOOPS_EACH_GROUP(at, i, groups)                                                                                \
    int64_t at = (i), end_ = (int64_t)(groups) * REEL_LANES_F32; at < end_; at += REEL_LANES_F32

/* LOOPS_EACH_HALF(half): of a vector, as doubles. */
#define LOOPS_EACH_HALF(half) _Pragma("GCC unroll 2") for (int half = 0; half < 2; half++)

/* The loops work on copies of what their arguments point to: else compilers would read the pointers anew for each vector,
 * as one that was stored could have changed them. */

REEL_INLINE reel_vector_f32 loops_all(const float lanes[REEL_LANES_F32], int i)
{
    return reel_numbers_f32(lanes + i);
}

/* ---- Sums ------------------------------------------------------------------------------------------------ */

/* In two chains, as one would wait for itself. */
void reel_xent_f32_largest(const float *z, int groups, float max[REEL_LANES_F32])
{
    for (REEL_EACH_VECTOR_F32(i)) {
        reel_vector_f32 even = loops_all(max, i), odd = even;
        int64_t at = i, end = (int64_t)groups * REEL_LANES_F32;
        for (; at + REEL_LANES_F32 < end; at += 2 * REEL_LANES_F32) {
            even = reel_larger_f32(reel_numbers_f32(z + at), even);
            odd = reel_larger_f32(reel_numbers_f32(z + at + REEL_LANES_F32), odd);
        }
        if (at < end)
            even = reel_larger_f32(reel_numbers_f32(z + at), even);
        reel_put_f32(max + i, reel_larger_f32(even, odd));
    }
}

/* e^(z - m). A logit is taken for one so far below the largest that neither sums nor gradients show it, if it is below
 * that (`least`): -inf, too. */
REEL_INLINE reel_exp_parts loops_exp(reel_vector_f32 logit, reel_vector_f32 max, reel_vector_f32 least)
{
    reel_vector_f32 z = reel_larger_f32(least, logit), d = z - max;
    return reel_exp_f32(d, reel_sum_rest_f32(z, -max, d));
}

/* Two doubles' vectors of sums from and to memory. */
REEL_INLINE void loops_take(const double *sum, reel_vector total[2])
{
    LOOPS_EACH_HALF(half)
        total[half] = reel_load(sum + half * REEL_WIDTH);
}

REEL_INLINE void loops_give(double *sum, const reel_vector total[2])
{
    LOOPS_EACH_HALF(half)
        reel_store(sum + half * REEL_WIDTH, total[half]);
}

/* While the exponentials keep the CPU busy, what comes next is fetched: the numbers at the same place that they do not
 * need, and those that they need of the next row. What is not there is another's. */
static xent_f32_groups loops_next(const xent_f32_groups *at)
{
    const float *z = at->z + at->fetch;
    return (xent_f32_groups){.z = z, .v = at->v ? at->v + at->fetch : z, .y = at->y ? at->y : z,
                             .out = at->out ? at->out : at->power, .label_out = at->label_out ? at->label_out : at->power};
}

REEL_INLINE void loops_fetch(const xent_f32_groups *next, int64_t k)
{
    __builtin_prefetch(next->z + k);
    __builtin_prefetch(next->v + k);
    __builtin_prefetch(next->y + k);
    __builtin_prefetch(next->out + k, 1);
    __builtin_prefetch(next->label_out + k, 1);
}

REEL_INLINE void loops_add_exponentials(bool with_v, bool fetch, const xent_f32_groups *groups, const float *lanes_max,
                                        xent_f32_sums *sums, int i)
{
    const xent_f32_groups at = *groups, next = loops_next(groups);
    const reel_vector_f32 max = loops_all(lanes_max, i), least = max + REEL_EXP_F32_LEAST;
    reel_vector others[2], others_v[2], ties_v[2];
    reel_mask_f32 ties = {0};
    loops_take(sums->of[XENT_OTHERS] + i, others);
    if (with_v) {
        loops_take(sums->of[XENT_OTHERS_V] + i, others_v);
        loops_take(sums->of[XENT_TIES_V] + i, ties_v);
    }
    for (LOOPS_EACH_GROUP(k, i, at.groups)) {
        if (fetch)
            loops_fetch(&next, k);
        reel_vector_f32 z = reel_numbers_f32(at.z + k);
        reel_condition_f32 tie = reel_equal_f32(z, max);
        reel_exp_parts parts = loops_exp(z, max, least);
        reel_vector_f32 e = reel_unless_f32(tie, reel_fma_f32(parts.rise, parts.power, parts.power));
        reel_put_f32(at.power + k, parts.power);
        reel_put_f32(at.rise + k, parts.rise);
        ties = reel_count_f32(ties, tie);
        LOOPS_EACH_HALF(half)
            others[half] += reel_widen_f32(e, half);
        if (!with_v)
            continue;
        reel_vector_f32 v = reel_numbers_f32(at.v + k), tie_v = reel_where_f32(tie, v);
        LOOPS_EACH_HALF(half) {
            others_v[half] = reel_multiply_add(reel_widen_f32(e, half), reel_widen_f32(v, half), others_v[half]);
            ties_v[half] += reel_widen_f32(tie_v, half);
        }
    }
    for (int lane = 0; lane < REEL_WIDTH_F32; lane++)
        sums->of[XENT_TIES][i + lane] += ties[lane];
    loops_give(sums->of[XENT_OTHERS] + i, others);
    if (with_v) {
        loops_give(sums->of[XENT_OTHERS_V] + i, others_v);
        loops_give(sums->of[XENT_TIES_V] + i, ties_v);
    }
}

/* What is fetched comes with all of its group. */
void reel_xent_f32_add_exponentials(const xent_f32_groups *at, const float max[REEL_LANES_F32], xent_f32_sums *sums)
{
    for (REEL_EACH_VECTOR_F32(i)) {
        const bool fetch = at->fetch && i == 0;
        if (at->v && fetch)
            loops_add_exponentials(true, true, at, max, sums, i);
        else if (at->v)
            loops_add_exponentials(true, false, at, max, sums, i);
        else if (fetch)
            loops_add_exponentials(false, true, at, max, sums, i);
        else
            loops_add_exponentials(false, false, at, max, sums, i);
    }
}

REEL_INLINE void loops_powers(bool fetch, const xent_f32_groups *groups, const float *lanes_max, int i)
{
    const xent_f32_groups at = *groups, next = loops_next(groups);
    const reel_vector_f32 max = loops_all(lanes_max, i), least = max + REEL_EXP_F32_LEAST;
    for (LOOPS_EACH_GROUP(k, i, at.groups)) {
        if (fetch)
            loops_fetch(&next, k);
        reel_vector_f32 z = reel_larger_f32(least, reel_numbers_f32(at.z + k));
        reel_put_f32(at.power + k, reel_exp_f32_power(reel_exp_f32_shifted(z - max)));
    }
}

void reel_xent_f32_powers(const xent_f32_groups *at, const float max[REEL_LANES_F32])
{
    for (REEL_EACH_VECTOR_F32(i))
        if (at->fetch && i == 0)
            loops_powers(true, at, max, i);
        else
            loops_powers(false, at, max, i);
}

REEL_INLINE void loops_add_labels(bool with_z, const xent_f32_groups *groups, xent_f32_sums *sums, int i)
{
    const xent_f32_groups at = *groups;
    reel_vector labels[2], distance[2];
    loops_take(sums->of[XENT_LABELS] + i, labels);
    if (with_z)
        loops_take(sums->of[XENT_DISTANCE] + i, distance);
    for (LOOPS_EACH_GROUP(k, i, at.groups))
        LOOPS_EACH_HALF(half) {
            reel_vector y = reel_load_f32(at.y + k + half * REEL_WIDTH);
            labels[half] += y;
            if (with_z)
                distance[half] = reel_multiply_add(y, reel_load_f32(at.z + k + half * REEL_WIDTH), distance[half]);
        }
    loops_give(sums->of[XENT_LABELS] + i, labels);
    if (with_z)
        loops_give(sums->of[XENT_DISTANCE] + i, distance);
}

void reel_xent_f32_add_labels(const xent_f32_groups *at, bool with_z, xent_f32_sums *sums)
{
    for (REEL_EACH_VECTOR_F32(i))
        if (with_z)
            loops_add_labels(true, at, sums, i);
        else
            loops_add_labels(false, at, sums, i);
}

/* ---- Results --------------------------------------------------------------------------------------------- */

/* u S p, as the sum of two: all of its digits would not fit into one. */
typedef struct loops_pair {
    reel_vector_f32 hi, lo;
} loops_pair;

REEL_INLINE loops_pair loops_softmax(const xent_f32_groups *at, const xent_f32_rows *rows, int64_t k, int i)
{
    reel_vector_f32 unit = reel_numbers_f32(at->power + k) * loops_all(rows->slope, i), rise = reel_numbers_f32(at->rise + k);
    reel_vector_f32 p = reel_fused_f32(unit, rise, unit), lo = reel_fused_f32(unit, rise, unit - p);
    return (loops_pair){p, reel_fma_f32(unit, loops_all(rows->slope_more, i), lo)};
}

void reel_xent_f32_softmax(const xent_f32_groups *groups, const xent_f32_rows *rows)
{
    const xent_f32_groups at = *groups;
    for (REEL_EACH_VECTOR_F32(i))
        for (LOOPS_EACH_GROUP(k, i, at.groups)) {
            loops_pair p = loops_softmax(&at, rows, k, i);
            reel_put_f32(at.out + k, p.hi + p.lo);
        }
}

/* The corrections of a sum; none where it overflowed, and they are NaN. */
REEL_INLINE reel_vector_f32 loops_corrections(reel_vector_f32 rest)
{
    return reel_larger_f32(rest, reel_spread_f32(-FLT_MAX));
}

/* Of a confident row's largest class the fall below S comes last, so that all of its digits are left when S = y. */
void reel_xent_f32_gradient(const xent_f32_groups *groups, const xent_f32_rows *rows)
{
    const xent_f32_groups at = *groups;
    for (REEL_EACH_VECTOR_F32(i)) {
        const reel_vector_f32 u = loops_all(rows->upstream[0], i), u_rest = loops_all(rows->upstream[1], i);
        const reel_vector_f32 top = loops_all(rows->top[0], i), top_rest = loops_all(rows->top[1], i);
        const reel_vector_f32 fall = loops_all(rows->fall, i), max = loops_all(rows->max, i);
        for (LOOPS_EACH_GROUP(k, i, at.groups)) {
            reel_vector_f32 y = -reel_numbers_f32(at.y + k);
            reel_condition_f32 tie = reel_equal_f32(reel_numbers_f32(at.z + k), max);
            loops_pair p = loops_softmax(&at, rows, k, i);
            p = (loops_pair){reel_choose_f32(tie, top, p.hi), reel_choose_f32(tie, top_rest, p.lo)};
            reel_vector_f32 uy = y * u, uy_rest = reel_fused_f32(y, u_rest, reel_fused_f32(y, u, -uy));
            reel_vector_f32 sum = p.hi + uy, rest = (p.lo + uy_rest) + reel_sum_rest_f32(p.hi, uy, sum);
            reel_put_f32(at.out + k, sum + loops_corrections(rest + reel_where_f32(tie, fall)));
        }
    }
}

/* -log p = log1p(x) - (z - m). Where it is infinite, of a logit that is -inf, it has no rest. */
void reel_xent_f32_label_gradient(const xent_f32_groups *groups, const xent_f32_rows *rows)
{
    const xent_f32_groups at = *groups;
    for (REEL_EACH_VECTOR_F32(i)) {
        const reel_vector_f32 log = loops_all(rows->log[0], i), log_rest = loops_all(rows->log[1], i);
        const reel_vector_f32 u = loops_all(rows->upstream[0], i), u_rest = loops_all(rows->upstream[1], i);
        const reel_vector_f32 max = loops_all(rows->max, i);
        for (LOOPS_EACH_GROUP(k, i, at.groups)) {
            reel_vector_f32 z = reel_numbers_f32(at.z + k), fall = max - z, minus_log_p = fall + log;
            reel_vector_f32 rest = reel_sum_rest_f32(max, -z, fall) + log_rest;
            rest += reel_sum_rest_f32(fall, log, minus_log_p);
            rest = reel_fma_f32(rest, u, minus_log_p * u_rest);
            reel_condition_f32 finite = reel_less_f32(minus_log_p, reel_spread_f32(INFINITY));
            reel_put_f32(at.label_out + k, reel_fused_f32(minus_log_p, u, reel_where_f32(finite, rest)));
        }
    }
}

/* A huge v could show exponentials that are less than the least. */
void reel_xent_f32_second(const xent_f32_groups *groups, const xent_f32_rows *rows)
{
    const xent_f32_groups at = *groups;
    for (REEL_EACH_VECTOR_F32(i)) {
        const reel_vector_f32 mean = loops_all(rows->mean[0], i), mean_rest = loops_all(rows->mean[1], i);
        const reel_vector_f32 least = loops_all(rows->max, i) + REEL_EXP_F32_LEAST;
        for (LOOPS_EACH_GROUP(k, i, at.groups)) {
            reel_condition_f32 nothing = reel_less_f32(reel_numbers_f32(at.z + k), least);
            loops_pair p = loops_softmax(&at, rows, k, i);
            p = (loops_pair){reel_unless_f32(nothing, p.hi), reel_unless_f32(nothing, p.lo)};
            reel_vector_f32 v = reel_numbers_f32(at.v + k), from = v - mean;
            reel_vector_f32 from_rest = reel_sum_rest_f32(v, -mean, from) - mean_rest;
            reel_vector_f32 rest = reel_fma_f32(p.hi, from_rest, p.lo * from);
            reel_put_f32(at.out + k, reel_fused_f32(p.hi, from, rest));
        }
    }
}
