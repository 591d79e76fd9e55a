/* See files.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "tests/files.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

const reel_shape test_files_shape[FILES_SHAPES] = {
    {0, {0}}, {1, {1}}, {1, {5}}, {1, {0}}, {2, {2, 3}}, {3, {3, 0, 2}}, {3, {2, 1, 3}}, {4, {2, 3, 1, 2}},
    {5, {1, 2, 1, 2, 3}}, {6, {2, 1, 1, 2, 1, 3}}, {7, {1, 1, 2, 1, 1, 1, 2}}, {8, {2, 1, 1, 1, 3, 1, 1, 2}},
};

double test_files_number(reel_dtype dtype, int64_t i)
{
    return (double)(7 * i % 23) - (dtype == REEL_U8 ? 0 : 5);
}

void *test_files_values(reel_dtype dtype, reel_shape shape)
{
    size_t size = reel_dtype_size(dtype);
    int64_t count = test_count(shape);
    char *values = calloc((size_t)count + 1, size);
    ck_assert_ptr_nonnull(values);
    for (int64_t i = 0; i < count; i++)
        test_store(dtype, values + (size_t)i * size, test_files_number(dtype, i));
    return values;
}


/* ---- The folder ---------------------------------------------------------------------------------- */

enum { FILES_PATHS = 32 };

static char files_folder[64];
static char files_path[FILES_PATHS][FILES_PATH];    /* those that were asked for                   */
static int  files_paths;

void test_folder_set_up(void)
{
    files_paths = 0;
    strcpy(files_folder, "/tmp/reel-test-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(files_folder));
}

static int files_each(bool removing)
{
    int count = 0;
    DIR *folder = opendir(files_folder);
    for (struct dirent *entry; folder && (entry = readdir(folder));)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) {
            count++;
            if (removing && unlink(test_folder_path(entry->d_name)) != 0)
                rmdir(test_folder_path(entry->d_name));
        }
    if (folder)
        closedir(folder);
    return count;
}

void test_folder_tear_down(void)
{
    chmod(files_folder, 0700);
    files_each(true);
    ck_assert_int_eq(rmdir(files_folder), 0);
}

int test_folder_count(void)
{
    return files_each(false);
}

const char *test_folder_path(const char *name)
{
    size_t skipped = strlen(files_folder) + 1;
    int i = 0;
    while (i < files_paths && strcmp(files_path[i] + skipped, name) != 0)
        i++;
    ck_assert_int_lt(i, FILES_PATHS);
    if (i == files_paths)
        snprintf(files_path[files_paths++], FILES_PATH, "%s/%s", files_folder, name);
    return files_path[i];
}

unsigned char *test_folder_read(const char *path, size_t *length)
{
    FILE *file = fopen(path, "rb");
    if (!file)
        return NULL;
    unsigned char *bytes = malloc(1 << 20);
    ck_assert_ptr_nonnull(bytes);
    *length = fread(bytes, 1, 1 << 20, file);
    fclose(file);
    return bytes;
}

void test_folder_put(const char *path, const void *bytes, size_t length)
{
    FILE *file = fopen(path, "wb");
    ck_assert_ptr_nonnull(file);
    ck_assert_uint_eq(fwrite(bytes, 1, length, file), length);
    ck_assert_int_eq(fclose(file), 0);
}


/* ---- Fixtures ------------------------------------------------------------------------------------ */

test_memory test_files_memory;

void test_files_set_up(void)
{
    test_files_memory = (test_memory){0};
    test_folder_set_up();
}

void test_files_tear_down(void)
{
    test_report report = {0};
    test_memory_check(&test_files_memory, &report);
    test_assert_clean(&report);
    test_folder_tear_down();
}

bool test_files_read(bool npy, const void *bytes, size_t length, char error[REEL_TRAIN_MESSAGE])
{
    reel_safetensors object = {.allocator = test_allocate, .allocator_user = &test_files_memory};
    reel_npy array = {.allocator = test_allocate, .allocator_user = &test_files_memory};
    const char *path = test_folder_path("file");
    test_folder_put(path, bytes, length);
    bool good = npy ? reel_npy_read(&array, path, NULL) : reel_safetensors_read(&object, path, NULL);
    const char *message = npy ? array.error : object.error;
    if (good)
        ck_assert_str_eq(message, "");
    else
        ck_assert_msg(strstr(message, path) == message && message[strlen(path)] == ':' &&
                          !strchr(message, '\n'),
                      "\"%s\" does not begin with the path", message);
    if (!good && error)
        strcpy(error, message + strlen(path) + 2);
    ck_assert(good || (!object.tensor && !object.text && !array.data && !object.tensors && !array.count));
    reel_safetensors_free(&object);
    reel_npy_free(&array);
    return good;
}


/* ---- Faults -------------------------------------------------------------------------------------- */

static bool files_fails(test_faults *faults, char call)
{
    uint64_t number = ++faults->calls;
    bool fails = faults->fail_at && (faults->fail_on ? number >= faults->fail_at : number == faults->fail_at);
    if (fails && !faults->failed)
        faults->failed = call;
    return fails;
}

static int files_open(void *user, const char *path, bool writing)
{
    test_faults *faults = user;
    int file = files_fails(faults, 'o') ? -faults->code : reel_io_standard()->open(NULL, path, writing);
    faults->open += file >= 0;
    return file;
}

static int64_t files_length(void *user, int file)
{
    return files_fails(user, 'l') ? -((test_faults *)user)->code : reel_io_standard()->length(NULL, file);
}

static size_t files_some(const test_faults *faults, size_t bytes)
{
    return faults->most && faults->most < bytes ? faults->most : bytes;
}

static int64_t files_read(void *user, int file, void *buffer, size_t bytes)
{
    test_faults *faults = user;
    return files_fails(faults, 'r') ? -faults->code
                                    : reel_io_standard()->read(NULL, file, buffer, files_some(faults, bytes));
}

static int64_t files_write(void *user, int file, const void *buffer, size_t bytes)
{
    test_faults *faults = user;
    if (files_fails(faults, 'w'))
        return -faults->code;
    if (faults->room == 0)
        return -ENOSPC;
    size_t some = files_some(faults, bytes);
    if (faults->room > 0 && some > (size_t)faults->room)
        some = (size_t)faults->room;
    faults->room -= faults->room > 0 ? (int64_t)some : 0;
    return reel_io_standard()->write(NULL, file, buffer, some);
}

/* The file is closed even where that is said to have failed, as on Linux. */
static int files_close(void *user, int file)
{
    test_faults *faults = user;
    faults->open--;
    int result = reel_io_standard()->close(NULL, file);
    return files_fails(faults, 'c') ? -faults->code : result;
}

static int files_create(void *user, const char *path)
{
    test_faults *faults = user;
    int file = files_fails(faults, 'n') ? -faults->code : reel_io_standard()->create(NULL, path);
    faults->open += file >= 0;
    return file;
}

/* Syncing itself only takes time here. */
static int files_sync(void *user, int file)
{
    (void)file;
    return files_fails(user, 's') ? -((test_faults *)user)->code : 0;
}

static int files_rename(void *user, const char *from, const char *to)
{
    return files_fails(user, 'm') ? -((test_faults *)user)->code : reel_io_standard()->rename(NULL, from, to);
}

static int files_remove(void *user, const char *path)
{
    return files_fails(user, 'd') ? -((test_faults *)user)->code : reel_io_standard()->remove(NULL, path);
}

static int files_sync_folder(void *user, const char *path)
{
    (void)path;
    return files_fails(user, 'f') ? -((test_faults *)user)->code : 0;
}

static int files_map(void *user, int file, size_t bytes, void **memory)
{
    test_faults *faults = user;
    int result =
        files_fails(faults, 'p') ? -faults->code : reel_io_standard()->map(NULL, file, bytes, memory);
    faults->mapped += result >= 0;
    return result;
}

static int files_unmap(void *user, void *memory, size_t bytes)
{
    test_faults *faults = user;
    faults->mapped--;
    return reel_io_standard()->unmap(NULL, memory, bytes);
}

void test_faults_start(test_faults *faults)
{
    *faults = (test_faults){.code = EIO, .room = -1};
    faults->io = (reel_io){
        .size = sizeof(reel_io), .user = faults, .open = files_open, .length = files_length,
        .read = files_read, .write = files_write, .close = files_close, .create = files_create,
        .sync = files_sync, .rename = files_rename, .remove = files_remove,
        .sync_folder = files_sync_folder, .map = files_map, .unmap = files_unmap,
    };
}
