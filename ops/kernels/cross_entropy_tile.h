/* Tiles: a few classes of a panel's rows as doubles, eight to a group.
 *
 *     across    group k holds class k of all eight rows
 *     along     group k holds classes 8 k ... 8 k + 7 of one row
 */
#ifndef REEL_OPS_KERNELS_CROSS_ENTROPY_TILE_H
#define REEL_OPS_KERNELS_CROSS_ENTROPY_TILE_H

#include "ops/kernels/cross_entropy_rows.h"

/* What a level has no way of its own for, so that the library stays small. AVX-512 goes through tiles as AVX2 does, with
 * the same bits. A level that is built for size, as the baseline is on x86-64 for CPUs without AVX2, has one way for each
 * thing: it takes rows of f64 through tiles, too, and computes all that goes there as it does f64. */
#define XENT_TILES (REEL_AT_LEVEL(REEL_BYTES) != 64)
#ifdef __OPTIMIZE_SIZE__
#define XENT_ONE_WAY 1
#else
#define XENT_ONE_WAY 0
#endif

enum { REEL_XENT_TILE = 256 };

/* Which numbers of the panel are in a tile. */
typedef struct reel_xent_place {
    int     row;                                    /* along: the row                              */
    int64_t first;                                  /* class                                       */
    int     classes, groups;
} reel_xent_place;

/* The first tile, and the next one; false behind the last class. */
reel_xent_place reel_xent_first(const reel_xent_job *job, int row);
bool            reel_xent_next(const reel_xent_job *job, reel_xent_place *place);

/* Reads an operand. Along, the last group is filled up with `filling`. */
void reel_xent_load(const reel_xent_job *job, const reel_xent_panel *panel, enum reel_xent_operand which,
                    reel_xent_place place, double filling, double *tile);

/* Writes the output; rows that do not count get 0 or NaN. */
void reel_xent_store(const reel_xent_job *job, const reel_xent_panel *panel, reel_xent_place place,
                     double *tile);

/* The labels as they stand: of the labels array, or a 1 at the label and 0 elsewhere. */
void reel_xent_load_labels(const reel_xent_job *job, const reel_xent_panel *panel, reel_xent_place place,
                           double *tile);

#endif
