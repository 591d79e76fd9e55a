/* The standard table of files: POSIX calls. */
#include "core/io.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

static int io_open(void *user, const char *path, bool writing)
{
    (void)user;
    int file = open(path, writing ? O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC : O_RDONLY | O_CLOEXEC, 0666);
    return file < 0 ? -errno : file;
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

const reel_io *reel_io_standard(void)
{
    static const reel_io table = {
        .size = sizeof(reel_io), .open = io_open, .length = io_length,
        .read = io_read, .write = io_write, .close = io_close,
    };
    return &table;
}

reel_io reel_io_complete(const reel_io *io)
{
    reel_io complete = *reel_io_standard();
    if (!io)
        return complete;
    complete.user = io->user;
    complete.open = io->open ? io->open : complete.open;
    complete.length = io->length ? io->length : complete.length;
    complete.read = io->read ? io->read : complete.read;
    complete.write = io->write ? io->write : complete.write;
    complete.close = io->close ? io->close : complete.close;
    return complete;
}
