/* CIFAR-10's binary files: records of 3,073 bytes, nothing before, between or behind them.
 *
 * A set is believed only once all of it has been read: every failure leaves the object empty, with a line
 * that names the file and, where there is one, the place in it. */
#include "train/images.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { CIFAR10_PATH = 4096, CIFAR10_META = 1024 };

typedef struct cifar10_file {
    reel_image_data *data;
    reel_io          io;
    int              handle;
    int64_t          length;
    char             path[CIFAR10_PATH];
} cifar10_file;

/* "FOLDER/FILE: what is wrong". Of a path that would fill the line, the end is what tells most. */
__attribute__((format(printf, 2, 3)))
static bool cifar10_fail(const cifar10_file *file, const char *format, ...)
{
    enum { SHOWN = 380 };
    char what[REEL_TRAIN_MESSAGE - SHOWN - 8];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(what, sizeof what, format, arguments);
    va_end(arguments);
    size_t length = strlen(file->path);
    bool whole = length <= SHOWN;
    return reel_train_fail(file->data->error, "%s%s: %s", whole ? "" : "...",
                           file->path + (whole ? 0 : length - SHOWN), what);
}

/* The texts are our own: those of the C library change with the locale. */
static bool cifar10_system_error(const cifar10_file *file, int64_t negative_errno)
{
    static const struct {
        int         code;
        const char *text;
    } known[] = {
        {ENOENT, "no such file"},      {ENOTDIR, "a part of the path is not a directory"},
        {EACCES, "permission denied"}, {EISDIR, "a directory, not a file"},
        {EIO, "input/output error"},   {EMFILE, "too many open files"},
        {ENOMEM, "no memory to read"}, {ESPIPE, "not a regular file"},
    };
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (negative_errno == -known[i].code)
            return cifar10_fail(file, "%s", known[i].text);
    return cifar10_fail(file, "system error %lld", (long long)-negative_errno);
}

static bool cifar10_open(cifar10_file *file, const char *directory, const char *name)
{
    int length = snprintf(file->path, sizeof file->path, "%s/%s", directory, name);
    if (length < 0 || (size_t)length >= sizeof file->path)
        return cifar10_fail(file, "the path is too long");
    file->handle = file->io.open(file->io.user, file->path, false);
    if (file->handle < 0)
        return cifar10_system_error(file, file->handle);
    file->length = file->io.length(file->io.user, file->handle);
    if (file->length > 0)
        return true;
    file->io.close(file->io.user, file->handle);
    if (file->length < 0)
        return cifar10_system_error(file, file->length);
    return cifar10_fail(file, "the file is empty");
}

static bool cifar10_read_all(cifar10_file *file, void *buffer, int64_t bytes)
{
    for (int64_t done = 0; done < bytes;) {
        void *to = (char *)buffer + done;
        int64_t got = file->io.read(file->io.user, file->handle, to, (size_t)(bytes - done));
        if (got < 0)
            return cifar10_system_error(file, got);
        if (got == 0)
            return cifar10_fail(file, "ends at byte %lld of %lld", (long long)done, (long long)bytes);
        done += got;
    }
    return true;
}

static bool cifar10_check_labels(const cifar10_file *file, const uint8_t *records, int64_t count)
{
    for (int64_t i = 0; i < count; i++) {
        int label = records[i * REEL_IMAGE_RECORD];
        if (label >= REEL_IMAGE_CLASSES)
            return cifar10_fail(file, "record %lld (byte %lld): label %d is not from 0 to 9", (long long)i,
                                (long long)(i * REEL_IMAGE_RECORD), label);
    }
    return true;
}

static bool cifar10_append(cifar10_file *file, reel_images *images)
{
    int64_t count = file->length / REEL_IMAGE_RECORD;
    if (file->length % REEL_IMAGE_RECORD)
        return cifar10_fail(file, "cut inside record %lld: %lld bytes, and a record has %d", (long long)count,
                            (long long)file->length, REEL_IMAGE_RECORD);
    uint8_t *records = reel_images_grow(file->data, images, count);
    if (!records || !cifar10_read_all(file, records, file->length))
        return false;
    if (!cifar10_check_labels(file, records, count))
        return false;
    images->count += count;
    return true;
}

static bool cifar10_read_images(cifar10_file *file, const char *directory, const char *name,
                                reel_images *images)
{
    if (!cifar10_open(file, directory, name))
        return false;
    bool good = cifar10_append(file, images);
    file->io.close(file->io.user, file->handle);
    return good;
}

/* One line of batches.meta.txt, without its end. Empty lines are passed over: CIFAR-10's own file ends
 * with one. */
static bool cifar10_take_name(cifar10_file *file, const char *text, size_t length, int *names)
{
    if (length > 0 && text[length - 1] == '\r')
        length--;
    if (length == 0)
        return true;
    if (*names == REEL_IMAGE_CLASSES)
        return cifar10_fail(file, "more than %d class names", REEL_IMAGE_CLASSES);
    bool good = length < REEL_CLASS_NAME;
    for (size_t i = 0; i < length; i++)
        good = good && (unsigned char)text[i] >= ' ' && text[i] != 0x7f;
    if (!good)
        return cifar10_fail(file, "class name %d is over %d bytes or not text", *names, REEL_CLASS_NAME - 1);
    memcpy(file->data->class_name[(*names)++], text, length);
    return true;
}

static bool cifar10_take_names(cifar10_file *file)
{
    char text[CIFAR10_META];
    if (file->length > CIFAR10_META)
        return cifar10_fail(file, "too long for %d class names", REEL_IMAGE_CLASSES);
    if (!cifar10_read_all(file, text, file->length))
        return false;
    int names = 0;
    for (const char *line = text, *end = text + file->length; line < end;) {
        const char *newline = memchr(line, '\n', (size_t)(end - line));
        const char *stop = newline ? newline : end;
        if (!cifar10_take_name(file, line, (size_t)(stop - line), &names))
            return false;
        line = stop + 1;
    }
    if (names < REEL_IMAGE_CLASSES)
        return cifar10_fail(file, "%d class names, not %d", names, REEL_IMAGE_CLASSES);
    return true;
}

static bool cifar10_read_names(cifar10_file *file, const char *directory)
{
    if (!cifar10_open(file, directory, "batches.meta.txt"))
        return false;
    bool good = cifar10_take_names(file);
    file->io.close(file->io.user, file->handle);
    return good;
}

static bool cifar10_read_folder(cifar10_file *file, const char *directory)
{
    static const char name[][20] = {"data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin",
                                    "data_batch_4.bin", "data_batch_5.bin"};
    for (int i = 0; i < 5; i++)
        if (!cifar10_read_images(file, directory, name[i], &file->data->train))
            return false;
    return cifar10_read_images(file, directory, "test_batch.bin", &file->data->test) &&
           cifar10_read_names(file, directory);
}

/* Members left out of the table take the standard ones. */
static reel_io cifar10_io(const reel_io *given)
{
    const reel_io *standard = reel_io_standard();
    if (!given)
        return *standard;
    reel_io io = *given;
    io.open = io.open ? io.open : standard->open;
    io.length = io.length ? io.length : standard->length;
    io.read = io.read ? io.read : standard->read;
    io.close = io.close ? io.close : standard->close;
    return io;
}

bool reel_cifar10_read(reel_image_data *data, const char *directory, const reel_io *io)
{
    reel_image_data_free(data);
    cifar10_file file = {.data = data, .io = cifar10_io(io)};
    if (cifar10_read_folder(&file, directory))
        return true;
    reel_image_data_empty(data);
    return false;
}
