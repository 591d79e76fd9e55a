/* The loops over groups of sixteen numbers, one a lane. cross_entropy_f32.h says what a group is. */
#include "ops/kernels/cross_entropy_f32.h"

#include <float.h>

/* for (LOOPS_EACH_GROUP(at, i, count)): lanes i ... of each whole group. */
#define LOOPS_EACH_GROUP(at, i, count)                                                                                 \
    int64_t at = (i), end_ = (count); at + REEL_LANES_F32 - (i) <= end_; at += REEL_LANES_F32

/* LOOPS_EACH_HALF(half): of a vector, as doubles. */
#define LOOPS_EACH_HALF(half) _Pragma("GCC unroll 2") for (int half = 0; half < 2; half++)

/* for (LOOPS_EACH_DOUBLES(i)): of sixteen lanes, as many as a vector of doubles has. */
#define LOOPS_EACH_DOUBLES(i) int i = 0; i < REEL_LANES_F32; i += REEL_WIDTH

/* The loops work on copies of what their arguments point to: else compilers would read the pointers anew for each vector,
 * as one that was stored could have changed them. */

REEL_INLINE reel_vector_f32 loops_all(const float lanes[REEL_LANES_F32], int i)
{
    return reel_numbers_f32(lanes + i);
}

/* ---- Exponentials ---------------------------------------------------------------------------------------- */

/* A last group that is not full reaches back over some numbers before. */
void reel_xent_f32_largest(const float *z, int count, float max[REEL_LANES_F32])
{
    const int64_t last = count - REEL_LANES_F32;
    for (REEL_EACH_VECTOR_F32(i)) {
        reel_vector_f32 most = loops_all(max, i);
        for (int64_t at = 0; at < count; at += REEL_LANES_F32)
            most = reel_larger_f32(reel_numbers_f32(z + (at < last ? at : last) + i), most);
        reel_put_f32(max + i, most);
    }
}

/* While the exponentials keep the CPU busy, what comes next is fetched: the logits of the next row, or of a long row the
 * next stretch but one, and what is needed next of the others. (Of short rows that comes soon enough by itself.) */
REEL_INLINE void loops_fetch(const xent_f32_groups *at, int64_t k)
{
    const float *y = at->y ? at->y : at->z, *v = at->v ? at->v : at->z;
    __builtin_prefetch(at->z + k + at->ahead_z);
    if (!at->is_long)
        return;
    __builtin_prefetch(at->e + k + at->ahead_out, 1);
    __builtin_prefetch(y + k);
    __builtin_prefetch(v + k);
}

/* Groups that are worked on together: four vectors. */
enum { LOOPS_VECTORS = REEL_LANES_F32 / REEL_WIDTH_F32, LOOPS_TOGETHER = 4 / LOOPS_VECTORS };

/* Of all sixteen lanes, for the exponentials. */
typedef struct loops_lanes {
    reel_vector_f32 least[LOOPS_VECTORS], integers[LOOPS_VECTORS], max[LOOPS_VECTORS];
} loops_lanes;

/* A logit that is so far below the reference that neither sums nor gradients show it (`least`) is taken for one that just is:
 * -inf, too. */
REEL_INLINE void loops_exponentials_of(int groups, const xent_f32_groups *at, int64_t k, loops_lanes *lanes)
{
    const int vectors = groups * LOOPS_VECTORS;
    reel_vector_f32 z[REEL_EXP_F32_VECTORS], integers[REEL_EXP_F32_VECTORS], e[REEL_EXP_F32_VECTORS];
    REEL_EXP_F32_EACH(j, vectors) {
        const int lane = j % LOOPS_VECTORS;
        z[j] = reel_larger_f32(lanes->least[lane], reel_numbers_f32(at->z + k + j * REEL_WIDTH_F32));
        lanes->max[lane] = reel_larger_f32(z[j], lanes->max[lane]);
        integers[j] = lanes->integers[lane];
    }
    reel_exp_f32_several(vectors, z, integers, e);
    REEL_EXP_F32_EACH(j, vectors)
        reel_put_f32(at->e + k + j * REEL_WIDTH_F32, e[j]);
}

/* The last groups reach back over some before: to find these again costs less than to find fewer. */
void reel_xent_f32_exponentials(const xent_f32_groups *groups, const float reference[REEL_LANES_F32],
                                float max[REEL_LANES_F32])
{
    const xent_f32_groups at = *groups;
    const int64_t step = LOOPS_TOGETHER * REEL_LANES_F32, last = at.count - step;
    loops_lanes lanes;
    REEL_EXP_F32_EACH(j, LOOPS_VECTORS) {
        lanes.least[j] = loops_all(reference, j * REEL_WIDTH_F32) + REEL_EXP_F32_LEAST;
        lanes.integers[j] = reel_exp_f32_integers(loops_all(reference, j * REEL_WIDTH_F32));
        lanes.max[j] = loops_all(max, j * REEL_WIDTH_F32);
    }
    for (int64_t k = 0; k < at.count && last >= 0; k += step) {
        REEL_EXP_F32_EACH(line, LOOPS_TOGETHER)
            loops_fetch(&at, k + line * REEL_LANES_F32);
        loops_exponentials_of(LOOPS_TOGETHER, &at, k < last ? k : last, &lanes);
    }
    for (int64_t k = 0; k < at.count && last < 0 && LOOPS_TOGETHER > 1; k += REEL_LANES_F32)
        loops_exponentials_of(1, &at, k < at.count - REEL_LANES_F32 ? k : at.count - REEL_LANES_F32, &lanes);
    REEL_EXP_F32_EACH(j, LOOPS_VECTORS)
        reel_put_f32(max + j * REEL_WIDTH_F32, lanes.max[j]);
}

/* ---- Sums ------------------------------------------------------------------------------------------------ */

/* The last group, which is not full: filled up with zeros. */
static void loops_fill(const float *from, int count, float room[REEL_LANES_F32])
{
    const int whole = count - count % REEL_LANES_F32;
    for (REEL_EACH_VECTOR_F32(i))
        reel_put_f32(room + i, reel_some_f32(from + whole + i, count - whole - i));
}

/* Sums over every second group. */
typedef struct loops_total {
    reel_vector half[2], half_b[2];
} loops_total;

REEL_INLINE void loops_add_group(bool with_b, const float *a, const float *b, loops_total *total)
{
    LOOPS_EACH_HALF(half) {
        reel_vector x = reel_load_f32(a + half * REEL_WIDTH);
        total->half[half] += x;
        if (with_b)
            total->half_b[half] = reel_multiply_add(x, reel_load_f32(b + half * REEL_WIDTH), total->half_b[half]);
    }
}

/* a, and perhaps a b. Every second group goes its own way, as sums would wait for themselves. */
REEL_INLINE void loops_add(bool with_b, int64_t count, const float *a, const float *b, double *sum, double *sum_b)
{
    for (REEL_EACH_VECTOR_F32(i)) {
        loops_total even = {{{0}}, {{0}}}, odd = even;
        int64_t k = i;
        for (; k + 2 * REEL_LANES_F32 - i <= count; k += 2 * REEL_LANES_F32) {
            loops_add_group(with_b, a + k, b + k, &even);
            loops_add_group(with_b, a + k + REEL_LANES_F32, b + k + REEL_LANES_F32, &odd);
        }
        if (k + REEL_LANES_F32 - i <= count)
            loops_add_group(with_b, a + k, b + k, &even);
        LOOPS_EACH_HALF(half) {
            double *at = sum + i + half * REEL_WIDTH, *at_b = sum_b + i + half * REEL_WIDTH;
            reel_store(at, reel_load(at) + (even.half[half] + odd.half[half]));
            if (with_b)
                reel_store(at_b, reel_load(at_b) + (even.half_b[half] + odd.half_b[half]));
        }
    }
}

static void loops_add_all(int count, const float *a, const float *b, double *sum, double *sum_b)
{
    float rest[REEL_LANES_F32], rest_b[REEL_LANES_F32];
    if (b)
        loops_add(true, count, a, b, sum, sum_b);
    else
        loops_add(false, count, a, a, sum, sum);
    if (count % REEL_LANES_F32 == 0)
        return;
    loops_fill(a, count, rest);
    loops_fill(b ? b : a, count, rest_b);
    loops_add_all(REEL_LANES_F32, rest, b ? rest_b : NULL, sum, sum_b);
}

void reel_xent_f32_add_exponentials(const xent_f32_groups *at, xent_f32_sums *sums)
{
    loops_add_all(at->count, at->e, at->v, sums->of[XENT_F32_ALL], sums->of[XENT_F32_ALL_V]);
}

void reel_xent_f32_add_labels(const xent_f32_groups *at, bool with_z, xent_f32_sums *sums)
{
    loops_add_all(at->count, at->y, with_z ? at->z : NULL, sums->of[XENT_F32_LABELS], sums->of[XENT_F32_LABELS_Z]);
}

void reel_xent_f32_add_others(const xent_f32_groups *at, const float largest[REEL_LANES_F32], xent_f32_sums *sums)
{
    float rest[REEL_LANES_F32];
    for (LOOPS_EACH_DOUBLES(i)) {
        reel_vector others = reel_load(sums->of[XENT_F32_OTHERS] + i), most = reel_load_f32(largest + i);
        for (LOOPS_EACH_GROUP(k, i, at->count)) {
            reel_vector e = reel_load_f32(at->e + k);
            others += reel_choose(reel_lanes_equal(e, most), (reel_vector){0}, e);
        }
        reel_store(sums->of[XENT_F32_OTHERS] + i, others);
    }
    if (at->count % REEL_LANES_F32 == 0)
        return;
    loops_fill(at->e, at->count, rest);
    xent_f32_groups last = {.count = REEL_LANES_F32, .e = rest};
    reel_xent_f32_add_others(&last, largest, sums);
}

/* ---- Results --------------------------------------------------------------------------------------------- */

/* Where they go next, or lie as exponentials still, is fetched meanwhile: the CPU would have to wait for it. */
REEL_INLINE void loops_put(float *out, int64_t ahead, reel_vector_f32 result)
{
    __builtin_prefetch(out + ahead, 1);
    reel_put_f32(out, result);
}

/* What is too small to be seen becomes the least normal number: others take a CPU long. */
REEL_INLINE reel_vector_f32 loops_down(const float *e, reel_vector_f32 down)
{
    return reel_larger_f32(reel_spread_f32(FLT_MIN) / down, reel_numbers_f32(e)) * down;
}

/* (Rarely needed, but asked for each row.) */
REEL_RARE void reel_xent_f32_bring_down(const xent_f32_groups *groups, const xent_f32_rows *rows)
{
    const xent_f32_groups at = *groups;
    float *end = at.e + at.count - REEL_LANES_F32, last[REEL_LANES_F32];
    bool needed = false;
    for (REEL_EACH_VECTOR_F32(i))
        needed = needed || !reel_none_f32(reel_less_f32(loops_all(rows->down, i), reel_spread_f32(1)));
    if (!needed)
        return;
    for (REEL_EACH_VECTOR_F32(i))
        reel_put_f32(last + i, loops_down(end + i, loops_all(rows->down, i)));
    for (REEL_EACH_VECTOR_F32(i)) {
        const reel_vector_f32 down = loops_all(rows->down, i);
        for (LOOPS_EACH_GROUP(k, i, at.count))
            reel_put_f32(at.e + k, loops_down(at.e + k, down));
    }
    memcpy(end, last, sizeof last);
}

/* u S p, and u (S p - y). Of a confident row's largest class the fall below S comes last, so that all of its digits are
 * left when S = y. A row's bits must not depend on others being confident. */
REEL_INLINE void loops_gradient(bool with_y, bool confident, const xent_f32_groups *groups, const xent_f32_rows *rows, int i)
{
    const xent_f32_groups at = *groups;
    const reel_vector_f32 u = loops_all(rows->upstream[0], i), u_rest = loops_all(rows->upstream[1], i);
    const reel_vector_f32 slope = loops_all(rows->slope[0], i), slope_rest = loops_all(rows->slope[1], i);
    const reel_vector_f32 top = loops_all(rows->top[0], i), top_rest = loops_all(rows->top[1], i);
    const reel_vector_f32 fall = loops_all(rows->fall, i), largest = loops_all(rows->largest, i);
    for (LOOPS_EACH_GROUP(k, i, at.count)) {
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
        loops_put(at.out + k, at.ahead_out, result);
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
    for (LOOPS_EACH_DOUBLES(i)) {
        const reel_vector max = reel_load_f32(rows->max + i);
        const reel_vector log = reel_load_f32(rows->log[0] + i) + reel_load_f32(rows->log[1] + i);
        const reel_vector u = reel_load_f32(rows->upstream[0] + i) + reel_load_f32(rows->upstream[1] + i);
        for (LOOPS_EACH_GROUP(k, i, at.count)) {
            __builtin_prefetch(at.label_out + k + at.ahead_out, 1);
            reel_store_f32(at.label_out + k, ((max - reel_load_f32(at.z + k)) + log) * u);
        }
    }
}

/* u S p (v - sum p v). A huge v could show exponentials that are less than the least. */
void reel_xent_f32_second(const xent_f32_groups *groups, const xent_f32_rows *rows)
{
    const xent_f32_groups at = *groups;
    for (REEL_EACH_VECTOR_F32(i)) {
        const reel_vector_f32 mean = loops_all(rows->mean[0], i), mean_rest = loops_all(rows->mean[1], i);
        const reel_vector_f32 reference = loops_all(rows->reference, i), slope = loops_all(rows->slope[0], i);
        const reel_vector_f32 unseen = reel_exp_f32(reference + REEL_EXP_F32_LEAST, reel_exp_f32_integers(reference));
        const reel_vector_f32 least = reel_larger_f32(unseen * loops_all(rows->down, i), reel_spread_f32(FLT_MIN));
        for (LOOPS_EACH_GROUP(k, i, at.count)) {
            reel_vector_f32 e = reel_numbers_f32(at.e + k), from = (reel_numbers_f32(at.v + k) - mean) - mean_rest;
            loops_put(at.out + k, at.ahead_out, reel_where_f32(reel_less_f32(least, e), e * slope) * from);
        }
    }
}

/* ---- Integer labels, across ------------------------------------------------------------------------------ */

REEL_INLINE reel_mask_f32 loops_labels(const int32_t label[REEL_LANES_F32], int i)
{
    reel_mask_f32 x;
    memcpy(&x, label + i, sizeof x);
    return x;
}

void reel_xent_f32_look_up(const xent_f32_groups *groups, const int32_t label[REEL_LANES_F32], float z[REEL_LANES_F32],
                           float e[REEL_LANES_F32])
{
    const xent_f32_groups at = *groups;
    for (REEL_EACH_VECTOR_F32(i)) {
        const reel_mask_f32 wanted = loops_labels(label, i);
        reel_vector_f32 own_z = {0}, own_e = {0};
        reel_mask_f32 class = {0};
        for (LOOPS_EACH_GROUP(k, i, at.count)) {
            reel_condition_f32 own = reel_equal_i32(wanted, class);
            own_z = reel_choose_f32(own, reel_numbers_f32(at.z + k), own_z);
            own_e = reel_choose_f32(own, reel_numbers_f32(at.e + k), own_e);
            class += 1;
        }
        reel_put_f32(z + i, own_z);
        reel_put_f32(e + i, own_e);
    }
}

void reel_xent_f32_put_labels(const xent_f32_groups *groups, const int32_t label[REEL_LANES_F32],
                              const float result[REEL_LANES_F32])
{
    const xent_f32_groups at = *groups;
    for (REEL_EACH_VECTOR_F32(i)) {
        const reel_mask_f32 wanted = loops_labels(label, i);
        const reel_vector_f32 own = loops_all(result, i);
        reel_mask_f32 class = {0};
        for (LOOPS_EACH_GROUP(k, i, at.count)) {
            reel_put_f32(at.out + k, reel_choose_f32(reel_equal_i32(wanted, class), own, reel_numbers_f32(at.out + k)));
            class += 1;
        }
    }
}
