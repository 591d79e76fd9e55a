/* The standard table of files: POSIX calls. */
#include "core/io.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>                                  /* rename                                      */
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { IO_PATH = 4096 };

/* Opening a FIFO that nobody writes to would wait for ever but for O_NONBLOCK, which is meant for the opening
 * alone. */
static int io_open(void *user, const char *path, bool writing)
{
    (void)user;
    int flags = writing ? O_WRONLY | O_CREAT | O_TRUNC : O_RDONLY | O_NONBLOCK;
    int file = open(path, flags | O_CLOEXEC, 0666);
    if (file < 0)
        return -errno;
    if (!writing)
        fcntl(file, F_SETFL, O_RDONLY);
    return file;
}

static int64_t io_length(void *user, int file)
{
    (void)user;
    struct stat status;
    if (fstat(file, &status))
        return -errno;
    if (S_ISDIR(status.st_mode))
        return -EISDIR;
    return S_ISREG(status.st_mode) ? (int64_t)status.st_size : -ESPIPE;
}

static int64_t io_read(void *user, int file, void *buffer, size_t bytes)
{
    (void)user;
    ssize_t got;
    do
        got = read(file, buffer, bytes);
    while (got < 0 && errno == EINTR);
    return got < 0 ? -errno : (int64_t)got;
}

static int64_t io_write(void *user, int file, const void *buffer, size_t bytes)
{
    (void)user;
    ssize_t put;
    do
        put = write(file, buffer, bytes);
    while (put < 0 && errno == EINTR);
    return put < 0 ? -errno : (int64_t)put;
}

static int io_close(void *user, int file)
{
    (void)user;
    return close(file) ? -errno : 0;
}

static int io_create(void *user, const char *path)
{
    (void)user;
    int file = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    return file < 0 ? -errno : file;
}

static int io_sync(void *user, int file)
{
    (void)user;
    return fsync(file) ? -errno : 0;
}

static int io_rename(void *user, const char *from, const char *to)
{
    (void)user;
    return rename(from, to) ? -errno : 0;
}

static int io_remove(void *user, const char *path)
{
    (void)user;
    return unlink(path) ? -errno : 0;
}

/* Some file systems have nothing to sync in a folder, and say EINVAL. */
static int io_sync_folder(void *user, const char *path)
{
    (void)user;
    char folder[IO_PATH] = ".";
    const char *slash = strrchr(path, '/');
    size_t length = slash ? (size_t)(slash - path) + 1 : 0;
    if (length >= sizeof folder)
        return -ENAMETOOLONG;
    if (slash) {
        memcpy(folder, path, length);
        folder[length] = 0;
    }
    int file = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (file < 0)
        return -errno;
    int result = fsync(file) && errno != EINVAL ? -errno : 0;
    close(file);
    return result;
}

static int io_map(void *user, int file, size_t bytes, void **memory)
{
    (void)user;
    void *mapped = mmap(NULL, bytes, PROT_READ, MAP_PRIVATE, file, 0);
    if (mapped == MAP_FAILED)
        return -errno;
    *memory = mapped;
    return 0;
}

static int io_unmap(void *user, void *memory, size_t bytes)
{
    (void)user;
    return munmap(memory, bytes) ? -errno : 0;
}

const reel_io *reel_io_standard(void)
{
    static const reel_io table = {
        .size = sizeof(reel_io), .open = io_open, .length = io_length,
        .read = io_read, .write = io_write, .close = io_close, .create = io_create,
        .sync = io_sync, .rename = io_rename, .remove = io_remove, .sync_folder = io_sync_folder,
        .map = io_map, .unmap = io_unmap,
    };
    return &table;
}

reel_io reel_io_complete(const reel_io *io)
{
    reel_io complete = *reel_io_standard(), given = {0};
    if (!io)
        return complete;
    memcpy(&given, io, io->size < sizeof given ? io->size : sizeof given);
#define IO_TAKE(member) complete.member = given.member ? given.member : complete.member
    complete.user = given.user;
    IO_TAKE(open);
    IO_TAKE(length);
    IO_TAKE(read);
    IO_TAKE(write);
    IO_TAKE(close);
    IO_TAKE(create);
    IO_TAKE(sync);
    IO_TAKE(rename);
    IO_TAKE(remove);
    IO_TAKE(sync_folder);
#undef IO_TAKE
    if (complete.open != reel_io_standard()->open || given.map) {
        complete.map = given.map;
        complete.unmap = given.unmap;
    }
    return complete;
}
