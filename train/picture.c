/* Pictures in memory, and contact sheets of images. */
#include "train/picture.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { PICTURE_MAGNIFY = 64 };

void reel_picture_free(reel_picture *picture)
{
    if (picture->bytes > 0)
        reel_train_release(picture->allocator, picture->allocator_user, picture->pixels, picture->bytes);
    *picture = (reel_picture){.allocator = picture->allocator, .allocator_user = picture->allocator_user};
}

/* Leaves the picture empty. */
__attribute__((format(printf, 2, 3)))
static bool picture_refuse(reel_picture *picture, const char *format, ...)
{
    reel_picture_free(picture);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(picture->error, sizeof picture->error, format, arguments);
    va_end(arguments);
    return false;
}

bool reel_picture_make(reel_picture *picture, int64_t width, int64_t height, int channels, uint8_t value)
{
    reel_picture_free(picture);
    if (width < 1 || height < 1 || width > REEL_PICTURE_SIDE || height > REEL_PICTURE_SIDE ||
        (channels != 1 && channels != 3))
        return picture_refuse(picture,
                              "picture: %lld x %lld pixels of %d channels; it takes 1 to %d, and 1 or 3",
                              (long long)width, (long long)height, channels, REEL_PICTURE_SIDE);
    size_t bytes = (size_t)width * (size_t)height * (size_t)channels;
    picture->pixels = reel_train_resize(picture->allocator, picture->allocator_user, NULL, 0, bytes);
    if (!picture->pixels)
        return picture_refuse(picture, "picture: no memory for %zu bytes", bytes);
    memset(picture->pixels, value, bytes);
    picture->width = width;
    picture->height = height;
    picture->channels = channels;
    picture->bytes = bytes;
    return true;
}


/* ---- Sheets -------------------------------------------------------------------------------------- */

bool reel_grid_takes(reel_picture *picture, int channels, int64_t height, int64_t width)
{
    bool good = (channels == 1 || channels == 3) && height > 0 && width > 0 && height <= REEL_PICTURE_SIDE &&
                width <= REEL_PICTURE_SIDE;
    return good || picture_refuse(picture, "picture: images of %d channels, %lld high and %lld wide",
                                  channels, (long long)height, (long long)width);
}

bool reel_grid_make(reel_picture *picture, reel_grid *grid, const reel_sheet *sheet, int64_t count,
                    int channels)
{
    static const reel_sheet usual = {0};
    sheet = sheet ? sheet : &usual;
    grid->columns = sheet->columns > 0 ? sheet->columns : (int64_t)ceil(sqrt((double)count));
    grid->columns = grid->columns < count ? grid->columns : count;
    grid->magnify = sheet->magnify > 0 ? sheet->magnify : 1;
    grid->gap = sheet->gap;
    if (count < 1 || count > REEL_PICTURE_SIDE || grid->magnify > PICTURE_MAGNIFY || grid->gap < 0 ||
        grid->gap > REEL_PICTURE_SIDE)
        return picture_refuse(picture, "picture: a sheet of %lld images, magnified %lld times, %lld apart",
                              (long long)count, (long long)grid->magnify, (long long)grid->gap);
    int64_t rows = (count + grid->columns - 1) / grid->columns;
    return reel_picture_make(picture, grid->columns * (grid->width * grid->magnify + grid->gap) + grid->gap,
                             rows * (grid->height * grid->magnify + grid->gap) + grid->gap, channels, 255);
}

void reel_grid_dot(reel_picture *picture, const reel_grid *grid, int64_t tile, int64_t at, int channel,
                   uint8_t value)
{
    int64_t m = grid->magnify, x0 = tile % grid->columns * (grid->width * m + grid->gap) + grid->gap;
    int64_t y0 = tile / grid->columns * (grid->height * m + grid->gap) + grid->gap;
    x0 += at % grid->width * m;
    y0 += at / grid->width * m;
    for (int64_t y = y0; y < y0 + m; y++)
        for (int64_t x = x0; x < x0 + m; x++)
            picture->pixels[(y * picture->width + x) * picture->channels + channel] = value;
}


/* ---- Images -------------------------------------------------------------------------------------- */

bool reel_planes_check(reel_picture *picture, const reel_planes *images)
{
    return reel_grid_takes(picture, images->channels, images->height, images->width);
}

static void picture_image(reel_picture *picture, const reel_grid *grid, int64_t tile,
                          const reel_planes *images, int64_t index)
{
    int64_t plane = images->height * images->width;
    int64_t stride = images->stride > 0 ? images->stride : images->channels * plane;
    for (int channel = 0; channel < images->channels; channel++)
        for (int64_t at = 0; at < plane; at++)
            reel_grid_dot(picture, grid, tile, at, channel,
                        images->data[index * stride + channel * plane + at]);
}

void reel_planes_draw(reel_picture *picture, const reel_planes *images, int64_t index)
{
    reel_grid grid = {.columns = 1, .magnify = 1, .width = images->width, .height = images->height};
    picture_image(picture, &grid, 0, images, index);
}

bool reel_draw_images(reel_picture *picture, const reel_planes *images, const int64_t *which, int64_t count,
                      const reel_sheet *sheet)
{
    reel_grid grid = {.width = images->width, .height = images->height};
    if (!reel_planes_check(picture, images))
        return false;
    for (int64_t i = 0; i < count; i++) {
        int64_t index = which ? which[i] : i;
        if (index < 0 || index >= images->count)
            return picture_refuse(picture, "picture: image %lld of %lld", (long long)index,
                                  (long long)images->count);
    }
    if (!reel_grid_make(picture, &grid, sheet, count, images->channels))
        return false;
    for (int64_t i = 0; i < count; i++)
        picture_image(picture, &grid, i, images, which ? which[i] : i);
    return true;
}
