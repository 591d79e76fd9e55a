/* Rows of f64 straight from memory, eight at a time: their few classes are turned, so that each row has a lane.
 * cross_entropy_f64.h tells which rows. */
#include "ops/kernels/cross_entropy_f64.h"

#include <string.h>

/* Eight rows turned: the rows' numbers of one class side by side. */
typedef struct turned_columns {
    double number[REEL_XENT_FEW * REEL_LANES];
} turned_columns;

/* What eight rows of a few classes consist of. */
typedef struct turned_panel {
    turned_columns z, y, v, out;
    direct_kept    e;
} turned_panel;

/* The classes of a panel's rows into columns. NULL where there is no such operand. */
static const double *turned_from(const reel_xent_job *job, const reel_xent_panel *panel, enum reel_xent_operand which,
                                 turned_columns *columns)
{
    if (!job->array[which].data)
        return NULL;
    for (int i = 0; i < REEL_LANES; i++) {
        const double *row = direct_start(job, panel, which, i, 0);
        for (int64_t k = 0; k < job->classes; k++)
            columns->number[k * REEL_LANES + i] = row[k];
    }
    return columns->number;
}

static void turned_back(const reel_xent_job *job, const reel_xent_panel *panel, const turned_columns *columns)
{
    for (int i = 0; i < panel->rows; i++) {
        double *row = direct_start(job, panel, REEL_XENT_OUT, i, 0);
        for (int64_t k = 0; k < job->classes; k++)
            row[k] = columns->number[k * REEL_LANES + i];
    }
}

REEL_INLINE void turned_sum(const reel_xent_job *job, const direct_source *from, const double label[REEL_LANES],
                            xent_rows *rows, direct_kept *kept, xent_sums partial[REEL_LANES])
{
    for (REEL_EACH_VECTOR(i)) {
        reel_vector max = reel_load(from->z + i);
        for (int64_t k = 1; k < job->classes; k++)
            max = reel_larger(reel_load(from->z + k * REEL_LANES + i), max);
        reel_store(rows->max + i, max);
        for (int64_t lane = 0; lane < REEL_LANES && lane < job->classes; lane++) {
            reel_pair sum[XENT_SUMS] = {0};
            for (int64_t k = lane; k < job->classes; k += REEL_LANES) {
                int64_t at = k * REEL_LANES + i;
                xent_class c = direct_class(from, at, max, reel_vector_of((double)k), reel_load(label + i));
                c.e = reel_pair_exp(true, c.d);
                xent_put(true, kept->hi, kept->lo, (int)at, c.e);
                direct_add(job, &c, sum);
            }
            direct_put_sums(job, sum, i, &partial[lane]);
        }
    }
}

REEL_INLINE void turned_write(const reel_xent_job *job, const direct_source *from, const double label[REEL_LANES],
                              const xent_rows *rows, const direct_kept *kept, turned_columns *out)
{
    for (REEL_EACH_VECTOR(i))
        for (int64_t k = 0; k < job->classes; k++) {
            int64_t at = k * REEL_LANES + i;
            xent_class c = direct_class(from, at, reel_load(rows->max + i), reel_vector_of((double)k),
                                        reel_load(label + i));
            c.e = xent_at(true, kept->hi, kept->lo, (int)at);
            reel_store(out->number + at, xent_result(true, job, rows, i, &c));
        }
}

bool reel_xent_f64_across(const reel_xent_job *job, reel_xent_panel *panel)
{
    _Alignas(64) xent_rows rows;
    _Alignas(64) xent_sums partial[REEL_LANES];
    _Alignas(64) turned_panel turned;
    double label[REEL_LANES];
    direct_source from = {.z = turned_from(job, panel, REEL_XENT_LOGITS, &turned.z),
                          .y = turned_from(job, panel, REEL_XENT_LABELS, &turned.y),
                          .v = turned_from(job, panel, REEL_XENT_DIRECTION, &turned.v),
                          .labels = xent_wants_labels(job)};
    for (int row = 0; row < REEL_LANES; row++)
        label[row] = (double)panel->label[row];
    turned_sum(job, &from, label, &rows, &turned.e, partial);
    for (int row = 0; row < REEL_LANES; row++)
        direct_set_largest(&rows, row, rows.max[row]);
    direct_join(job, job->classes < REEL_LANES ? (int)job->classes : REEL_LANES, partial);
    if (!direct_is_ordinary(job, &partial[0], &rows))
        return false;
    reel_xent_finish_rows(job, &partial[0], panel, &rows);
    if (job->array[REEL_XENT_OUT].data) {
        turned_write(job, &from, label, &rows, &turned.e, &turned.out);
        turned_back(job, panel, &turned.out);
    }
    return true;
}
