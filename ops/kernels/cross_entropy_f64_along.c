/* Rows of f64 straight from memory, one by one, with eight classes in the lanes; what is missing to the last eight is made up.
 * cross_entropy_f64.h tells which rows. */
#include "ops/kernels/cross_entropy_f64.h"

#include <string.h>

/* The last classes of a row, fewer than eight, filled up: with a tie, which is counted off again, that has no
 * label. */
typedef struct f64_end {
    double z[REEL_LANES], y[REEL_LANES], v[REEL_LANES], out[REEL_LANES];
} f64_end;

static direct_source f64_row(const reel_xent_job *job, const reel_xent_panel *panel, int row)
{
    return (direct_source){.z = direct_start(job, panel, REEL_XENT_LOGITS, row, 0),
                           .y = direct_start(job, panel, REEL_XENT_LABELS, row, 0),
                           .v = direct_start(job, panel, REEL_XENT_DIRECTION, row, 0),
                           .labels = xent_wants_labels(job)};
}

static const double *f64_fill(const double *row, int64_t first, int64_t classes, double filling, double *end)
{
    for (int i = 0; row && i < REEL_LANES; i++)
        end[i] = first + i < classes ? row[first + i] : filling;
    return row ? end : NULL;
}

static direct_source f64_row_end(const direct_source *row, int64_t first, int64_t classes, double max, f64_end *end)
{
    return (direct_source){.z = f64_fill(row->z, first, classes, max, end->z),
                           .y = f64_fill(row->y, first, classes, 0, end->y),
                           .v = f64_fill(row->v, first, classes, 0, end->v), .labels = row->labels};
}

/* Of count >= 1 numbers; where there is a NaN, any. Four maxima at once, so that none waits for another. */
REEL_INLINE double f64_largest(const double *z, int64_t count)
{
    enum { CHAINS = 4, STEP = CHAINS * REEL_WIDTH };
    double most[STEP], largest = -INFINITY;
    int64_t at = 0;
    reel_vector chain[CHAINS];
    DIRECT_UNROLL
    for (int k = 0; k < CHAINS; k++)
        chain[k] = reel_vector_of(-INFINITY);
    for (; at + STEP <= count; at += STEP)
        DIRECT_UNROLL
        for (int k = 0; k < CHAINS; k++)
            chain[k] = reel_larger(reel_load(z + at + k * REEL_WIDTH), chain[k]);
    DIRECT_UNROLL
    for (int k = 0; k < CHAINS; k++)
        reel_store(most + k * REEL_WIDTH, chain[k]);
    for (int k = 0; k < STEP; k++)
        largest = most[k] > largest ? most[k] : largest;
    for (; at < count; at++)
        largest = z[at] > largest ? z[at] : largest;
    return largest;
}

/* 0, 1 ... 7 in the eight lanes. */
REEL_INLINE reel_vector f64_numbers(int i)
{
    static const double number[REEL_LANES] = {0, 1, 2, 3, 4, 5, 6, 7};
    return reel_load(number + i);
}

REEL_INLINE void f64_sum_classes(const reel_xent_job *job, const direct_source *row, double max, int64_t label,
                                 direct_kept *kept, int64_t keep, xent_sums *lanes)
{
    const reel_vector most = reel_vector_of(max), here = reel_vector_of((double)label);
    int64_t whole = job->classes - job->classes % REEL_LANES;
    f64_end end;
    direct_source last = f64_row_end(row, whole, job->classes, max, &end);
    for (REEL_EACH_VECTOR(i)) {
        reel_pair sum[XENT_SUMS] = {0};
        for (int64_t first = 0; first < job->classes; first += REEL_LANES) {
            const direct_source *from = first < whole ? row : &last;
            reel_vector number = f64_numbers(i) + (double)first;
            xent_class c = direct_class(from, first < whole ? first + i : i, most, number, here);
            c.e = reel_pair_exp(true, c.d);
            if (keep >= 0 && first < whole)
                xent_put(true, kept->hi + keep, kept->lo + keep, (int)(first + i), c.e);
            direct_add(job, &c, sum);
        }
        direct_put_sums(job, sum, i, lanes);
    }
}

/* The lanes of one row's sums become the partial sums of that row. */
static void f64_spread(const reel_xent_job *job, xent_sums *lanes, xent_sums partial[REEL_LANES], int row)
{
    int rest = (int)(job->classes % REEL_LANES);
    for (int lane = rest ? rest : REEL_LANES; lane < REEL_LANES; lane++)
        lanes->of[XENT_TIES].hi[lane] -= lanes->of[XENT_TIES].hi[lane] > 0;
    for (int kind = 0; kind < XENT_SUMS; kind++)
        for (int lane = 0; lane < REEL_LANES && xent_wants_sum(job, kind); lane++) {
            partial[lane].of[kind].hi[row] = lanes->of[kind].hi[lane];
            partial[lane].of[kind].lo[row] = lanes->of[kind].lo[lane];
        }
}

REEL_INLINE void f64_write_classes(const reel_xent_job *job, const direct_source *row, const xent_rows *alone,
                                   int64_t label, const direct_kept *kept, int64_t keep, double *out)
{
    const bool with_e = xent_wants(job, REEL_XENT_GRADIENT | REEL_XENT_SECOND);
    const reel_vector here = reel_vector_of((double)label);
    int64_t whole = job->classes - job->classes % REEL_LANES;
    f64_end end;
    direct_source last = f64_row_end(row, whole, job->classes, alone->max[0], &end);
    for (int64_t first = 0; first < job->classes; first += REEL_LANES)
        for (REEL_EACH_VECTOR(i)) {
            const direct_source *from = first < whole ? row : &last;
            int64_t at = first < whole ? first + i : i;
            reel_vector number = f64_numbers(i) + (double)first;
            xent_class c = direct_class(from, at, reel_load(alone->max), number, here);
            if (with_e)
                c.e = keep >= 0 && first < whole ? xent_at(true, kept->hi + keep, kept->lo + keep, (int)at)
                                                 : reel_pair_exp(true, c.d);
            reel_store((first < whole ? out : end.out) + at, xent_result(true, job, alone, i, &c));
        }
    memcpy(out + whole, end.out, (size_t)(job->classes - whole) * sizeof *out);
}

/* Where the exponentials of a row are kept: -1 where they are not. */
static int64_t f64_keep(const reel_xent_job *job, const reel_xent_panel *panel, int row)
{
    bool use = job->array[REEL_XENT_OUT].data && xent_wants(job, REEL_XENT_GRADIENT | REEL_XENT_SECOND);
    return use && panel->rows * job->classes <= REEL_XENT_KEPT ? row * job->classes : -1;
}

bool reel_xent_f64_along(const reel_xent_job *job, reel_xent_panel *panel)
{
    _Alignas(64) xent_rows rows = {.max = {0}}, alone;
    _Alignas(64) xent_sums partial[REEL_LANES], lanes;
    _Alignas(64) direct_kept kept;
    memset(partial, 0, sizeof partial);
    memset(&lanes, 0, sizeof lanes);
    for (int row = 0; row < panel->rows; row++) {
        direct_source from = f64_row(job, panel, row);
        direct_set_largest(&rows, row, f64_largest(from.z, job->classes));
        f64_sum_classes(job, &from, rows.max[row], panel->label[row], &kept, f64_keep(job, panel, row),
                           &lanes);
        f64_spread(job, &lanes, partial, row);
    }
    direct_join(job, REEL_LANES, partial);
    if (!direct_is_ordinary(job, &partial[0], &rows))
        return false;
    reel_xent_finish_rows(job, &partial[0], panel, &rows);
    for (int row = 0; row < panel->rows && job->array[REEL_XENT_OUT].data; row++) {
        direct_source from = f64_row(job, panel, row);
        reel_xent_row_alone(&rows, row, &alone);
        f64_write_classes(job, &from, &alone, panel->label[row], &kept, f64_keep(job, panel, row),
                             direct_start(job, panel, REEL_XENT_OUT, row, 0));
    }
    return true;
}
