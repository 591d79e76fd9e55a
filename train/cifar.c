/* The binary files of CIFAR-10 and CIFAR-100: records of one label or two and 3,072 bytes of image (32 x 32
 * of red, as many of green and of blue, row by row), nothing before, between or behind them; and a text file
 * with a class name a line.
 *
 * A set is believed only once all of it has been read: every failure leaves the object empty, with a line
 * that names the file and, where there is one, the place in it. */
#include "train/file.h"
#include "train/images.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { CIFAR_LABELS = 2, CIFAR_BLOCK = 16, CIFAR_NAMES = 8192 };

typedef struct cifar_format {
    int         labels;                             /* bytes before an image                       */
    int         classes[CIFAR_LABELS];              /* each of them is below that                  */
    int         chosen;                             /* the one that is kept                        */
    const char *train[5], *test, *names;
    bool        names_may_miss;
} cifar_format;

typedef struct cifar_reader {
    const cifar_format *format;
    reel_image_data    *data;
    const char         *directory;
    const reel_io      *io;
    reel_file           file;
    char                path[REEL_FILE_PATH];
} cifar_reader;

static size_t cifar_record(const cifar_format *format)
{
    return (size_t)format->labels + REEL_IMAGE_VALUES;
}

static bool cifar_open(cifar_reader *reader, const char *name)
{
    int length = snprintf(reader->path, sizeof reader->path, "%s/%s", reader->directory, name);
    reader->file.path = reader->path;
    reader->file.error = reader->data->error;
    if (length < 0 || (size_t)length >= sizeof reader->path)
        return reel_file_fail(&reader->file, -1, "the path is too long");
    return reel_file_open(&reader->file, reader->path, reader->io, reader->data->error);
}

/* ---- Images -------------------------------------------------------------------------------------- */

/* Takes records from `at` on in the file, and keeps of each its chosen label and its image. */
static bool cifar_keep(const cifar_reader *reader, const uint8_t *record, int64_t at, int64_t count,
                       uint8_t *to)
{
    const cifar_format *format = reader->format;
    for (int64_t i = 0; i < count; i++) {
        for (int k = 0; k < format->labels; k++)
            if (record[k] >= format->classes[k])
                return reel_file_fail(&reader->file, at + k, "label %d is not from 0 to %d", record[k],
                                      format->classes[k] - 1);
        *to = record[format->chosen];
        memcpy(to + 1, record + format->labels, REEL_IMAGE_VALUES);
        record += cifar_record(format);
        at += (int64_t)cifar_record(format);
        to += REEL_IMAGE_RECORD;
    }
    return true;
}

static bool cifar_append(cifar_reader *reader, reel_images *images)
{
    uint8_t block[CIFAR_BLOCK * (CIFAR_LABELS + REEL_IMAGE_VALUES)];
    reel_file *file = &reader->file;
    const size_t record = cifar_record(reader->format);
    const int64_t count = file->length / (int64_t)record;
    if (file->length == 0)
        return reel_file_fail(file, -1, "the file is empty");
    if (file->length % (int64_t)record)
        return reel_file_fail(file, count * (int64_t)record,
                              "the file is cut inside record %lld: %lld bytes, and a record has %zu",
                              (long long)count, (long long)file->length, record);
    uint8_t *to = reel_images_grow(reader->data, images, count);
    if (!to)
        return false;
    for (int64_t done = 0, some; done < count; done += some) {
        int64_t at = file->at;
        some = count - done < CIFAR_BLOCK ? count - done : CIFAR_BLOCK;
        if (!reel_file_take(file, block, (size_t)some * record) ||
            !cifar_keep(reader, block, at, some, to + done * REEL_IMAGE_RECORD))
            return false;
    }
    images->count += count;
    return true;
}

static bool cifar_read_images(cifar_reader *reader, const char *name, reel_images *images)
{
    images->channels = 3;
    images->height = images->width = REEL_IMAGE_SIDE;
    if (!cifar_open(reader, name))
        return false;
    bool good = cifar_append(reader, images);
    reel_file_close(&reader->file);
    return good;
}

/* ---- Class names --------------------------------------------------------------------------------- */

/* One line of the file, without its end. Empty lines are passed over: the data sets' own files end with
 * one. */
static bool cifar_take_name(const cifar_reader *reader, const char *text, size_t length, int *names)
{
    const int classes = reader->data->classes;
    if (length > 0 && text[length - 1] == '\r')
        length--;
    if (length == 0)
        return true;
    if (*names == classes)
        return reel_file_fail(&reader->file, -1, "more than %d class names", classes);
    bool good = length < REEL_CLASS_NAME;
    for (size_t i = 0; i < length; i++)
        good = good && (unsigned char)text[i] >= ' ' && text[i] != 0x7f;
    if (!good)
        return reel_file_fail(&reader->file, -1, "class name %d is over %d bytes or not text", *names,
                              REEL_CLASS_NAME - 1);
    memcpy(reader->data->class_name[*names], text, length);
    reader->data->class_name[(*names)++][length] = 0;
    return true;
}

static bool cifar_take_names(cifar_reader *reader)
{
    char text[CIFAR_NAMES];
    reel_file *file = &reader->file;
    int names = 0, classes = reader->data->classes;
    if (file->length == 0)
        return reel_file_fail(file, -1, "the file is empty");
    if (file->length > CIFAR_NAMES)
        return reel_file_fail(file, -1, "too long for %d class names", classes);
    if (!reel_file_take(file, text, (size_t)file->length))
        return false;
    for (const char *line = text, *end = text + file->length; line < end;) {
        const char *newline = memchr(line, '\n', (size_t)(end - line));
        const char *stop = newline ? newline : end;
        if (!cifar_take_name(reader, line, (size_t)(stop - line), &names))
            return false;
        line = stop + 1;
    }
    return names == classes || reel_file_fail(file, -1, "%d class names, not %d", names, classes);
}

static bool cifar_read_names(cifar_reader *reader)
{
    const cifar_format *format = reader->format;
    reel_images_number_classes(reader->data, format->classes[format->chosen]);
    if (!cifar_open(reader, format->names)) {
        bool good = format->names_may_miss && reader->file.handle == -ENOENT;
        if (good)
            reader->data->error[0] = 0;
        return good;
    }
    bool good = cifar_take_names(reader);
    reel_file_close(&reader->file);
    return good;
}

/* ---- Folders ------------------------------------------------------------------------------------- */

static bool cifar_read_folder(cifar_reader *reader)
{
    const cifar_format *format = reader->format;
    for (int i = 0; i < 5 && format->train[i]; i++)
        if (!cifar_read_images(reader, format->train[i], &reader->data->train))
            return false;
    return cifar_read_images(reader, format->test, &reader->data->test) && cifar_read_names(reader);
}

static bool cifar_read(reel_image_data *data, const char *directory, const cifar_format *format,
                       const reel_io *io)
{
    cifar_reader reader = {.format = format, .data = data, .directory = directory, .io = io};
    reel_image_data_free(data);
    bool good = cifar_read_folder(&reader);
    if (!good)
        reel_image_data_empty(data);
    return good;
}

bool reel_cifar10_read(reel_image_data *data, const char *directory, const reel_io *io)
{
    static const cifar_format format = {
        .labels = 1, .classes = {10}, .test = "test_batch.bin", .names = "batches.meta.txt",
        .train = {"data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin",
                  "data_batch_5.bin"},
    };
    return cifar_read(data, directory, &format, io);
}

bool reel_cifar100_read(reel_image_data *data, const char *directory, reel_cifar100_labels labels,
                        const reel_io *io)
{
    cifar_format format = {
        .labels = 2, .classes = {20, 100}, .chosen = 1, .names = "fine_label_names.txt",
        .train = {"train.bin"}, .test = "test.bin", .names_may_miss = true,
    };
    if (labels == REEL_CIFAR100_COARSE) {
        format.chosen = 0;
        format.names = "coarse_label_names.txt";
    }
    return cifar_read(data, directory, &format, io);
}
