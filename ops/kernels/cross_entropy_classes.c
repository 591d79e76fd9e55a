/* The second half of the kernel: the results that come one a class. */
#include "ops/kernels/cross_entropy_formulas.h"

#if XENT_TILES

REEL_INLINE void classes_tile(bool exact, const reel_xent_job *job, const xent_rows *rows, int groups,
                              xent_tiles *tiles)
{
    for (XENT_EACH_LANE(at, i, groups)) {
        xent_class c = xent_class_in(exact, rows, i, tiles, at);
        reel_store(tiles->term.hi + at, xent_result(exact, job, rows, i, &c));
    }
}

REEL_INLINE void classes_row(bool exact, const reel_xent_job *job, const reel_xent_panel *panel, int row,
                             const xent_rows *rows, xent_tiles *tiles)
{
    reel_xent_place place = reel_xent_first(job, row);
    bool filled = job->across && place.classes == job->classes;
    do {
        if (!filled)
            reel_xent_fill_tiles(job, panel, rows, place, tiles);
        classes_tile(exact, job, rows, place.groups, tiles);
        reel_xent_store(job, panel, place, tiles->term.hi);
    } while (reel_xent_next(job, &place));
}

void reel_xent_write_classes(const reel_xent_job *job, const reel_xent_panel *panel, const xent_rows *rows,
                             xent_tiles *tiles)
{
    xent_rows alone;
    for (int row = 0; row < (job->across ? 1 : panel->rows); row++) {
        if (!job->across)
            reel_xent_row_alone(rows, row, &alone);
        if (xent_is_exact(job))
            classes_row(true, job, panel, row, job->across ? rows : &alone, tiles);
        else
            classes_row(false, job, panel, row, job->across ? rows : &alone, tiles);
    }
}

#endif
