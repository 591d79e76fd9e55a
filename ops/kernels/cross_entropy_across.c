/* Rows straight from memory, eight at a time: their few classes are turned, so that each row has a lane.
 * cross_entropy_direct.h tells which rows. */
#include "ops/kernels/cross_entropy_direct.h"

#include <string.h>

/* Eight rows turned: the rows' numbers of one class side by side, in the dtype of the results. */
typedef struct across_turned {
    double number[REEL_XENT_FEW * REEL_LANES];
} across_turned;

/* What eight rows of a few classes consist of. */
typedef struct across_panel {
    across_turned z, y, v, out;
    direct_kept   e;
} across_panel;

typedef uint32_t across_eight __attribute__((vector_size(32)));

#define ACROSS_UNROLL _Pragma("GCC unroll 8")        /* so that the arrays are registers            */
#define ACROSS_MIX(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)

/* Eight times eight numbers of 4 bytes: number j of from[i] becomes number i of to[j]. First ones change places, then
 * twos, then fours. */
REEL_INLINE void across_turn_square(const uint32_t *const from[8], uint32_t *const to[8])
{
    across_eight a[8], b[8];
    ACROSS_UNROLL
    for (int i = 0; i < 8; i++)
        memcpy(&a[i], from[i], sizeof a[i]);
    ACROSS_UNROLL
    for (int i = 0; i < 8; i += 2) {
        b[i] = ACROSS_MIX(a[i], a[i + 1], 0, 8, 2, 10, 4, 12, 6, 14);
        b[i + 1] = ACROSS_MIX(a[i], a[i + 1], 1, 9, 3, 11, 5, 13, 7, 15);
    }
    ACROSS_UNROLL
    for (int i = 0; i < 8; i += 4)
        ACROSS_UNROLL
        for (int k = i; k < i + 2; k++) {
            a[k] = ACROSS_MIX(b[k], b[k + 2], 0, 1, 8, 9, 4, 5, 12, 13);
            a[k + 2] = ACROSS_MIX(b[k], b[k + 2], 2, 3, 10, 11, 6, 7, 14, 15);
        }
    ACROSS_UNROLL
    for (int i = 0; i < 4; i++) {
        b[i] = ACROSS_MIX(a[i], a[i + 4], 0, 1, 2, 3, 8, 9, 10, 11);
        b[i + 4] = ACROSS_MIX(a[i], a[i + 4], 4, 5, 6, 7, 12, 13, 14, 15);
    }
    ACROSS_UNROLL
    for (int i = 0; i < 8; i++)
        memcpy(to[i], &b[i], sizeof b[i]);
}

/* From eight rows of `classes` numbers to as many columns, or back. The last square reaches back over the one before. */
REEL_INLINE void across_turn_f32(uint32_t *const row[8], int64_t classes, uint32_t *columns, bool back)
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
        across_turn_square(from, to);
    }
}

/* One by one. */
static void across_turn_slowly(bool exact, const char *row, int64_t classes, void *columns, int64_t i, bool back)
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
REEL_INLINE const void *across_turn(bool exact, const reel_xent_job *job, const reel_xent_panel *panel,
                                    enum reel_xent_operand which, across_turned *columns, bool back)
{
    int rows = back ? panel->rows : REEL_LANES;
    uint32_t *row[REEL_LANES];
    if (!job->array[which].data)
        return NULL;
    for (int i = 0; i < rows; i++)
        row[i] = (void *)(uintptr_t)direct_start(job, panel, which, i, 0);
    if (!exact && rows == REEL_LANES && job->classes >= REEL_LANES) {
        across_turn_f32(row, job->classes, (void *)columns, back);
        return columns;
    }
    for (int i = 0; i < rows; i++)
        across_turn_slowly(exact, (const char *)row[i], job->classes, columns, i, back);
    return columns;
}

REEL_INLINE void across_sum_turned(bool exact, const reel_xent_job *job, const direct_source *from,
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

REEL_INLINE void across_write_turned(bool exact, const reel_xent_job *job, const direct_source *from,
                                     const double label[REEL_LANES], const xent_rows *rows, const direct_kept *kept,
                                     across_turned *out)
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

REEL_INLINE bool across_rows(bool exact, const reel_xent_job *job, reel_xent_panel *panel)
{
    _Alignas(64) xent_rows rows;
    _Alignas(64) xent_sums partial[REEL_LANES];
    _Alignas(64) across_panel turned;
    double label[REEL_LANES];
    direct_source from = {.z = across_turn(exact, job, panel, REEL_XENT_LOGITS, &turned.z, false),
                          .y = across_turn(exact, job, panel, REEL_XENT_LABELS, &turned.y, false),
                          .v = across_turn(exact, job, panel, REEL_XENT_DIRECTION, &turned.v, false),
                          .labels = xent_wants_labels(job)};
    for (int row = 0; row < REEL_LANES; row++)
        label[row] = (double)panel->label[row];
    across_sum_turned(exact, job, &from, label, &rows, &turned.e, partial);
    for (int row = 0; row < REEL_LANES; row++)
        direct_set_largest(&rows, row, rows.max[row]);
    direct_join(exact, job, job->classes < REEL_LANES ? (int)job->classes : REEL_LANES, partial);
    if (!direct_is_ordinary(job, &partial[0], &rows))
        return false;
    reel_xent_finish_rows(job, &partial[0], panel, &rows);
    if (job->array[REEL_XENT_OUT].data) {
        across_write_turned(exact, job, &from, label, &rows, &turned.e, &turned.out);
        across_turn(exact, job, panel, REEL_XENT_OUT, &turned.out, true);
    }
    return true;
}

bool reel_xent_across(const reel_xent_job *job, reel_xent_panel *panel)
{
    return job->exact ? across_rows(true, job, panel) : across_rows(false, job, panel);
}
