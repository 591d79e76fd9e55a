/* What rows one by one and turned rows have in common: their sums and results, eight numbers at a time.
 * cross_entropy_f64.h tells where the numbers lie. */
#include "ops/kernels/cross_entropy_f64.h"

#if !XENT_ONE_WAY

/* All but e. */
REEL_INLINE xent_class f64_class(const reel_xent_job *job, const xent_f64_groups *at, int64_t group, int i)
{
    const reel_vector zero = {0}, one = reel_vector_of(1);
    const xent_f64_arrays *in = group < at->whole ? &at->in : &at->last;
    int64_t k = group < at->whole ? group * REEL_LANES + i : i;
    xent_class c = {.d = reel_pair_sum(true, reel_load(in->z + k), -reel_load(at->max + i)), .weight = one};
    c.tie = reel_lanes_equal(c.d.hi, zero);
    reel_vector number = reel_load(at->class + i) + (double)group * at->step;
    if (xent_wants_labels(job))
        c.y = reel_pair_of(in->y ? reel_load(in->y + k)
                                 : reel_choose(reel_lanes_equal(number, reel_load(at->label + i)), one, zero));
    if (in->v)
        c.v = reel_load(in->v + k);
    return c;
}

/* ---- Sums ------------------------------------------------------------------------------------------------ */

void reel_xent_f64_sum(const reel_xent_job *job, const xent_f64_groups *at, int64_t first, int64_t step, xent_sums *sums)
{
    for (REEL_EACH_VECTOR(i)) {
        reel_pair sum[XENT_SUMS] = {0};
        for (int64_t group = first; group < at->count; group += step) {
            xent_class c = f64_class(job, at, group, i);
            c.e = reel_pair_exp(true, c.d);
            if (at->e_hi && group < at->whole)
                xent_put(true, at->e_hi + group * REEL_LANES, at->e_lo + group * REEL_LANES, i, c.e);
            XENT_F64_UNROLL
            for (int kind = 0; kind < XENT_SUMS; kind++)
                if (xent_wants_sum(job, kind))
                    sum[kind] = xent_add_class(true, true, kind, &c, NAN, sum[kind]);
        }
        XENT_F64_UNROLL
        for (int kind = 0; kind < XENT_SUMS; kind++)
            XENT_PUT(true, &sums->of[kind], i, sum[kind]);
    }
}

/* Whether all sums of the rows are finite, and far from overflow: so was all that went into them. */
static bool f64_is_ordinary(const xent_sums *sums, const xent_rows *rows)
{
    const reel_vector huge = reel_vector_of(0x1p900);
    reel_mask ordinary = ~(reel_mask){0};
    for (REEL_EACH_VECTOR(i)) {
        ordinary &= reel_magnitude(reel_load(rows->max + i)) < huge;
        for (int kind = 0; kind < XENT_SUMS; kind++) {
            reel_pair sum = XENT_AT(true, &sums->of[kind], i);
            ordinary &= reel_magnitude(sum.hi + sum.lo) < huge;
        }
    }
    bool all = true;
    for (int lane = 0; lane < REEL_WIDTH; lane++)
        all = all && ordinary[lane];
    return all;
}

bool reel_xent_f64_finish(const reel_xent_job *job, int lanes, xent_sums partial[REEL_LANES], reel_xent_panel *panel,
                          xent_rows *rows)
{
    reel_xent_join(lanes, partial);
    if (!f64_is_ordinary(&partial[0], rows))
        return false;
    reel_xent_finish_rows(job, &partial[0], panel, rows);
    return true;
}

/* ---- Results --------------------------------------------------------------------------------------------- */

void reel_xent_f64_write(const reel_xent_job *job, const xent_f64_groups *at, const xent_rows *rows)
{
    const bool with_e = xent_wants(job, REEL_XENT_GRADIENT | REEL_XENT_SECOND);
    for (int64_t group = 0; group < at->count; group++)
        for (REEL_EACH_VECTOR(i)) {
            const bool whole = group < at->whole;
            xent_class c = f64_class(job, at, group, i);
            if (with_e)
                c.e = at->e_hi && whole
                          ? xent_at(true, at->e_hi + group * REEL_LANES, at->e_lo + group * REEL_LANES, i)
                          : reel_pair_exp(true, c.d);
            reel_store((whole ? at->in.out + group * REEL_LANES : at->last.out) + i, xent_result(true, job, rows, i, &c));
        }
}

#endif
