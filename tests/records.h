/* The suite's parts, each in a file of its own.
 *
 * SPDX-License-Identifier: MIT */
#ifndef REEL_TESTS_RECORDS_H
#define REEL_TESTS_RECORDS_H

#include "tests/files.h"

void test_records_progress(Suite *suite);
void test_records_log(Suite *suite);
void test_records_pictures(Suite *suite);

/* The text of a file, closed with a 0, to be freed. */
char *test_records_text(const char *path);

#endif
