/* .safetensors files whose content is bad: cut, flipped, and wrong in every way that the format can be.
 *
 * SPDX-License-Identifier: MIT
 */
#include "tests/files.h"
#include "tests/safetensors.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static size_t content_frame(unsigned char file[2048], const char *header, size_t data)
{
    size_t length = strlen(header);
    ck_assert(8 + length + data <= 2048);
    memset(file, 0, 2048);
    file[0] = (unsigned char)length;
    file[1] = (unsigned char)(length >> 8);
    memcpy(file + 8, header, length);
    return 8 + length + data;
}

static const char content_small[] =
    "{\"__metadata__\":{\"k\":\"v\\u00e9\"},\"x\":{\"dtype\":\"F32\",\"shape\":[2,1],\"data_offsets\":[0,8]},"
    "\"y\":{\"dtype\":\"U8\",\"shape\":[3],\"data_offsets\":[8,11]}} ";

START_TEST(safetensors_cut_anywhere)
{
    unsigned char file[2048];
    char error[REEL_TRAIN_MESSAGE];
    size_t length = content_frame(file, content_small, 11);
    ck_assert(test_files_read(false, file, length, NULL));
    for (size_t cut = 0; cut < length; cut++) {
        ck_assert_msg(!test_files_read(false, file, cut, error), "%zu bytes of %zu were enough", cut, length);
        ck_assert_msg(strstr(error, "byte "), "%s", error);
    }
    ck_assert(!test_files_read(false, file, length + 1, error));
    ck_assert_str_eq(strstr(error, "1 bytes"), "1 bytes behind the data");
}
END_TEST

/* Whatever a flipped bit makes of the file, what is accepted is accepted by a strict reader too. */
START_TEST(safetensors_with_each_bit_flipped)
{
    unsigned char file[2048];
    size_t length = content_frame(file, content_small, 11);
    int accepted = 0;
    for (size_t bit = 0; bit < 8 * (length - 11); bit++) {
        char why[REEL_GOLDEN_WHY];
        file[bit / 8] ^= (unsigned char)(1 << bit % 8);
        if (test_files_read(false, file, length, NULL)) {
            reel_golden *golden = reel_golden_parse(file, length, why);
            ck_assert_msg(golden != NULL, "bit %zu: %s", bit, why);
            reel_golden_free(golden);
            accepted++;
        }
        file[bit / 8] ^= (unsigned char)(1 << bit % 8);
    }
    ck_assert_int_gt(accepted, 20);                 /* in names and texts                          */
    ck_assert_int_lt(accepted, 80);
}
END_TEST

#define CONTENT_X(dtype, shape, range)                                                                       \
    "\"x\":{\"dtype\":\"" dtype "\",\"shape\":" shape ",\"data_offsets\":" range "}"

static const struct content_bad {
    const char *header;
    size_t      data;
    const char *error;                              /* from "byte" on; the header begins at byte 8 */
} content_bad[] = {
    {"", 0, "byte 8: the header does not begin with {"},
    {" {}", 0, "byte 8: the header does not begin with {"},
    {"{", 0, "byte 9: a \" is missing"},
    {"{}x", 0, "byte 10: something stands behind the header's last brace"},
    {"{}\n", 0, "byte 10: something stands behind the header's last brace"},
    {"{}{}", 0, "byte 10: something stands behind the header's last brace"},
    {"{}", 3, "byte 10: 3 bytes behind the data"},
    {"{" CONTENT_X("U8", "[1]", "[0,1]") ",}", 1, "byte 61: a \" is missing"},
    {"{" CONTENT_X("U8", "[1]", "[0,1]") " \"y\"}", 1, "byte 61: a } is missing"},
    {"{" CONTENT_X("U8", "[1]", "[0,1]") "," CONTENT_X("U8", "[1]", "[1,2]") "}", 2,
     "\"x\": this name comes twice"},
    {"{" CONTENT_X("U8", "[1]",
                   "[0,1]") ",\"\\u0078\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[1,2]}}",
     2, "\"x\": this name comes twice"},
    {"{\"__metadata__\":{},\"__metadata__\":{}}", 0, "byte 28: \"__metadata__\": this comes twice"},
    {"{\"__metadata__\":{\"a\":\"1\",\"b\":\"2\",\"a\":\"3\"}}", 0, "\"a\": this metadata comes twice"},
    {"{\"__metadata__\":{\"a\":1}}", 0, "byte 29: a \" is missing"},
    {"{\"__metadata__\":{\"a\":null}}", 0, "byte 29: a \" is missing"},
    {"{\"__metadata__\":[]}", 0, "byte 24: a { is missing"},
    {"{\"x\":{\"dtype\":\"U8\",\"shape\":[1]}}", 1,
     "byte 10: \"x\": its dtype, shape or data_offsets is missing"},
    {"{\"x\":{}}", 0, "byte 14: a \" is missing"},
    {"{\"x\":{\"dtype\":\"U8\",\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}", 1,
     "\"dtype\": this comes twice"},
    {"{\"x\":{\"kind\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}", 1,
     "byte 15: \"kind\": not dtype, shape or"},
    {"{" CONTENT_X("C64", "[1]", "[0,8]") "}", 8, "byte 23: \"C64\": not a dtype that Reel has"},
    {"{" CONTENT_X("u8", "[1]", "[0,1]") "}", 1, "\"u8\": not a dtype that Reel has"},
    {"{" CONTENT_X("U8", "[2]", "[0,1]") "}", 1, "\"x\": its shape and its data_offsets differ in size"},
    {"{" CONTENT_X("U8", "[-1]", "[0,1]") "}", 1, "byte 36: not a whole number from 0 on"},
    {"{" CONTENT_X("U8", "[01]", "[0,1]") "}", 1, "byte 36: not a whole number from 0 on"},
    {"{" CONTENT_X("U8", "[1.0]", "[0,1]") "}", 1, "byte 37: a ] is missing"},
    {"{" CONTENT_X("U8", "[1e0]", "[0,1]") "}", 1, "byte 37: a ] is missing"},
    {"{" CONTENT_X("U8", "[+1]", "[0,1]") "}", 1, "byte 36: not a whole number from 0 on"},
    {"{" CONTENT_X("U8", "[1,]", "[0,1]") "}", 1, "not a whole number from 0 on"},
    {"{" CONTENT_X("U8", "[9223372036854775808]", "[0,1]") "}", 1, "byte 36: a number that is too large"},
    {"{" CONTENT_X("U8", "[4294967296,4294967296]", "[0,0]") "}", 0, "\"x\": its shape is too large"},
    {"{" CONTENT_X("F64", "[2305843009213693952]", "[0,0]") "}", 0, "\"x\": its shape is too large"},
    {"{" CONTENT_X("U8", "[0,9223372036854775807,9223372036854775807]", "[0,0]") "}", 0,
     "its shape is too large"},
    {"{" CONTENT_X("U8", "[1,1,1,1,1,1,1,1,1]", "[0,1]") "}", 1, "more than 8 numbers"},
    {"{" CONTENT_X("U8", "[0]", "[1,0]") "}", 1, "\"data_offsets\": not a beginning and an end"},
    {"{" CONTENT_X("U8", "[1]", "[0]") "}", 1, "\"data_offsets\": not a beginning and an end"},
    {"{" CONTENT_X("U8", "[1]", "[0,1,2]") "}", 1, "more than 2 numbers"},
    {"{" CONTENT_X("U8", "[1]", "[1,2]") "}", 2, "byte 10: \"x\": a gap in the data before it"},
    {"{" CONTENT_X("U8", "[2]", "[0,2]") ",\"y\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[1,3]}}", 3,
     "\"y\": its data overlaps that of another tensor"},
    {"{" CONTENT_X("U8", "[2]", "[0,2]") ",\"y\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2]}}", 2,
     "\"y\": its data overlaps that of another tensor"},
    {"{" CONTENT_X("U8", "[2]", "[0,2]") ",\"y\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[1,1]}}", 2,
     "overlaps that of another tensor"},
    {"{" CONTENT_X("U8", "[2]", "[0,2]") ",\"y\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[3,5]}}", 5,
     "\"y\": a gap in the data before it"},
    {"{" CONTENT_X("F32", "[9]", "[0,36]") "}", 35, "the file ends here, and the data needs 1 more bytes"},
    {"{\"a\nb\":{}}", 0, "byte 11: a control character in a string"},
    {"{\"a\\x\":{}}", 0, "byte 12: an unknown escape in a string"},
    {"{\"a\\u12g4\":{}}", 0, "byte 15: \\u needs four hexadecimal digits"},
    {"{\"\\ud800\":{}}", 0, "byte 10: half of a surrogate pair"},
    {"{\"\\udc00\":{}}", 0, "byte 10: half of a surrogate pair"},
    {"{\"\\ud800\\u0041\":{}}", 0, "byte 10: half of a surrogate pair"},
    {"{\"\\u0000\":{}}", 0, "byte 10: a string with a NUL in it"},
    {"{\"a\xff\":{}}", 0, "byte 11: the header is not UTF-8 text"},
    {"{\"\xc0\x80\":{}}", 0, "byte 10: the header is not UTF-8 text"},
    {"{\"\xe0\x80\x80\":{}}", 0, "byte 10: the header is not UTF-8 text"},
    {"{\"\xf0\x80\x80\x80\":{}}", 0, "byte 10: the header is not UTF-8 text"},
    {"{\"\xe4\xb8\":{}}", 0, "byte 10: the header is not UTF-8 text"},
    {"{\"\xed\xa0\x80\":{}}", 0, "byte 10: the header is not UTF-8 text"},
    {"{\"\xf4\x90\x80\x80\":{}}", 0, "byte 10: the header is not UTF-8 text"},
    {"{\"abc", 0, "byte 13: the header ends inside a string"},
    {"{x:{}}", 0, "byte 9: a \" is missing"},
    {"{\"x\" {}}", 0, "byte 13: a : is missing"},
    {"{\"x\":[]}", 0, "byte 13: a { is missing"},
    {"\xef\xbb\xbf{}", 0, "byte 8: the header does not begin with {"},
};

START_TEST(safetensors_that_are_wrong)
{
    const struct content_bad *bad = &content_bad[_i];
    unsigned char file[2048];
    char error[REEL_TRAIN_MESSAGE];
    size_t length = content_frame(file, bad->header, bad->data);
    ck_assert_msg(!test_files_read(false, file, length, error), "accepted: %s", bad->header);
    ck_assert_msg(strstr(error, bad->error) && strstr(error, "byte "), "%s: \"%s\", not \"%s\"", bad->header,
                  error, bad->error);
}
END_TEST

START_TEST(safetensors_of_other_manners)
{
    static const char *const good[] = {
        "{}",
        "{}   ",
        "{\"__metadata__\":{}}",
        "{ }",
        "{ \"x\" : { \"shape\" :\t[ 1 ] ,\n\"data_offsets\": [ 0 , 1 ], \"dtype\":\"U8\"} }",
        "{\"\":{\"dtype\":\"U8\",\"shape\":[],\"data_offsets\":[0,1]}}",
        "{\"\\ud83d\\uDE00\\/\\b\\f\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}",
        "{" CONTENT_X("U8", "[1]",
                      "[0,1]") ",\"z\":{\"dtype\":\"F64\",\"shape\":[0],\"data_offsets\":[1,1]}}",
        "{\"z\":{\"dtype\":\"F64\",\"shape\":[9223372036854775,0],\"data_offsets\":[0,0]}," CONTENT_X(
            "U8", "[1]", "[0,1]") "}",
    };
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        unsigned char file[2048];
        char error[REEL_TRAIN_MESSAGE] = "";
        ck_assert_msg(test_files_read(false, file, content_frame(file, good[i], i > 3), error), "%s: %s",
                      good[i], error);
    }
}
END_TEST

/* Header lengths that nobody should allocate. */
START_TEST(safetensors_of_impossible_lengths)
{
    static const uint64_t lengths[] = {3, 1000, 100000000, 100000001, 1ull << 32, 1ull << 63, ~0ull};
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        unsigned char file[10];
        char error[REEL_TRAIN_MESSAGE];
        for (int k = 0; k < 8; k++)
            file[k] = (unsigned char)(lengths[i] >> 8 * k);
        file[8] = '{', file[9] = '}';
        test_files_memory.peak = 0;
        ck_assert(!test_files_read(false, file, 10, error));
        ck_assert_msg(strstr(error, "byte 0: a header of "), "%s", error);
        ck_assert_uint_eq(test_files_memory.peak, 0);
    }
}
END_TEST

/* A header full of names takes a small multiple of its length, and no time that grows with its square. */
START_TEST(safetensors_with_many_names)
{
    enum { NAMES = 20000 };
    char *file = malloc(8 + NAMES * 64 + 1);
    size_t at = 8;
    file[at++] = '{';
    for (int i = 0; i < NAMES; i++)
        at += (size_t)sprintf(file + at, "%s\"%d\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]}",
                              i ? "," : "", i == NAMES - 1 ? 17 : i);
    file[at++] = '}';
    for (int k = 0; k < 8; k++)
        file[k] = (char)((at - 8) >> 8 * k);
    char error[REEL_TRAIN_MESSAGE];
    ck_assert(!test_files_read(false, file, at, error));
    ck_assert_msg(strstr(error, "\"17\": this name comes twice"), "%s", error);
    ck_assert_uint_lt(test_files_memory.peak, 8 * at);
    free(file);
}
END_TEST

/* What cannot be written is said before a file is made. */
START_TEST(safetensors_that_cannot_be_written)
{
    float number = 1;
    reel_stored_tensor good = {.name = "x", .dtype = REEL_F32, .data = &number};
    for (int i = 0; i < 10; i++) {
        reel_stored_tensor tensor[2] = {good, good};
        reel_stored_text text[2] = {{"k", "v"}, {"l", "w"}};
        tensor[1].name = "y";
        static const char *const why[] = {"comes twice",  "not UTF-8",          "not UTF-8",
                                          "no dtype",     "shape is not legal", "shape is not legal",
                                          "data is NULL", "may have this name", "twice",
                                          "shape is not legal"};
        switch (i) {
        case 0: tensor[1].name = "x"; break;
        case 1: tensor[1].name = NULL; break;
        case 2: tensor[1].name = "\xc3"; break;
        case 3: tensor[1].dtype = REEL_DTYPES; break;
        case 4: tensor[1].shape.rank = 9; break;
        case 5: tensor[1].shape = REEL_SHAPE(1ll << 40, 1ll << 40); break;
        case 6: tensor[1].data = NULL; break;
        case 7: tensor[1].name = "__metadata__"; break;
        case 8: text[1].key = "k"; break;
        case 9: tensor[1].shape = REEL_SHAPE(-1, -1); break;
        }
        reel_safetensors object = {.tensor = tensor, .tensors = 2, .text = text, .texts = 2};
        ck_assert(!reel_safetensors_write(&object, test_folder_path("new"), NULL));
        ck_assert_msg(strstr(object.error, why[i]), "%s", object.error);
        ck_assert_int_eq(test_folder_count(), 0);
    }
}
END_TEST


void test_files_content(Suite *suite)
{
    TCase *content = tcase_create("bad .safetensors");
    tcase_set_timeout(content, 120);
    tcase_add_checked_fixture(content, test_files_set_up, test_files_tear_down);
    tcase_add_test(content, safetensors_cut_anywhere);
    tcase_add_test(content, safetensors_with_each_bit_flipped);
    tcase_add_loop_test(content, safetensors_that_are_wrong, 0, sizeof content_bad / sizeof content_bad[0]);
    tcase_add_test(content, safetensors_of_other_manners);
    tcase_add_test(content, safetensors_of_impossible_lengths);
    tcase_add_test(content, safetensors_with_many_names);
    tcase_add_test(content, safetensors_that_cannot_be_written);
    suite_add_tcase(suite, content);
}
