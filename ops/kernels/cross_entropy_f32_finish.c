/* Rows in sixteen lanes of f32: from the sums over the classes to what each row needs, and which rows are suited.
 * cross_entropy_f32.h tells the rest. */
#include "ops/kernels/cross_entropy_f32.h"
#include "ops/kernels/exp_log.h"

void reel_xent_f32_find_largest(xent_f32_largest *largest)
{
    for (REEL_EACH_VECTOR_F32(i)) {
        const reel_vector_f32 integers = reel_exp_f32_integers(reel_numbers_f32(largest->reference + i));
        reel_vector_f32 rest;
        reel_put_f32(largest->e + i, reel_exp_f32_exactly(reel_numbers_f32(largest->max + i), integers, &rest));
        reel_put_f32(largest->e_rest + i, rest);
    }
}

/* ---- In f64 ---------------------------------------------------------------------------------------------- */

/* What the sums of a vector of rows come to: struct xent_f32_numbers says what most are; sum y, and sum y (z - m). */
typedef struct f32_numbers {
    reel_vector max, largest, per_largest, x, log, upstream, total, slope, labels, distance, mean;
} f32_numbers;

/* x, the sum without e_m over e_m. */
REEL_INLINE reel_vector f32_others(const double *all, const double *others, reel_vector largest,
                                      reel_vector per_largest)
{
    reel_vector x = (reel_load(all) - largest) * per_largest;
    return reel_choose(reel_lanes_less(x, reel_vector_of(0x1p-11)), reel_load(others) * per_largest, x);
}

REEL_INLINE f32_numbers f32_numbers_of(const reel_xent_job *job, const xent_f32_sums *sums, const xent_f32_largest *largest,
                                       int lane, reel_vector upstream)
{
    const reel_vector labels_z = reel_load(sums->of[XENT_F32_LABELS_Z] + lane), one = reel_vector_of(1);
    f32_numbers n = {.max = reel_load_f32(largest->max + lane), .largest = reel_load_f32(largest->e + lane),
                        .labels = reel_load(sums->of[XENT_F32_LABELS] + lane), .upstream = upstream};
    n.per_largest = one / (n.largest + reel_load_f32(largest->e_rest + lane));
    n.x = f32_others(sums->of[XENT_F32_ALL] + lane, sums->of[XENT_F32_OTHERS] + lane, n.largest, n.per_largest);
    n.distance = labels_z - n.max * n.labels;
    n.total = upstream * (job->sum == REEL_XENT_SUM ? n.labels : reel_vector_of(job->sum == REEL_XENT_ONE));
    n.slope = n.total / (one + n.x);
    if (xent_wants(job, REEL_XENT_LOSS | REEL_XENT_LABEL_GRADIENT))
        n.log = reel_pair_log1p(false, reel_pair_of(n.x)).hi;
    if (xent_wants_direction(job))                  /* of one class this is v                      */
        n.mean = reel_load(sums->of[XENT_F32_ALL_V] + lane) / reel_load(sums->of[XENT_F32_ALL] + lane);
    return n;
}

REEL_INLINE void f32_keep(const reel_xent_job *job, const f32_numbers *n, int lane, xent_f32_numbers *numbers)
{
    reel_store(numbers->largest + lane, n->largest);
    reel_store(numbers->per_largest + lane, n->per_largest);
    reel_store(numbers->x + lane, n->x);
    reel_store(numbers->upstream + lane, n->upstream);
    reel_store(numbers->total + lane, n->total);
    reel_store(numbers->slope + lane, n->slope);
    if (xent_wants_direction(job))
        reel_store(numbers->mean + lane, n->mean);
    if (xent_wants(job, REEL_XENT_LABEL_GRADIENT))
        reel_store(numbers->log + lane, n->log);
}

/* u (S log1p(x) - sum y (z - m)). In f64 it has no rounding error that f32 could show. */
REEL_INLINE void f32_loss(const reel_xent_job *job, const f32_numbers *n, int i, reel_xent_panel *panel)
{
    reel_vector u = job->joint ? reel_vector_of(1) : n->upstream;
    reel_store(panel->value[0] + i, u * (n->labels * n->log - n->distance));
    reel_store(panel->value[1] + i, (reel_vector){0});
}

/* ---- Which rows are suited ------------------------------------------------------------------------------- */

const unsigned reel_xent_f32_quantity[XENT_F32_QUANTITIES] = {REEL_XENT_LOSS, REEL_XENT_GRADIENT, REEL_XENT_LABEL_GRADIENT,
                                                              REEL_XENT_SECOND};

REEL_INLINE reel_condition f32_is_finite(reel_vector x)
{
    return reel_lanes_less(reel_magnitude(x), reel_vector_of(INFINITY));
}

/* Neither so large that a product with a label could leave f32 nor, but for 0, so small that a part of it or a product with
 * an exponential would lose digits. */
REEL_INLINE reel_condition f32_is_handy(reel_vector x)
{
    reel_vector size = reel_magnitude(x);
    return reel_lanes_less(size, reel_vector_of(0x1p24)) &
           (reel_lanes_equal(size, reel_vector_of(0)) | reel_lanes_less(reel_vector_of(0x1p-60), size));
}

/* Whether all of the given quantities can be had in f32: where all that goes into them is finite, and the offset of the
 * logits so small that sums in f64 do not feel it. This hangs on the row, and not on what else is computed with it. */
REEL_INLINE reel_condition f32_suits(unsigned quantities, const f32_numbers *n, reel_vector late)
{
    reel_condition suits = reel_lanes_less(reel_magnitude(n->max), reel_vector_of((double)REEL_EXP_F32_ORDINARY));
    suits &= f32_is_finite(n->x);
    if (quantities & REEL_XENT_LOSS)
        suits &= f32_is_finite(n->distance);
    if (quantities & ~(unsigned)REEL_XENT_LOSS)
        suits &= f32_is_handy(n->upstream) & reel_lanes_equal(late, reel_vector_of(1));
    if (quantities & REEL_XENT_LABEL_GRADIENT)
        suits &= reel_lanes_less(reel_vector_of(0), reel_magnitude(n->upstream));
    if (quantities & (REEL_XENT_GRADIENT | REEL_XENT_SECOND))
        suits &= f32_is_handy(n->total) & f32_is_handy(n->slope);
    if (quantities & REEL_XENT_GRADIENT)
        suits &= f32_is_finite(n->labels);
    if (quantities & REEL_XENT_SECOND)
        suits &= reel_lanes_less(reel_magnitude(n->mean), reel_vector_of(0x1p60));
    return suits;
}

/* Of rows of which not all that is wanted can be had: what. */
static REEL_RARE void f32_find_unsuited(const reel_xent_job *job, const f32_numbers *n, int i,
                                        const reel_xent_panel *panel, xent_f32_unsuited *unsuited)
{
    for (int q = 0; q < XENT_F32_QUANTITIES; q++) {
        const unsigned quantity = reel_xent_f32_quantity[q];
        unsigned suited = reel_condition_bits(f32_suits(quantity, n, reel_load(panel->late + i))) << i;
        for (int row = i; row < i + REEL_WIDTH && row < panel->rows && xent_wants(job, quantity); row++)
            unsuited->rows[q] |= (unsigned)(panel->fate[row] == REEL_XENT_COUNTS && !(suited & 1u << row)) << row;
    }
}

void reel_xent_f32_finish(const reel_xent_job *job, const xent_f32_sums *sums, const xent_f32_largest *largest, int panels,
                          reel_xent_panel panel[], xent_f32_numbers *numbers, xent_f32_unsuited unsuited[])
{
    for (int lane = 0; lane < panels * REEL_LANES; lane += REEL_WIDTH) {
        const int p = lane / REEL_LANES, i = lane % REEL_LANES;
        const f32_numbers n = f32_numbers_of(job, sums, largest, lane, reel_load(panel[p].upstream[0] + i));
        f32_keep(job, &n, lane, numbers);
        if (panels == 1)
            f32_keep(job, &n, lane + REEL_LANES, numbers);
        if (xent_wants(job, REEL_XENT_LOSS))
            f32_loss(job, &n, i, &panel[p]);
        const reel_condition suits = f32_suits(job->quantity, &n, reel_load(panel[p].late + i));
        if (reel_condition_bits(suits) != (1u << REEL_WIDTH) - 1)
            f32_find_unsuited(job, &n, i, &panel[p], &unsuited[p]);
    }
}

/* ---- In f32, for the loops ------------------------------------------------------------------------------- */

/* A vector's doubles at `at`. */
REEL_INLINE void f32_narrow(reel_vector low, reel_vector high, float *at)
{
    reel_put_f32(at, reel_narrow_f32(low, high));
}

/* As the sum of two f32. */
REEL_INLINE void f32_split(reel_vector low, reel_vector high, float *hi, float *lo)
{
    f32_narrow(low, high, hi);
    f32_narrow(low - reel_load_f32(hi), high - reel_load_f32(hi + REEL_WIDTH), lo);
}

REEL_INLINE void f32_split_numbers(const double *x, float *hi, float *lo)
{
    f32_split(reel_load(x), reel_load(x + REEL_WIDTH), hi, lo);
}

/* The largest class of rows that are confident; -1 for others. */
REEL_INLINE reel_vector f32_confident(const xent_f32_numbers *n, int lane)
{
    reel_condition confident = reel_lanes_less(reel_load(n->x + lane), reel_vector_of(1));
    return reel_choose(confident, reel_load(n->largest + lane), reel_vector_of(-1));
}

/* How far u S p of a confident row's largest class falls below u S. */
REEL_INLINE reel_vector f32_fall(const xent_f32_numbers *n, int lane)
{
    return -reel_load(n->x + lane) * reel_load(n->slope + lane);
}

REEL_INLINE reel_vector f32_slope(const xent_f32_numbers *n, int lane)
{
    return reel_load(n->slope + lane) * reel_load(n->per_largest + lane);
}

/* What rounding takes from a slope is at most 2^-25 of it, and mostly more than 2^-34. */
REEL_INLINE reel_condition_f32 f32_is_small(reel_vector_f32 slope)
{
    const reel_vector_f32 least = reel_spread_f32(0x1p-92f);
    return reel_less_f32(slope, least) & reel_less_f32(-slope, least);
}

/* Where the slope is so small that the second of its two parts might not be a normal number, another unit: one of which the
 * largest exponential has REEL_EXP_F32_UNIT binary digits. */
static REEL_RARE void f32_change_units(const xent_f32_largest *largest, const xent_f32_numbers *n, int lane,
                                       reel_condition_f32 small, xent_f32_rows *lanes)
{
    enum { EXPONENT = 23, BIAS = 127 };
    const reel_bits_f32 e = (reel_bits_f32)reel_numbers_f32(largest->e + lane) >> EXPONENT;
    const reel_vector_f32 down = (reel_vector_f32)((2 * BIAS + REEL_EXP_F32_UNIT - 1 - e) << EXPONENT);
    float *to = lanes->down + lane;
    reel_put_f32(to, reel_choose_f32(small, down, reel_numbers_f32(to)));
    reel_put_f32(lanes->largest + lane, reel_numbers_f32(lanes->largest + lane) * reel_numbers_f32(to));
    f32_split(f32_slope(n, lane) / reel_load_f32(to), f32_slope(n, lane + REEL_WIDTH) / reel_load_f32(to + REEL_WIDTH),
              lanes->slope[0] + lane, lanes->slope[1] + lane);
}

void reel_xent_f32_lanes(const reel_xent_job *job, const xent_f32_largest *largest, const xent_f32_numbers *n,
                         xent_f32_rows *lanes)
{
    for (REEL_EACH_VECTOR_F32(lane)) {
        const int high = lane + REEL_WIDTH;
        reel_put_f32(lanes->max + lane, reel_numbers_f32(largest->max + lane));
        reel_put_f32(lanes->reference + lane, reel_numbers_f32(largest->reference + lane));
        reel_put_f32(lanes->down + lane, reel_spread_f32(1));
        f32_narrow(f32_confident(n, lane), f32_confident(n, high), lanes->largest + lane);
        f32_split(f32_slope(n, lane), f32_slope(n, high), lanes->slope[0] + lane, lanes->slope[1] + lane);
        const reel_condition_f32 small = f32_is_small(reel_numbers_f32(lanes->slope[0] + lane));
        if (!reel_none_f32(small))
            f32_change_units(largest, n, lane, small, lanes);
        f32_narrow(f32_fall(n, lane), f32_fall(n, high), lanes->fall + lane);
        f32_split_numbers(n->total + lane, lanes->top[0] + lane, lanes->top[1] + lane);
        if (job->array[REEL_XENT_LABELS].data || xent_wants(job, REEL_XENT_LABEL_GRADIENT))
            f32_split_numbers(n->upstream + lane, lanes->upstream[0] + lane, lanes->upstream[1] + lane);
        if (xent_wants(job, REEL_XENT_LABEL_GRADIENT))
            f32_split_numbers(n->log + lane, lanes->log[0] + lane, lanes->log[1] + lane);
        if (xent_wants(job, REEL_XENT_SECOND))
            f32_split_numbers(n->mean + lane, lanes->mean[0] + lane, lanes->mean[1] + lane);
    }
}

void reel_xent_f32_row_alone(const xent_f32_rows *rows, int row, xent_f32_rows *alone)
{
    const float *from = (const void *)rows;
    float *to = (void *)alone;
    for (size_t member = 0; member < sizeof *rows / sizeof rows->max; member++)
        for (REEL_EACH_VECTOR_F32(i))
            reel_put_f32(to + member * REEL_LANES_F32 + i, reel_spread_f32(from[member * REEL_LANES_F32 + (size_t)row]));
}

REEL_INLINE reel_vector f32_at_label(const xent_f32_numbers *n, const float *e, int lane)
{
    reel_vector there = reel_load_f32(e + lane), p = there * reel_load(n->per_largest + lane);
    reel_vector slope = reel_load(n->slope + lane), u = reel_load(n->upstream + lane);
    reel_vector at_tie = (reel_load(n->total + lane) - u) - reel_load(n->x + lane) * slope;
    return reel_choose(reel_lanes_equal(there, reel_load(n->largest + lane)), at_tie, p * slope - u);
}

void reel_xent_f32_at_labels(const xent_f32_numbers *numbers, const float e[REEL_LANES_F32],
                             float gradient[REEL_LANES_F32])
{
    for (REEL_EACH_VECTOR_F32(lane))
        f32_narrow(f32_at_label(numbers, e, lane), f32_at_label(numbers, e, lane + REEL_WIDTH), gradient + lane);
}
