/* The rows of a softmax cross-entropy, eight at a time: first the sums, then what comes one a class. */
#include "ops/kernels/cross_entropy_rows.h"
#include "ops/kernels/cross_entropy_direct.h"

void reel_xent_row_alone(const xent_rows *rows, int row, xent_rows *alone)
{
    const double *from = (const void *)rows;
    double *to = (void *)alone;
    for (size_t member = 0; member < sizeof *rows / sizeof rows->max; member++)
        for (int lane = 0; lane < REEL_LANES; lane++)
            to[member * REEL_LANES + (size_t)lane] = from[member * REEL_LANES + (size_t)row];
}

void reel_xent_rows(const reel_xent_job *job, reel_xent_panel *panel)
{
    if (reel_xent_direct(job, panel))
        return;
    _Alignas(64) xent_rows rows = {.max = {0}};
    _Alignas(64) xent_tiles tiles;
    reel_xent_sum_rows(job, panel, &rows, &tiles);
    if (job->array[REEL_XENT_OUT].data)
        reel_xent_write_classes(job, panel, &rows, &tiles);
}
