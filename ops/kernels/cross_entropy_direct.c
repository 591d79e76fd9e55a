/* Rows straight from memory, in one pass for the largest logit, one for the sums and one for the results, with
 * every number in a register from its load to its sum. cross_entropy_direct.h tells which rows.
 *
 *     along     a row's classes lie in the lanes, eight at a time; what is missing to the last eight is made up
 *     across    eight rows of a few classes are turned, so that each row has a lane
 */
#include "ops/kernels/cross_entropy_direct.h"
#include "ops/kernels/cross_entropy_formulas.h"

#include <string.h>

enum { DIRECT_FEW = 64 };                           /* classes, at most, across                    */

static const double direct_huge = 0x1p900;

/* Where the classes of a row, or of eight turned rows, lie. NULL: not there. */
typedef struct direct_source {
    const void *z, *y, *v;
    bool        labels;                             /* are wanted                                  */
} direct_source;

/* The e of eight rows of a few classes, kept from the sums for the results. */
typedef struct direct_kept {
    double hi[DIRECT_FEW * REEL_LANES], lo[DIRECT_FEW * REEL_LANES];
} direct_kept;

/* ---- A vector of classes ----------------------------------------------------------------------- */

REEL_INLINE reel_vector direct_read(bool exact, const void *from, int64_t i)
{
    return exact ? reel_load((const double *)from + i) : reel_load_f32((const float *)from + i);
}

REEL_INLINE void direct_write(bool exact, void *to, int64_t i, reel_vector x)
{
    if (exact)
        reel_store((double *)to + i, x);
    else
        reel_store_f32((float *)to + i, x);
}

/* All but e. Without a labels array y is 1 where the number of the class is the row's label. */
REEL_INLINE xent_class direct_class(bool exact, const direct_source *from, int64_t at, reel_vector max,
                                    reel_vector number, reel_vector label)
{
    const reel_vector zero = {0}, one = reel_vector_of(1);
    xent_class c = {.d = reel_pair_sum(exact, direct_read(exact, from->z, at), -max), .weight = one};
    c.tie = reel_lanes_equal(c.d.hi, zero);
    if (from->labels)
        c.y = reel_pair_of(from->y ? direct_read(exact, from->y, at) : reel_choose(reel_lanes_equal(number, label), one, zero));
    if (from->v)
        c.v = direct_read(exact, from->v, at);
    return c;
}

REEL_INLINE void direct_add(bool exact, const reel_xent_job *job, const xent_class *c, reel_pair sum[XENT_SUMS])
{
    for (int kind = 0; kind < XENT_SUMS; kind++)
        if (xent_wants_sum(job, kind))
            sum[kind] = xent_add_class(exact, true, kind, c, NAN, sum[kind]);
}

REEL_INLINE void direct_put_sums(bool exact, const reel_xent_job *job, const reel_pair sum[XENT_SUMS], int i,
                                 xent_sums *to)
{
    for (int kind = 0; kind < XENT_SUMS; kind++)
        if (xent_wants_sum(job, kind))
            XENT_PUT(exact, &to->of[kind], i, sum[kind]);
}

/* As trees, of `lanes` partial sums for each of eight rows; into the first of them. */
REEL_INLINE void direct_join(bool exact, const reel_xent_job *job, int lanes, xent_sums partial[REEL_LANES])
{
    for (int step = REEL_LANES / 2; step > 0; step /= 2)
        for (int lane = 0; lane < step && lane + step < lanes; lane++)
            for (int kind = 0; kind < XENT_SUMS; kind++)
                for (REEL_EACH_VECTOR(i)) {
                    xent_pairs *to = &partial[lane].of[kind], *from = &partial[lane + step].of[kind];
                    if (!xent_wants_sum(job, kind))
                        break;
                    reel_pair added = XENT_AT(exact, from, i);
                    XENT_PUT(exact, to, i, reel_pair_add(exact, XENT_AT(exact, to, i), added));
                }
}

/* Whether all sums of the rows are finite, and far from overflow: so was all that went into them. */
static bool direct_is_ordinary(const reel_xent_job *job, const reel_xent_panel *panel, const xent_sums *sums,
                               const xent_rows *rows)
{
    bool ordinary = true;
    for (int row = 0; row < panel->rows; row++) {
        ordinary &= fabs(rows->max[row]) < direct_huge;
        for (int kind = 0; kind < XENT_SUMS; kind++)
            if (xent_wants_sum(job, kind))
                ordinary &= fabs(sums->of[kind].hi[row] + sums->of[kind].lo[row]) < direct_huge;
    }
    return ordinary;
}

static void direct_set_largest(xent_rows *rows, int row, double max)
{
    rows->max[row] = max;
    rows->shrink[row] = rows->grow[row] = 1;
}

static const void *direct_start(const reel_xent_job *job, const reel_xent_panel *panel,
                                enum reel_xent_operand which, int row, int64_t first)
{
    int64_t size = job->exact ? (int64_t)sizeof(double) : (int64_t)sizeof(float);
    const char *data = job->array[which].data;
    return data ? data + (panel->row[which][row] + first) * size : NULL;
}

/* ---- Along: one row ---------------------------------------------------------------------------- */

/* The last classes of a row, fewer than eight, filled up: with a tie, which is counted off again, that has no
 * label. */
typedef struct direct_end {
    double z[REEL_LANES], y[REEL_LANES], v[REEL_LANES], out[REEL_LANES];
} direct_end;

static direct_source direct_row(const reel_xent_job *job, const reel_xent_panel *panel, int row)
{
    return (direct_source){.z = direct_start(job, panel, REEL_XENT_LOGITS, row, 0),
                           .y = direct_start(job, panel, REEL_XENT_LABELS, row, 0),
                           .v = direct_start(job, panel, REEL_XENT_DIRECTION, row, 0),
                           .labels = xent_wants_labels(job)};
}

static const void *direct_fill(bool exact, const void *row, int64_t first, int64_t classes, double filling,
                               double *end)
{
    float *narrow = (float *)(void *)end;
    for (int i = 0; row && i < REEL_LANES; i++) {
        bool there = first + i < classes;
        if (exact)
            end[i] = there ? ((const double *)row)[first + i] : filling;
        else
            narrow[i] = there ? ((const float *)row)[first + i] : (float)filling;
    }
    return row ? end : NULL;
}

static direct_source direct_row_end(bool exact, const direct_source *row, int64_t first, int64_t classes,
                                    double max, direct_end *end)
{
    return (direct_source){.z = direct_fill(exact, row->z, first, classes, max, end->z),
                           .y = direct_fill(exact, row->y, first, classes, 0, end->y),
                           .v = direct_fill(exact, row->v, first, classes, 0, end->v), .labels = row->labels};
}

/* Of count >= 1 numbers; where there is a NaN, any. Four maxima at once, so that none waits for another. */
REEL_INLINE double direct_largest(bool exact, const void *z, int64_t count)
{
    enum { CHAINS = 4, STEP = CHAINS * REEL_WIDTH };
    double most[STEP], largest = -INFINITY;
    int64_t at = 0;
    reel_vector chain[CHAINS];
    for (int k = 0; k < CHAINS; k++)
        chain[k] = reel_vector_of(-INFINITY);
    for (; at + STEP <= count; at += STEP)
        for (int k = 0; k < CHAINS; k++)
            chain[k] = reel_larger(direct_read(exact, z, at + k * REEL_WIDTH), chain[k]);
    for (int k = 0; k < CHAINS; k++)
        reel_store(most + k * REEL_WIDTH, chain[k]);
    for (int k = 0; k < STEP; k++)
        largest = most[k] > largest ? most[k] : largest;
    for (; at < count; at++) {
        double here = exact ? ((const double *)z)[at] : (double)((const float *)z)[at];
        largest = here > largest ? here : largest;
    }
    return largest;
}

/* 0, 1 ... 7 in the eight lanes. */
REEL_INLINE reel_vector direct_numbers(int i)
{
    static const double number[REEL_LANES] = {0, 1, 2, 3, 4, 5, 6, 7};
    return reel_load(number + i);
}

REEL_INLINE void direct_sum_classes(bool exact, const reel_xent_job *job, const direct_source *row, double max,
                                    int64_t label, xent_sums *lanes)
{
    const reel_vector most = reel_vector_of(max), here = reel_vector_of((double)label);
    int64_t whole = job->classes - job->classes % REEL_LANES;
    direct_end end;
    direct_source last = direct_row_end(exact, row, whole, job->classes, max, &end);
    for (REEL_EACH_VECTOR(i)) {
        reel_pair sum[XENT_SUMS] = {0};
        for (int64_t first = 0; first < job->classes; first += REEL_LANES) {
            const direct_source *from = first < whole ? row : &last;
            reel_vector number = direct_numbers(i) + (double)first;
            xent_class c = direct_class(exact, from, first < whole ? first + i : i, most, number, here);
            c.e = reel_pair_exp(exact, c.d);
            direct_add(exact, job, &c, sum);
        }
        direct_put_sums(exact, job, sum, i, lanes);
    }
}

/* The lanes of one row's sums become the partial sums of that row. */
static void direct_spread(const reel_xent_job *job, xent_sums *lanes, xent_sums partial[REEL_LANES], int row)
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

REEL_INLINE void direct_write_classes(bool exact, const reel_xent_job *job, const direct_source *row,
                                      const xent_rows *alone, int64_t label, void *out)
{
    const bool with_e = xent_wants(job, REEL_XENT_GRADIENT | REEL_XENT_SECOND);
    const reel_vector here = reel_vector_of((double)label);
    int64_t whole = job->classes - job->classes % REEL_LANES;
    direct_end end;
    direct_source last = direct_row_end(exact, row, whole, job->classes, alone->max[0], &end);
    for (int64_t first = 0; first < job->classes; first += REEL_LANES)
        for (REEL_EACH_VECTOR(i)) {
            const direct_source *from = first < whole ? row : &last;
            int64_t at = first < whole ? first + i : i;
            reel_vector number = direct_numbers(i) + (double)first;
            xent_class c = direct_class(exact, from, at, reel_load(alone->max), number, here);
            if (with_e)
                c.e = reel_pair_exp(exact, c.d);
            direct_write(exact, first < whole ? out : end.out, at, xent_result(exact, job, alone, i, &c));
        }
    size_t size = exact ? sizeof(double) : sizeof(float);
    memcpy((char *)out + (size_t)whole * size, end.out, (size_t)(job->classes - whole) * size);
}

REEL_INLINE bool direct_along(bool exact, const reel_xent_job *job, reel_xent_panel *panel)
{
    _Alignas(64) xent_rows rows = {.max = {0}}, alone;
    _Alignas(64) xent_sums partial[REEL_LANES], lanes;
    memset(partial, 0, sizeof partial);
    memset(&lanes, 0, sizeof lanes);
    for (int row = 0; row < panel->rows; row++) {
        direct_source from = direct_row(job, panel, row);
        direct_set_largest(&rows, row, direct_largest(exact, from.z, job->classes));
        direct_sum_classes(exact, job, &from, rows.max[row], panel->label[row], &lanes);
        direct_spread(job, &lanes, partial, row);
    }
    direct_join(exact, job, REEL_LANES, partial);
    if (!direct_is_ordinary(job, panel, &partial[0], &rows))
        return false;
    reel_xent_finish_rows(job, &partial[0], panel, &rows);
    for (int row = 0; row < panel->rows && job->array[REEL_XENT_OUT].data; row++) {
        direct_source from = direct_row(job, panel, row);
        reel_xent_row_alone(&rows, row, &alone);
        direct_write_classes(exact, job, &from, &alone, panel->label[row],
                             (void *)(uintptr_t)direct_start(job, panel, REEL_XENT_OUT, row, 0));
    }
    return true;
}

/* ---- Across: eight rows of a few classes -------------------------------------------------------- */

/* Eight rows turned: the rows' numbers of one class side by side, in the dtype of the results. */
typedef struct direct_turned {
    double number[DIRECT_FEW * REEL_LANES];
} direct_turned;

/* What eight rows of a few classes consist of. */
typedef struct direct_panel {
    direct_turned z, y, v, out;
    direct_kept   e;
} direct_panel;

static const void *direct_turn(const reel_xent_job *job, const reel_xent_panel *panel, enum reel_xent_operand which,
                               direct_turned *to)
{
    if (!job->array[which].data)
        return NULL;
    uint32_t *narrow = (void *)to;
    uint64_t *wide = (void *)to;
    for (int row = 0; row < REEL_LANES; row++) {
        const void *from = direct_start(job, panel, which, row, 0);
        for (int64_t k = 0; k < job->classes; k++)
            if (job->exact)
                wide[k * REEL_LANES + row] = ((const uint64_t *)from)[k];
            else
                narrow[k * REEL_LANES + row] = ((const uint32_t *)from)[k];
    }
    return to;
}

static void direct_turn_back(const reel_xent_job *job, const reel_xent_panel *panel, const direct_turned *out)
{
    const uint32_t *narrow = (const void *)out;
    const uint64_t *wide = (const void *)out;
    for (int row = 0; row < panel->rows; row++) {
        void *to = (void *)(uintptr_t)direct_start(job, panel, REEL_XENT_OUT, row, 0);
        for (int64_t k = 0; k < job->classes; k++)
            if (job->exact)
                ((uint64_t *)to)[k] = wide[k * REEL_LANES + row];
            else
                ((uint32_t *)to)[k] = narrow[k * REEL_LANES + row];
    }
}

REEL_INLINE void direct_sum_turned(bool exact, const reel_xent_job *job, const direct_source *from,
                                   const double label[REEL_LANES], xent_rows *rows, direct_kept *kept,
                                   xent_sums partial[REEL_LANES])
{
    for (REEL_EACH_VECTOR(i)) {
        reel_vector max = direct_read(exact, from->z, i);
        for (int64_t k = 1; k < job->classes; k++)
            max = reel_larger(direct_read(exact, from->z, k * REEL_LANES + i), max);
        reel_store(rows->max + i, max);
        for (int64_t lane = 0; lane < REEL_LANES && lane < job->classes; lane++) {
            reel_pair sum[XENT_SUMS] = {0};
            for (int64_t k = lane; k < job->classes; k += REEL_LANES) {
                int64_t at = k * REEL_LANES + i;
                xent_class c = direct_class(exact, from, at, max, reel_vector_of((double)k), reel_load(label + i));
                c.e = reel_pair_exp(exact, c.d);
                xent_put(exact, kept->hi, kept->lo, (int)at, c.e);
                direct_add(exact, job, &c, sum);
            }
            direct_put_sums(exact, job, sum, i, &partial[lane]);
        }
    }
}

REEL_INLINE void direct_write_turned(bool exact, const reel_xent_job *job, const direct_source *from,
                                     const double label[REEL_LANES], const xent_rows *rows, const direct_kept *kept,
                                     direct_turned *out)
{
    for (REEL_EACH_VECTOR(i))
        for (int64_t k = 0; k < job->classes; k++) {
            int64_t at = k * REEL_LANES + i;
            xent_class c = direct_class(exact, from, at, reel_load(rows->max + i), reel_vector_of((double)k),
                                        reel_load(label + i));
            c.e = xent_at(exact, kept->hi, kept->lo, (int)at);
            direct_write(exact, out->number, at, xent_result(exact, job, rows, i, &c));
        }
}

REEL_INLINE bool direct_across(bool exact, const reel_xent_job *job, reel_xent_panel *panel)
{
    _Alignas(64) xent_rows rows;
    _Alignas(64) xent_sums partial[REEL_LANES];
    _Alignas(64) direct_panel turned;
    double label[REEL_LANES];
    direct_source from = {.z = direct_turn(job, panel, REEL_XENT_LOGITS, &turned.z),
                          .y = direct_turn(job, panel, REEL_XENT_LABELS, &turned.y),
                          .v = direct_turn(job, panel, REEL_XENT_DIRECTION, &turned.v),
                          .labels = xent_wants_labels(job)};
    for (int row = 0; row < REEL_LANES; row++)
        label[row] = (double)panel->label[row];
    direct_sum_turned(exact, job, &from, label, &rows, &turned.e, partial);
    for (int row = 0; row < REEL_LANES; row++)
        direct_set_largest(&rows, row, rows.max[row]);
    direct_join(exact, job, job->classes < REEL_LANES ? (int)job->classes : REEL_LANES, partial);
    if (!direct_is_ordinary(job, panel, &partial[0], &rows))
        return false;
    reel_xent_finish_rows(job, &partial[0], panel, &rows);
    if (job->array[REEL_XENT_OUT].data) {
        direct_write_turned(exact, job, &from, label, &rows, &turned.e, &turned.out);
        direct_turn_back(job, panel, &turned.out);
    }
    return true;
}

/* ---- Either ------------------------------------------------------------------------------------ */

static bool direct_is_of_the_kind(const reel_xent_job *job, const reel_xent_panel *panel)
{
    if (!job->direct || (job->across && job->classes > DIRECT_FEW))
        return false;
    for (int row = 0; row < panel->rows; row++)
        if (panel->fate[row] != REEL_XENT_COUNTS || panel->late[row] != 1)
            return false;
    return true;
}

bool reel_xent_direct(const reel_xent_job *job, reel_xent_panel *panel)
{
    if (!direct_is_of_the_kind(job, panel))
        return false;
    if (job->across)
        return job->exact ? direct_across(true, job, panel) : direct_across(false, job, panel);
    return job->exact ? direct_along(true, job, panel) : direct_along(false, job, panel);
}
