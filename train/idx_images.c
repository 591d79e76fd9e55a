/* Images and their labels from two IDX files, and MNIST's four. */
#include "train/idx.h"
#include "train/images.h"

#include <stdio.h>
#include <string.h>

enum { IDX_IMAGES_LABELS = 4096 };

/* A set of this kind is passed around packed. Only its unpacked form is read, and the message says so. */
static bool idx_images_open(reel_file *file, const char *path, const reel_io *io,
                            char error[REEL_TRAIN_MESSAGE])
{
    char packed[REEL_FILE_PATH], other[REEL_TRAIN_MESSAGE];
    reel_file gz;
    if (reel_file_open(file, path, io, error))
        return true;
    int length = snprintf(packed, sizeof packed, "%s.gz", path);
    if (length >= 0 && (size_t)length < sizeof packed && reel_file_open(&gz, packed, io, other)) {
        reel_file_close(&gz);
        reel_file_fail(file, -1, "is there only compressed, with .gz, which is not read; unpack it first");
    }
    return false;
}

/* [n, height, width] or [n, channels, height, width]; all sets of one size. */
static bool idx_images_sizes(const reel_file *file, const reel_image_data *data, reel_idx_type type,
                             const reel_shape *shape, reel_images *images)
{
    const reel_images *other[] = {&data->train, &data->test, &data->validation};
    int64_t channels = shape->rank == 4 ? shape->size[1] : 1, values = 0;
    int64_t height = shape->size[shape->rank == 4 ? 2 : 1], width = shape->size[shape->rank == 4 ? 3 : 2];
    if (type != REEL_IDX_U8 || (shape->rank != 3 && shape->rank != 4))
        return reel_file_fail(file, 2, "not images: neither u8 [n, height, width] nor u8 [n, channels, "
                              "height, width]");
    if (__builtin_mul_overflow(height, width, &values) || __builtin_mul_overflow(values, channels, &values) ||
        values < 1 || values > INT32_MAX)
        return reel_file_fail(file, 8, "images of %lld x %lld x %lld", (long long)channels, (long long)height,
                              (long long)width);
    *images = (reel_images){0, (int)channels, (int)height, (int)width, NULL, 0};
    for (int i = 0; i < 3; i++)
        if (other[i]->count > 0 && (other[i]->channels != channels || other[i]->height != height ||
                                    other[i]->width != width))
            return reel_file_fail(file, 8, "images of %lld x %lld x %lld, where the others are %d x %d x %d",
                                  (long long)channels, (long long)height, (long long)width,
                                  other[i]->channels, other[i]->height, other[i]->width);
    return true;
}

/* They are read to the end of the memory and then moved, the first one first, each to its record: record i
 * ends before image i + 1 begins. */
static bool idx_images_take(reel_image_data *data, reel_images *images, reel_file *file, int64_t count)
{
    const size_t values = (size_t)reel_image_values(images), record = 1 + values;
    uint8_t *records = reel_images_grow(data, images, count);
    if (!records)
        return false;
    uint8_t *from = records + count;
    if (!reel_file_take(file, from, (size_t)count * values))
        return false;
    for (int64_t i = 0; i < count; i++)
        memmove(records + (size_t)i * record + 1, from + (size_t)i * values, values);
    return true;
}

static bool idx_images_take_labels(reel_image_data *data, reel_images *images, reel_file *file, int64_t count)
{
    uint8_t label[IDX_IMAGES_LABELS];
    const size_t record = reel_images_record(images);
    int classes = data->classes;
    for (int64_t done = 0, some; done < count; done += some) {
        some = count - done < IDX_IMAGES_LABELS ? count - done : IDX_IMAGES_LABELS;
        if (!reel_file_take(file, label, (size_t)some))
            return false;
        for (int64_t i = 0; i < some; i++) {
            images->records[(size_t)(done + i) * record] = label[i];
            classes = label[i] >= classes ? label[i] + 1 : classes;
        }
    }
    images->count = count;
    reel_images_number_classes(data, classes);
    return true;
}

static bool idx_images_fill(reel_image_data *data, reel_images *images, reel_file *pixels, reel_file *labels)
{
    reel_idx_type type;
    reel_shape shape, of_labels;
    if (!reel_idx_take_header(pixels, &type, &shape) ||
        !idx_images_sizes(pixels, data, type, &shape, images) ||
        !reel_idx_take_header(labels, &type, &of_labels))
        return false;
    if (type != REEL_IDX_U8 || of_labels.rank != 1)
        return reel_file_fail(labels, 2, "not labels: not u8 [n]");
    if (of_labels.size[0] != shape.size[0])
        return reel_file_fail(labels, 4, "%lld labels for %lld images", (long long)of_labels.size[0],
                              (long long)shape.size[0]);
    if (shape.size[0] == 0)
        return reel_file_fail(pixels, 4, "no images");
    return idx_images_take(data, images, pixels, shape.size[0]) &&
           idx_images_take_labels(data, images, labels, shape.size[0]);
}

bool reel_idx_images_read(reel_image_data *data, reel_images *set, const char *images_path,
                          const char *labels_path, const reel_io *io)
{
    reel_file pixels, labels;
    bool good = false, own = set == &data->train || set == &data->test || set == &data->validation;
    if (!own || set->records)
        return reel_train_fail(data->error, "not an empty set of this data");
    if (idx_images_open(&pixels, images_path, io, data->error)) {
        if (idx_images_open(&labels, labels_path, io, data->error)) {
            good = idx_images_fill(data, set, &pixels, &labels);
            reel_file_close(&labels);
        }
        reel_file_close(&pixels);
    }
    if (!good)
        reel_image_data_empty(data);
    return good;
}

static bool idx_images_pair(reel_image_data *data, reel_images *set, const char *directory,
                            const char *prefix, const reel_io *io)
{
    char images[REEL_FILE_PATH], labels[REEL_FILE_PATH];
    int length = snprintf(images, sizeof images, "%s/%s-images-idx3-ubyte", directory, prefix);
    if (length < 0 || (size_t)length >= sizeof images) {
        reel_image_data_empty(data);
        return reel_train_fail(data->error, "...%s: the path is too long",
                               directory + strlen(directory) - REEL_TRAIN_MESSAGE / 2);
    }
    snprintf(labels, sizeof labels, "%s/%s-labels-idx1-ubyte", directory, prefix);  /* as long         */
    return reel_idx_images_read(data, set, images, labels, io);
}

bool reel_mnist_read(reel_image_data *data, const char *directory, const reel_io *io)
{
    reel_image_data_free(data);
    return idx_images_pair(data, &data->train, directory, "train", io) &&
           idx_images_pair(data, &data->test, directory, "t10k", io);
}
