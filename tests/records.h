/* The suite's parts, each in a file of its own.
 *
 * SPDX-License-Identifier: MIT */
#ifndef REEL_TESTS_RECORDS_H
#define REEL_TESTS_RECORDS_H

#include "tests/files.h"

void test_records_progress(Suite *suite);

#endif
