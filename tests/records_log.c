/* Logs, and whether files can be written at all.
 *
 * SPDX-License-Identifier: MIT */
#include "tests/records.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *const log_columns[] = {"epoch", "loss, mean", "a \"b\"\nc"};

#define LOG_HEADER "epoch,\"loss, mean\",\"a \"\"b\"\"\nc\"\n"

static reel_log log_of(int64_t from)
{
    return (reel_log)TEST_FILES_OBJECT(.column = log_columns, .columns = 3, .from = from);
}

char *test_records_text(const char *path)
{
    size_t length;
    unsigned char *bytes = test_folder_read(path, &length);
    ck_assert_msg(bytes != NULL && length + 1 < 1 << 20, "%s", path);
    bytes[length] = 0;
    return (char *)bytes;
}

static void log_expect(const char *path, const char *text)
{
    char *got = test_records_text(path);
    ck_assert_str_eq(got, text);
    free(got);
}

/* Opens, writes rows of the epochs from `first` to `last`, and closes. */
static bool log_write(reel_log *log, const reel_io *io, int first, int last)
{
    bool good = reel_log_open(log, test_folder_path("log.csv"), io);
    for (int epoch = first; good && epoch <= last; epoch++)
        good = reel_log_row(log, REEL_ROW(epoch, epoch / 8., -1));
    return reel_log_close(log) && good;
}


/* ---- What is written ----------------------------------------------------------------------------- */

/* Each row is there when the call returns. */
START_TEST(rows_are_written_at_once)
{
    const char *path = test_folder_path("log.csv");
    reel_log log = log_of(0);
    ck_assert_msg(reel_log_open(&log, path, NULL), "%s", log.error);
    log_expect(path, LOG_HEADER);
    ck_assert(reel_log_row(&log, REEL_ROW(1, .1, 1e100)));
    log_expect(path, LOG_HEADER "1,0.1,1e+100\n");
    ck_assert(reel_log_row(&log, REEL_ROW(2, -0., NAN)));
    ck_assert(reel_log_row(&log, REEL_ROW(-INFINITY, 1e15 + .5, 123456789012345678.)));
    ck_assert(!reel_log_row(&log, REEL_ROW(1, 2)));
    ck_assert_str_eq(log.error, "log: 2 numbers, and there are 3 columns");
    ck_assert(reel_log_row(&log, REEL_ROW(.0001, .00001234, 1e16)));
    log_expect(path, LOG_HEADER "1,0.1,1e+100\n2,-0,nan\n-inf,1000000000000000.5,1.2345678901234568e+17\n"
                                "0.0001,1.234e-05,1e+16\n");
    ck_assert_int_eq(log.rows, 4);
    ck_assert(reel_log_close(&log));
    ck_assert_int_eq(test_folder_count(), 1);
    ck_assert(!reel_log_row(&log, REEL_ROW(1, 2, 3)));
}
END_TEST

/* Bit patterns at random, and the ends of the range. */
START_TEST(numbers_read_back_exactly)
{
    static const double ends[] = {DBL_MAX, DBL_MIN, DBL_TRUE_MIN, -DBL_MAX, 5e-324, 9007199254740993., 1. / 3,
                                  9.999999999999999e22, 1e23, 4503599627370497.5, 123456.7, 1e16, 1e-4, 9e-5};
    enum { ENDS = sizeof ends / sizeof *ends, COUNT = 5000 };
    static const char *const one[] = {"x"};
    static double values[COUNT];
    uint64_t state = 7;
    reel_log log = TEST_FILES_OBJECT(.column = one, .columns = 1);
    ck_assert(reel_log_open(&log, test_folder_path("log.csv"), NULL));
    for (int i = 0; i < COUNT; i++) {
        uint64_t bits = test_random(&state);
        memcpy(&values[i], &bits, 8);
        values[i] = i < ENDS ? ends[i] : i % 2 ? test_uniform(&state, -1, 1) : values[i];
        ck_assert(reel_log_row(&log, &values[i], 1));
    }
    ck_assert(reel_log_close(&log));
    char *text = test_records_text(test_folder_path("log.csv")), *at = text + 2, *end;
    for (int i = 0; i < COUNT; i++, at = end + 1) {
        double got = strtod(at, &end);
        ck_assert_msg(*end == '\n' && (got == values[i] || (isnan(got) && isnan(values[i]))), "%.17g: %.30s",
                      values[i], at);
        if (i < ENDS)                               /* no more digits than Python's repr() has     */
            ck_assert_int_le(strcspn(at, "\n"), 24);
    }
    free(text);
}
END_TEST


/* ---- Resuming ------------------------------------------------------------------------------------ */

START_TEST(a_log_is_gone_on_with)
{
    const char *path = test_folder_path("log.csv");
    reel_log log = log_of(5);
    ck_assert_msg(log_write(&log, NULL, 1, 3), "%s", log.error);    /* there was none                 */
    log = log_of(3);
    ck_assert(reel_log_open(&log, path, NULL));
    ck_assert_int_eq(log.rows, 2);
    ck_assert(reel_log_row(&log, REEL_ROW(3, 9, 9)) && reel_log_close(&log));
    log_expect(path, LOG_HEADER "1,0.125,-1\n2,0.25,-1\n3,9,9\n");
    log = log_of(INT64_MAX);
    ck_assert(log_write(&log, NULL, 7, 7) && log.rows == 4);
    log_expect(path, LOG_HEADER "1,0.125,-1\n2,0.25,-1\n3,9,9\n7,0.875,-1\n");
    log = log_of(0);
    ck_assert(log_write(&log, NULL, 1, 1) && log.rows == 1);
    log_expect(path, LOG_HEADER "1,0.125,-1\n");
    ck_assert_int_eq(test_folder_count(), 1);
}
END_TEST

static void log_refused(const char *text, const char *why)
{
    const char *path = test_folder_path("log.csv");
    reel_log log = log_of(3);
    test_folder_put(path, text, strlen(text));
    ck_assert(!log_write(&log, NULL, 3, 3));
    ck_assert_msg(strstr(log.error, path) == log.error, "%s", log.error);
    ck_assert_str_eq(log.error + strlen(path) + 2, why);
    log_expect(path, text);
    ck_assert_int_eq(test_folder_count(), 1);
}

/* The header of ours has two lines. */
START_TEST(a_log_of_others_is_left_alone)
{
    log_refused("epoch,loss\n1,2\n", "the columns of the log that is there are others");
    log_refused("e", "the columns of the log that is there are others");
    log_refused(LOG_HEADER "1,2,3\n4,5\n", "line 4: 2 numbers, and there are 3 columns: 4,5");
    log_refused(LOG_HEADER "\n", "line 3: 1 numbers, and there are 3 columns: ");
    log_refused(LOG_HEADER "1.5,2,3\n", "line 3 does not begin with a whole number");
    log_refused(LOG_HEADER "x,2,3\n", "line 3 does not begin with a whole number");
    log_refused(LOG_HEADER ",2,3\n", "line 3 does not begin with a whole number");
    log_refused(LOG_HEADER "9223372036854775808,2,3\n", "line 3 does not begin with a whole number");
    log_refused(LOG_HEADER "99999999999999999999,2,3\n", "line 3 does not begin with a whole number");
}
END_TEST

/* Wherever a crash has cut the last row, the others are kept. */
START_TEST(a_row_that_was_cut_is_dropped)
{
    static const char text[] = LOG_HEADER "1,0.125,-1\n2,0.25,-1";
    for (size_t length = sizeof LOG_HEADER + 10; length < sizeof text; length++) {
        reel_log log = log_of(3);
        test_folder_put(test_folder_path("log.csv"), text, length);
        ck_assert_msg(log_write(&log, NULL, 3, 3), "%s", log.error);
        log_expect(test_folder_path("log.csv"), LOG_HEADER "1,0.125,-1\n3,0.375,-1\n");
    }
    reel_log log = log_of(3);
    test_folder_put(test_folder_path("log.csv"), "", 0);
    ck_assert_msg(log_write(&log, NULL, 3, 3), "%s", log.error);
    log_expect(test_folder_path("log.csv"), LOG_HEADER "3,0.375,-1\n");
}
END_TEST


/* ---- Faults -------------------------------------------------------------------------------------- */

/* Whatever fails, what is there is the old log, or a new one whose rows are whole but for the last. */
START_TEST(each_call_of_a_log_can_fail)
{
    const char *path = test_folder_path("log.csv");
    char seen[64] = "";
    for (uint64_t call = 1;; call++) {
        test_faults faults;
        reel_log log = log_of(0);
        ck_assert(log_write(&log, NULL, 1, 3));
        test_faults_start(&faults);
        faults.fail_at = call;
        log = log_of(3);
        bool good = log_write(&log, &faults.io, 3, 4);
        ck_assert_int_eq(faults.open, 0);
        ck_assert_int_eq(test_folder_count(), 1);
        if (!faults.failed) {
            ck_assert(good);
            break;
        }
        seen[strlen(seen)] = faults.failed;
        ck_assert_msg(good == (log.error[0] == 0), "%s", log.error);
        ck_assert_msg(good || strstr(log.error, path) == log.error, "%s", log.error);
        char *text = test_records_text(path);
        ck_assert(strstr(text, LOG_HEADER "1,0.125,-1\n2,0.25,-1\n") == text);
        free(text);
        log = log_of(3);
        ck_assert_msg(log_write(&log, NULL, 3, 3), "%s", log.error);
        log_expect(path, LOG_HEADER "1,0.125,-1\n2,0.25,-1\n3,0.375,-1\n");
    }
    /* open, length, read and close of the old one; the same without reading where it is to be replaced; the
     * new one; two rows; its end */
    ck_assert_str_eq(seen, "olrcolcnwsmfwwsc");
}
END_TEST

/* A row that is there in part is the last one; the error stays. */
START_TEST(a_full_disk_ends_a_log)
{
    test_faults faults;
    test_faults_start(&faults);
    faults.room = sizeof LOG_HEADER - 1 + 15;
    char wanted[80];
    snprintf(wanted, sizeof wanted, "byte %d: cannot be written: no space left", (int)faults.room);
    reel_log log = log_of(0);
    ck_assert(reel_log_open(&log, test_folder_path("log.csv"), &faults.io));
    ck_assert(reel_log_row(&log, REEL_ROW(1, 2, 3)) && reel_log_row(&log, REEL_ROW(2, 2, 3)));
    ck_assert(!reel_log_row(&log, REEL_ROW(3, 2, 3)));
    faults.room = -1;
    for (int i = 0; i < 2; i++) {
        ck_assert(!reel_log_row(&log, REEL_ROW(4, 2, 3)));
        ck_assert_ptr_nonnull(strstr(log.error, wanted));
    }
    ck_assert(!reel_log_close(&log));
    ck_assert_int_eq(faults.open, 0);
    log_expect(test_folder_path("log.csv"), LOG_HEADER "1,2,3\n2,2,3\n3,2");
}
END_TEST

START_TEST(memory_for_a_log_can_be_short)
{
    reel_log log = log_of(0);
    ck_assert(log_write(&log, NULL, 1, 3));
    for (uint64_t request = 1;; request++) {
        test_files_memory = (test_memory){.fail_at = request};
        log = log_of(2);
        bool good = log_write(&log, NULL, 2, 3);
        ck_assert(test_files_memory.live == 0 && test_files_memory.misuse == 0);
        ck_assert(good == !test_files_memory.refused && (good || strstr(log.error, "no memory")));
        if (good)
            break;
    }
    test_files_memory = (test_memory){0};
    ck_assert(!reel_log_open(&log, NULL, NULL));
    log.columns = 0;
    ck_assert(!reel_log_open(&log, test_folder_path("log.csv"), NULL));
}
END_TEST

static void log_unwritable(const char *path, const char *why)
{
    char error[REEL_TRAIN_MESSAGE] = "";
    ck_assert(!reel_writable(path, NULL, error));
    ck_assert_msg(strstr(error, path) == error && strstr(error, why), "%s", error);
}

START_TEST(what_cannot_be_written_is_known_before)
{
    char error[REEL_TRAIN_MESSAGE];
    const char *path = test_folder_path("file");
    ck_assert(reel_writable(path, NULL, error));
    ck_assert_int_eq(test_folder_count(), 0);
    test_folder_put(path, "old", 3);
    ck_assert(reel_writable(path, NULL, error));
    log_expect(path, "old");
    ck_assert_int_eq(test_folder_count(), 1);
    log_unwritable(test_folder_path("."), "a folder, not a file");
    log_unwritable(test_folder_path("no/file"), "no such file or folder");
    log_unwritable(test_folder_path("file/file"), "a part of the path is not a folder");
    log_unwritable("/dev/null", "not a regular file");
    log_unwritable("/proc/file", "no new file can be made beside it");
    for (uint64_t call = 1;; call++) {
        test_faults faults;
        test_faults_start(&faults);
        faults.fail_at = call;
        bool good = reel_writable(path, &faults.io, error);
        ck_assert_int_eq(faults.open, 0);
        if (!faults.failed)
            break;
        ck_assert_msg(good == (faults.failed == 'c'), "call %llu ('%c')", (unsigned long long)call,
                      faults.failed);
        remove(test_folder_path("file.new-0"));
    }
}
END_TEST


void test_records_log(Suite *suite)
{
    TCase *log = tcase_create("log");
    tcase_add_checked_fixture(log, test_files_set_up, test_files_tear_down);
    tcase_add_test(log, rows_are_written_at_once);
    tcase_add_test(log, numbers_read_back_exactly);
    tcase_add_test(log, a_log_is_gone_on_with);
    tcase_add_test(log, a_log_of_others_is_left_alone);
    tcase_add_test(log, a_row_that_was_cut_is_dropped);
    tcase_add_test(log, each_call_of_a_log_can_fail);
    tcase_add_test(log, a_full_disk_ends_a_log);
    tcase_add_test(log, memory_for_a_log_can_be_short);
    tcase_add_test(log, what_cannot_be_written_is_known_before);
    suite_add_tcase(suite, log);
}
