/* Pictures in memory, and PNG for whoever takes its bytes. */
#ifndef REEL_TRAIN_PICTURE_H
#define REEL_TRAIN_PICTURE_H

#include "train/train.h"

/* Hands the picture as PNG to `put`, piece by piece; where that returns false, it has left its own error. */
bool reel_png_encode(reel_picture *picture, bool (*put)(void *user, const void *bytes, size_t count),
                     void *user);

/* Where the tiles of a sheet lie. */
typedef struct reel_grid {
    int64_t columns, magnify, gap;
    int64_t width, height;                          /* of a tile, before it is magnified; set these */
} reel_grid;

/* Whether images can be of that size. */
bool reel_grid_takes(reel_picture *picture, int channels, int64_t height, int64_t width);

/* Makes a picture for so many tiles; `sheet` may be NULL. */
bool reel_grid_make(reel_picture *picture, reel_grid *grid, const reel_sheet *sheet, int64_t count,
                    int channels);

/* Pixel `at` of a tile, counted row by row: a square of magnify x magnify pixels. */
void reel_grid_dot(reel_picture *picture, const reel_grid *grid, int64_t tile, int64_t at, int channel,
                   uint8_t value);

/* Whether the images can be drawn; else an error in the picture. */
bool reel_planes_check(reel_picture *picture, const reel_planes *images);

/* Draws image number `index`, alone and in its size, into the picture, which is of that size. */
void reel_planes_draw(reel_picture *picture, const reel_planes *images, int64_t index);

#endif
