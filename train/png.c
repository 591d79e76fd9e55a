/* PNG (W3C, "Portable Network Graphics", third edition, 2025), by libpng.
 *
 * libpng tells of an error by a long jump. All that lives across it is in the job; its memory comes from the
 * picture's allocator, with the size, which that wants back, in front of each block. */
#include "train/file.h"
#include "train/picture.h"

#ifndef REEL_WITHOUT_PNG
#include <png.h>
#include <setjmp.h>

enum { PNGFILE_FRONT = 64 };                        /* bytes before a block, so that it stays aligned */

typedef struct pngfile_job {
    reel_picture *picture;
    bool        (*put)(void *user, const void *bytes, size_t count);
    void         *user;
} pngfile_job;

static void *pngfile_allocate(png_structp png, png_alloc_size_t size)
{
    const reel_picture *picture = png_get_mem_ptr(png);
    size_t *block =
        reel_train_resize(picture->allocator, picture->allocator_user, NULL, 0, size + PNGFILE_FRONT);
    if (!block)
        return NULL;
    *block = size + PNGFILE_FRONT;
    return (char *)block + PNGFILE_FRONT;
}

static void pngfile_free(png_structp png, void *memory)
{
    const reel_picture *picture = png_get_mem_ptr(png);
    size_t *block = memory ? (size_t *)((char *)memory - PNGFILE_FRONT) : NULL;
    reel_train_release(picture->allocator, picture->allocator_user, block, block ? *block : 0);
}

static void pngfile_error(png_structp png, const char *message)
{
    reel_picture *picture = png_get_error_ptr(png);
    reel_train_fail(picture->error, "png: %s", message);
    png_longjmp(png, 1);
}

static void pngfile_warning(png_structp png, const char *message)
{
    (void)png;
    (void)message;
}

static void pngfile_put(png_structp png, unsigned char *bytes, size_t count)
{
    const pngfile_job *job = png_get_io_ptr(png);
    if (!job->put(job->user, bytes, count))
        png_longjmp(png, 1);
}

static void pngfile_flush(png_structp png)
{
    (void)png;
}

static bool pngfile_write(png_structp png, png_infop info, pngfile_job *job)
{
    const reel_picture *picture = job->picture;
    size_t row = (size_t)picture->width * (size_t)picture->channels;
    if (setjmp(png_jmpbuf(png)))
        return false;
    png_set_write_fn(png, job, pngfile_put, pngfile_flush);
    png_set_IHDR(png, info, (png_uint_32)picture->width, (png_uint_32)picture->height, 8,
                 picture->channels == 1 ? PNG_COLOR_TYPE_GRAY : PNG_COLOR_TYPE_RGB, PNG_INTERLACE_NONE,
                 PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
    png_write_info(png, info);
    for (int64_t y = 0; y < picture->height; y++)
        png_write_row(png, picture->pixels + (size_t)y * row);
    png_write_end(png, info);
    return true;
}

bool reel_png_encode(reel_picture *picture, bool (*put)(void *user, const void *bytes, size_t count),
                     void *user)
{
    pngfile_job job = {picture, put, user};
    bool good = false;
    png_structp png =
        png_create_write_struct_2(PNG_LIBPNG_VER_STRING, picture, pngfile_error, pngfile_warning, picture,
                                  pngfile_allocate, pngfile_free);
    png_infop info = png ? png_create_info_struct(png) : NULL;
    if (info)
        good = pngfile_write(png, info, &job);
    else
        reel_train_fail(picture->error, "png: no memory");
    png_destroy_write_struct(&png, &info);
    return good;
}

#else

bool reel_png_encode(reel_picture *picture, bool (*put)(void *user, const void *bytes, size_t count),
                     void *user)
{
    (void)put;
    (void)user;
    return reel_train_fail(picture->error, "png: this library was built without libpng");
}

#endif

static bool pngfile_put_file(void *user, const void *bytes, size_t count)
{
    return reel_file_put(user, bytes, count);
}

bool reel_png_write(reel_picture *picture, const char *path, const reel_io *io)
{
    reel_file file;
    bool sized = picture->width > 0 && picture->width <= REEL_PICTURE_SIDE && picture->height > 0 &&
                 picture->height <= REEL_PICTURE_SIDE;
    if (!path || !sized || !picture->pixels || (picture->channels != 1 && picture->channels != 3))
        return reel_train_fail(picture->error, "png: %s",
                               path ? "the picture is empty, or neither grey nor RGB" : "no path");
    return reel_file_create(&file, path, io, picture->error) &&
           reel_file_finish(&file, reel_png_encode(picture, pngfile_put_file, &file));
}
