/* Files: reading them with messages that name the file and the byte, and writing them so that whatever fails,
 * the old file stays. */
#ifndef REEL_TRAIN_FILE_H
#define REEL_TRAIN_FILE_H

#include "train/train.h"

/* Both formats are little-endian, and so are the machines that this is for: bytes are taken as they are. */
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "this code is for little-endian machines");

enum { REEL_FILE_PATH = 4096, REEL_FILE_BUFFER = 8192 };

typedef struct reel_file {
    const char *path;
    char       *error;                              /* [REEL_TRAIN_MESSAGE]                        */
    reel_io     io;
    int         handle;
    int64_t     length;                             /* of a file that is read                      */
    int64_t     at;                                 /* the byte that comes next                    */
    char        fresh[REEL_FILE_PATH];              /* writing: the new file's own name, ...       */
    char        buffer[REEL_FILE_BUFFER];           /* ... and what is not in it yet               */
    size_t      waiting;
} reel_file;

/* "PATH: byte AT: what is wrong", or "PATH: what is wrong" where `at` is negative. Always false. */
bool reel_file_fail(const reel_file *file, int64_t at, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Opens a regular file and takes its length. Where it fails, nothing is open; `handle` is -ENOENT where there
 * is no such file. */
bool reel_file_open(reel_file *file, const char *path, const reel_io *io, char error[REEL_TRAIN_MESSAGE]);

/* The next `bytes` bytes; an error that names the place where the file ends before them. */
bool reel_file_take(reel_file *file, void *buffer, size_t bytes);

/* Whether `bytes` bytes follow, no fewer and no more; an error where not. */
bool reel_file_rest_is(const reel_file *file, int64_t bytes);

/* Maps the whole file: what comes next in it lies at the mapping's data + file->at. */
bool reel_file_map(reel_file *file, reel_mapping *mapping);
void reel_mapping_release(reel_mapping *mapping);
void reel_file_close(reel_file *file);

/* Begins a new file beside `path`, which may be missing or a regular file; nothing else is written over. */
bool reel_file_create(reel_file *file, const char *path, const reel_io *io, char error[REEL_TRAIN_MESSAGE]);
bool reel_file_put(reel_file *file, const void *bytes, size_t count);

/* Where `good`, makes sure that the new file is on the disk and puts it in the old one's place; else, or
 * where that fails, removes it. Returns whether the file is in place for good. */
bool reel_file_finish(reel_file *file, bool good);

/* The same for a file that is written on: it is in place and still open. Then flush what was put, and end it
 * with reel_file_end(), which syncs and closes it. */
bool reel_file_place(reel_file *file, bool good);
bool reel_file_flush(reel_file *file);
bool reel_file_end(reel_file *file);

/* The bytes of a tensor; -1 where the dtype or the shape is not legal, or the sizes multiply to more than
 * a tensor can have, those of 0 left out. */
int64_t reel_stored_bytes(reel_dtype dtype, const reel_shape *shape);

/* Whether the text is UTF-8 without a NUL, as RFC 3629 has it; else `bad` is set to the first byte that is
 * not. */
bool reel_is_utf8(const char *text, size_t length, size_t *bad);

/* Sorts in place by heapsort (Williams 1964), which needs no memory; items of at most 256 bytes. */
void reel_train_sort(void *array, size_t count, size_t size, int (*order)(const void *a, const void *b));

#endif
