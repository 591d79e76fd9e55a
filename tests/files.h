/* What the tests of files share: a folder of their own, a table of files that fails on request, and the
 * arrays that the files hold.
 *
 * SPDX-License-Identifier: MIT */
#ifndef REEL_TESTS_FILES_H
#define REEL_TESTS_FILES_H

#include "tests/harness.h"

#include <reel_train.h>

#ifndef REEL_TEST_GOLDEN
#define REEL_TEST_GOLDEN "tests/golden"             /* from the root of the source                 */
#endif

enum { FILES_SHAPES = 12, FILES_PATH = 300 };

/* Ranks 0 to 8, with sizes of 0, of 1, and odd ones. */
extern const reel_shape test_files_shape[FILES_SHAPES];

/* Element i of every array: (7 i mod 23) - 5, or 7 i mod 23 in u8. Bytes for an array of them, to be
 * freed. */
double test_files_number(reel_dtype dtype, int64_t i);
void  *test_files_values(reel_dtype dtype, reel_shape shape);

/* The folder, made and removed by the fixtures with all that is in it; and the path of a file in it, which
 * is valid as long as the folder is. */
void        test_folder_set_up(void);
void        test_folder_tear_down(void);
const char *test_folder_path(const char *name);
int         test_folder_count(void);                /* how many names are in it                    */

/* A file's bytes, to be freed; NULL where there is none. And the other way round. */
unsigned char *test_folder_read(const char *path, size_t *length);
void           test_folder_put(const char *path, const void *bytes, size_t length);

/* The real file system with faults. Start it with test_faults_start(). */
typedef struct test_faults {
    reel_io  io;                                    /* hand out a pointer to this                  */
    uint64_t calls, fail_at;                        /* call number fail_at fails, from 1 on        */
    bool     fail_on;                               /* ... and so do all after it                  */
    int      code;                                  /* with this errno value                       */
    int64_t  room;                                  /* bytes that can be written before ENOSPC; -1: any */
    size_t   most;                                  /* bytes of one read or write; 0: any          */
    int      open;                                  /* files that are open now                     */
    int      mapped;                                /* ... and mapped                              */
    char     failed;                                /* the first letter of the call that failed, or 0 */
} test_faults;

void test_faults_start(test_faults *faults);

/* A fixture: the folder, and an allocator of which nothing may be left. */
extern test_memory test_files_memory;
void test_files_set_up(void);
void test_files_tear_down(void);

#define TEST_FILES_OBJECT(...) {.allocator = test_allocate, .allocator_user = &test_files_memory, __VA_ARGS__}

/* Reads these bytes as a file of one format or the other. Where that fails, the message begins with the
 * path, the object is empty, and `error` (if not NULL) gets the rest of the message. */
bool test_files_read(bool npy, const void *bytes, size_t length, char error[REEL_TRAIN_MESSAGE]);

/* The suite's parts, each in a file of its own. */
void test_files_content(Suite *suite);
void test_files_npy(Suite *suite);
void test_files_parameters(Suite *suite);
void test_files_faults(Suite *suite);

#endif
