/* .npy files whose content is bad.
 *
 * SPDX-License-Identifier: MIT
 */
#include "tests/files.h"

#include <string.h>

static size_t npy_frame(unsigned char file[2048], int version, const char *dict, size_t data)
{
    size_t length = strlen(dict), start = version == 1 ? 10 : 12;
    memset(file, 0, 2048);
    memcpy(file, "\x93NUMPY", 6);
    file[6] = (unsigned char)version;
    file[8] = (unsigned char)length;
    memcpy(file + start, dict, length);
    return start + length + data;
}

#define NPY_DICT(descr, order, shape)                                                                    \
    "{'descr': '" descr "', 'fortran_order': " order ", 'shape': " shape ", }"

START_TEST(npy_cut_anywhere)
{
    unsigned char file[2048];
    char error[REEL_TRAIN_MESSAGE];
    size_t length = npy_frame(file, 1, NPY_DICT("<f4", "False", "(2, 3)") "      \n", 24);
    ck_assert_msg(test_files_read(true, file, length, error), "%s", error);
    for (size_t cut = 0; cut < length; cut++) {
        ck_assert_msg(!test_files_read(true, file, cut, error), "%zu bytes of %zu were enough", cut, length);
        ck_assert_msg(strstr(error, "byte "), "%s", error);
    }
    ck_assert(!test_files_read(true, file, length + 2, error));
    ck_assert_msg(strstr(error, "2 bytes behind the data"), "%s", error);
}
END_TEST

/* Almost nothing in this header can change without being noticed: a quote into no quote, a space, a digit. */
START_TEST(npy_with_each_bit_flipped)
{
    unsigned char file[2048];
    size_t length = npy_frame(file, 1, NPY_DICT("<f4", "False", "(2, 3)") "      \n", 24);
    int accepted = 0;
    for (size_t bit = 0; bit < 8 * (length - 24); bit++) {
        file[bit / 8] ^= (unsigned char)(1 << bit % 8);
        accepted += test_files_read(true, file, length, NULL);
        file[bit / 8] ^= (unsigned char)(1 << bit % 8);
    }
    ck_assert_int_le(accepted, 1);                  /* '<f4' and '<i4' differ in four bits         */
}
END_TEST

static const struct npy_bad {
    int         version;
    const char *dict;
    size_t      data;
    const char *error;
} npy_bad[] = {
    {4, NPY_DICT("<f4", "False", "()") "\n", 4, "byte 6: version 4.0"},
    {0, NPY_DICT("<f4", "False", "()") "\n", 4, "byte 6: version 0.0"},
    {1, NPY_DICT(">f4", "False", "()") "\n", 4, "byte 20: '>f4': not little-endian"},
    {1, NPY_DICT("<c8", "False", "()") "\n", 8, "'<c8': not a dtype that Reel has"},
    {1, NPY_DICT("|O", "False", "()") "\n", 8, "'|O': not a dtype that Reel has"},
    {1, NPY_DICT("<f4", "false", "()") "\n", 4, "neither True nor False"},
    {1, NPY_DICT("<f4", "False", "(1)") "\n", 4, "a shape of one size needs a comma"},
    {1, NPY_DICT("<f4", "False", "(,)") "\n", 4, "not a whole number from 0 on"},
    {1, NPY_DICT("<f4", "False", "(1 1)") "\n", 4, "a comma is missing in the shape"},
    {1, NPY_DICT("<f4", "False", "(-1,)") "\n", 4, "not a whole number from 0 on"},
    {1, NPY_DICT("<f4", "False", "(1L,)") "\n", 4, "a comma is missing in the shape"},
    {1, NPY_DICT("<f4", "False", "(01,)") "\n", 4, "not a whole number from 0 on"},
    {1, NPY_DICT("<f4", "False", "[1]") "\n", 4, "a ( is missing"},
    {1, NPY_DICT("<f4", "False", "(1,1,1,1,1,1,1,1,1)") "\n", 4, "more than 8 dimensions"},
    {1, NPY_DICT("<f4", "False", "(4294967296, 4294967296)") "\n", 4, "the shape is too large"},
    {1, NPY_DICT("<f4", "False", "(0, 9223372036854775807, 4)") "\n", 0, "the shape is too large"},
    {1, NPY_DICT("<f4", "False", "(9223372036854775808,)") "\n", 4, "a size that is too large"},
    {1, NPY_DICT("<f4", "False", "(2305843009213693951,)") "\n", 4, "the shape is too large"},
    {1, NPY_DICT("<f4", "False", "(1000000,)") "\n", 4, "the data needs 3999996 more bytes"},
    {1, NPY_DICT("<f4", "False", "(1,)"), 4, "does not end with spaces and a newline"},
    {1, NPY_DICT("<f4", "False", "(1,)") "\n ", 4, "does not end with spaces and a newline"},
    {1, NPY_DICT("<f4", "False", "(1,)") "x\n", 4, "does not end with spaces and a newline"},
    {1, "{'descr': '<f4', 'fortran_order': False}\n", 4, "descr, fortran_order or shape is missing"},
    {1, "{'descr': '<f4', 'descr': '<f4'}\n", 4, "byte 27: this key comes twice"},
    {1, "{'kind': '<f4'}\n", 4, "byte 11: an unknown key"},
    {1, "{'descr': '<f4' 'shape': ()}\n", 4, "a comma is missing in the header"},
    {1, "{'descr'; '<f4'}\n", 4, "a : is missing in the header"},
    {1, "{descr: '<f4'}\n", 4, "a string is missing in the header"},
    {1, "{'descr': [('a', '<f4')]}\n", 4, "a string is missing in the header"},
    {1, "{'descr': '<f4\n", 4, "has no end"},
    {1, "['descr']\n", 4, "byte 10: a { is missing in the header"},
    {1, "", 0, "byte 10: a { is missing in the header"},
};

START_TEST(npy_that_are_wrong)
{
    const struct npy_bad *bad = &npy_bad[_i];
    unsigned char file[2048];
    char error[REEL_TRAIN_MESSAGE];
    size_t length = npy_frame(file, bad->version, bad->dict, bad->data);
    ck_assert_msg(!test_files_read(true, file, length, error), "accepted: %s", bad->dict);
    ck_assert_msg(strstr(error, bad->error) && strstr(error, "byte "), "%s: \"%s\", not \"%s\"", bad->dict,
                  error, bad->error);
}
END_TEST

START_TEST(npy_of_other_manners)
{
    static const char *const good[] = {
        "{\"shape\":(1,),\"descr\":\"<f4\",\"fortran_order\":True}\n",
        "{ 'descr' : '<i4' , 'fortran_order' : False , 'shape' : ( 1 , 1 , ) , }   \n",
        NPY_DICT("<f4", "True", "()") "\n",
    };
    for (int version = 1; version <= 3; version++)
        for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
            unsigned char file[2048];
            char error[REEL_TRAIN_MESSAGE] = "";
            ck_assert_msg(test_files_read(true, file, npy_frame(file, version, good[i], 4), error), "%s",
                          error);
        }
    reel_npy array = {.dtype = REEL_NO_DTYPE};
    ck_assert(!reel_npy_write(&array, test_folder_path("new"), NULL) && strstr(array.error, "dtype"));
    array = (reel_npy){.dtype = REEL_F32, .shape = {.rank = -1}};
    ck_assert(!reel_npy_write(&array, test_folder_path("new"), NULL) && strstr(array.error, "shape"));
    array = (reel_npy){.dtype = REEL_F32};
    ck_assert(!reel_npy_write(&array, test_folder_path("new"), NULL) && strstr(array.error, "NULL"));
}
END_TEST


void test_files_npy(Suite *suite)
{
    TCase *npy = tcase_create("bad .npy");
    tcase_set_timeout(npy, 120);
    tcase_add_checked_fixture(npy, test_files_set_up, test_files_tear_down);
    tcase_add_test(npy, npy_cut_anywhere);
    tcase_add_test(npy, npy_with_each_bit_flipped);
    tcase_add_loop_test(npy, npy_that_are_wrong, 0, sizeof npy_bad / sizeof npy_bad[0]);
    tcase_add_test(npy, npy_of_other_manners);
    suite_add_tcase(suite, npy);
}
