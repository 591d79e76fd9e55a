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

/* Where the classes of a row, or of eight turned rows, lie. NULL: not there. */
typedef struct direct_source {
    const void *z, *y, *v;
    bool        labels;                             /* are wanted                                  */
} direct_source;

/* The exponentials of a panel, kept from the sums for the results. */
typedef struct direct_kept {
    double hi[REEL_XENT_KEPT], lo[REEL_XENT_KEPT];
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
static bool direct_is_ordinary(const reel_xent_job *job, const xent_sums *sums, const xent_rows *rows)
{
    const reel_vector huge = reel_vector_of(0x1p900);
    reel_mask ordinary = ~(reel_mask){0};
    for (REEL_EACH_VECTOR(i)) {
        ordinary &= reel_magnitude(reel_load(rows->max + i)) < huge;
        for (int kind = 0; kind < XENT_SUMS; kind++)
            if (xent_wants_sum(job, kind)) {
                reel_pair sum = XENT_AT(job->exact, &sums->of[kind], i);
                ordinary &= reel_magnitude(sum.hi + sum.lo) < huge;
            }
    }
    bool all = true;
    for (int lane = 0; lane < REEL_WIDTH; lane++)
        all = all && ordinary[lane];
    return all;
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
                                    int64_t label, direct_kept *kept, int64_t keep, xent_sums *lanes)
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
            if (keep >= 0 && first < whole)
                xent_put(exact, kept->hi + keep, kept->lo + keep, (int)(first + i), c.e);
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
                                      const xent_rows *alone, int64_t label, const direct_kept *kept,
                                      int64_t keep, void *out)
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
                c.e = keep >= 0 && first < whole ? xent_at(exact, kept->hi + keep, kept->lo + keep, (int)at)
                                                 : reel_pair_exp(exact, c.d);
            direct_write(exact, first < whole ? out : end.out, at, xent_result(exact, job, alone, i, &c));
        }
    size_t size = exact ? sizeof(double) : sizeof(float);
    memcpy((char *)out + (size_t)whole * size, end.out, (size_t)(job->classes - whole) * size);
}

/* Where the exponentials of a row are kept: -1 where they are not. */
static int64_t direct_keep(const reel_xent_job *job, const reel_xent_panel *panel, int row)
{
    bool use = job->array[REEL_XENT_OUT].data && xent_wants(job, REEL_XENT_GRADIENT | REEL_XENT_SECOND);
    return use && panel->rows * job->classes <= REEL_XENT_KEPT ? row * job->classes : -1;
}

REEL_INLINE bool direct_along(bool exact, const reel_xent_job *job, reel_xent_panel *panel)
{
    _Alignas(64) xent_rows rows = {.max = {0}}, alone;
    _Alignas(64) xent_sums partial[REEL_LANES], lanes;
    _Alignas(64) direct_kept kept;
    memset(partial, 0, sizeof partial);
    memset(&lanes, 0, sizeof lanes);
    for (int row = 0; row < panel->rows; row++) {
        direct_source from = direct_row(job, panel, row);
        direct_set_largest(&rows, row, direct_largest(exact, from.z, job->classes));
        direct_sum_classes(exact, job, &from, rows.max[row], panel->label[row], &kept, direct_keep(job, panel, row),
                           &lanes);
        direct_spread(job, &lanes, partial, row);
    }
    direct_join(exact, job, REEL_LANES, partial);
    if (!direct_is_ordinary(job, &partial[0], &rows))
        return false;
    reel_xent_finish_rows(job, &partial[0], panel, &rows);
    for (int row = 0; row < panel->rows && job->array[REEL_XENT_OUT].data; row++) {
        direct_source from = direct_row(job, panel, row);
        reel_xent_row_alone(&rows, row, &alone);
        direct_write_classes(exact, job, &from, &alone, panel->label[row], &kept, direct_keep(job, panel, row),
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

typedef uint32_t direct_eight __attribute__((vector_size(32)));

#define DIRECT_UNROLL _Pragma("GCC unroll 8")        /* so that the arrays are registers            */
#define DIRECT_MIX(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)

/* Eight times eight numbers of 4 bytes: number j of from[i] becomes number i of to[j]. First ones change places, then
 * twos, then fours. */
REEL_INLINE void direct_turn_square(const uint32_t *const from[8], uint32_t *const to[8])
{
    direct_eight a[8], b[8];
    DIRECT_UNROLL
    for (int i = 0; i < 8; i++)
        memcpy(&a[i], from[i], sizeof a[i]);
    DIRECT_UNROLL
    for (int i = 0; i < 8; i += 2) {
        b[i] = DIRECT_MIX(a[i], a[i + 1], 0, 8, 2, 10, 4, 12, 6, 14);
        b[i + 1] = DIRECT_MIX(a[i], a[i + 1], 1, 9, 3, 11, 5, 13, 7, 15);
    }
    DIRECT_UNROLL
    for (int i = 0; i < 8; i += 4)
        DIRECT_UNROLL
        for (int k = i; k < i + 2; k++) {
            a[k] = DIRECT_MIX(b[k], b[k + 2], 0, 1, 8, 9, 4, 5, 12, 13);
            a[k + 2] = DIRECT_MIX(b[k], b[k + 2], 2, 3, 10, 11, 6, 7, 14, 15);
        }
    DIRECT_UNROLL
    for (int i = 0; i < 4; i++) {
        b[i] = DIRECT_MIX(a[i], a[i + 4], 0, 1, 2, 3, 8, 9, 10, 11);
        b[i + 4] = DIRECT_MIX(a[i], a[i + 4], 4, 5, 6, 7, 12, 13, 14, 15);
    }
    DIRECT_UNROLL
    for (int i = 0; i < 8; i++)
        memcpy(to[i], &b[i], sizeof b[i]);
}

/* From eight rows of `classes` numbers to as many columns, or back. The last square reaches back over the one before. */
REEL_INLINE void direct_turn_f32(uint32_t *const row[8], int64_t classes, uint32_t *columns, bool back)
{
    const uint32_t *from[8];
    uint32_t *to[8];
    for (int64_t k = 0; k < classes; k += 8) {
        int64_t first = k + 8 <= classes ? k : classes - 8;
        for (int i = 0; i < 8; i++) {
            uint32_t *column = columns + (first + i) * 8;
            from[i] = back ? column : row[i] + first;
            to[i] = back ? row[i] + first : column;
        }
        direct_turn_square(from, to);
    }
}

/* One by one. */
static void direct_turn_slowly(bool exact, const char *row, int64_t classes, void *columns, int64_t i, bool back)
{
    uint32_t *narrow = columns, *narrow_row = (void *)(uintptr_t)row;
    uint64_t *wide = columns, *wide_row = (void *)(uintptr_t)row;
    for (int64_t k = 0; k < classes; k++)
        if (exact && back)
            wide_row[k] = wide[k * REEL_LANES + i];
        else if (exact)
            wide[k * REEL_LANES + i] = wide_row[k];
        else if (back)
            narrow_row[k] = narrow[k * REEL_LANES + i];
        else
            narrow[k * REEL_LANES + i] = narrow_row[k];
}

/* The classes of a panel's rows into columns, or back. NULL where there is no such operand. */
REEL_INLINE const void *direct_turn(bool exact, const reel_xent_job *job, const reel_xent_panel *panel,
                                    enum reel_xent_operand which, direct_turned *columns, bool back)
{
    int rows = back ? panel->rows : REEL_LANES;
    uint32_t *row[REEL_LANES];
    if (!job->array[which].data)
        return NULL;
    for (int i = 0; i < rows; i++)
        row[i] = (void *)(uintptr_t)direct_start(job, panel, which, i, 0);
    if (!exact && rows == REEL_LANES && job->classes >= REEL_LANES) {
        direct_turn_f32(row, job->classes, (void *)columns, back);
        return columns;
    }
    for (int i = 0; i < rows; i++)
        direct_turn_slowly(exact, (const char *)row[i], job->classes, columns, i, back);
    return columns;
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
    direct_source from = {.z = direct_turn(exact, job, panel, REEL_XENT_LOGITS, &turned.z, false),
                          .y = direct_turn(exact, job, panel, REEL_XENT_LABELS, &turned.y, false),
                          .v = direct_turn(exact, job, panel, REEL_XENT_DIRECTION, &turned.v, false),
                          .labels = xent_wants_labels(job)};
    for (int row = 0; row < REEL_LANES; row++)
        label[row] = (double)panel->label[row];
    direct_sum_turned(exact, job, &from, label, &rows, &turned.e, partial);
    for (int row = 0; row < REEL_LANES; row++)
        direct_set_largest(&rows, row, rows.max[row]);
    direct_join(exact, job, job->classes < REEL_LANES ? (int)job->classes : REEL_LANES, partial);
    if (!direct_is_ordinary(job, &partial[0], &rows))
        return false;
    reel_xent_finish_rows(job, &partial[0], panel, &rows);
    if (job->array[REEL_XENT_OUT].data) {
        direct_write_turned(exact, job, &from, label, &rows, &turned.e, &turned.out);
        direct_turn(exact, job, panel, REEL_XENT_OUT, &turned.out, true);
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
