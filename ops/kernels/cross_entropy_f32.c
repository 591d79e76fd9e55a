/* Rows in sixteen lanes of f32: what is summed and written, and which quantities of which rows go another way.
 * cross_entropy_f32.h tells the rest. */
#include "ops/kernels/cross_entropy_f32.h"

#include <string.h>

void reel_xent_f32_no_sums(int kinds, xent_f32_sums *sums)
{
    for (int kind = 0; kind < kinds; kind++)
        for (int lane = 0; lane < REEL_LANES_F32; lane += REEL_WIDTH)
            reel_store(sums->of[kind] + lane, (reel_vector){0});
}

/* ---- Classes --------------------------------------------------------------------------------------------- */

void reel_xent_f32_add_classes(const reel_xent_job *job, const xent_f32_groups *at, const float reference[REEL_LANES_F32],
                               float max[REEL_LANES_F32], xent_f32_sums *sums)
{
    reel_xent_f32_exponentials(at, reference, max);
    reel_xent_f32_add_exponentials(at, sums);
    if (at->y && xent_wants_labels(job))
        reel_xent_f32_add_labels(at, xent_wants(job, REEL_XENT_LOSS), sums);
}

static void f32_write(const reel_xent_job *job, const xent_f32_groups *at, const xent_f32_rows *rows)
{
    if (xent_wants(job, REEL_XENT_SECOND))
        reel_xent_f32_second(at, rows);
    if (xent_wants(job, REEL_XENT_GRADIENT))
        reel_xent_f32_gradient(at, rows);
    if (xent_wants(job, REEL_XENT_LABEL_GRADIENT))
        reel_xent_f32_label_gradient(at, rows);
}

/* A last group that is not full reaches back over some numbers before, which are written once more. Their exponentials may
 * lie where they are written. (A copy of all of *at would have to wait until its parts have left the CPU.) */
static void f32_write_last(const reel_xent_job *job, const xent_f32_groups *at, float *e, const xent_f32_rows *rows)
{
    const int back = at->count - REEL_LANES_F32;
    const xent_f32_groups last = {.count = REEL_LANES_F32, .z = at->z + back, .e = e,
                                  .y = at->y ? at->y + back : NULL, .v = at->v ? at->v + back : NULL,
                                  .out = at->out ? at->out + back : NULL,
                                  .label_out = at->label_out ? at->label_out + back : NULL};
    f32_write(job, &last, rows);
}

void reel_xent_f32_write(const reel_xent_job *job, const xent_f32_groups *at, const xent_f32_rows *rows)
{
    const bool whole = at->count % REEL_LANES_F32 == 0;
    float e[REEL_LANES_F32];
    if (xent_wants(job, REEL_XENT_GRADIENT | REEL_XENT_SECOND))
        reel_xent_f32_bring_down(at, rows);
    if (!whole)
        memcpy(e, at->e + at->count - REEL_LANES_F32, sizeof e);
    f32_write(job, at, rows);
    if (!whole)
        f32_write_last(job, at, e, rows);
}

/* ---- Panels ---------------------------------------------------------------------------------------------- */

static REEL_RARE void f32_copy_row(const reel_xent_panel *from, int row, reel_xent_panel *to, int to_row)
{
    for (int which = 0; which < REEL_XENT_OPERANDS; which++)
        to->apart[which][to_row] = from->apart[which][row];
    to->label[to_row] = from->label[row];
    to->fate[to_row] = from->fate[row];
    to->late[to_row] = from->late[row];
    for (int part = 0; part < 2; part++)
        to->upstream[part][to_row] = from->upstream[part][row];
}

/* One quantity of the given rows of a panel, in f64. */
static REEL_RARE void f32_by_f64(const reel_xent_job *job, unsigned quantity, unsigned rows, reel_xent_panel *panel)
{
    reel_xent_job alone = *job;
    reel_xent_panel some = *panel;
    int at[REEL_XENT_ROWS];
    some.rows = 0;
    some.whole = false;
    for (int row = 0; row < panel->rows; row++)
        if (rows & 1u << row)
            at[some.rows++] = row;
    for (int r = 0; r < REEL_XENT_ROWS; r++)
        f32_copy_row(panel, at[r < some.rows ? r : 0], &some, r);
    alone.quantity = quantity;
    if (quantity == REEL_XENT_LOSS)
        alone.array[REEL_XENT_OUT].data = NULL;
    if (quantity == REEL_XENT_LABEL_GRADIENT && job->array[REEL_XENT_LABEL_OUT].data) {
        alone.array[REEL_XENT_OUT] = job->array[REEL_XENT_LABEL_OUT];
        some.first[REEL_XENT_OUT] = some.first[REEL_XENT_LABEL_OUT];
        memcpy(some.apart[REEL_XENT_OUT], some.apart[REEL_XENT_LABEL_OUT], sizeof some.apart[REEL_XENT_OUT]);
    }
    reel_xent_rows(&alone, &some);
    for (int r = 0; r < some.rows && quantity == REEL_XENT_LOSS; r++)
        for (int part = 0; part < 2; part++)
            panel->value[part][at[r]] = some.value[part][r];
}

void reel_xent_f32_rows(const reel_xent_job *job, reel_xent_panel panel[])
{
    xent_f32_unsuited unsuited[2] = {{{0}}, {{0}}};
    if (job->across)
        reel_xent_f32_across(job, panel, unsuited);
    else
        reel_xent_f32_along(job, panel, unsuited);
    for (int p = 0; p < (job->across ? 2 : 1); p++)
        for (int q = 0; q < XENT_F32_QUANTITIES; q++)
            if (unsuited[p].rows[q])
                f32_by_f64(job, reel_xent_f32_quantity[q], unsuited[p].rows[q], &panel[p]);
}
