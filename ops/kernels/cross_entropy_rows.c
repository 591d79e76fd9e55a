/* The rows of a softmax cross-entropy, eight at a time: first the sums, then what comes one a class. */
#include "ops/kernels/cross_entropy_rows.h"
#include "ops/kernels/cross_entropy_f64.h"

void reel_xent_row_alone(const xent_rows *rows, int row, xent_rows *alone)
{
    const double *from = (const void *)rows;
    double *to = (void *)alone;
    for (size_t member = 0; member < sizeof *rows / sizeof rows->max; member++)
        for (int lane = 0; lane < REEL_LANES; lane++)
            to[member * REEL_LANES + (size_t)lane] = from[member * REEL_LANES + (size_t)row];
}

#if XENT_TILES
void reel_xent_tiled_rows(const reel_xent_job *job, reel_xent_panel *panel)
{
    _Alignas(64) xent_rows rows = {.max = {0}};
    _Alignas(64) xent_tiles tiles;
    reel_xent_sum_rows(job, panel, &rows, &tiles);
    if (job->array[REEL_XENT_OUT].data)
        reel_xent_write_classes(job, panel, &rows, &tiles);
}
#define rows_through_tiles reel_xent_tiled_rows
#else
#define rows_through_tiles reel_xent_tiled_rows_avx2
#endif

#if !XENT_ONE_WAY
/* See cross_entropy_f64.h. */
static bool rows_are_direct(const reel_xent_job *job, const reel_xent_panel *panel)
{
    if (!job->direct || (job->across && job->classes > REEL_XENT_FEW))
        return false;
    for (int row = 0; row < panel->rows; row++)
        if (panel->fate[row] != REEL_XENT_COUNTS || panel->late[row] != 1)
            return false;
    return true;
}

void reel_xent_rows(const reel_xent_job *job, reel_xent_panel *panel)
{
    if (!rows_are_direct(job, panel) ||
        !(job->across ? reel_xent_f64_across(job, panel) : reel_xent_f64_along(job, panel)))
        rows_through_tiles(job, panel);
}
#else
void reel_xent_rows(const reel_xent_job *job, reel_xent_panel *panel)
{
    rows_through_tiles(job, panel);
}
#endif
