/* Tables of text, and the numbers in them.
 *
 * SPDX-License-Identifier: MIT */
#include "tests/data.h"

#include "train/decimal.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- Numbers ------------------------------------------------------------------------------------- */

/* Against strtod and strtof, which glibc rounds exactly; tests run in the C locale. */
static void csv_compare(const char *text)
{
    double got = 0;
    for (int f32 = 0; f32 < 2; f32++) {
        double want = f32 ? (double)strtof(text, NULL) : strtod(text, NULL);
        reel_decimal read = reel_decimal_read(text, strlen(text), f32 ? REEL_F32 : REEL_F64, &got);
        if (isinf(want))
            ck_assert_msg(read == REEL_DECIMAL_TOO_LARGE, "%s is %a in f%d", text, got, f32 ? 32 : 64);
        else
            ck_assert_msg(read == REEL_DECIMAL_GOOD && memcmp(&got, &want, sizeof got) == 0,
                          "%s is %a, not %a, in f%d", text, got, want, f32 ? 32 : 64);
    }
}

START_TEST(numbers_that_are_hard)
{
    static const char *const hard[] = {
        "0", "-0", "+0.0e999999999999999999999", "1", "-1.", ".5", "1e22", "1e23", "1e-22", "1e-23",
        "9007199254740993", "9007199254740992.999999", "16777217", "16777217.0000000001",
        "16777216.9999999999", "1.7976931348623157e308", "1.7976931348623158e308",
        "1.7976931348623159e308", "3.4028235677973366e38", "3.4028235677973365e38",
        "4.9406564584124654e-324", "2.4703282292062327e-324", "2.4703282292062328e-324", "1e-400",
        "1e400", "0e400", "2.2250738585072011e-308", "2.2250738585072014e-308", "1.17549435e-38",
        "7.006492321624085e-46", "7.006492321624086e-46", "1e-45", "123456789012345678901234567890",
        "0.000000000000000000000000000001e30", "8.5899345920000000000e9",
        "1e00000000000000000000000000005", "1000000000000000000000000000000e-30",
        "1e-99999999999999999999", "179769313486231580793e289", "6.631236846766476e-316", "5e-324",
        "9e15", "1e310", "0.3333333432674407958984375", "0.333333358168601989746094",
        "9.999999999999999e22", "1e9999999999999999999",
    };
    for (size_t i = 0; i < sizeof hard / sizeof hard[0]; i++)
        csv_compare(hard[i]);
}
END_TEST

/* Any f64 in few digits and in many, and whole numbers with any exponent. */
START_TEST(numbers_at_random)
{
    uint64_t state = 5;
    char text[1400];
    for (int i = 0; i < 30000; i++) {
        uint64_t bits = test_random(&state);
        double x;
        memcpy(&x, &bits, sizeof x);
        if (isfinite(x)) {
            snprintf(text, sizeof text, "%.*g", (int)(test_random(&state) % 30) + 1, x);
            csv_compare(text);
        }
        x = test_uniform(&state, -2, 2);
        snprintf(text, sizeof text, "%.*f", (int)(test_random(&state) % 20), x);
        csv_compare(text);
        snprintf(text, sizeof text, "%lluE%+d", (unsigned long long)(bits >> test_random(&state) % 64),
                 (int)(test_random(&state) % 700) - 360);
        csv_compare(text);
        for (int k = 0; k < 4; k++) {               /* what a quotient leaves decides one in 2^13  */
            snprintf(text, sizeof text, "%llue-27", (unsigned long long)test_random(&state) / 2);
            csv_compare(text);
        }
    }
}
END_TEST

/* The middle of two neighbours in all its digits goes to the even one; a digit far behind decides. */
START_TEST(numbers_in_the_middle)
{
    uint64_t state = 6;
    char text[2000];
    for (int i = 0; i < 2000; i++) {
        uint64_t bits = test_random(&state) & INT64_MAX;
        uint32_t narrow_bits = (uint32_t)(bits >> 32);
        double x;
        float narrow;
        bits = i % 4 ? bits : bits >> 12;           /* every fourth below the normal numbers       */
        memcpy(&x, &bits, sizeof x);
        memcpy(&narrow, &narrow_bits, sizeof narrow);
        if (!isfinite(x) || !isfinite(narrow))
            continue;
        const double above = nextafterf(narrow, INFINITY);
        const long double middle = ((long double)x + (long double)nextafter(x, INFINITY)) / 2;
        for (int f32 = 0; f32 < 2; f32++) {
            if (f32)
                snprintf(text, sizeof text, "%.1200e", ((double)narrow + above) / 2);
            else
                snprintf(text, sizeof text, "%.1200Le", middle);
            csv_compare(text);
            char *last = strchr(text, 'e') - 1;
            *last = '1';
            csv_compare(text);
        }
    }
}
END_TEST

START_TEST(numbers_without_digits)
{
    static const char *const bad[] = {
        "", "+", "-", ".", "e5", ".e5", "1e", "1e+", "1e-", "1.2.3", "1 2", " 1", "1 ", "0x10", "1,5",
        "--1", "+-1", "1f", "inf1", "infin", "na", "nan(1)", "1e5.0", "\xc2\xbd", "1_000", "e", "i",
        "infinityy",
    };
    double value;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        ck_assert_msg(reel_decimal_read(bad[i], strlen(bad[i]), REEL_F64, &value) == REEL_DECIMAL_NO_NUMBER,
                      "\"%s\" is %g", bad[i], value);
    ck_assert(reel_decimal_read("1e5", 1, REEL_F64, &value) == REEL_DECIMAL_GOOD && value == 1);
    ck_assert(reel_decimal_read("NaN", 3, REEL_F64, &value) == REEL_DECIMAL_GOOD && isnan(value));
    ck_assert(reel_decimal_read("-Inf", 4, REEL_F32, &value) == REEL_DECIMAL_GOOD && value == -INFINITY);
    ck_assert(reel_decimal_read("+INFINITY", 9, REEL_F32, &value) == REEL_DECIMAL_GOOD && value == INFINITY);
}
END_TEST

/* ---- Tables -------------------------------------------------------------------------------------- */

static reel_csv csv_options;                        /* of the jobs                                 */

static void csv_put(const char *text)
{
    test_folder_put(test_folder_path("file"), text, strlen(text));
}

static bool csv_read(reel_csv *table, const reel_io *io)
{
    *table = csv_options;
    table->allocator = test_allocate;
    table->allocator_user = &test_files_memory;
    return reel_csv_read(table, test_folder_path("file"), io);
}

static bool csv_job(const reel_io *io, char error[REEL_TRAIN_MESSAGE])
{
    reel_csv table;
    bool good = csv_read(&table, io);
    strcpy(error, table.error);
    ck_assert(good || (!table.data && !table.labels && !table.class_name && !table.column_name &&
                       !table.rows));
    reel_csv_free(&table);
    return good;
}

static void csv_set_up(void)
{
    test_files_set_up();
    csv_options = (reel_csv){0};
}

START_TEST(table_of_numbers)
{
    reel_csv table;
    csv_put("1,2.5, -3e2\n4 ,\t5,6");
    ck_assert_msg(csv_read(&table, NULL), "%s", table.error);
    const float wanted[] = {1, 2.5f, -300, 4, 5, 6};
    ck_assert(table.dtype == REEL_F32 && table.rows == 2 && table.columns == 3);
    ck_assert(!table.labels && !table.class_name && !table.column_name && !table.label_name &&
              !table.classes);
    ck_assert_int_eq(memcmp(table.data, wanted, sizeof wanted), 0);
    ck_assert_uint_eq((uintptr_t)table.data % 64, 0);
    reel_csv_free(&table);
}
END_TEST

START_TEST(table_with_all_options)
{
    reel_csv table;
    csv_options = (reel_csv){.dtype = REEL_F64, .delimiter = ';', .header = true, .empty_is_nan = true,
                             .label_column = 2};
    csv_put("\xef\xbb\xbfwidth;\"the \"\"kind\"\"\";\"two\nlines\"\r\n\r\n"
            ".1;\"dog; large\";\r\n\n\"2\";cat;3\r\n;\"dog; large\";\"\"\n\n"
            "0.30000000000000004;\"\"\"\"; 1 \n\n");
    ck_assert_msg(csv_read(&table, NULL), "%s", table.error);
    ck_assert(table.rows == 4 && table.columns == 2 && table.classes == 3);
    ck_assert_str_eq(table.column_name[0], "width");
    ck_assert_str_eq(table.column_name[1], "two\nlines");
    ck_assert_str_eq(table.label_name, "the \"kind\"");
    ck_assert_str_eq(table.class_name[0], "dog; large");
    ck_assert_str_eq(table.class_name[1], "cat");
    ck_assert_str_eq(table.class_name[2], "\"");
    ck_assert_int_eq(memcmp(table.labels, (int32_t[]){0, 1, 0, 2}, 16), 0);
    const double *x = table.data;
    ck_assert(x[0] == .1 && isnan(x[1]) && x[2] == 2 && x[3] == 3 && isnan(x[4]) && isnan(x[5]) &&
              x[6] == 0.30000000000000004 && x[7] == 1);
    reel_csv_free(&table);
}
END_TEST

START_TEST(tables_at_the_limits)
{
    reel_csv table;
    csv_options = (reel_csv){.header = true, .label_column = -1};
    csv_put("kind");
    ck_assert(csv_read(&table, NULL) && table.rows == 0 && table.columns == 0 && table.classes == 0);
    ck_assert_str_eq(table.label_name, "kind");
    reel_csv_free(&table);
    csv_put("kind\nb\n\"a\"\nb");
    ck_assert(csv_read(&table, NULL) && table.rows == 3 && table.columns == 0 && table.classes == 2);
    ck_assert_str_eq(table.class_name[1], "a");
    reel_csv_free(&table);
    csv_options = (reel_csv){.delimiter = '\t', .empty_is_nan = true};
    csv_put("\t\n1\t\n\"\"\t2");
    ck_assert(csv_read(&table, NULL) && table.rows == 3 && table.columns == 2);
    const float *x = table.data;
    ck_assert(isnan(x[0]) && isnan(x[1]) && x[2] == 1 && isnan(x[3]) && isnan(x[4]) && x[5] == 2);
    reel_csv_free(&table);
}
END_TEST

static const struct csv_bad {
    const char *text, *error;
    reel_csv    options;
} csv_bad[] = {
    {"", "file: there is no row in it", {0}},
    {"\n\r\n\n", "file: there is no row in it", {0}},
    {"1,2\n3\n", "line 2, column 1: 1 fields in this row, and 2 in the first one", {0}},
    {"1,2\n3,4,5\n", "line 2, column 3: 3 fields in this row, and 2 in the first one", {0}},
    {"1,2\n\n3,x4\n", "line 3, column 2: \"x4\" is not a number", {0}},
    {"1,2\n3,\n", "line 2, column 2: the field is empty", {0}},
    {"1,\" \"\n", "line 1, column 2: the field is empty", {0}},
    {"1,\"2\n", "line 1, column 2: a quote that is not closed", {0}},
    {"1,\"2\"\"", "line 1, column 2: a quote that is not closed", {0}},
    {"1,\"2\" ,3\n", "line 1, column 2: text behind the closing quote", {0}},
    {"1,2\"\n", "line 1, column 2: a quote inside a field that does not begin with one", {0}},
    {"1,1e39\n", "line 1, column 2: \"1e39\" is too large for f32", {0}},
    {"1,1e309\n", "line 1, column 2: \"1e309\" is too large for f64", {.dtype = REEL_F64}},
    {"1\r2\n", "line 1, column 1: \"1?2\" is not a number", {0}},
    {"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n",
     "\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa...\" is not a number", {0}},
    {"1,a\n2,\n", "line 2, column 2: the name of a class is empty", {.label_column = 2}},
    {"1,2\n", "there is no label column 3: 2 fields in a row", {.label_column = 3}},
    {"1,2\n", "there is no label column -3: 2 fields in a row", {.label_column = -3}},
    {"1,2\n", "fields cannot be delimited by a quote or a line's end", {.delimiter = '"'}},
    {"1,2\n", "fields cannot be delimited by a quote or a line's end", {.delimiter = '\n'}},
    {"1,2\n", "numbers are read as f32 or f64, not as i32", {.dtype = REEL_I32}},
    {"\"a\nb\",c\n1,x\n", "line 3, column 2: \"x\" is not a number", {.header = true}},
};

START_TEST(tables_that_are_wrong)
{
    csv_options = csv_bad[_i].options;
    csv_put(csv_bad[_i].text);
    data_expect(csv_job, csv_bad[_i].error);
}
END_TEST

START_TEST(tables_with_a_nul)
{
    csv_options.label_column = 2;
    test_folder_put(test_folder_path("file"), "1,a\n2,b\0c\n", 10);
    data_expect(csv_job, "line 2, column 2: a NUL in a name");
    test_folder_put(test_folder_path("file"), "1\0,a\n", 5);
    data_expect(csv_job, "line 1, column 1: \"1\" is not a number");
}
END_TEST

/* Cut anywhere, and with each byte replaced by each that means something: read or refused, never more. */
START_TEST(tables_damaged)
{
    static const char text[] = "a,\"b\"\"c\",d\r\n1,x,2.5e3\n\n\"4\",\"y,\nz\",5\n,x,\"\"";
    static const char other[] = ",\"\n\r\0001e.";
    char error[REEL_TRAIN_MESSAGE], changed[sizeof text];
    csv_options = (reel_csv){.header = true, .empty_is_nan = true, .label_column = 2};
    const size_t length = sizeof text - 1;
    int good = 0, bad = 0;
    for (size_t cut = 0; cut <= length; cut++) {
        test_folder_put(test_folder_path("file"), text, cut);
        bool read = csv_job(NULL, error);
        ck_assert_msg(read || strstr(error, test_folder_path("file")) == error, "%s", error);
        *(read ? &good : &bad) += 1;
    }
    for (size_t at = 0; at < length; at++)
        for (size_t i = 0; i < sizeof other; i++) {
            memcpy(changed, text, sizeof text);
            changed[at] = other[i];
            test_folder_put(test_folder_path("file"), changed, length);
            bool read = csv_job(NULL, error);
            ck_assert_msg(read || strstr(error, test_folder_path("file")) == error, "%s", error);
            *(read ? &good : &bad) += 1;
        }
    ck_assert(good > 50 && bad > 50);
    csv_put(text);
    data_with_faults(csv_job);
}
END_TEST

/* 5,000 classes, each met again later. */
START_TEST(tables_of_many_classes)
{
    enum { CLASSES = 5000 };
    char *text = malloc(2 * CLASSES * 32), *to = text, name[32];
    ck_assert_ptr_nonnull(text);
    for (int i = 0; i < 2 * CLASSES; i++)
        to += sprintf(to, "class %d,%d\n", 7 * i % CLASSES, i);
    csv_options = (reel_csv){.label_column = 1};
    csv_put(text);
    reel_csv table;
    ck_assert_msg(csv_read(&table, NULL), "%s", table.error);
    ck_assert_int_eq(table.classes, CLASSES);
    for (int i = 0; i < 2 * CLASSES; i++) {
        snprintf(name, sizeof name, "class %d", 7 * i % CLASSES);
        ck_assert_int_eq(table.labels[i], i % CLASSES);
        ck_assert_str_eq(table.class_name[table.labels[i]], name);
        ck_assert(((float *)table.data)[i] == (float)i);
    }
    reel_csv_free(&table);
    free(text);
}
END_TEST

START_TEST(table_with_faults)
{
    char text[4000] = "";
    for (int i = 0; i < 200; i++)
        sprintf(text + strlen(text), "%d,kind %d\n", i, i % 50);
    csv_options.label_column = 2;
    csv_put(text);
    data_with_faults(csv_job);
}
END_TEST


void test_data_csv(Suite *suite)
{
    TCase *csv = tcase_create("csv");
    tcase_set_timeout(csv, 120);
    tcase_add_checked_fixture(csv, csv_set_up, test_files_tear_down);
    tcase_add_test(csv, numbers_that_are_hard);
    tcase_add_test(csv, numbers_at_random);
    tcase_add_test(csv, numbers_in_the_middle);
    tcase_add_test(csv, numbers_without_digits);
    tcase_add_test(csv, table_of_numbers);
    tcase_add_test(csv, table_with_all_options);
    tcase_add_test(csv, tables_at_the_limits);
    tcase_add_loop_test(csv, tables_that_are_wrong, 0, sizeof csv_bad / sizeof csv_bad[0]);
    tcase_add_test(csv, tables_with_a_nul);
    tcase_add_test(csv, tables_damaged);
    tcase_add_test(csv, tables_of_many_classes);
    tcase_add_test(csv, table_with_faults);
    suite_add_tcase(suite, csv);
}
