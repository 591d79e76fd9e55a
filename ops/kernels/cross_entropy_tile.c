/* Tiles of a panel of rows: between memory of any dtype and strides and doubles side by side. */
#include "ops/kernels/cross_entropy_tile.h"
#include "core/dtype.h"

#include <math.h>
#include <string.h>

#if XENT_TILES

/* Rows side by side in a tile, and the classes that one takes then. */
static int tile_rows(const reel_xent_job *job)
{
    return job->across ? REEL_XENT_ROWS : 1;
}

static void tile_fit(const reel_xent_job *job, reel_xent_place *place)
{
    int64_t left = job->classes - place->first, room = REEL_XENT_TILE / tile_rows(job);
    place->classes = (int)(left < room ? left : room);
    place->groups = job->across ? place->classes : (place->classes + REEL_XENT_ROWS - 1) / REEL_XENT_ROWS;
}

reel_xent_place reel_xent_first(const reel_xent_job *job, int row)
{
    reel_xent_place place = {.row = row};
    tile_fit(job, &place);
    return place;
}

bool reel_xent_next(const reel_xent_job *job, reel_xent_place *place)
{
    place->first += place->classes;
    tile_fit(job, place);
    return place->classes > 0;
}

static char *tile_start(const reel_xent_job *job, const reel_xent_panel *panel, enum reel_xent_operand which,
                        reel_xent_place place, int row)
{
    int64_t element = reel_xent_row_at(panel, which, row) + place.first * job->array[which].step;
    return (char *)job->array[which].data + element * (int64_t)reel_dtype_size(job->array[which].dtype);
}

void reel_xent_load(const reel_xent_job *job, const reel_xent_panel *panel, enum reel_xent_operand which,
                    reel_xent_place place, double filling, double *tile)
{
    int rows = tile_rows(job);
    for (int r = 0; r < rows; r++)
        reel_convert_strided(REEL_F64, tile + r, rows, job->array[which].dtype,
                             tile_start(job, panel, which, place, place.row + r), job->array[which].step,
                             place.classes);
    for (int i = place.classes * rows; i < place.groups * REEL_XENT_ROWS; i++)
        tile[i] = filling;
}

static void tile_apply_fate(const reel_xent_panel *panel, int row, int classes, double *tile, int step)
{
    enum reel_xent_fate fate = panel->fate[row];
    double late = panel->late[row];
    if (fate == REEL_XENT_COUNTS && late == 1)
        return;
    for (int c = 0; c < classes; c++)
        tile[c * step] = fate == REEL_XENT_SPOILT      ? NAN
                         : fate == REEL_XENT_OUT_OF_IT ? 0
                                                       : tile[c * step] * late;
}

void reel_xent_store(const reel_xent_job *job, const reel_xent_panel *panel, reel_xent_place place,
                     double *tile)
{
    int rows = tile_rows(job);
    for (int r = 0; r < rows && r < panel->rows; r++) {
        tile_apply_fate(panel, place.row + r, place.classes, tile + r, rows);
        reel_convert_strided(job->array[REEL_XENT_OUT].dtype,
                             tile_start(job, panel, REEL_XENT_OUT, place, place.row + r),
                             job->array[REEL_XENT_OUT].step, REEL_F64, tile + r, rows, place.classes);
    }
}

void reel_xent_load_labels(const reel_xent_job *job, const reel_xent_panel *panel, reel_xent_place place,
                           double *tile)
{
    if (job->array[REEL_XENT_LABELS].data) {
        reel_xent_load(job, panel, REEL_XENT_LABELS, place, 0, tile);
        return;
    }
    int rows = tile_rows(job);
    memset(tile, 0, (size_t)place.groups * REEL_XENT_ROWS * sizeof *tile);
    for (int r = 0; r < rows; r++) {
        int64_t class = panel->label[place.row + r] - place.first;
        if (class >= 0 && class < place.classes)
            tile[class * rows + r] = 1;
    }
}

#endif
