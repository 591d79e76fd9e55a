/* Rows of f64 straight from memory, eight at a time: their few classes are turned, so that each row has a lane.
 * cross_entropy_f64.h tells which rows. */
#include "ops/kernels/cross_entropy_f64.h"

#if !XENT_ONE_WAY

/* Eight rows turned: the rows' numbers of one class side by side. */
typedef struct turned_columns {
    double number[REEL_XENT_FEW * REEL_LANES];
} turned_columns;

/* What eight rows of a few classes consist of. */
typedef struct turned_panel {
    turned_columns z, y, v, out, e_hi, e_lo;
} turned_panel;

/* The classes of a panel's rows into columns. NULL where there is no such operand. */
static const double *turned_from(const reel_xent_job *job, const reel_xent_panel *panel, enum reel_xent_operand which,
                                 turned_columns *columns)
{
    if (!job->array[which].data)
        return NULL;
    for (int i = 0; i < REEL_LANES; i++) {
        const double *row = xent_f64_row(job, panel, which, i);
        for (int64_t k = 0; k < job->classes; k++)
            columns->number[k * REEL_LANES + i] = row[k];
    }
    return columns->number;
}

static void turned_back(const reel_xent_job *job, const reel_xent_panel *panel, const turned_columns *columns)
{
    for (int i = 0; i < panel->rows; i++) {
        double *row = xent_f64_row(job, panel, REEL_XENT_OUT, i);
        for (int64_t k = 0; k < job->classes; k++)
            row[k] = columns->number[k * REEL_LANES + i];
    }
}

static void turned_find_largest(xent_f64_groups *at, xent_rows *rows)
{
    for (REEL_EACH_VECTOR(i)) {
        reel_vector max = reel_load(at->in.z + i);
        for (int64_t k = 1; k < at->count; k++)
            max = reel_larger(reel_load(at->in.z + k * REEL_LANES + i), max);
        reel_store(at->max + i, max);
    }
    for (int row = 0; row < REEL_LANES; row++)
        xent_f64_set_largest(rows, row, at->max[row]);
}

bool reel_xent_f64_across(const reel_xent_job *job, reel_xent_panel *panel)
{
    _Alignas(64) xent_rows rows;
    _Alignas(64) xent_sums partial[REEL_LANES];
    _Alignas(64) turned_panel turned;
    xent_f64_groups at = {.count = job->classes, .whole = job->classes, .step = 1,
                          .in = {.z = turned_from(job, panel, REEL_XENT_LOGITS, &turned.z),
                                 .y = turned_from(job, panel, REEL_XENT_LABELS, &turned.y),
                                 .v = turned_from(job, panel, REEL_XENT_DIRECTION, &turned.v),
                                 .out = turned.out.number},
                          .e_hi = turned.e_hi.number, .e_lo = turned.e_lo.number};
    for (int row = 0; row < REEL_LANES; row++)
        at.label[row] = (double)panel->label[row];
    turned_find_largest(&at, &rows);
    int lanes = job->classes < REEL_LANES ? (int)job->classes : REEL_LANES;
    for (int lane = 0; lane < lanes; lane++)
        reel_xent_f64_sum(job, &at, lane, REEL_LANES, &partial[lane]);
    if (!reel_xent_f64_finish(job, lanes, partial, panel, &rows))
        return false;
    if (job->array[REEL_XENT_OUT].data) {
        reel_xent_f64_write(job, &at, &rows);
        turned_back(job, panel, &turned.out);
    }
    return true;
}

#endif
