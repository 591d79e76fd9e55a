/* Reel's training kit: what a training program needs around the engine. It is written against reel.h
 * alone, so all of it could have been written by you.
 *
 * SPDX-License-Identifier: MIT
 *
 * Ownership.  Objects are the caller's own structs; all zeros is the empty object. What they point at
 *   comes from the allocator named in them (NULL: malloc, realloc and free) and goes back with the
 *   object's free function, which leaves it empty.
 *
 * Errors.  A function that can fail returns false and leaves one line in the object's `error`; the
 *   object is then empty and can be used again.
 */
#ifndef REEL_TRAIN_H
#define REEL_TRAIN_H

#include <reel.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { REEL_TRAIN_MESSAGE = 512 };                  /* bytes of an error line, its 0 included      */


/* ---- Images ------------------------------------------------------------------------------------- */

/* CIFAR-10's record (Krizhevsky, "Learning multiple layers of features from tiny images", 2009): the
 * label's byte, then 32 x 32 bytes of red, as many of green and as many of blue, row by row. */
enum {
    REEL_IMAGE_SIDE    = 32,
    REEL_IMAGE_PLANE   = 32 * 32,                   /* bytes of one colour                         */
    REEL_IMAGE_VALUES  = 3 * 32 * 32,               /* bytes of an image                           */
    REEL_IMAGE_RECORD  = 1 + 3 * 32 * 32,           /* bytes of a label and its image              */
    REEL_IMAGE_CLASSES = 10,
    REEL_CLASS_NAME    = 32                         /* bytes of a class name, its 0 included       */
};

typedef struct reel_images {
    int64_t  count;
    uint8_t *records;                               /* [count, REEL_IMAGE_RECORD]                  */
    size_t   bytes;                                 /* held at `records`                           */
} reel_images;

typedef struct reel_image_data {
    reel_images    train, test;
    char           class_name[REEL_IMAGE_CLASSES][REEL_CLASS_NAME];
    reel_allocator allocator;                       /* set before it is filled                     */
    void          *allocator_user;
    char           error[REEL_TRAIN_MESSAGE];
} reel_image_data;

/* Reads a folder laid out as cifar-10-batches-bin: data_batch_1.bin to data_batch_5.bin, test_batch.bin
 * and batches.meta.txt. A file has as many records as its length says. A file that is missing, empty, a
 * directory or cut inside a record, and a label over 9, are errors that name the file and the place.
 * `io` may be NULL. */
REEL_API bool reel_cifar10_read(reel_image_data *data, const char *directory, const reel_io *io);

/* Draws images instead, the same bytes on every machine: one of ten shapes (disc, ring, square, triangle,
 * cross, saltire, bars, posts, checks, crescent) at a random place, size and tilt, in a colour that leans
 * towards one typical of its class but varies a lot, with two small discs as clutter, on a background
 * that shades from one random colour to another, with noise. Image i has label i mod 10 and does not
 * depend on how many are drawn. A linear softmax classifier gets about 55 % of the test images right. */
REEL_API bool reel_shapes_draw(reel_image_data *data, int64_t train, int64_t test, uint64_t seed);

REEL_API void reel_image_data_free(reel_image_data *data);


/* ---- Batches ------------------------------------------------------------------------------------ */

/* x = (byte - mean) scale, for each of an image's values. */
typedef struct reel_standardisation {
    float mean[REEL_IMAGE_VALUES];
    float scale[REEL_IMAGE_VALUES];                 /* 1 / standard deviation; 1 where that is 0   */
} reel_standardisation;

/* Mean and standard deviation of each value over the images; nothing where there are none. */
REEL_API void reel_standardise(reel_standardisation *standardisation, const reel_images *images);

/* Walks a set of images batch by batch. Every batch lies in the same memory, so that a tape can wrap it
 * once and replay. */
typedef struct reel_batches {
    const reel_images          *images;             /* set these before reel_batches_start()       */
    const reel_standardisation *standardisation;    /* NULL: bytes as they are, from 0 to 255      */
    int64_t                     size;               /* images in a batch; the last one may have fewer */
    reel_allocator              allocator;
    void                       *allocator_user;

    int64_t  count;                                 /* of the batch at hand, 0 at the end          */
    float   *values;                                /* [count, REEL_IMAGE_VALUES]                  */
    int32_t *labels;                                /* [count]                                     */

    int64_t *order;                                 /* [images->count] which image comes when      */
    int64_t  next;                                  /* index into `order`                          */
    void    *memory;
    size_t   bytes;
    char     error[REEL_TRAIN_MESSAGE];
} reel_batches;

/* Makes room for the batches; they come in the images' own order. */
REEL_API bool reel_batches_start(reel_batches *batches);

/* Back to the first batch, in an order that depends on seed and epoch alone (Fisher and Yates's shuffle,
 * as Durstenfeld gave it, 1964). */
REEL_API void reel_batches_shuffle(reel_batches *batches, uint64_t seed, uint64_t epoch);

/* Fills in the next batch; false after the last one. */
REEL_API bool reel_batches_next(reel_batches *batches);

REEL_API void reel_batches_free(reel_batches *batches);


/* ---- Plots -------------------------------------------------------------------------------------- */

/* Curves and dots on two axes, written as an SVG file. */
typedef enum reel_plot_style {
    REEL_PLOT_LINE,
    REEL_PLOT_DASHES,
    REEL_PLOT_DOTS,
    REEL_PLOT_LINE_AND_DOTS
} reel_plot_style;

/* Points that are not finite, or not above 0 on a logarithmic axis, are left out, and a line is broken there. */
typedef struct reel_plot_series {
    const char     *name;                           /* in the legend; NULL: not in it              */
    const double   *x, *y;                          /* [count]                                     */
    size_t          count;
    reel_plot_style style;
    int             colour;                         /* 1 to 8; 0: the next one                     */
} reel_plot_series;

typedef struct reel_plot_axis {
    const char        *label;
    bool               logarithmic;
    double             low, high;                   /* both 0: from the data                       */
    const char *const *names;                       /* instead of numbers, at 0, 1, 2, ...         */
    size_t             name_count;
} reel_plot_axis;

typedef struct reel_plot {
    const char             *title;
    reel_plot_axis          x, y;
    const reel_plot_series *series;
    size_t                  count;
    char                    error[REEL_TRAIN_MESSAGE];
} reel_plot;

/* Writes the file `path`. `io` may be NULL. It allocates nothing. */
REEL_API bool reel_plot_svg(reel_plot *plot, const char *path, const reel_io *io);

#ifdef __cplusplus
}
#endif
#endif
