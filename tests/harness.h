/* What all tests share: an allocator that counts and fails, an I/O table that lives in memory, a seeded
 * generator, the floating dtypes' rounding and spacing, and reports that collect what went wrong.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef REEL_TESTS_HARNESS_H
#define REEL_TESTS_HARNESS_H

#include <check.h>
#include <reel.h>


/* ---- Reports ------------------------------------------------------------------------------------- */

/* What a check found wrong. Checks report instead of failing at once, so that the checks themselves can be
 * tested with ops that are wrong on purpose. */
typedef struct test_report {
    int  failures;
    char text[2400];                                /* the first few, a line each                  */
} test_report;

void test_complain(test_report *report, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Fails the running test if anything was reported. */
void test_assert_clean(const test_report *report);


/* ---- An allocator that counts and fails ---------------------------------------------------------- */

/* Fresh memory, and the fresh end of memory that grew, is filled with 0xff: NaN as a float, -1 as an
 * index. Start it as {0}. */
typedef struct test_memory {
    uint64_t calls;                                 /* of every kind                               */
    uint64_t requests;                              /* those that asked for memory                 */
    uint64_t fail_at;                               /* the request that fails, from 1 on; 0: none  */
    bool     fail_on;                               /* ... and so do all after it                  */
    uint64_t refused;
    size_t   live, peak;                            /* bytes                                       */
    int64_t  blocks;
    int      misuse;                                /* wrong old sizes, pointers that are not ours */
} test_memory;

/* A reel_allocator; `user` is a test_memory. */
void *test_allocate(void *user, void *pointer, size_t old_size, size_t new_size);

/* A tape on that allocator. */
#define test_tape_on(memory, ...)                                                                    \
    reel_tape_new_with(.allocator = test_allocate, .allocator_user = (memory), __VA_ARGS__)

/* Complains unless all of it was given back, with the right sizes. */
void test_memory_check(const test_memory *memory, test_report *report);


/* ---- Files in memory ----------------------------------------------------------------------------- */

enum { TEST_FILES = 12 };

/* Files 1 and 2 are "stdout" and "stderr". Call number `fail_at` (from 1 on; 0: none) returns -EIO. */
typedef struct test_files {
    reel_io  io;                                    /* hand out a pointer to this                  */
    uint64_t calls, fail_at;
    bool     fail_on;                               /* ... and so do all after it                  */
    int      open;                                  /* files that are open now                     */
    struct test_file {
        char   path[96];
        char  *bytes;
        size_t length, room, at;
        bool   is_open;
    } file[TEST_FILES];
} test_files;

void        test_files_start(test_files *files);
void        test_files_end(test_files *files);
void        test_files_put(test_files *files, const char *path, const void *bytes, size_t length);
const char *test_files_text(test_files *files, const char *path);  /* closed with a 0; NULL: no such file */


/* ---- Numbers ------------------------------------------------------------------------------------- */

/* Splitmix64 (Steele, Lea, Flood, "Fast splittable pseudorandom number generators", 2014). */
uint64_t test_random(uint64_t *state);
double   test_uniform(uint64_t *state, double low, double high);
uint64_t test_hash(const char *text);               /* a seed out of a name                        */

/* Storing a double as a dtype, rounded to nearest even (integers: towards zero), and loading it back. */
void   test_store(reel_dtype dtype, void *element, double value);
double test_load(reel_dtype dtype, const void *element);

/* Of a floating dtype: half the spacing at 1 (the unit roundoff), the spacing at x, the largest number. */
double test_roundoff(reel_dtype dtype);
double test_ulp(reel_dtype dtype, double x);
double test_largest(reel_dtype dtype);

/* Whether `got`, computed in `dtype`, is `want`: the same kind of number (NaN, +inf, -inf, finite) and, if
 * finite, within `allowed`. Where `want` is at the end of the dtype's range, either side of it will do. */
bool test_close(reel_dtype dtype, double got, double want, double allowed);

/* How many elements a shape has. */
int64_t test_count(reel_shape shape);

#endif
