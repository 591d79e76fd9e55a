/* Rows of f64 straight from memory, one by one, with eight classes in the lanes; what is missing to the last eight is made up.
 * cross_entropy_f64.h tells which rows. */
#include "ops/kernels/cross_entropy_f64.h"

#include <string.h>

#if !XENT_ONE_WAY

/* The last classes of a row, fewer than eight, filled up: with a tie, which is counted off again, that has no
 * label. */
typedef struct f64_end {
    double z[REEL_LANES], y[REEL_LANES], v[REEL_LANES], out[REEL_LANES];
} f64_end;

/* The exponentials of a panel, kept from the sums for the results. */
typedef struct f64_kept {
    double hi[REEL_XENT_KEPT], lo[REEL_XENT_KEPT];
} f64_kept;

static const double *f64_fill(const double *row, int64_t first, int64_t classes, double filling, double *end)
{
    for (int i = 0; row && i < REEL_LANES; i++)
        end[i] = first + i < classes ? row[first + i] : filling;
    return row ? end : NULL;
}

/* Whether the exponentials of a panel are kept. */
static bool f64_keeps(const reel_xent_job *job, const reel_xent_panel *panel)
{
    return job->array[REEL_XENT_OUT].data && xent_wants(job, REEL_XENT_GRADIENT | REEL_XENT_SECOND) &&
           panel->rows * job->classes <= REEL_XENT_KEPT;
}

static void f64_row(const reel_xent_job *job, const reel_xent_panel *panel, int row, double max, f64_kept *kept,
                    f64_end *end, xent_f64_groups *at)
{
    const bool keeps = f64_keeps(job, panel);
    at->whole = job->classes / REEL_LANES;
    at->count = (job->classes + REEL_LANES - 1) / REEL_LANES;
    at->step = REEL_LANES;
    at->in = (xent_f64_arrays){.z = xent_f64_row(job, panel, REEL_XENT_LOGITS, row),
                               .y = xent_f64_row(job, panel, REEL_XENT_LABELS, row),
                               .v = xent_f64_row(job, panel, REEL_XENT_DIRECTION, row),
                               .out = xent_f64_row(job, panel, REEL_XENT_OUT, row)};
    int64_t first = at->whole * REEL_LANES;
    at->last = (xent_f64_arrays){.z = f64_fill(at->in.z, first, job->classes, max, end->z),
                                 .y = f64_fill(at->in.y, first, job->classes, 0, end->y),
                                 .v = f64_fill(at->in.v, first, job->classes, 0, end->v), .out = end->out};
    for (int i = 0; i < REEL_LANES; i++) {
        at->class[i] = i;
        at->label[i] = (double)panel->label[row];
        at->max[i] = max;
    }
    at->e_hi = keeps ? kept->hi + row * job->classes : NULL;
    at->e_lo = keeps ? kept->lo + row * job->classes : NULL;
}

/* Of count >= 1 numbers; where there is a NaN, any. Four maxima at once, so that none waits for another. */
static double f64_largest(const double *z, int64_t count)
{
    enum { CHAINS = 4, STEP = CHAINS * REEL_WIDTH };
    double most[STEP], largest = -INFINITY;
    int64_t at = 0;
    reel_vector chain[CHAINS];
    XENT_F64_UNROLL
    for (int k = 0; k < CHAINS; k++)
        chain[k] = reel_vector_of(-INFINITY);
    for (; at + STEP <= count; at += STEP)
        XENT_F64_UNROLL
        for (int k = 0; k < CHAINS; k++)
            chain[k] = reel_larger(reel_load(z + at + k * REEL_WIDTH), chain[k]);
    XENT_F64_UNROLL
    for (int k = 0; k < CHAINS; k++)
        reel_store(most + k * REEL_WIDTH, chain[k]);
    for (int k = 0; k < STEP; k++)
        largest = most[k] > largest ? most[k] : largest;
    for (; at < count; at++)
        largest = z[at] > largest ? z[at] : largest;
    return largest;
}

static void f64_write_rows(const reel_xent_job *job, const reel_xent_panel *panel, const xent_rows *rows, f64_kept *kept)
{
    xent_f64_groups at;
    f64_end end;
    for (int row = 0; row < panel->rows; row++) {
        _Alignas(64) xent_rows alone;
        reel_xent_row_alone(rows, row, &alone);
        f64_row(job, panel, row, rows->max[row], kept, &end, &at);
        reel_xent_f64_write(job, &at, &alone);
        int64_t first = at.whole * REEL_LANES;
        memcpy(at.in.out + first, end.out, (size_t)(job->classes - first) * sizeof *end.out);
    }
}

bool reel_xent_f64_along(const reel_xent_job *job, reel_xent_panel *panel)
{
    _Alignas(64) xent_rows rows = {.max = {0}};
    _Alignas(64) xent_sums partial[REEL_LANES], lanes;
    _Alignas(64) f64_kept kept;
    xent_f64_groups at;
    f64_end end;
    memset(partial, 0, sizeof partial);
    for (int row = 0; row < panel->rows; row++) {
        double max = f64_largest(xent_f64_row(job, panel, REEL_XENT_LOGITS, row), job->classes);
        xent_f64_set_largest(&rows, row, max);
        f64_row(job, panel, row, max, &kept, &end, &at);
        reel_xent_f64_sum(job, &at, 0, 1, &lanes);
        reel_xent_spread(job, &lanes, partial, row);
    }
    if (!reel_xent_f64_finish(job, REEL_LANES, partial, panel, &rows))
        return false;
    if (job->array[REEL_XENT_OUT].data)
        f64_write_rows(job, panel, &rows, &kept);
    return true;
}

#endif
