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
                             .out = at->out ? at->out : at->e, .label_out = at->label_out ? at->label_out : at->e};
}

REEL_INLINE void loops_fetch(const xent_f32_groups *next, int64_t k)
{
    __builtin_prefetch(next->z + k);
    __builtin_prefetch(next->v + k);
    __builtin_prefetch(next->y + k);
    __builtin_prefetch(next->out + k, 1);
    __builtin_prefetch(next->label_out + k, 1);
}

/* Groups that are worked on together: four vectors. */
enum { LOOPS_VECTORS = REEL_LANES_F32 / REEL_WIDTH_F32, LOOPS_TOGETHER = 4 / LOOPS_VECTORS };

/* Of all sixteen lanes, for the exponentials. */
typedef struct loops_lanes {
    reel_vector_f32 least[LOOPS_VECTORS], integers[LOOPS_VECTORS];
    reel_vector     all[2 * LOOPS_VECTORS], all_v[2 * LOOPS_VECTORS];
} loops_lanes;

/* A logit is taken for one so far below the largest that neither sums nor gradients show it, if it is below that
 * (`least`): -inf, too. */
REEL_INLINE void loops_exponentials_of(bool with_v, int groups, const xent_f32_groups *at, int64_t k, loops_lanes *lanes)
{
    const int vectors = groups * LOOPS_VECTORS;
    reel_vector_f32 z[REEL_EXP_F32_MOST], integers[REEL_EXP_F32_MOST], e[REEL_EXP_F32_MOST];
    REEL_EXP_F32_EACH(j, vectors) {
        z[j] = reel_larger_f32(lanes->least[j % LOOPS_VECTORS], reel_numbers_f32(at->z + k + j * REEL_WIDTH_F32));
        integers[j] = lanes->integers[j % LOOPS_VECTORS];
    }
    reel_exp_f32_several(vectors, z, integers, e);
    REEL_EXP_F32_EACH(j, vectors) {
        reel_put_f32(at->e + k + j * REEL_WIDTH_F32, e[j]);
        LOOPS_EACH_HALF(half) {
            const int in = 2 * (j % LOOPS_VECTORS) + half;
            reel_vector wide = reel_widen_f32(e[j], half);
            lanes->all[in] += wide;
            if (with_v)
                lanes->all_v[in] = reel_multiply_add(
                    wide, reel_load_f32(at->v + k + j * REEL_WIDTH_F32 + half * REEL_WIDTH), lanes->all_v[in]);
        }
    }
}

REEL_INLINE void loops_add_exponentials(bool with_v, const xent_f32_groups *groups, const float *max, xent_f32_sums *sums)
{
    const xent_f32_groups at = *groups, next = loops_next(groups);
    const int64_t end = (int64_t)at.groups * REEL_LANES_F32, step = LOOPS_TOGETHER * REEL_LANES_F32;
    loops_lanes lanes;
    REEL_EXP_F32_EACH(j, LOOPS_VECTORS) {
        lanes.least[j] = loops_all(max, j * REEL_WIDTH_F32) + REEL_EXP_F32_LEAST;
        lanes.integers[j] = reel_exp_f32_integers(loops_all(max, j * REEL_WIDTH_F32));
        loops_take(sums->of[XENT_F32_ALL] + j * REEL_WIDTH_F32, lanes.all + 2 * j);
        loops_take(sums->of[XENT_F32_ALL_V] + j * REEL_WIDTH_F32, lanes.all_v + 2 * j);
    }
    int64_t k = 0;
    for (; LOOPS_TOGETHER > 1 && k + step <= end; k += step) {
        for (int64_t line = k; line < k + step && at.fetch; line += REEL_LANES_F32)
            loops_fetch(&next, line);
        loops_exponentials_of(with_v, LOOPS_TOGETHER, &at, k, &lanes);
    }
    for (; k < end; k += REEL_LANES_F32)
        loops_exponentials_of(with_v, 1, &at, k, &lanes);
    REEL_EXP_F32_EACH(j, LOOPS_VECTORS) {
        loops_give(sums->of[XENT_F32_ALL] + j * REEL_WIDTH_F32, lanes.all + 2 * j);
        loops_give(sums->of[XENT_F32_ALL_V] + j * REEL_WIDTH_F32, lanes.all_v + 2 * j);
    }
}

void reel_xent_f32_add_exponentials(const xent_f32_groups *at, const float max[REEL_LANES_F32], xent_f32_sums *sums)
{
    if (at->v)
        loops_add_exponentials(true, at, max, sums);
    else
        loops_add_exponentials(false, at, max, sums);
}

void reel_xent_f32_add_others(const xent_f32_groups *groups, const float lanes_max[REEL_LANES_F32], xent_f32_sums *sums)
{
    const xent_f32_groups at = *groups;
    for (REEL_EACH_VECTOR_F32(i)) {
        const reel_vector_f32 largest = reel_exp_f32_largest(loops_all(lanes_max, i));
        reel_vector others[2];
        loops_take(sums->of[XENT_F32_OTHERS] + i, others);
        for (LOOPS_EACH_GROUP(k, i, at.groups)) {
            reel_vector_f32 e = reel_numbers_f32(at.e + k);
            e = reel_unless_f32(reel_equal_f32(e, largest), e);
            LOOPS_EACH_HALF(half)
                others[half] += reel_widen_f32(e, half);
        }
        loops_give(sums->of[XENT_F32_OTHERS] + i, others);
    }
}

REEL_INLINE void loops_add_labels(bool with_z, const xent_f32_groups *groups, xent_f32_sums *sums, int i)
{
    const xent_f32_groups at = *groups;
    reel_vector labels[2], labels_z[2];
    loops_take(sums->of[XENT_F32_LABELS] + i, labels);
    if (with_z)
        loops_take(sums->of[XENT_F32_LABELS_Z] + i, labels_z);
    for (LOOPS_EACH_GROUP(k, i, at.groups))
        LOOPS_EACH_HALF(half) {
            reel_vector y = reel_load_f32(at.y + k + half * REEL_WIDTH);
            labels[half] += y;
            if (with_z)
                labels_z[half] = reel_multiply_add(y, reel_load_f32(at.z + k + half * REEL_WIDTH), labels_z[half]);
        }
    loops_give(sums->of[XENT_F32_LABELS] + i, labels);
    if (with_z)
        loops_give(sums->of[XENT_F32_LABELS_Z] + i, labels_z);
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

/* u S p, and u (S p - y). Of a confident row's largest class the fall below S comes last, so that all of its digits are
 * left when S = y. A row's bits must not depend on others being confident. */
REEL_INLINE void loops_gradient(bool with_y, bool confident, const xent_f32_groups *groups, const xent_f32_rows *rows, int i)
{
    const xent_f32_groups at = *groups;
    const reel_vector_f32 u = loops_all(rows->upstream[0], i), u_rest = loops_all(rows->upstream[1], i);
    const reel_vector_f32 slope = loops_all(rows->slope[0], i), slope_rest = loops_all(rows->slope[1], i);
    const reel_vector_f32 top = loops_all(rows->top[0], i), top_rest = loops_all(rows->top[1], i);
    const reel_vector_f32 fall = loops_all(rows->fall, i), largest = loops_all(rows->largest, i);
    for (LOOPS_EACH_GROUP(k, i, at.groups)) {
        reel_vector_f32 e = reel_numbers_f32(at.e + k), y = with_y ? -reel_numbers_f32(at.y + k) : (reel_vector_f32){0};
        reel_vector_f32 rest = with_y ? reel_fma_f32(y, u_rest, e * slope_rest) : e * slope_rest;
        reel_vector_f32 result = reel_fused_f32(e, slope, rest);
        if (with_y)
            result = reel_fused_f32(y, u, result);
        if (confident) {
            reel_vector_f32 from = with_y ? reel_fused_f32(y, u, top) : top;
            reel_vector_f32 from_rest = with_y ? reel_fused_f32(y, u_rest, top_rest) : top_rest;
            result = reel_choose_f32(reel_equal_f32(e, largest), from + (from_rest + fall), result);
        }
        reel_put_f32(at.out + k, result);
    }
}

void reel_xent_f32_gradient(const xent_f32_groups *at, const xent_f32_rows *rows)
{
    for (REEL_EACH_VECTOR_F32(i)) {
        bool confident = !reel_all_f32(reel_less_f32(loops_all(rows->largest, i), reel_spread_f32(0)));
        if (at->y && confident)
            loops_gradient(true, true, at, rows, i);
        else if (at->y)
            loops_gradient(true, false, at, rows, i);
        else if (confident)
            loops_gradient(false, true, at, rows, i);
        else
            loops_gradient(false, false, at, rows, i);
    }
}

/* -log p = (m - z) + log1p(x), in f64. */
void reel_xent_f32_label_gradient(const xent_f32_groups *groups, const xent_f32_rows *rows)
{
    const xent_f32_groups at = *groups;
    for (REEL_EACH_VECTOR(i))
        for (int lane = i; lane < REEL_LANES_F32; lane += REEL_LANES) {
            const reel_vector max = reel_load_f32(rows->max + lane);
            const reel_vector log = reel_load_f32(rows->log[0] + lane) + reel_load_f32(rows->log[1] + lane);
            const reel_vector u = reel_load_f32(rows->upstream[0] + lane) + reel_load_f32(rows->upstream[1] + lane);
            for (LOOPS_EACH_GROUP(k, lane, at.groups))
                reel_store_f32(at.label_out + k, ((max - reel_load_f32(at.z + k)) + log) * u);
        }
}

/* u S p (v - sum p v). A huge v could show exponentials that are less than the least. */
void reel_xent_f32_second(const xent_f32_groups *groups, const xent_f32_rows *rows)
{
    const xent_f32_groups at = *groups;
    for (REEL_EACH_VECTOR_F32(i)) {
        const reel_vector_f32 mean = loops_all(rows->mean[0], i), mean_rest = loops_all(rows->mean[1], i);
        const reel_vector_f32 max = loops_all(rows->max, i), slope = loops_all(rows->slope[0], i);
        const reel_vector_f32 least = reel_exp_f32(max + REEL_EXP_F32_LEAST, reel_exp_f32_integers(max));
        for (LOOPS_EACH_GROUP(k, i, at.groups)) {
            reel_vector_f32 e = reel_numbers_f32(at.e + k), from = (reel_numbers_f32(at.v + k) - mean) - mean_rest;
            reel_put_f32(at.out + k, reel_where_f32(reel_less_f32(least, e), e * slope) * from);
        }
    }
}
