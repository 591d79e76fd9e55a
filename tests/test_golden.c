/* Tests of what the golden tests stand on: the .safetensors reader, the errors in ulp, and the reference in
 * long double.
 *
 * SPDX-License-Identifier: MIT
 */
#include "tests/cross_entropy_limits.h"
#include "tests/harness.h"
#include "tests/safetensors.h"
#include "tests/ulp.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

Suite *reel_suite_golden(void);


/* ---- The reader ---------------------------------------------------------------------------------- */

/* A file of this header and so many bytes of data: 0, 1, 2, ... */
static reel_golden *golden_of(const char *header, size_t data, char why[REEL_GOLDEN_WHY])
{
    unsigned char file[1024] = {0};
    size_t length = strlen(header);
    ck_assert(8 + length + data <= sizeof file);
    file[0] = (unsigned char)length;
    file[1] = (unsigned char)(length >> 8);
    memcpy(file + 8, header, length);
    for (size_t i = 0; i < data; i++)
        file[8 + length + i] = (unsigned char)i;
    return reel_golden_parse(file, 8 + length + data, why);
}

START_TEST(reads_tensors_and_metadata)
{
    char why[REEL_GOLDEN_WHY];
    reel_golden *golden = golden_of("{\"__metadata__\":{\"note\":\"a \\\"b\\\"\\n\\u00e9\\ud83d\\ude00/\"},"
                                    "\"x\": {\"dtype\":\"I32\",\"shape\":[2,1],\"data_offsets\":[4,12]} ,"
                                    "\"s\":{\"shape\":[],\"dtype\":\"U8\",\"data_offsets\":[3,4]},"
                                    "\"e\":{\"shape\":[0,7],\"dtype\":\"F64\",\"data_offsets\":[0,0]},"
                                    "\"b\":{\"shape\":[3],\"dtype\":\"U8\",\"data_offsets\":[0,3]}}  ",
                                    12, why);
    ck_assert_msg(golden != NULL, "%s", why);
    ck_assert_str_eq(reel_golden_metadata(golden, "note"), "a \"b\"\n\xc3\xa9\xf0\x9f\x98\x80/");
    ck_assert_str_eq(reel_golden_metadata(golden, "missing"), "");
    const reel_golden_tensor *x = reel_golden_find(golden, "x");
    ck_assert(x && x->dtype == REEL_I32 && x->shape.rank == 2 && x->shape.size[0] == 2 && x->count == 2);
    ck_assert(reel_golden_element(x, 0) == 0x07060504 && reel_golden_element(x, 1) == 0x0b0a0908);
    ck_assert(reel_golden_element(reel_golden_find(golden, "s"), 0) == 3);
    ck_assert(reel_golden_find(golden, "e")->count == 0 && !reel_golden_find(golden, "y"));
    reel_golden_free(golden);
}
END_TEST

START_TEST(refuses_what_is_wrong)
{
    static const struct { const char *header; size_t data; const char *why;
    } sample[] = {
        {"", 0, "does not begin with {"},
        {" {}", 0, "does not begin with {"},
        {"{", 0, "lacks a"},
        {"{}x", 0, "follows the header"},
        {"{}", 1, "no tensor owns"},
        {"{\"x\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]},}", 1, "lacks a"},
        {"{\"x\":{\"dtype\":\"U8\",\"shape\":[1]}}", 0, "missing"},
        {"{\"x\":{\"dtype\":\"U8\",\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}", 1, "repeated"},
        {"{\"x\":{\"kind\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}", 1,
         "unknown or repeated member: kind"},
        {"{\"x\":{\"dtype\":\"C64\",\"shape\":[1],\"data_offsets\":[0,8]}}", 8, "unknown dtype C64"},
        {"{\"x\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,1]}}", 1, "differ in size"},
        {"{\"x\":{\"dtype\":\"U8\",\"shape\":[-1],\"data_offsets\":[0,1]}}", 1, "not a whole number"},
        {"{\"x\":{\"dtype\":\"U8\",\"shape\":[01],\"data_offsets\":[0,1]}}", 1, "not a whole number"},
        {"{\"x\":{\"dtype\":\"U8\",\"shape\":[9223372036854775808],\"data_offsets\":[0,1]}}", 1, "too large"},
        {"{\"x\":{\"dtype\":\"U8\",\"shape\":[4294967296,4294967296],\"data_offsets\":[0,0]}}", 0,
         "too large"},
        {"{\"x\":{\"dtype\":\"U8\",\"shape\":[1,1,1,1,1,1,1,1,1],\"data_offsets\":[0,1]}}", 1, "too long"},
        {"{\"x\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[1,0]}}", 1, "not a range"},
        {"{\"x\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0]}}", 1, "not a range"},
        {"{\"x\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[1,2]}}", 2, "gap or an overlap"},
        {"{\"x\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2]}}", 1, "the file ends inside x"},
        {"{\"x\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2]},"
         "\"y\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[1,3]}}",
         3, "gap or an overlap"},
        {"{\"x\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]},"
         "\"x\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[1,2]}}",
         2, "comes twice"},
        {"{\"__metadata__\":{\"a\":\"1\",\"a\":\"2\"}}", 0, "comes twice"},
        {"{\"__metadata__\":{\"a\":1}}", 0, "lacks a \""},
        {"{\"__metadata__\":{\"a\":\"\\x\"}}", 0, "unknown escape"},
        {"{\"__metadata__\":{\"a\":\"\\u12g4\"}}", 0, "four hex digits"},
        {"{\"__metadata__\":{\"a\":\"\\ud800\"}}", 0, "surrogate"},
        {"{\"__metadata__\":{\"a\":\"\\u0000\"}}", 0, "NUL"},
        {"{\"__metadata__\":{\"a\":\"\n\"}}", 0, "control character"},
        {"{\"__metadata__\":{\"a\":\"open", 0, "lacks a"},
    };
    for (size_t i = 0; i < sizeof sample / sizeof sample[0]; i++) {
        char why[REEL_GOLDEN_WHY];
        reel_golden *golden = golden_of(sample[i].header, sample[i].data, why);
        ck_assert_msg(!golden && strstr(why, sample[i].why), "%s: %s", sample[i].header,
                      golden ? "accepted" : why);
    }
}
END_TEST

START_TEST(refuses_a_short_file)
{
    char why[REEL_GOLDEN_WHY];
    unsigned char file[16] = {9, 0, 0, 0, 0, 0, 0, 0, '{', '}'};
    for (size_t bytes = 0; bytes < 16; bytes++)
        ck_assert(!reel_golden_parse(file, bytes, why) && strstr(why, "shorter"));
    memset(file, 0xff, 8);
    ck_assert(!reel_golden_parse(file, 16, why) && strstr(why, "shorter"));
    ck_assert(!reel_golden_read("/nowhere/at/all", why) && strstr(why, "opened"));
}
END_TEST

START_TEST(reads_half_types)
{
    static const struct { const char *dtype; uint16_t bits; double value; } sample[] = {
        {"F16", 0x3c00, 1}, {"F16", 0xc500, -5}, {"F16", 0x0001, 0x1p-24}, {"F16", 0x03ff, 0x3ffp-24},
        {"F16", 0x7bff, 65504}, {"F16", 0xfc00, -INFINITY}, {"F16", 0x7e00, NAN},
        {"BF16", 0x3f80, 1}, {"BF16", 0xc0a0, -5}, {"BF16", 0x0001, 0x1p-133}, {"BF16", 0x7f80, INFINITY},
    };
    for (size_t i = 0; i < sizeof sample / sizeof sample[0]; i++) {
        reel_golden_tensor tensor = {.dtype = sample[i].dtype[0] == 'B' ? REEL_BF16 : REEL_F16,
                                     .data = (void *)&sample[i].bits};
        double got = reel_golden_element(&tensor, 0);
        ck_assert_msg(got == sample[i].value || (isnan(got) && isnan(sample[i].value)), "%g", got);
    }
}
END_TEST


/* ---- Errors in ulp ------------------------------------------------------------------------------- */

START_TEST(ulp_is_the_distance_to_the_next_number)
{
    uint64_t state = 5;
    for (int i = 0; i < 100000; i++) {
        uint64_t bits = test_random(&state);
        uint32_t low = (uint32_t)bits & 0x7fffffff;
        float f;
        double d;
        memcpy(&f, &low, sizeof f);
        bits &= INT64_MAX;
        memcpy(&d, &bits, sizeof d);
        if (isfinite(f) && isfinite(nextafterf(f, INFINITY)))
            ck_assert(reel_ulp(REEL_F32, f) == nextafterf(f, INFINITY) - f);
        if (isfinite(d) && isfinite(nextafter(d, INFINITY)))
            ck_assert(reel_ulp(REEL_F64, -d) == nextafter(d, INFINITY) - d);
    }
}
END_TEST

START_TEST(ulp_of_the_half_types)
{
    ck_assert(reel_ulp(REEL_F16, 1) == 0x1p-10 && reel_ulp(REEL_F16, 2047) == 1
              && reel_ulp(REEL_F16, -2048) == 2);
    ck_assert(reel_ulp(REEL_F16, 0) == 0x1p-24 && reel_ulp(REEL_F16, 0x1p-14) == 0x1p-24);
    ck_assert(reel_ulp(REEL_BF16, 1) == 0x1p-7 && reel_ulp(REEL_BF16, 1e-40) == 0x1p-133);
    ck_assert(reel_smallest_normal(REEL_F16) == 0x1p-14 && reel_smallest_subnormal(REEL_F64) == 0x1p-1074L);
}
END_TEST

START_TEST(distance_at_the_limits)
{
    ck_assert(reel_distance(REEL_F32, 3, 1) == 2 && reel_distance(REEL_F32, NAN, NAN) == 0);
    ck_assert(isinf(reel_distance(REEL_F32, NAN, 1)) && isinf(reel_distance(REEL_F32, 1, NAN)));
    ck_assert(reel_distance(REEL_F16, INFINITY, 131008) == 0
              && reel_distance(REEL_F16, -INFINITY, -65536) == 0);
    ck_assert(reel_distance(REEL_F16, INFINITY, 65520) == 16 && reel_distance(REEL_F16, 65504, 65520) == 16);
    ck_assert(isinf(reel_distance(REEL_F16, -INFINITY, 131008))
              && isinf(reel_distance(REEL_F16, INFINITY, 1)));
    ck_assert(isinf(reel_distance(REEL_F32, 3e38, INFINITY))
              && reel_distance(REEL_F32, INFINITY, INFINITY) == 0);
    ck_assert(reel_distance(REEL_F64, INFINITY, 4e308L) == 0);
}
END_TEST


/* ---- The reference ------------------------------------------------------------------------------- */

/* Values computed with 40 digits: logits .1, .7, -.4 and labels .2, .3, .5 as doubles, v = 1, 2, 4. */
START_TEST(reference_values)
{
    const double z[] = {.1, .7, -.4}, y[] = {.2, .3, .5}, v[] = {1, 2, 4};
    const reel_shape shape = {2, {1, 3}};
    reel_truth_arguments arguments = {.logits_shape = shape, .labels_shape = shape, .logits = z, .labels = y,
                                      .axis = -1, .ignore_index = REEL_NO_INDEX, .v = v};
    reel_truth *truth = reel_truth_of(&arguments);
    ck_assert_ldouble_eq_tol(truth->hvp_logits.exact[0], -0.309784211801711346L, 1e-17L);
    ck_assert_ldouble_eq_tol(truth->hvp_logits.exact[2], 0.342808626539005987L, 1e-17L);
    ck_assert_ldouble_eq_tol(truth->hvp_labels.exact[1], 0.0621414705424150884L, 1e-17L);
    reel_truth_free(truth);
}
END_TEST

START_TEST(reference_is_exact_in_the_tail)
{
    const double z[] = {37.42994775023705, 0}, y[] = {1, 0};
    const reel_shape shape = {1, {2}};
    reel_truth_arguments arguments = {.logits_shape = shape, .labels_shape = shape, .logits = z, .labels = y,
                                      .axis = 0, .ignore_index = REEL_NO_INDEX};
    for (int i = 0; i < 2; i++) {
        arguments.tensorflow = i;
        reel_truth *truth = reel_truth_of(&arguments);
        ck_assert_ldouble_eq_tol(truth->loss.exact[0] * 1e17L, 5.5511151231257759411L, 1e-15L);
        ck_assert_ldouble_eq_tol(truth->grad_logits.exact[0] * 1e17L, -5.551115123125775787L, 1e-15L);
        ck_assert_ldouble_eq_tol(truth->grad_logits.exact[1] * 1e17L, 5.551115123125775787L, 1e-15L);
        ck_assert(truth->confident[0] && truth->loss.shape.rank == 0);
        reel_truth_free(truth);
    }
}
END_TEST

Suite *reel_suite_golden(void)
{
    Suite *suite = suite_create("golden");
    TCase *reader = tcase_create("reader"), *errors = tcase_create("ulp"),
          *reference = tcase_create("reference");
    tcase_add_test(reader, reads_tensors_and_metadata);
    tcase_add_test(reader, refuses_what_is_wrong);
    tcase_add_test(reader, refuses_a_short_file);
    tcase_add_test(reader, reads_half_types);
    tcase_add_test(errors, ulp_is_the_distance_to_the_next_number);
    tcase_add_test(errors, ulp_of_the_half_types);
    tcase_add_test(errors, distance_at_the_limits);
    tcase_add_test(reference, reference_values);
    tcase_add_test(reference, reference_is_exact_in_the_tail);
    suite_add_tcase(suite, reader);
    suite_add_tcase(suite, errors);
    suite_add_tcase(suite, reference);
    return suite;
}
