/* Reel's training kit: what a training program needs around the engine. It is written against reel.h
 * alone, so all of it could have been written by you, and it is a library of its own (-lreel_train).
 *
 * SPDX-License-Identifier: MIT
 *
 * Ownership.  Objects are the caller's own structs; all zeros is the empty object. What they point at
 *   comes from the allocator named in them (NULL: the standard one, as of a tape) and goes back with the
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

enum {
    REEL_IMAGE_SIDE    = 32,                        /* of CIFAR's images and of the drawn ones     */
    REEL_IMAGE_PLANE   = 32 * 32,                   /* bytes of one colour of theirs               */
    REEL_IMAGE_VALUES  = 3 * 32 * 32,               /* bytes of an image of theirs                 */
    REEL_IMAGE_RECORD  = 1 + 3 * 32 * 32,           /* bytes of a label and such an image          */
    REEL_IMAGE_CLASSES = 10,                        /* of CIFAR-10 and of the drawn images         */
    REEL_CLASSES_MOST  = 256,                       /* of any set: a label is a byte               */
    REEL_CLASS_NAME    = 32                         /* bytes of a class name, its 0 included       */
};

/* Images of one size. A record is the label's byte, then the image, one channel after the other and each row
 * by row; for 3 x 32 x 32 that is the record of CIFAR-10's files. */
typedef struct reel_images {
    int64_t  count;
    int      channels, height, width;
    uint8_t *records;                               /* [count, 1 + channels height width]          */
    size_t   bytes;                                 /* held at `records`                           */
} reel_images;

/* Bytes of one image, channels height width, without its label. */
REEL_API int64_t reel_image_values(const reel_images *images);

typedef struct reel_image_data {
    reel_images    train, test;
    reel_images    validation;                      /* empty until something is held out           */
    int            classes;                         /* labels are below this                       */
    char           class_name[REEL_CLASSES_MOST][REEL_CLASS_NAME];
    reel_allocator allocator;                       /* set before it is filled                     */
    void          *allocator_user;
    char           error[REEL_TRAIN_MESSAGE];
} reel_image_data;

/* Reads a folder laid out as cifar-10-batches-bin (Krizhevsky, "Learning multiple layers of features from
 * tiny images", 2009): data_batch_1.bin to data_batch_5.bin, test_batch.bin and batches.meta.txt. A file has
 * as many records as its length says. A file that is missing, empty, a folder or cut inside a record, and a
 * label over 9, are errors that name the file and the place. `io` may be NULL. */
REEL_API bool reel_cifar10_read(reel_image_data *data, const char *directory, const reel_io *io);

/* CIFAR-100's two sets of labels. */
typedef enum reel_cifar100_labels {
    REEL_CIFAR100_FINE,                             /* 100 classes                                 */
    REEL_CIFAR100_COARSE                            /* 20, each of five of those                   */
} reel_cifar100_labels;

/* The same for cifar-100-binary: train.bin and test.bin, whose records begin with a coarse and a fine label,
 * and fine_label_names.txt or coarse_label_names.txt. Where the file of names is missing, a class's name is
 * its number. */
REEL_API bool reel_cifar100_read(reel_image_data *data, const char *directory, reel_cifar100_labels labels,
                                 const reel_io *io);

/* Reads a folder of the four files of MNIST or of a set in its place (Fashion-MNIST, KMNIST), unpacked:
 * train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-images-idx3-ubyte, t10k-labels-idx1-ubyte. A class's
 * name is its number. */
REEL_API bool reel_mnist_read(reel_image_data *data, const char *directory, const reel_io *io);

/* Fills one empty set of `data` (its train, test or validation) from an IDX file of images, u8 [n, height,
 * width] or [n, channels, height, width], and one of labels, u8 [n]. All sets of a data set have images of
 * one size. After an error all of `data` is empty. */
REEL_API bool reel_idx_images_read(reel_image_data *data, reel_images *set, const char *images_path,
                                   const char *labels_path, const reel_io *io);

/* Draws images instead, the same bytes on every machine: one of ten shapes (disc, ring, square, triangle,
 * cross, saltire, bars, posts, checks, crescent) at a random place, size and tilt, in a colour that leans
 * towards one typical of its class but varies a lot, with two small discs as clutter, on a background
 * that shades from one random colour to another, with noise. Image i has label i mod 10 and does not
 * depend on how many are drawn. A linear softmax classifier gets about 55 % of the test images right. */
REEL_API bool reel_shapes_draw(reel_image_data *data, int64_t train, int64_t test, uint64_t seed);

/* Moves `count` training images to the validation set, to choose settings by. Which ones depends on the seed
 * and the number of images alone, any choice being as likely as any other (Fan, Muller and Rezucha, 1962:
 * image i of n is taken with probability (count - taken) / (n - i)); both sets keep their order. False, with
 * nothing changed but the error, where there are not so many, where some are held out already, or where
 * memory is short. */
REEL_API bool reel_images_hold_out(reel_image_data *data, int64_t count, uint64_t seed);

REEL_API void reel_image_data_free(reel_image_data *data);


/* ---- Batches ------------------------------------------------------------------------------------ */

/* x_i = (byte_i - mean[i / run]) scale[i / run], for value i of an image. */
typedef struct reel_standardisation {
    int64_t run;                                    /* values in a row that share a mean and a scale: 1, or
                                                       height width, a channel                     */
    float   mean[REEL_IMAGE_VALUES];
    float   scale[REEL_IMAGE_VALUES];               /* 1 / standard deviation; 1 where that is 0   */
} reel_standardisation;

/* Mean and standard deviation over the images: of each value by itself, or of each channel. Nothing is
 * changed where there are no images. False where the images have more values, or channels, than
 * REEL_IMAGE_VALUES. */
REEL_API bool reel_standardise(reel_standardisation *standardisation, const reel_images *images);
REEL_API bool reel_standardise_channels(reel_standardisation *standardisation, const reel_images *images);

/* Walks a set of images batch by batch: bytes become numbers when a batch is made, not before. Every batch
 * lies in the same memory, so that a tape can wrap it once and replay.
 *
 * Augmentation.  An image is shifted by up to `pad` pixels each way along both axes, all (2 pad + 1)^2 shifts
 *   being equally likely: a crop of the image with a border. What comes in from outside is black: bytes of 0,
 *   before they are standardised. (So does torchvision's RandomCrop(padding=pad), which comes before its
 *   Normalize.) Then it is mirrored, left for right, with probability 1/2. The draw is
 *   Philox(key seed, counter (epoch, image)), so it depends neither on the order of the images nor on the
 *   batch.
 *
 * Prefetch.  While one batch is computed with, a thread of its own makes the next one beside it, and
 *   reel_batches_next() copies that into place. The bits are the same. It pays where a batch takes longer to
 *   make than to copy: with augmentation it does (0.20 ms against 0.10 for 128 images of CIFAR), without it
 *   hardly (0.07). Where the system grants no thread, and in a forked child, batches are made without it. From
 *   reel_batches_shuffle() to the last batch the images must then not be changed. */
typedef struct reel_batches {
    const reel_images          *images;             /* set these before reel_batches_start(); all stay the
                                                       caller's                                    */
    const reel_standardisation *standardisation;    /* NULL: bytes as they are, from 0 to 255      */
    int64_t                     size;               /* images in a batch; the last one may have fewer */
    bool                        drop_last;          /* leave the last one out where it has fewer: a replay cannot
                                                       know that rows behind `count` are old      */
    bool                        flip;               /* mirror                                      */
    int                         pad;                /* shift by as many pixels; 0: not             */
    bool                        prefetch;
    reel_allocator              allocator;
    void                       *allocator_user;

    int64_t  count;                                 /* of the batch at hand, 0 at the end          */
    float   *values;                                /* [count, channels, height, width]            */
    int32_t *labels;                                /* [count]                                     */

    int64_t *order;                                 /* [images->count] which image comes when      */
    int64_t  step;                                  /* the batch that comes next, from 0 on        */
    int64_t  steps;                                 /* batches in an epoch                         */
    uint64_t seed, epoch;                           /* of the last shuffle; 0 before it            */
    bool     shuffled;
    void    *memory;
    size_t   bytes;
    struct reel_batches_maker *maker;
    char     error[REEL_TRAIN_MESSAGE];
} reel_batches;

/* Makes room for the batches; they come in the images' own order. */
REEL_API bool reel_batches_start(reel_batches *batches);

/* Back to the first batch, in an order that depends on seed and epoch alone (Fisher and Yates's shuffle,
 * as Durstenfeld gave it, 1964). */
REEL_API void reel_batches_shuffle(reel_batches *batches, uint64_t seed, uint64_t epoch);

/* Fills in the next batch; false after the last one. */
REEL_API bool reel_batches_next(reel_batches *batches);

/* Back to the first batch, in the same order: for a test set that is walked once an epoch. False, with an error,
 * before reel_batches_start(). */
REEL_API bool reel_batches_restart(reel_batches *batches);

/* Where a walk stands, to be saved with a model: four numbers of 64 bits, an i64 [4] in a file. Taken between
 * two batches, and given to other batches of the same images, size and options, it makes them go on with the
 * batch that would have come next, and the same bits. */
typedef struct reel_batches_position {
    uint64_t seed, epoch;
    int64_t  step;                                  /* batches of the epoch that are done          */
    int64_t  shuffled;                              /* 0: the images' own order                    */
} reel_batches_position;

/* Where an iteration stands: what reel_batches_resume() goes on from. */
REEL_API reel_batches_position reel_batches_tell(const reel_batches *batches);

/* False, with an error and nothing changed, for a step that is not in the epoch. Costs as much as a
 * shuffle. */
REEL_API bool reel_batches_resume(reel_batches *batches, reel_batches_position position);

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

/* A picture with two axes. The title, the labels and the series are the caller's. */
typedef struct reel_plot {
    const char             *title;
    reel_plot_axis          x, y;
    const reel_plot_series *series;
    size_t                  count;
    char                    error[REEL_TRAIN_MESSAGE];
} reel_plot;

/* Writes the file `path` as files of tensors, below, are written. `io` may be NULL. It allocates nothing. */
REEL_API bool reel_plot_svg(reel_plot *plot, const char *path, const reel_io *io);


/* ---- Files of tensors ---------------------------------------------------------------------------- */

/* Files are written beside the old one, synced to the disk and then put in its place, so whatever fails, and
 * even if the power does, the path names a whole file: the old one or the new one. Only regular files are
 * written over. What is read is checked to the last byte before it is believed. Messages name the file and
 * the byte. `io` may be NULL everywhere. */

/* Mapping.  With `map`, an object's data is the file itself, mapped to be read: nothing is copied, and what
 *   is not looked at is not read. Writing to the data ends the process; a file that is cut while it is mapped
 *   ends it when the lost part is read, as the system has it; a file that is changed changes the data. (Files
 *   that Reel writes are put in the old ones' place, so those who mapped an old one keep it.) Data that
 *   cannot lie as it is in memory, since its place in the file is no multiple of its elements' size, or for
 *   its order, is an error that says so. It is released by the same call as memory is. */
typedef struct reel_mapping {
    void  *data;                                    /* the file's first byte; NULL: nothing is mapped */
    size_t bytes;
    int  (*unmap)(void *user, void *memory, size_t bytes);
    void  *user;
} reel_mapping;

typedef struct reel_stored_tensor {
    const char *name;                               /* UTF-8                                       */
    reel_dtype  dtype;
    reel_shape  shape;
    void       *data;                               /* last dimension fastest                      */
    int64_t     count;                              /* elements                                    */
    int64_t     bytes, offset;                      /* in the file's data                          */
} reel_stored_tensor;

typedef struct reel_stored_text {
    const char *key, *value;                        /* UTF-8                                       */
} reel_stored_text;

/* A .safetensors file: named tensors, and metadata. For writing, the arrays are the caller's, and count,
 * bytes and offset of each tensor are set; after reading they belong to the object, sorted by their place in
 * the file (the metadata by key), and the data is aligned to 64. */
typedef struct reel_safetensors {
    reel_stored_tensor *tensor;
    size_t              tensors;
    reel_stored_text   *text;
    size_t              texts;
    bool                map;                        /* read by mapping                             */
    reel_allocator      allocator;                  /* set before it is used                       */
    void               *allocator_user;
    char                error[REEL_TRAIN_MESSAGE];
    reel_mapping        mapping;
    void               *memory[4];                  /* its own                                     */
    size_t              memory_bytes[4];
} reel_safetensors;

/* Reads a file, strictly: anything that the format does not allow is an error. */
REEL_API bool reel_safetensors_read(reel_safetensors *object, const char *path, const reel_io *io);

/* The tensor of that name, and the metadata under that key; NULL where there is none. */
REEL_API reel_stored_tensor *reel_safetensors_find(const reel_safetensors *object, const char *name);
REEL_API const char         *reel_safetensors_text(const reel_safetensors *object, const char *key);

/* Writes the tensors, the wider dtypes first, and the metadata, in the order given. */
REEL_API bool reel_safetensors_write(reel_safetensors *object, const char *path, const reel_io *io);

/* Gives back what was read. What the caller put there stays the caller's. */
REEL_API void reel_safetensors_free(reel_safetensors *object);

/* A .npy file: one array. NumPy has no bf16; it stands there as "V2", two bytes without a meaning, as arrays
 * of ml_dtypes' bfloat16 do. */
typedef struct reel_npy {
    reel_dtype     dtype;
    reel_shape     shape;
    void          *data;                            /* last dimension fastest; after reading it belongs to
                                                       the object, and is aligned to 64            */
    int64_t        count;                           /* elements; set                               */
    bool           map;                             /* read by mapping                             */
    reel_allocator allocator;                       /* set before it is used                       */
    void          *allocator_user;
    char           error[REEL_TRAIN_MESSAGE];
    reel_mapping   mapping;
    void          *memory;                          /* its own                                     */
    size_t         memory_bytes;
} reel_npy;

/* Reads versions 1.0, 2.0 and 3.0, little-endian, in C's or in Fortran's order; writes 1.0, in C's. */
REEL_API bool reel_npy_read(reel_npy *array, const char *path, const reel_io *io);
REEL_API bool reel_npy_write(reel_npy *array, const char *path, const reel_io *io);
REEL_API void reel_npy_free(reel_npy *array);

/* An IDX file, MNIST's format (LeCun, Cortes and Burges): two bytes of 0, a byte for the type, one for the
 * rank, the sizes as 32-bit numbers, the elements; all of it big-endian, last dimension fastest. */
typedef enum reel_idx_type {
    REEL_IDX_U8  = 0x08,
    REEL_IDX_I8  = 0x09,                            /* in memory an i32                            */
    REEL_IDX_I16 = 0x0b,                            /* in memory an i32                            */
    REEL_IDX_I32 = 0x0c,
    REEL_IDX_F32 = 0x0d,
    REEL_IDX_F64 = 0x0e
} reel_idx_type;

typedef struct reel_idx {
    reel_dtype     dtype;                           /* u8, i32, f32 or f64                         */
    reel_idx_type  type;                            /* in the file; for writing, 0: that of the dtype */
    reel_shape     shape;
    void          *data;                            /* as a reel_npy has it                        */
    int64_t        count;                           /* elements; set                               */
    bool           map;                             /* read by mapping: u8 alone                   */
    reel_allocator allocator;                       /* set before it is used                       */
    void          *allocator_user;
    char           error[REEL_TRAIN_MESSAGE];
    reel_mapping   mapping;
    void          *memory;                          /* its own                                     */
    size_t         memory_bytes;
} reel_idx;

/* Ranks 0 to 8. A number that is too large for the type that is written is an error. */
REEL_API bool reel_idx_read(reel_idx *array, const char *path, const reel_io *io);
REEL_API bool reel_idx_write(reel_idx *array, const char *path, const reel_io *io);
REEL_API void reel_idx_free(reel_idx *array);


/* ---- Tables of text ------------------------------------------------------------------------------ */

/* A CSV file (RFC 4180) as numbers: f32 or f64 [rows, columns], and class numbers if one of its columns has
 * names of classes. Lines end in LF or CRLF, the last one perhaps in nothing; empty lines are passed over; a
 * byte order mark at the start too. A field that begins with a quote ends with one, and has delimiters, line
 * ends and doubled quotes inside it. Blanks around a number are no part of it. A number is written with
 * decimal digits, a point and an exponent, whatever the locale, and rounded once to the dtype; nan, inf and
 * infinity stand for themselves. Messages name the file, the line and the column, both from 1 on. */
typedef struct reel_csv {
    reel_dtype  dtype;                              /* f32 or f64; none: f32                       */
    char        delimiter;                          /* 0: a comma                                  */
    bool        header;                             /* the first row has the columns' names        */
    bool        empty_is_nan;                       /* else an empty field is an error             */
    int         label_column;                       /* from 1 on, or from -1 on backwards; 0: none */
    reel_allocator allocator;
    void          *allocator_user;                  /* all up to here is set before it is read     */

    int64_t      rows, columns;                     /* without the header, without the labels      */
    void        *data;                              /* [rows, columns], aligned to 64              */
    int32_t     *labels;                            /* [rows] class numbers; NULL: no label column */
    int64_t      classes;
    const char **class_name;                        /* [classes], in the order of their first rows */
    const char **column_name;                       /* [columns]; NULL: no header                  */
    const char  *label_name;                        /* of the label column; NULL: none             */
    char         error[REEL_TRAIN_MESSAGE];
    void        *memory[6];                         /* its own                                     */
    size_t       memory_bytes[6];
} reel_csv;

/* Reads a table with the options set in it. False, with `error` and nothing to free, where the file is not one. */
REEL_API bool reel_csv_read(reel_csv *table, const char *path, const reel_io *io);
/* Frees what was read; the options stay. */
REEL_API void reel_csv_free(reel_csv *table);


/* ---- Initialisers -------------------------------------------------------------------------------- */

/* Variables on a tape, from its random generator: the same seed and calls give the same numbers. The fans of
 * a weight are the numbers of values that go into one of its outputs, and that one of its inputs goes into:
 *     [in, out], of reel_matmul(x, w)                 in and out
 *     [out, in / groups, k...], of a convolution      in / groups k... and out k..., times the kernel's sizes
 * A weight of another rank has none. */
REEL_API bool reel_fans(reel_shape shape, int64_t *fan_in, int64_t *fan_out);

#define REEL_INIT_(name) REEL_API reel_tensor reel_init_##name##_at(REEL_PLACE, reel_tape *tape,      \
                                                                    reel_shape shape, reel_dtype dtype)

REEL_INIT_(zeros);                                  /* 0 everywhere                                */
#define reel_init_zeros(...)          reel_init_zeros_at(REEL_HERE, __VA_ARGS__)

/* Mean 0; in [-most, most). */
REEL_API reel_tensor reel_init_normal_at(REEL_PLACE, reel_tape *tape, reel_shape shape, reel_dtype dtype,
                                         double deviation);
#define reel_init_normal(...)         reel_init_normal_at(REEL_HERE, __VA_ARGS__)
REEL_API reel_tensor reel_init_uniform_at(REEL_PLACE, reel_tape *tape, reel_shape shape, reel_dtype dtype,
                                          double most);
#define reel_init_uniform(...)        reel_init_uniform_at(REEL_HERE, __VA_ARGS__)

/* Glorot and Bengio, "Understanding the difficulty of training deep feedforward neural networks", 2010:
 * variance 2 / (in + out), for layers before a tanh or a softmax. */
REEL_INIT_(glorot_normal);
#define reel_init_glorot_normal(...)  reel_init_glorot_normal_at(REEL_HERE, __VA_ARGS__)
REEL_INIT_(glorot_uniform);
#define reel_init_glorot_uniform(...) reel_init_glorot_uniform_at(REEL_HERE, __VA_ARGS__)

/* He and others, "Delving deep into rectifiers", 2015: variance 2 / in, for layers before a relu. */
REEL_INIT_(he_normal);
#define reel_init_he_normal(...)      reel_init_he_normal_at(REEL_HERE, __VA_ARGS__)
REEL_INIT_(he_uniform);
#define reel_init_he_uniform(...)     reel_init_he_uniform_at(REEL_HERE, __VA_ARGS__)


/* ---- A model's parameters ------------------------------------------------------------------------ */

enum { REEL_PARAMETER_NAME = 96 };                  /* bytes of a name, its 0 included             */

typedef struct reel_parameter {
    char        name[REEL_PARAMETER_NAME];
    reel_tensor tensor;
    bool        state;                              /* saved and loaded, never trained             */
    bool        frozen;                             /* not trained for now                         */
} reel_parameter;

/* Leaves by name. What is added lies below the marks of the training loop. */
typedef struct reel_parameters {
    reel_parameter *parameter;                      /* [count], in the order in which they were added */
    size_t          count;
    reel_tensors    trained;                        /* those that are neither state nor frozen: the list
                                                       for reel_gradient() and the optimisers      */
    bool            partial;                        /* loading passes over names that the file has not,
                                                       and over those that only the file has       */
    reel_allocator  allocator;                      /* set before anything is added                */
    void           *allocator_user;
    char            error[REEL_TRAIN_MESSAGE];
    reel_tensor    *list;                           /* behind `trained`                            */
    size_t          room;
} reel_parameters;

/* Both return the tensor, and name it on its tape; on failure a failed tensor, the error on the tape too.
 *     reel_tensor w = reel_parameters_add(&model, "hidden.weight", reel_init_he_normal(tape, ...)); */
#define reel_parameters_add(...)       reel_parameters_add_at(REEL_HERE, __VA_ARGS__)
REEL_API reel_tensor reel_parameters_add_at(REEL_PLACE, reel_parameters *parameters, const char *name,
                                            reel_tensor tensor);
#define reel_parameters_add_state(...) reel_parameters_add_state_at(REEL_HERE, __VA_ARGS__)
REEL_API reel_tensor reel_parameters_add_state_at(REEL_PLACE, reel_parameters *parameters, const char *name,
                                                  reel_tensor tensor);

/* The tensor of that name, or REEL_NONE. */
REEL_API reel_tensor reel_parameters_find(const reel_parameters *parameters, const char *name);

/* How many numbers are trained. */
REEL_API int64_t reel_parameters_elements(const reel_parameters *parameters);

/* Freezes, or thaws, all whose names begin so; returns how many they are. */
REEL_API size_t reel_parameters_freeze(reel_parameters *parameters, const char *prefix, bool frozen);

/* A line for each: name, shape, dtype, number of elements. */
REEL_API bool reel_parameters_print(const reel_parameters *parameters, const reel_io *io);

/* All of them, as a .safetensors file. Loading checks that the file has these names and no others, with the
 * same dtypes and shapes, before it writes the first. */
REEL_API bool reel_parameters_save(reel_parameters *parameters, const char *path, const reel_io *io);
REEL_API bool reel_parameters_load(reel_parameters *parameters, const char *path, const reel_io *io);

/* Forgets the names; the tensors are the tape's. */
REEL_API void reel_parameters_free(reel_parameters *parameters);


/* ---- Schedules ------------------------------------------------------------------------------------ */

/* The learning rate of step t, counted from 0. */

/* rate factor^floor(t / every). */
REEL_API double reel_schedule_step(double rate, double factor, int64_t every, int64_t t);

/* For t < warm_up:  rate (t + 1) / warm_up;  then, with p = (t - warm_up) / (steps - warm_up), at most 1,
 * least + (rate - least) (1 + cos(pi p)) / 2   (Loshchilov and Hutter, "SGDR", 2017). */
REEL_API double reel_schedule_cosine(double rate, double least, int64_t warm_up, int64_t steps, int64_t t);

/* From rate / 25 up to `rate` at step 0.3 steps - 1, and down to rate / 250,000 at step steps - 1, both along
 * half a cosine (Smith and Topin, "Super-convergence", 2018, in PyTorch's form). */
REEL_API double reel_schedule_one_cycle(double rate, int64_t steps, int64_t t);

/* One of the rates above, chosen by data: the members that the kind has are set. */
typedef enum reel_schedule_kind {
    REEL_SCHEDULE_CONSTANT,
    REEL_SCHEDULE_STEP,
    REEL_SCHEDULE_COSINE,
    REEL_SCHEDULE_ONE_CYCLE
} reel_schedule_kind;

typedef struct reel_schedule {
    reel_schedule_kind kind;
    double             rate;
    int64_t            steps;                       /* of all the training: cosine, one-cycle      */
    int64_t            warm_up;                     /* cosine                                      */
    double             least;                       /* cosine                                      */
    int64_t            every;                       /* step                                        */
    double             factor;                      /* step                                        */
} reel_schedule;

/* The rate of step t. */
REEL_API double reel_schedule_rate(const reel_schedule *schedule, int64_t t);

/* The same, written into the tensor that the optimiser reads. */
REEL_API bool reel_schedule_write(const reel_schedule *schedule, int64_t t, reel_tensor learning_rate);


/* ---- Progress ------------------------------------------------------------------------------------ */

/* What a terminal can do. All zeros: it is none. */
typedef struct reel_terminal {
    int  columns;                                   /* its width; 0: not a terminal                */
    bool utf8, colour;
    bool window;                                    /* its width is asked of `file` again and again */
    int  file;
} reel_terminal;

/* Asks the system and the environment about the file 1 or 2: COLUMNS goes before the window's width, 80
 * stands for what neither tells; NO_COLOR (no-color.org), where it is not empty, turns colours off; LC_ALL,
 * LC_CTYPE or LANG tell of UTF-8. Where TERM is missing or "dumb", it is as good as no terminal. */
REEL_API reel_terminal reel_terminal_of(int file);

/* Takes on the window's width of now, where it is to be asked. */
REEL_API void reel_terminal_follow(reel_terminal *terminal);

/* How far a training is. On a terminal a line is drawn over and over, at most ten times a second and at the
 * end of an epoch; on anything else there is a line for each epoch, which a terminal keeps too:
 *     epoch  3/20  [=====>          ]  step  30/79  loss 1.7312  accuracy 0.412  12345 images/s  1:23 left
 *     epoch  3/20  loss 1.731234  accuracy 0.412  12345 images/s  1:21 left  NOTE
 * Where the line is too long for the terminal, parts of it are left out. Nothing is allocated.
 *     reel_progress progress = {.epochs = 20, .steps = 79, .file = 2, .terminal = reel_terminal_of(2)}; */
typedef struct reel_progress {
    int64_t        epochs;                          /* set these before reel_progress_start()      */
    int64_t        steps;                           /* of an epoch; 0: not known, there is no bar  */
    int64_t        epoch;                           /* that runs, from 0 on: another where resumed */
    int            file;                            /* of the table: 1 or 2                        */
    reel_terminal  terminal;
    const reel_io *io;                              /* NULL: the standard table                    */
    double       (*now)(void *user);                /* seconds; NULL: the monotonic clock          */
    void          *now_user;

    double  loss, accuracy;                         /* means of the epoch, as drawn last           */
    double  images_per_second, seconds_left;        /* NaN: not known yet                          */
    double  seconds;                                /* since the start                             */
    char    error[REEL_TRAIN_MESSAGE];

    int64_t first_epoch, step, images, correct, unjudged;   /* its own                             */
    double  loss_sum, started, epoch_started, drawn;
    bool    on_line;
} reel_progress;

/* All return false where the text cannot be written; a training can go on all the same. */
REEL_API bool reel_progress_start(reel_progress *progress);

/* A step is done: the images in its batch, the mean of their losses, and how many of them were classified
 * correctly; negative: not known, and no accuracy is shown for this epoch. */
REEL_API bool reel_progress_step(reel_progress *progress, int64_t images, double loss, int64_t correct);

/* The epoch is done. The note, which may be NULL, ends its line. */
REEL_API bool reel_progress_epoch(reel_progress *progress, const char *note);

/* Ends a line that is being drawn, so that other text can follow. A later step goes on. */
REEL_API bool reel_progress_stop(reel_progress *progress);


/* ---- Logs ---------------------------------------------------------------------------------------- */

/* Whether a file can be written there, found out by making one beside it, as all files here are written, and
 * removing it again: its folder is there and can be written to, and nothing but a regular file is in its
 * place. `io` may be NULL. */
REEL_API bool reel_writable(const char *path, const reel_io *io, char error[REEL_TRAIN_MESSAGE]);

/* Numbers as comma-separated values (RFC 4180, lines end with "\n"): a line of names, then a row a call,
 * which the system has when the call returns. Numbers have the fewest digits that read back as the same
 * double.
 *
 * Resuming: set `from` to what the first column, which then holds whole numbers, goes on with. The old file's
 * rows below it are kept, a last row that was cut is not; its columns must be the same. */
typedef struct reel_log {
    const char *const *column;                      /* [columns] set these before reel_log_open(); they
                                                       outlive the log, as its path does           */
    size_t             columns;
    int64_t            from;                        /* 0 or less: a new log, in the old one's place */
    reel_allocator     allocator;
    void              *allocator_user;
    int64_t            rows;                        /* in the file                                 */
    char               error[REEL_TRAIN_MESSAGE];
    struct reel_file  *file;                        /* its own; NULL: not open                     */
} reel_log;

/* `io` may be NULL. */
REEL_API bool reel_log_open(reel_log *log, const char *path, const reel_io *io);

/* A row of `count` numbers, one a column. Where it cannot be written whole, the log is closed, and every
 * later call returns false and leaves the error.
 *     reel_log_row(&log, REEL_ROW(epoch, loss, accuracy)); */
REEL_API bool reel_log_row(reel_log *log, const double *values, size_t count);
#define REEL_ROW(...)                                                                                \
    (const double[]){__VA_ARGS__}, sizeof((const double[]){__VA_ARGS__}) / sizeof(double)

/* Syncs to the disk and closes. False where that fails, or a row has failed before. */
REEL_API bool reel_log_close(reel_log *log);


/* ---- Right and wrong ----------------------------------------------------------------------------- */

/* The class of the largest of the `classes` logits, the first one of several; -1 where one of them is NaN. */
REEL_API int32_t reel_predicted(const float *logits, int64_t classes);

/* How often each class was taken for which. Rows that have no prediction, because of a NaN, count as wrong
 * and have a column of their own, the last one. */
typedef struct reel_confusion {
    int64_t            classes;                     /* set these before it is used                 */
    int64_t           *count;                       /* [classes, classes + 1] true class, predicted; the
                                                       caller's, zeros at the start                */
    const char *const *names;                       /* [classes] for the picture; NULL: numbers    */
    const char        *title;
    char               error[REEL_TRAIN_MESSAGE];
} reel_confusion;

/* Adds rows: logits [rows, classes], labels [rows]; rows whose label is no class are passed over. Returns how
 * many were right. */
REEL_API int64_t reel_confusion_add(reel_confusion *confusion, const float *logits, const int32_t *labels,
                                    int64_t rows);

/* The right ones as a part of all; NaN where there are none at all. */
REEL_API double reel_confusion_accuracy(const reel_confusion *confusion);

/* A heat map with the counts, each row shaded by its shares; recall at its right, precision below it. At most
 * 1000 classes. `io` may be NULL. */
REEL_API bool reel_confusion_svg(reel_confusion *confusion, const char *path, const reel_io *io);


/* ---- Pictures ------------------------------------------------------------------------------------ */

enum { REEL_PICTURE_SIDE = 1000000 };               /* pixels, at most                             */

typedef struct reel_picture {
    int64_t        width, height;
    int            channels;                        /* 1: grey; 3: red, green and blue             */
    uint8_t       *pixels;                          /* [height, width, channels]                   */
    reel_allocator allocator;                       /* set before it is filled                     */
    void          *allocator_user;
    char           error[REEL_TRAIN_MESSAGE];
    size_t         bytes;                           /* held at `pixels`; 0: they are the caller's  */
} reel_picture;

/* A new picture, all of one value. */
REEL_API bool reel_picture_make(reel_picture *picture, int64_t width, int64_t height, int channels,
                                uint8_t value);

/* Writes a PNG file. Where the library was built without libpng, that is the error. `io` may be NULL. */
REEL_API bool reel_png_write(reel_picture *picture, const char *path, const reel_io *io);

REEL_API void reel_picture_free(reel_picture *picture);

/* Planar images, one channel after the other and each row by row. Those of a reel_images are
 *     {.data = images.records + 1, .stride = REEL_IMAGE_RECORD, .count = images.count,
 *      .channels = 3, .height = REEL_IMAGE_SIDE, .width = REEL_IMAGE_SIDE} */
typedef struct reel_planes {
    const uint8_t *data;                            /* [count, channels, height, width]            */
    int64_t        count;
    int64_t        stride;                          /* bytes from image to image; 0: no gaps       */
    int            channels;                        /* 1 or 3                                      */
    int64_t        height, width;
} reel_planes;

/* How images are laid out side by side, on white. */
typedef struct reel_sheet {
    int64_t columns;                                /* 0: as many as rows                          */
    int64_t magnify;                                /* pixels become squares of this side, at most 64;
                                                       0 stands for 1                              */
    int64_t gap;                                    /* white pixels between images and around them */
} reel_sheet;

/* A contact sheet of the images `which` [count]; NULL: the first `count`. `sheet` may be NULL. */
REEL_API bool reel_draw_images(reel_picture *picture, const reel_planes *images, const int64_t *which,
                               int64_t count, const reel_sheet *sheet);

/* The templates of a linear model x W: column c of the weights as an image. Each is scaled by its own largest
 * |w|: -|w| is 0, 0 is 128, |w| is 255; NaN too is 128. */
typedef struct reel_templates {
    const float       *weights;                     /* [channels height width, classes]            */
    int64_t            classes;
    int                channels;                    /* 1 or 3                                      */
    int64_t            height, width;
    const char *const *names;                       /* [classes] for the SVG; NULL: numbers        */
    const char        *title;
    reel_allocator     allocator;
    void              *allocator_user;
    char               error[REEL_TRAIN_MESSAGE];
} reel_templates;

/* A contact sheet of them. `sheet` may be NULL. */
REEL_API bool reel_draw_templates(reel_picture *picture, const reel_templates *templates,
                                  const reel_sheet *sheet);

/* The same with their names, as SVG with PNG inside: it needs libpng as reel_png_write() does. `io` may be
 * NULL. */
REEL_API bool reel_templates_svg(reel_templates *templates, const char *path, const reel_io *io);

/* The worst mistakes: of the rows that were classified wrongly those with the highest cross-entropy. */
enum { REEL_MISTAKES = 100 };                       /* at most                                     */

typedef struct reel_mistake {
    int64_t image;
    int32_t label, predicted;                       /* predicted -1: none, a logit was NaN         */
    double  loss, probability;                      /* of the true class; of the predicted one, 0 where
                                                       the logits have none                        */
} reel_mistake;

typedef struct reel_mistakes {
    int64_t            classes;                     /* set these before it is used                 */
    size_t             most;                        /* 0 stands for 24                             */
    const char *const *names;                       /* [classes] for the picture; NULL: numbers    */
    const char        *title;
    reel_allocator     allocator;
    void              *allocator_user;
    size_t             count;
    reel_mistake       worst[REEL_MISTAKES];        /* [count], the worst first                    */
    char               error[REEL_TRAIN_MESSAGE];
} reel_mistakes;

/* Adds rows: logits [rows, classes], labels [rows], of the images from number `first` on. Rows whose label is
 * no class are passed over. */
REEL_API void reel_mistakes_add(reel_mistakes *mistakes, const float *logits, const int32_t *labels,
                                int64_t rows, int64_t first);

/* A contact sheet of them, out of the images that they are numbers of, with what each was taken for and what
 * it is. It needs libpng as reel_png_write() does. `io` may be NULL. */
REEL_API bool reel_mistakes_svg(reel_mistakes *mistakes, const reel_planes *images, const char *path,
                                const reel_io *io);

#ifdef __cplusplus
}
#endif
#endif
