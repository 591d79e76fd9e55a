/* The data of a training program: images, arrays and tables from files, and batches. The parts are in
 * data_*.c.
 *
 * SPDX-License-Identifier: MIT */
#include "tests/data.h"

#include <string.h>

Suite *reel_suite_data(void);

static void data_check_clean(const test_faults *faults, const char *error)
{
    ck_assert_msg(faults->open == 0 && faults->mapped == 0, "%d open, %d mapped after \"%s\"", faults->open,
                  faults->mapped, error);
    ck_assert(test_files_memory.live == 0 && test_files_memory.misuse == 0);
}

static void data_with_calls(data_job *job, bool each_byte)
{
    char error[REEL_TRAIN_MESSAGE];
    for (uint64_t call = 1;; call++) {
        test_faults faults;
        test_faults_start(&faults);
        faults.fail_at = call;
        faults.most = each_byte ? 7 : 0;
        bool good = job(&faults.io, error);
        data_check_clean(&faults, error);
        if (!faults.failed) {
            ck_assert_msg(good, "%s", error);
            return;
        }
        if (good)
            ck_assert_int_eq(faults.failed, 'c');
        else
            ck_assert_msg(strstr(error, "input/output error"), "call %llu ('%c'): \"%s\"",
                          (unsigned long long)call, faults.failed, error);
    }
}

void data_with_faults(data_job *job)
{
    char error[REEL_TRAIN_MESSAGE];
    data_with_calls(job, false);
    for (uint64_t request = 1;; request++) {
        test_faults faults;
        test_faults_start(&faults);
        test_files_memory = (test_memory){.fail_at = request};
        bool good = job(&faults.io, error);
        data_check_clean(&faults, error);
        ck_assert_msg(good == !test_files_memory.refused && (good || strstr(error, "no memory")),
                      "%s", error);
        if (good)
            break;
    }
    test_files_memory = (test_memory){0};
}

void data_expect(data_job *job, const char *text)
{
    char error[REEL_TRAIN_MESSAGE] = "";
    test_faults faults;
    test_faults_start(&faults);
    ck_assert_msg(!job(&faults.io, error), "accepted, where \"%s\" was expected", text);
    ck_assert_msg(strstr(error, text) && !strchr(error, '\n'), "\"%s\" does not say \"%s\"", error, text);
    data_check_clean(&faults, error);
}

Suite *reel_suite_data(void)
{
    Suite *suite = suite_create("data");
    test_data_images(suite);
    test_data_arrays(suite);
    test_data_csv(suite);
    test_data_batches(suite);
    return suite;
}
