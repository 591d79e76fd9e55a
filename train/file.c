/* Files: see file.h. A file is written under a name of its own in the same folder, synced, and renamed
 * over the old one; then the folder is synced. So at any moment the path names a whole file, the old one
 * or the new. */
#include "train/file.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { FILE_SHOWN = 300, FILE_NAMES = 100 };

static const int64_t FILE_MOST_BYTES = INT64_MAX / 16;

/* ---- Messages ------------------------------------------------------------------------------------ */

/* Of a path that would fill the line, the end is what tells most. */
bool reel_file_fail(const reel_file *file, int64_t at, const char *format, ...)
{
    char what[REEL_TRAIN_MESSAGE - FILE_SHOWN - 40], place[32] = "";
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(what, sizeof what, format, arguments);
    va_end(arguments);
    for (char *c = what; *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f) /* of a name in a file, say                    */
            *c = '?';
    if (at >= 0)
        snprintf(place, sizeof place, "byte %lld: ", (long long)at);
    size_t length = strlen(file->path);
    bool whole = length <= FILE_SHOWN;
    return reel_train_fail(file->error, "%s%s: %s%s", whole ? "" : "...",
                           file->path + (whole ? 0 : length - FILE_SHOWN), place, what);
}

/* The texts are our own: those of the C library change with the locale. */
static bool file_system_error(const reel_file *file, int64_t at, const char *doing, int64_t negative_errno)
{
    static const struct {
        int         code;
        const char *text;
    } known[] = {
        {ENOENT, "no such file or folder"}, {ENOTDIR, "a part of the path is not a folder"},
        {EACCES, "permission denied"},      {EPERM, "not permitted"},
        {EISDIR, "a folder, not a file"},   {ESPIPE, "not a regular file"},
        {ENXIO, "not a regular file"},      {EIO, "input/output error"},
        {ENOSPC, "no space left"},          {EDQUOT, "disk quota exceeded"},
        {EFBIG, "the file is too large"},   {EROFS, "a read-only file system"},
        {EMFILE, "too many open files"},    {ENFILE, "too many open files"},
        {ENOMEM, "no memory"},              {ENAMETOOLONG, "the path is too long"},
        {ELOOP, "too many symbolic links"}, {EEXIST, "the file is there already"},
    };
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (negative_errno == -known[i].code)
            return reel_file_fail(file, at, "%s: %s", doing, known[i].text);
    return reel_file_fail(file, at, "%s: system error %lld", doing, (long long)-negative_errno);
}

/* ---- Reading ------------------------------------------------------------------------------------- */

static void file_start(reel_file *file, const char *path, const reel_io *io, char error[REEL_TRAIN_MESSAGE])
{
    file->path = path;
    file->error = error;
    file->io = reel_io_complete(io);
    file->handle = -1;
    file->length = file->at = 0;
    file->waiting = 0;
    error[0] = 0;
}

bool reel_file_open(reel_file *file, const char *path, const reel_io *io, char error[REEL_TRAIN_MESSAGE])
{
    file_start(file, path, io, error);
    file->handle = file->io.open(file->io.user, path, false);
    if (file->handle < 0)
        return file_system_error(file, -1, "cannot be opened", file->handle);
    file->length = file->io.length(file->io.user, file->handle);
    if (file->length >= 0)
        return true;
    reel_file_close(file);
    return file_system_error(file, -1, "cannot be read", file->length);
}

bool reel_file_take(reel_file *file, void *buffer, size_t bytes)
{
    for (size_t done = 0; done < bytes;) {
        int64_t got = file->io.read(file->io.user, file->handle, (char *)buffer + done, bytes - done);
        if (got < 0)
            return file_system_error(file, file->at, "cannot be read", got);
        if (got == 0)
            return reel_file_fail(file, file->at, "the file ends here, and %zu more bytes are needed",
                                  bytes - done);
        done += (size_t)got;
        file->at += got;
    }
    return true;
}

bool reel_file_rest_is(const reel_file *file, int64_t bytes)
{
    int64_t left = file->length - file->at;
    if (bytes > left)
        return reel_file_fail(file, file->length, "the file ends here, and the data needs %lld more bytes",
                              (long long)(bytes - left));
    return bytes == left ||
           reel_file_fail(file, file->at + bytes, "%lld bytes behind the data", (long long)(left - bytes));
}

bool reel_file_map(reel_file *file, reel_mapping *mapping)
{
    *mapping = (reel_mapping){.unmap = file->io.unmap, .user = file->io.user};
    if (!file->io.map || !file->io.unmap)
        return reel_file_fail(file, -1, "cannot be mapped: this table of files has no map and unmap");
    int result = file->io.map(file->io.user, file->handle, (size_t)file->length, &mapping->data);
    if (result < 0)
        return file_system_error(file, -1, "cannot be mapped", result);
    mapping->bytes = (size_t)file->length;
    return true;
}

void reel_mapping_release(reel_mapping *mapping)
{
    if (mapping->data)
        mapping->unmap(mapping->user, mapping->data, mapping->bytes);
    *mapping = (reel_mapping){0};
}

void reel_file_close(reel_file *file)
{
    file->io.close(file->io.user, file->handle);
    file->handle = -1;
}

/* ---- Writing ------------------------------------------------------------------------------------- */

/* A rename would put a file in the place of a device, or of a FIFO. */
static bool file_may_be_replaced(reel_file *file)
{
    int old = file->io.open(file->io.user, file->path, false);
    if (old == -ENOENT)
        return true;
    if (old < 0)
        return file_system_error(file, -1, "cannot be written", old);
    int64_t length = file->io.length(file->io.user, old);
    file->io.close(file->io.user, old);
    return length >= 0 || file_system_error(file, -1, "cannot be written", length);
}

/* What a crash has left behind is passed over. */
bool reel_file_create(reel_file *file, const char *path, const reel_io *io, char error[REEL_TRAIN_MESSAGE])
{
    file_start(file, path, io, error);
    if (!file_may_be_replaced(file))
        return false;
    for (int i = 0; i < FILE_NAMES; i++) {
        int length = snprintf(file->fresh, sizeof file->fresh, "%s.new-%d", path, i);
        if (length < 0 || (size_t)length >= sizeof file->fresh)
            return reel_file_fail(file, -1, "the path is too long");
        file->handle = file->io.create(file->io.user, file->fresh);
        if (file->handle != -EEXIST)
            break;
    }
    if (file->handle >= 0)
        return true;
    return file_system_error(file, -1, "no new file can be made beside it", file->handle);
}

static bool file_write(reel_file *file, const char *bytes, size_t count)
{
    while (count > 0) {
        int64_t put = file->io.write(file->io.user, file->handle, bytes, count);
        if (put <= 0)
            return file_system_error(file, file->at, "cannot be written", put ? put : -EIO);
        bytes += put;
        count -= (size_t)put;
        file->at += put;
    }
    return true;
}

bool reel_file_flush(reel_file *file)
{
    size_t count = file->waiting;
    file->waiting = 0;
    return file_write(file, file->buffer, count);
}

bool reel_file_put(reel_file *file, const void *bytes, size_t count)
{
    if (count > sizeof file->buffer - file->waiting && !reel_file_flush(file))
        return false;
    if (count > sizeof file->buffer)
        return file_write(file, bytes, count);
    if (count > 0)
        memcpy(file->buffer + file->waiting, bytes, count);
    file->waiting += count;
    return true;
}

static bool file_to_disk(reel_file *file)
{
    if (!reel_file_flush(file))
        return false;
    int result = file->io.sync(file->io.user, file->handle);
    return result >= 0 || file_system_error(file, -1, "cannot be synced to the disk", result);
}

static bool file_shut(reel_file *file)
{
    int result = file->io.close(file->io.user, file->handle);
    file->handle = -1;
    return result >= 0 || file_system_error(file, -1, "cannot be written", result);
}

static bool file_into_place(reel_file *file)
{
    int result = file->io.rename(file->io.user, file->fresh, file->path);
    return result >= 0 || file_system_error(file, -1, "the new file cannot take its place", result);
}

static bool file_folder_to_disk(reel_file *file)
{
    int result = file->io.sync_folder(file->io.user, file->path);
    return result >= 0 || file_system_error(file, -1, "is in place, but its folder cannot be synced", result);
}

static bool file_give_up(reel_file *file)
{
    if (file->handle >= 0)
        reel_file_close(file);
    if (file->io.remove(file->io.user, file->fresh) < 0) {
        size_t used = strlen(file->error);
        snprintf(file->error + used, REEL_TRAIN_MESSAGE - used, "; a part of it is left behind (%.20s)",
                 strrchr(file->fresh, '.'));
    }
    return false;
}

bool reel_file_finish(reel_file *file, bool good)
{
    if (good && file_to_disk(file) && file_shut(file) && file_into_place(file))
        return file_folder_to_disk(file);
    return file_give_up(file);
}

bool reel_file_place(reel_file *file, bool good)
{
    if (!good || !file_to_disk(file) || !file_into_place(file))
        return file_give_up(file);
    if (file_folder_to_disk(file))
        return true;
    reel_file_close(file);
    return false;
}

bool reel_file_end(reel_file *file)
{
    if (file_to_disk(file))
        return file_shut(file);
    reel_file_close(file);
    return false;
}

bool reel_writable(const char *path, const reel_io *io, char error[REEL_TRAIN_MESSAGE])
{
    reel_file file;
    if (!reel_file_create(&file, path, io, error))
        return false;
    reel_file_close(&file);
    int result = file.io.remove(file.io.user, file.fresh);
    return result >= 0 || file_system_error(&file, -1, "the trial file beside it cannot be removed", result);
}

/* ---- Numbers from files ----------------------------------------------------------------------- */

int64_t reel_stored_bytes(reel_dtype dtype, const reel_shape *shape)
{
    int64_t bytes = (int64_t)reel_dtype_size(dtype);
    bool empty = false, overflow = bytes == 0 || shape->rank < 0 || shape->rank > REEL_MAX_RANK;
    for (int i = 0; i < shape->rank && !overflow; i++) {
        int64_t size = shape->size[i];
        empty |= size == 0;
        overflow =
            size < 0 || (size && __builtin_mul_overflow(bytes, size, &bytes)) || bytes > FILE_MOST_BYTES;
    }
    return overflow ? -1 : empty ? 0 : bytes;
}

/* ---- Text ---------------------------------------------------------------------------------------- */

/* The length of the character at `text`, or 0 where it is none: no byte too few, no code in more bytes
 * than it needs, no surrogate, nothing above U+10FFFF. */
static size_t file_utf8_length(const unsigned char *text, size_t left)
{
    if (text[0] < 0x80)
        return text[0] != 0;
    size_t length = text[0] >= 0xf0 ? 4 : text[0] >= 0xe0 ? 3 : 2;
    if (text[0] < 0xc2 || text[0] > 0xf4 || length > left)
        return 0;
    unsigned code = text[0] & (0xffu >> (length + 1));
    for (size_t i = 1; i < length; i++) {
        if ((text[i] & 0xc0) != 0x80)
            return 0;
        code = code << 6 | (text[i] & 0x3fu);
    }
    static const unsigned least[] = {0, 0, 0x80, 0x800, 0x10000};
    bool surrogate = code >= 0xd800 && code < 0xe000;
    return code >= least[length] && code <= 0x10ffff && !surrogate ? length : 0;
}

bool reel_is_utf8(const char *text, size_t length, size_t *bad)
{
    for (*bad = 0; *bad < length;) {
        size_t some = file_utf8_length((const unsigned char *)text + *bad, length - *bad);
        if (!some)
            return false;
        *bad += some;
    }
    return true;
}

/* ---- Sorting ------------------------------------------------------------------------------------- */

static void file_swap(char *a, char *b, size_t size)
{
    char kept[256];
    memcpy(kept, a, size);
    memcpy(a, b, size);
    memcpy(b, kept, size);
}

/* Lets item `root` sink in the heap of the first `count`. */
static void file_sink(char *item, size_t root, size_t count, size_t size,
                      int (*order)(const void *, const void *))
{
    for (size_t child; (child = 2 * root + 1) < count; root = child) {
        if (child + 1 < count && order(item + child * size, item + (child + 1) * size) < 0)
            child++;
        if (order(item + root * size, item + child * size) >= 0)
            return;
        file_swap(item + root * size, item + child * size, size);
    }
}

void reel_train_sort(void *array, size_t count, size_t size, int (*order)(const void *a, const void *b))
{
    char *item = array;
    for (size_t root = count / 2; root-- > 0;)
        file_sink(item, root, count, size, order);
    for (size_t last = count; last-- > 1;) {
        file_swap(item, item + last * size, size);
        file_sink(item, 0, last, size, order);
    }
}
