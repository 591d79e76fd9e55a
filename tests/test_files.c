/* Files of tensors: round trips, and Python's own files.
 *
 * SPDX-License-Identifier: MIT */
#include "tests/files.h"
#include "tests/safetensors.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

Suite *reel_suite_files(void);

/* ---- Round trips --------------------------------------------------------------------------------- */

static void files_check(const reel_stored_tensor *tensor, const char *name, reel_dtype dtype,
                        reel_shape shape)
{
    ck_assert_msg(tensor != NULL, "no \"%s\"", name);
    void *want = test_files_values(dtype, shape);
    ck_assert_str_eq(tensor->name, name);
    ck_assert_int_eq(tensor->dtype, dtype);
    ck_assert_int_eq(tensor->count, test_count(shape));
    ck_assert_int_eq(tensor->shape.rank, shape.rank);
    ck_assert_uint_eq((uintptr_t)tensor->data % 64, 0);
    for (int i = 0; i < shape.rank; i++)
        ck_assert_int_eq(tensor->shape.size[i], shape.size[i]);
    ck_assert_int_eq(tensor->bytes, tensor->count * (int64_t)reel_dtype_size(dtype));
    ck_assert(memcmp(tensor->data, want, (size_t)tensor->bytes) == 0);
    free(want);
}

/* "f32 [2, 3]", as Python writes a list. */
static void files_name(char name[64], reel_dtype dtype, reel_shape shape)
{
    int at = snprintf(name, 64, "%s [", reel_dtype_name(dtype));
    for (int i = 0; i < shape.rank; i++)
        at += snprintf(name + at, 64 - (size_t)at, "%s%lld", i ? ", " : "", (long long)shape.size[i]);
    snprintf(name + at, 64 - (size_t)at, "]");
}

static void files_check_all(const reel_safetensors *object)
{
    ck_assert_uint_eq(object->tensors, (REEL_DTYPES - 1) * FILES_SHAPES);
    for (int dtype = 1; dtype < REEL_DTYPES; dtype++)
        for (int k = 0; k < FILES_SHAPES; k++) {
            char name[64];
            files_name(name, dtype, test_files_shape[k]);
            files_check(reel_safetensors_find(object, name), name, dtype, test_files_shape[k]);
        }
    ck_assert_str_eq(reel_safetensors_text(object, "note"),
                     "a \"b\" \\ / \n\t\x01 \xc3\xa9\xe4\xb8\xad\xf0\x9f\x98\x80");
    ck_assert_str_eq(reel_safetensors_text(object, ""), "empty key");
    ck_assert_str_eq(reel_safetensors_text(object, "empty value"), "");
    ck_assert_ptr_null(reel_safetensors_text(object, "none"));
    ck_assert_ptr_null(reel_safetensors_find(object, "none"));
}

START_TEST(python_safetensors_are_read)
{
    reel_safetensors object = TEST_FILES_OBJECT();
    ck_assert_msg(reel_safetensors_read(&object, REEL_TEST_GOLDEN "/files/python.safetensors", NULL), "%s",
                  object.error);
    files_check_all(&object);
    reel_safetensors_free(&object);
    ck_assert_ptr_null(object.tensor);
}
END_TEST

/* What was read is written, read again, and understood by another reader too. */
START_TEST(safetensors_go_round)
{
    reel_safetensors object = TEST_FILES_OBJECT(), copy = TEST_FILES_OBJECT();
    const char *path = test_folder_path("copy.safetensors");
    ck_assert(reel_safetensors_read(&object, REEL_TEST_GOLDEN "/files/python.safetensors", NULL));
    ck_assert_msg(reel_safetensors_write(&object, path, NULL), "%s", object.error);
    ck_assert_msg(reel_safetensors_read(&copy, path, NULL), "%s", copy.error);
    files_check_all(&copy);
    int64_t place = 0;
    for (size_t i = 0; i < copy.tensors; i++) {
        ck_assert_int_eq(copy.tensor[i].offset, place);
        ck_assert_int_eq(place % (int64_t)reel_dtype_size(copy.tensor[i].dtype), 0);
        place += copy.tensor[i].bytes;
    }
    char why[REEL_GOLDEN_WHY];
    reel_golden *golden = reel_golden_read(path, why);
    ck_assert_msg(golden != NULL, "%s", why);
    ck_assert_uint_eq(golden->tensors, copy.tensors);
    ck_assert_str_eq(reel_golden_metadata(golden, "note"), reel_safetensors_text(&copy, "note"));
    reel_golden_free(golden);
    reel_safetensors_free(&object);
    reel_safetensors_free(&copy);
    ck_assert_int_eq(test_folder_count(), 1);
}
END_TEST

START_TEST(an_empty_safetensors_goes_round)
{
    reel_safetensors object = TEST_FILES_OBJECT(.tensors = 0);
    ck_assert_msg(reel_safetensors_write(&object, test_folder_path("e"), NULL), "%s", object.error);
    ck_assert_msg(reel_safetensors_read(&object, test_folder_path("e"), NULL), "%s", object.error);
    ck_assert(object.tensors == 0 && object.texts == 0);
    reel_safetensors_free(&object);
}
END_TEST

START_TEST(npy_go_round)
{
    reel_dtype dtype = (reel_dtype)(_i + 1);
    const char *path = test_folder_path("a.npy");
    test_faults faults;
    test_faults_start(&faults);
    for (int k = 0; k < FILES_SHAPES; k++) {
        reel_shape shape = test_files_shape[k];
        void *values = test_files_values(dtype, shape);
        reel_npy array = TEST_FILES_OBJECT(.dtype = dtype, .shape = shape, .data = values),
                 copy = TEST_FILES_OBJECT();
        ck_assert_msg(reel_npy_write(&array, path, &faults.io), "%s", array.error);
        ck_assert_msg(reel_npy_read(&copy, path, &faults.io), "%s", copy.error);
        reel_stored_tensor got = {"", copy.dtype, copy.shape, copy.data, copy.count,
                                  copy.count * (int64_t)reel_dtype_size(copy.dtype), 0};
        files_check(&got, "", dtype, shape);
        reel_npy_free(&copy);
        free(values);
    }
    ck_assert_int_eq(test_folder_count(), 1);
}
END_TEST

/* An array in C's order and of version 1.0 is written as NumPy writes it, byte for byte. */
static void files_check_npy(const char *name, reel_dtype dtype, reel_shape shape, bool same)
{
    char path[FILES_PATH];
    size_t length, other;
    reel_npy array = TEST_FILES_OBJECT();
    snprintf(path, sizeof path, "%s/files/%s.npy", REEL_TEST_GOLDEN, name);
    ck_assert_msg(reel_npy_read(&array, path, NULL), "%s", array.error);
    reel_stored_tensor got = {name, array.dtype, array.shape, array.data, array.count,
                              array.count * (int64_t)reel_dtype_size(array.dtype), 0};
    files_check(&got, name, dtype, shape);
    ck_assert_msg(reel_npy_write(&array, test_folder_path("copy.npy"), NULL), "%s", array.error);
    unsigned char *theirs = test_folder_read(path, &length);
    unsigned char *ours = test_folder_read(test_folder_path("copy.npy"), &other);
    ck_assert_msg(!same || (length == other && memcmp(ours, theirs, length) == 0), "%s: other bytes", name);
    free(theirs);
    free(ours);
    reel_npy_free(&array);
}

START_TEST(numpy_arrays_are_read)
{
    for (int dtype = 1; dtype < REEL_DTYPES; dtype++)
        files_check_npy(reel_dtype_name(dtype), dtype, REEL_SHAPE(2, 3), dtype != REEL_BF16);
    files_check_npy("rank0", REEL_F64, REEL_SHAPE(), true);
    files_check_npy("rank8", REEL_I64, REEL_SHAPE(2, 1, 1, 1, 3, 1, 1, 2), true);
    files_check_npy("empty", REEL_F32, REEL_SHAPE(3, 0, 2), true);
    files_check_npy("fortran2", REEL_F32, REEL_SHAPE(3, 5), false);
    files_check_npy("fortran4", REEL_I64, REEL_SHAPE(2, 3, 1, 2), false);
    files_check_npy("version2", REEL_F32, REEL_SHAPE(2, 3), false);
    files_check_npy("version3", REEL_F64, REEL_SHAPE(5), false);
}
END_TEST

/* Longer than the buffers, and in Fortran's order. */
START_TEST(large_arrays_go_round)
{
    enum { ROWS = 173, COLUMNS = 29 };
    static int32_t c[ROWS][COLUMNS], fortran[COLUMNS][ROWS];
    for (int i = 0; i < ROWS * COLUMNS; i++)
        fortran[i % COLUMNS][i / COLUMNS] = c[i / COLUMNS][i % COLUMNS] = i * 7919;
    reel_npy array = TEST_FILES_OBJECT(.dtype = REEL_I32, .shape = REEL_SHAPE(ROWS, COLUMNS), .data = c);
    ck_assert(reel_npy_write(&array, test_folder_path("c.npy"), NULL));
    size_t length;
    unsigned char *bytes = test_folder_read(test_folder_path("c.npy"), &length);
    ck_assert_uint_eq(length, 128 + sizeof c);
    char *order = strstr((char *)bytes + 10, "False, ");
    memcpy(order, "True , ", 7);
    memcpy(bytes + 128, fortran, sizeof fortran);
    test_folder_put(test_folder_path("f.npy"), bytes, length);
    free(bytes);
    reel_npy copy = TEST_FILES_OBJECT();
    for (int k = 0; k < 2; k++) {
        ck_assert_msg(reel_npy_read(&copy, test_folder_path(k ? "f.npy" : "c.npy"), NULL), "%s", copy.error);
        ck_assert_mem_eq(copy.data, c, sizeof c);
    }
    reel_npy_free(&copy);
}
END_TEST


Suite *reel_suite_files(void)
{
    Suite *suite = suite_create("files");
    TCase *round = tcase_create("round trips");
    tcase_add_checked_fixture(round, test_files_set_up, test_files_tear_down);
    tcase_add_test(round, python_safetensors_are_read);
    tcase_add_test(round, safetensors_go_round);
    tcase_add_test(round, an_empty_safetensors_goes_round);
    tcase_add_loop_test(round, npy_go_round, 0, REEL_DTYPES - 1);
    tcase_add_test(round, numpy_arrays_are_read);
    tcase_add_test(round, large_arrays_go_round);
    suite_add_tcase(suite, round);
    test_files_parameters(suite);
    test_files_content(suite);
    test_files_npy(suite);
    test_files_faults(suite);
    return suite;
}
