/* What the tests of data share: something that is read, as a job whose calls and allocations can fail.
 *
 * SPDX-License-Identifier: MIT */
#ifndef REEL_TESTS_DATA_H
#define REEL_TESTS_DATA_H

#include "tests/files.h"

/* Reads or writes something with test_files_memory, and gives all of it back. Where it fails, `error` is what
 * it says. */
typedef bool data_job(const reel_io *io, char error[REEL_TRAIN_MESSAGE]);

/* The job done well; then with each call, and each allocation, of it failing in turn. Only the failing close
 * of a file that is read may pass. Nothing stays open, mapped or allocated. */
void data_with_faults(data_job *job);

/* That the job fails, and says so. */
void data_expect(data_job *job, const char *text);

/* The suite's parts. */
void test_data_arrays(Suite *suite);
void test_data_images(Suite *suite);
void test_data_csv(Suite *suite);
void test_data_batches(Suite *suite);

#endif
