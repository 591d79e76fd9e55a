/* The loops over groups of sixteen numbers, one a lane. cross_entropy_f32.h says what a group is. */
#include "ops/kernels/cross_entropy_f32.h"
#include "ops/kernels/exp_f32.h"

/* for (LOOPS_EACH_GROUP(at, i, groups)): lanes i ... of each group. */
#define LOOPS_EACH_GROUP(at, i, groups)                                                                                \
    int64_t at = (i), end_ = (int64_t)(groups) * REEL_LANES_F32; at < end_; at += REEL_LANES_F32

/* for (LOOPS_EACH_HALF(half)): of a vector, as doubles. */
#define LOOPS_EACH_HALF(half) int half = 0; half < 2; half++

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

/* e^(z - m + more) */
REEL_INLINE reel_exp_parts loops_exp(reel_vector_f32 z, reel_vector_f32 max, reel_vector_f32 more)
{
    reel_vector_f32 d = z - max;
    return reel_exp_f32(d, reel_sum_rest_f32(z, -max, d) + more);
}

/* Two doubles' vectors of sums from and to memory. */
REEL_INLINE void loops_take(const double *sum, reel_vector total[2])
{
    for (LOOPS_EACH_HALF(half))
        total[half] = reel_load(sum + half * REEL_WIDTH);
}

REEL_INLINE void loops_give(double *sum, const reel_vector total[2])
{
    for (LOOPS_EACH_HALF(half))
        reel_store(sum + half * REEL_WIDTH, total[half]);
}

REEL_INLINE void loops_add_exponentials(bool with_v, const xent_f32_groups *at, const float *lanes_max, xent_f32_sums *sums,
                                        int i)
{
    const reel_vector_f32 max = loops_all(lanes_max, i), zero = {0};
    reel_vector others[2], others_v[2], ties_v[2];
    reel_vector_f32 ties = zero;
    loops_take(sums->of[XENT_OTHERS] + i, others);
    if (with_v) {
        loops_take(sums->of[XENT_OTHERS_V] + i, others_v);
        loops_take(sums->of[XENT_TIES_V] + i, ties_v);
    }
    for (LOOPS_EACH_GROUP(k, i, at->groups)) {
        reel_vector_f32 z = reel_numbers_f32(at->z + k), v = with_v ? reel_numbers_f32(at->v + k) : zero;
        reel_condition_f32 tie = reel_equal_f32(z, max);
        reel_exp_parts e = loops_exp(z, max, zero);
        reel_vector_f32 power = reel_unless_f32(tie, e.power), tie_v = reel_where_f32(tie, v);
        ties += reel_where_f32(tie, reel_spread_f32(1));
        for (LOOPS_EACH_HALF(half)) {
            reel_vector unit = reel_widen_f32(power, half), rise = reel_widen_f32(e.rise, half);
            if (!with_v) {
                others[half] += reel_multiply_add(rise, unit, unit);
                continue;
            }
            reel_vector whole = reel_multiply_add(rise, unit, unit);
            others[half] += whole;
            others_v[half] = reel_multiply_add(whole, reel_widen_f32(v, half), others_v[half]);
            ties_v[half] += reel_widen_f32(tie_v, half);
        }
    }
    for (int lane = 0; lane < REEL_WIDTH_F32; lane++)
        sums->of[XENT_TIES][i + lane] += (double)ties[lane];
    loops_give(sums->of[XENT_OTHERS] + i, others);
    if (with_v) {
        loops_give(sums->of[XENT_OTHERS_V] + i, others_v);
        loops_give(sums->of[XENT_TIES_V] + i, ties_v);
    }
}

void reel_xent_f32_add_exponentials(const xent_f32_groups *at, const float max[REEL_LANES_F32], xent_f32_sums *sums)
{
    for (REEL_EACH_VECTOR_F32(i))
        if (at->v)
            loops_add_exponentials(true, at, max, sums, i);
        else
            loops_add_exponentials(false, at, max, sums, i);
}

void reel_xent_f32_add_labels(const xent_f32_groups *at, xent_f32_sums *sums)
{
    for (REEL_EACH_VECTOR_F32(i)) {
        reel_vector labels[2];
        loops_take(sums->of[XENT_LABELS] + i, labels);
        for (LOOPS_EACH_GROUP(k, i, at->groups))
            for (LOOPS_EACH_HALF(half))
                labels[half] += reel_load_f32(at->y + k + half * REEL_WIDTH);
        loops_give(sums->of[XENT_LABELS] + i, labels);
    }
}

void reel_xent_f32_add_products(const xent_f32_groups *at, xent_f32_sums *sums)
{
    for (REEL_EACH_VECTOR_F32(i)) {
        reel_vector distance[2];
        loops_take(sums->of[XENT_DISTANCE] + i, distance);
        for (LOOPS_EACH_GROUP(k, i, at->groups))
            for (LOOPS_EACH_HALF(half)) {
                int64_t here = k + half * REEL_WIDTH;
                distance[half] = reel_multiply_add(reel_load_f32(at->y + here), reel_load_f32(at->z + here), distance[half]);
            }
        loops_give(sums->of[XENT_DISTANCE] + i, distance);
    }
}

/* ---- Results --------------------------------------------------------------------------------------------- */

REEL_INLINE reel_condition_f32 loops_is_finite(reel_vector_f32 x)
{
    return reel_less_f32(reel_magnitude_f32(x), reel_spread_f32(INFINITY));
}

/* u S p, as the sum of two: all of its digits would not fit into one. */
typedef struct loops_pair {
    reel_vector_f32 hi, lo;
} loops_pair;

REEL_INLINE loops_pair loops_softmax(const xent_f32_rows *rows, int i, reel_vector_f32 z)
{
    reel_exp_parts e = loops_exp(z, loops_all(rows->max, i), loops_all(rows->slope_more, i));
    reel_vector_f32 unit = e.power * loops_all(rows->slope, i), p = reel_fused_f32(unit, e.rise, unit);
    return (loops_pair){p, reel_fused_f32(unit, e.rise, unit - p)};
}

void reel_xent_f32_softmax(const xent_f32_groups *at, const xent_f32_rows *rows)
{
    for (REEL_EACH_VECTOR_F32(i))
        for (LOOPS_EACH_GROUP(k, i, at->groups))
            reel_put_f32(at->out + k, loops_softmax(rows, i, reel_numbers_f32(at->z + k)).hi);
}

/* Of a confident row's largest class the fall below S comes last, so that all of its digits are left when S = y. */
void reel_xent_f32_gradient(const xent_f32_groups *at, const xent_f32_rows *rows)
{
    for (REEL_EACH_VECTOR_F32(i)) {
        const reel_vector_f32 u = loops_all(rows->upstream[0], i), u_rest = loops_all(rows->upstream[1], i);
        const reel_vector_f32 top = loops_all(rows->top[0], i), top_rest = loops_all(rows->top[1], i);
        const reel_vector_f32 fall = loops_all(rows->fall, i), max = loops_all(rows->max, i);
        for (LOOPS_EACH_GROUP(k, i, at->groups)) {
            reel_vector_f32 z = reel_numbers_f32(at->z + k), y = -reel_numbers_f32(at->y + k);
            reel_condition_f32 tie = reel_equal_f32(z, max);
            loops_pair p = loops_softmax(rows, i, z);
            p = (loops_pair){reel_choose_f32(tie, top, p.hi), reel_choose_f32(tie, top_rest, p.lo)};
            reel_vector_f32 uy = y * u, uy_rest = reel_fused_f32(y, u_rest, reel_fused_f32(y, u, -uy));
            reel_vector_f32 sum = p.hi + uy, rest = (p.lo + uy_rest) + reel_sum_rest_f32(p.hi, uy, sum);
            reel_put_f32(at->out + k, sum + reel_where_f32(loops_is_finite(sum), rest + reel_where_f32(tie, fall)));
        }
    }
}

/* -log p = log1p(x) - (z - m). Where it is infinite, of a logit that is -inf, it has no rest. */
void reel_xent_f32_label_gradient(const xent_f32_groups *at, const xent_f32_rows *rows)
{
    for (REEL_EACH_VECTOR_F32(i)) {
        const reel_vector_f32 log = loops_all(rows->log[0], i), log_rest = loops_all(rows->log[1], i);
        const reel_vector_f32 u = loops_all(rows->upstream[0], i), u_rest = loops_all(rows->upstream[1], i);
        const reel_vector_f32 max = loops_all(rows->max, i);
        for (LOOPS_EACH_GROUP(k, i, at->groups)) {
            reel_vector_f32 z = reel_numbers_f32(at->z + k), fall = max - z, minus_log_p = fall + log;
            reel_vector_f32 rest = reel_sum_rest_f32(max, -z, fall) + log_rest;
            rest += reel_sum_rest_f32(fall, log, minus_log_p);
            rest = reel_fma_f32(rest, u, minus_log_p * u_rest);
            rest = reel_where_f32(loops_is_finite(minus_log_p), rest);
            reel_put_f32(at->label_out + k, reel_fused_f32(minus_log_p, u, rest));
        }
    }
}

void reel_xent_f32_second(const xent_f32_groups *at, const xent_f32_rows *rows)
{
    for (REEL_EACH_VECTOR_F32(i)) {
        const reel_vector_f32 mean = loops_all(rows->mean[0], i), mean_rest = loops_all(rows->mean[1], i);
        for (LOOPS_EACH_GROUP(k, i, at->groups)) {
            loops_pair p = loops_softmax(rows, i, reel_numbers_f32(at->z + k));
            reel_vector_f32 v = reel_numbers_f32(at->v + k), from = v - mean;
            reel_vector_f32 from_rest = reel_sum_rest_f32(v, -mean, from) - mean_rest;
            reel_vector_f32 rest = reel_fma_f32(p.hi, from_rest, p.lo * from);
            reel_put_f32(at->out + k, reel_fused_f32(p.hi, from, rest));
        }
    }
}
