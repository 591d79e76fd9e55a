/* What a training leaves behind: its progress, its log and its pictures.
 *
 * SPDX-License-Identifier: MIT */
#include "tests/records.h"

Suite *reel_suite_records(void);

Suite *reel_suite_records(void)
{
    Suite *suite = suite_create("records");
    test_records_progress(suite);
    test_records_log(suite);
    test_records_pictures(suite);
    return suite;
}
