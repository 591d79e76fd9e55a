/* Arrays in IDX files, and files that are mapped.
 *
 * SPDX-License-Identifier: MIT */
#include "tests/data.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ARRAYS_FILE = 4096, ARRAYS_TYPES = 6 };

static const struct {
    reel_idx_type type;
    size_t        size;
    reel_dtype    dtype;
} arrays_type[ARRAYS_TYPES] = {
    {REEL_IDX_U8, 1, REEL_U8},   {REEL_IDX_I8, 1, REEL_I32},  {REEL_IDX_I16, 2, REEL_I32},
    {REEL_IDX_I32, 4, REEL_I32}, {REEL_IDX_F32, 4, REEL_F32}, {REEL_IDX_F64, 8, REEL_F64},
};

/* The bytes of a whole number or of a float, the highest first. */
static size_t arrays_big_endian(uint8_t *to, reel_idx_type type, size_t size, double value)
{
    uint64_t bits = (uint64_t)(int64_t)value;
    if (type == REEL_IDX_F32) {
        float narrow = (float)value;
        uint32_t word;
        memcpy(&word, &narrow, 4);
        bits = word;
    }
    if (type == REEL_IDX_F64)
        memcpy(&bits, &value, 8);
    for (size_t i = 0; i < size; i++)
        to[i] = (uint8_t)(bits >> 8 * (size - 1 - i));
    return size;
}

/* The file of an array whose elements are those of test_files_values(). */
static size_t arrays_idx(uint8_t file[ARRAYS_FILE], int which, reel_shape shape)
{
    size_t length = 4;
    memcpy(file, (uint8_t[]){0, 0, (uint8_t)arrays_type[which].type, (uint8_t)shape.rank}, 4);
    for (int i = 0; i < shape.rank; i++)
        length += arrays_big_endian(file + length, REEL_IDX_I32, 4, (double)shape.size[i]);
    for (int64_t i = 0; i < test_count(shape); i++)
        length += arrays_big_endian(file + length, arrays_type[which].type, arrays_type[which].size,
                                    test_files_number(arrays_type[which].dtype, i));
    return length;
}

static bool arrays_read_idx(const reel_io *io, char error[REEL_TRAIN_MESSAGE])
{
    reel_idx array = TEST_FILES_OBJECT();
    bool good = reel_idx_read(&array, test_folder_path("file"), io);
    strcpy(error, array.error);
    ck_assert(good || (!array.data && !array.count && !array.dtype));
    reel_idx_free(&array);
    return good;
}

/* ---- IDX ----------------------------------------------------------------------------------------- */

START_TEST(idx_of_each_type_and_shape)
{
    const char *path = test_folder_path("file");
    uint8_t file[ARRAYS_FILE];
    size_t length, written;
    for (int s = 0; s < FILES_SHAPES; s++) {
        reel_shape shape = test_files_shape[s];
        const reel_dtype dtype = arrays_type[_i].dtype;
        void *values = test_files_values(dtype, shape);
        length = arrays_idx(file, _i, shape);
        test_folder_put(path, file, length);
        reel_idx array = TEST_FILES_OBJECT();
        ck_assert_msg(reel_idx_read(&array, path, NULL), "%s", array.error);
        ck_assert(array.dtype == dtype && array.type == arrays_type[_i].type &&
                  array.shape.rank == shape.rank && array.count == test_count(shape) &&
                  (uintptr_t)array.data % 64 == 0);
        ck_assert_int_eq(memcmp(array.shape.size, shape.size, sizeof *shape.size * (size_t)shape.rank), 0);
        ck_assert_int_eq(memcmp(array.data, values, (size_t)array.count * reel_dtype_size(dtype)), 0);
        reel_idx_free(&array);
        array = (reel_idx){.dtype = dtype, .type = arrays_type[_i].type, .shape = shape, .data = values};
        ck_assert_msg(reel_idx_write(&array, path, NULL), "%s", array.error);
        unsigned char *bytes = test_folder_read(path, &written);
        ck_assert(written == length && memcmp(bytes, file, length) == 0);
        free(bytes);
        free(values);
    }
}
END_TEST

START_TEST(idx_written_at_the_limits)
{
    const char *path = test_folder_path("file");
    int32_t number[2] = {127, -128};
    reel_idx array = {.dtype = REEL_I32, .shape = REEL_SHAPE(2), .data = number};
    ck_assert(reel_idx_write(&array, path, NULL) && array.count == 2);
    ck_assert(reel_idx_read(&array, path, NULL) && array.type == REEL_IDX_I32);
    reel_idx_free(&array);
    array = (reel_idx){.dtype = REEL_I32, .type = REEL_IDX_I8, .shape = REEL_SHAPE(2), .data = number};
    ck_assert(reel_idx_write(&array, path, NULL));
    number[1] = -129;
    ck_assert(!reel_idx_write(&array, path, NULL));
    ck_assert_str_eq(array.error, "element 1 is -129, which is not from -128 to 127");
    array.type = REEL_IDX_I16;
    ck_assert(reel_idx_write(&array, path, NULL));
    number[0] = 32768;
    ck_assert(!reel_idx_write(&array, path, NULL));
    ck_assert_str_eq(array.error, "element 0 is 32768, which is not from -32768 to 32767");
    array.type = REEL_IDX_F32;
    ck_assert(!reel_idx_write(&array, path, NULL));
    ck_assert_str_eq(array.error, "an IDX file cannot hold i32 as that type");
    array = (reel_idx){.dtype = REEL_I64, .shape = REEL_SHAPE(1), .data = number};
    ck_assert(!reel_idx_write(&array, path, NULL));
    ck_assert_str_eq(array.error, "an IDX file cannot hold i64");
    array = (reel_idx){.dtype = REEL_U8, .shape = REEL_SHAPE(4294967296, 0), .data = number};
    ck_assert(!reel_idx_write(&array, path, NULL));
    ck_assert_str_eq(array.error, "size 4294967296 does not fit into an IDX file");
    array = (reel_idx){.dtype = REEL_U8, .shape = REEL_SHAPE(2)};
    ck_assert(!reel_idx_write(&array, path, NULL) && strstr(array.error, "NULL"));
    array = (reel_idx){.dtype = REEL_U8, .shape = REEL_SHAPE(-1)};
    ck_assert(!reel_idx_write(&array, path, NULL) && strstr(array.error, "shape"));
    ck_assert_int_eq(test_folder_count(), 1);
}
END_TEST

START_TEST(idx_damaged)
{
    uint8_t file[ARRAYS_FILE] = {0};
    char error[REEL_TRAIN_MESSAGE];
    size_t length = arrays_idx(file, _i, REEL_SHAPE(2, 3)), accepted = 0;
    for (size_t cut = 0; cut <= length + 1; cut++)
        if (cut != length) {
            test_folder_put(test_folder_path("file"), file, cut);
            data_expect(arrays_read_idx, cut < length ? "the file ends here, and "
                                                      : "1 bytes behind the data");
        }
    for (size_t bit = 0; bit < 8 * 12; bit++) {
        file[bit / 8] ^= (uint8_t)(1 << bit % 8);
        test_folder_put(test_folder_path("file"), file, length);
        bool good = arrays_read_idx(NULL, error);
        ck_assert_msg(good || strstr(error, ": byte "), "%s", error);
        accepted += good;
        file[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    ck_assert_uint_eq(accepted, arrays_type[_i].size == 2 || arrays_type[_i].size == 8 ? 0 : 1);
}                                                   /* 8 and 9, c and d are as wide                 */
END_TEST

START_TEST(idx_that_are_wrong)
{
    static const struct {
        uint8_t     start[4];
        uint32_t    size[8];
        const char *error;
    } bad[] = {
        {{0x93, 'N', 'U', 'M'}, {0}, "byte 0: not an IDX file"},
        {{0, 1, 8, 0}, {0}, "byte 0: not an IDX file"},
        {{0x1f, 0x8b, 8, 0}, {0}, "byte 0: compressed with gzip, which is not read; unpack it first"},
        {{0, 0, 0x0a, 0}, {0}, "byte 2: 0x0a is not a type of an IDX file"},
        {{0, 0, 0, 0}, {0}, "byte 2: 0x00 is not a type of an IDX file"},
        {{0, 0, 8, 9}, {0}, "byte 3: 9 dimensions; there may be 8"},
        {{0, 0, 8, 255}, {0}, "byte 3: 255 dimensions; there may be 8"},
        {{0, 0, 14, 2}, {0xffffffff, 0xffffffff}, "byte 4: the shape is too large"},
        {{0, 0, 8, 3}, {0xffffffff, 0xffffffff, 0}, "byte 4: the shape is too large"},
        {{0, 0, 8, 8}, {256, 256, 256, 256, 256, 256, 256, 256}, "byte 4: the shape is too large"},
        {{0, 0, 8, 2}, {0x40000000, 0x10000000}, "the data needs 288230376151711744 more bytes"},
    };
    uint8_t file[36];
    memcpy(file, bad[_i].start, 4);
    for (int i = 0; i < 8; i++)
        arrays_big_endian(file + 4 + 4 * i, REEL_IDX_I32, 4, bad[_i].size[i]);
    int rank = bad[_i].start[3] <= 8 ? bad[_i].start[3] : 8;
    test_folder_put(test_folder_path("file"), file, 4 + 4 * (size_t)rank);
    data_expect(arrays_read_idx, bad[_i].error);
}
END_TEST

START_TEST(idx_of_a_folder_or_of_nothing)
{
    data_expect(arrays_read_idx, "/file: cannot be opened: no such file or folder");
    char error[REEL_TRAIN_MESSAGE];
    reel_idx array = TEST_FILES_OBJECT();
    ck_assert(!reel_idx_read(&array, test_folder_path("."), NULL));
    strcpy(error, array.error);
    ck_assert_msg(strstr(error, "cannot be read: a folder, not a file"), "%s", error);
}
END_TEST

/* ---- Maps ---------------------------------------------------------------------------------------- */

enum { ARRAYS_NPY, ARRAYS_IDX, ARRAYS_SAFETENSORS, ARRAYS_FORMATS };

typedef struct arrays_object {
    reel_npy         npy;
    reel_idx         idx;
    reel_safetensors safetensors;
} arrays_object;

static bool arrays_read(arrays_object *object, int format, bool map, const reel_io *io,
                        char error[REEL_TRAIN_MESSAGE])
{
    const char *path = test_folder_path("file");
    *object = (arrays_object){.npy = TEST_FILES_OBJECT(.map = map), .idx = TEST_FILES_OBJECT(.map = map),
                              .safetensors = TEST_FILES_OBJECT(.map = map)};
    bool good = format == ARRAYS_NPY   ? reel_npy_read(&object->npy, path, io)
                : format == ARRAYS_IDX ? reel_idx_read(&object->idx, path, io)
                                       : reel_safetensors_read(&object->safetensors, path, io);
    strcpy(error, format == ARRAYS_NPY ? object->npy.error
                  : format == ARRAYS_IDX ? object->idx.error : object->safetensors.error);
    return good;
}

static void arrays_free(arrays_object *object)
{
    reel_npy_free(&object->npy);
    reel_idx_free(&object->idx);
    reel_safetensors_free(&object->safetensors);
}

static const void *arrays_data(const arrays_object *object, int format)
{
    return format == ARRAYS_NPY ? object->npy.data : format == ARRAYS_IDX ? object->idx.data
                                                   : object->safetensors.tensor[0].data;
}

static void arrays_write(int format, reel_dtype dtype, reel_shape shape, void *values)
{
    const char *path = test_folder_path("file");
    reel_npy npy = {.dtype = dtype, .shape = shape, .data = values};
    reel_idx idx = {.dtype = dtype, .shape = shape, .data = values};
    reel_stored_tensor tensor = {.name = "x", .dtype = dtype, .shape = shape, .data = values};
    reel_safetensors safetensors = {.tensor = &tensor, .tensors = 1};
    ck_assert(format == ARRAYS_NPY   ? reel_npy_write(&npy, path, NULL)
              : format == ARRAYS_IDX ? reel_idx_write(&idx, path, NULL)
                                     : reel_safetensors_write(&safetensors, path, NULL));
}

/* Mapped data is that of the array, takes no memory but for a header, and stays what it was when the file is
 * replaced. */
START_TEST(mapped_is_as_read)
{
    char error[REEL_TRAIN_MESSAGE];
    const int format = _i / REEL_DTYPES;
    const reel_dtype dtype = (reel_dtype)(_i % REEL_DTYPES);
    if (dtype == REEL_NO_DTYPE || (format == ARRAYS_IDX && dtype != REEL_U8))
        return;
    for (int s = 0; s < FILES_SHAPES; s++) {
        arrays_object object;
        test_faults faults;
        test_faults_start(&faults);
        void *values = test_files_values(dtype, test_files_shape[s]);
        size_t bytes = (size_t)test_count(test_files_shape[s]) * reel_dtype_size(dtype);
        arrays_write(format, dtype, test_files_shape[s], values);
        ck_assert_msg(arrays_read(&object, format, true, &faults.io, error), "%s", error);
        ck_assert(faults.open == 0 && faults.mapped == 1);
        ck_assert(format == ARRAYS_SAFETENSORS || test_files_memory.requests == 0);
        ck_assert_uint_eq((uintptr_t)arrays_data(&object, format) % reel_dtype_size(dtype), 0);
        ck_assert_int_eq(memcmp(arrays_data(&object, format), values, bytes), 0);
        arrays_write(format, dtype, REEL_SHAPE(0), values);
        ck_assert_int_eq(memcmp(arrays_data(&object, format), values, bytes), 0);
        arrays_free(&object);
        ck_assert_int_eq(faults.mapped, 0);
        free(values);
    }
}
END_TEST

START_TEST(mapped_into_a_tape)
{
    char error[REEL_TRAIN_MESSAGE];
    arrays_object object;
    arrays_write(ARRAYS_NPY, REEL_F32, REEL_SHAPE(3), (float[]){1, 2, 4});
    ck_assert_msg(arrays_read(&object, ARRAYS_NPY, true, NULL, error), "%s", error);
    reel_tape *tape = reel_tape_new();
    reel_tensor x = reel_wrap(tape, .dtype = object.npy.dtype, .shape = object.npy.shape,
                              .data = object.npy.data);
    ck_assert_double_eq(reel_item(reel_sum(x)), 7);
    reel_tape_free(tape);
    arrays_free(&object);
}
END_TEST

static int arrays_format;
static bool arrays_mapped;

static bool arrays_job(const reel_io *io, char error[REEL_TRAIN_MESSAGE])
{
    arrays_object object;
    bool good = arrays_read(&object, arrays_format, arrays_mapped, io, error);
    arrays_free(&object);
    return good;
}

START_TEST(read_with_faults)
{
    arrays_format = _i / 2;
    arrays_mapped = _i % 2;
    arrays_write(arrays_format, REEL_U8, REEL_SHAPE(5), (uint8_t[]){1, 2, 3, 4, 5});
    data_with_faults(arrays_job);
    char seen[REEL_TRAIN_MESSAGE];
    test_faults faults;
    test_faults_start(&faults);
    faults.io.map = NULL;
    ck_assert(arrays_job(&faults.io, seen) == !arrays_mapped);
    ck_assert(!arrays_mapped || strstr(seen, "cannot be mapped: this table of files has no map and unmap"));
}
END_TEST

START_TEST(written_with_faults)
{
    uint8_t file[ARRAYS_FILE];
    char error[REEL_TRAIN_MESSAGE];
    const char *path = test_folder_path("file");
    size_t old = arrays_idx(file, 3, REEL_SHAPE(3));
    void *values = test_files_values(REEL_I32, REEL_SHAPE(9));
    for (uint64_t call = 1;; call++) {
        test_faults faults;
        size_t length;
        test_faults_start(&faults);
        faults.fail_at = call;
        test_folder_put(path, file, old);
        reel_idx array = {.dtype = REEL_I32, .shape = REEL_SHAPE(9), .data = values};
        bool good = reel_idx_write(&array, path, &faults.io);
        strcpy(error, array.error);
        unsigned char *now = test_folder_read(path, &length);
        ck_assert_uint_eq(length, good || faults.failed == 'f' ? 8 + 36 : old);
        ck_assert(faults.open == 0 && test_folder_count() == 1);
        free(now);
        if (!faults.failed)
            break;
        ck_assert(good || strstr(error, "input/output error"));
    }
    free(values);
}
END_TEST

static void arrays_put_npy(const char *dict, size_t bytes)
{
    uint8_t file[ARRAYS_FILE] = "\x93NUMPY\x01";
    size_t length = strlen(dict);
    file[8] = (uint8_t)length;
    memcpy(file + 10, dict, length);
    test_folder_put(test_folder_path("file"), file, 10 + length + bytes);
}

/* What cannot lie in memory as it lies in the file is refused, and read all the same without a map. */
START_TEST(maps_are_refused)
{
    char error[REEL_TRAIN_MESSAGE];
    static const char header[] = "{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]},"
                                 "\"b\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[1,5]}}";
    uint8_t file[ARRAYS_FILE] = {(uint8_t)strlen(header)};
    static const char *const wanted[] = {
        "data in Fortran's order cannot be mapped; read it without",
        "f64 here cannot be mapped: not at a multiple of 8; read it without",
        "\"b\", f32, cannot be mapped: not at a multiple of 4; read it without",
        "byte 8: big-endian f32 cannot be mapped; read it without"};
    for (int which = 0; which < 4; which++) {
        arrays_format = which < 2 ? ARRAYS_NPY : which == 2 ? ARRAYS_SAFETENSORS : ARRAYS_IDX;
        if (which == 0)
            arrays_put_npy("{'descr': '<f4', 'fortran_order': True, 'shape': (2, 3), }             \n", 24);
        if (which == 1)
            arrays_put_npy("{'descr': '<f8', 'fortran_order': True, 'shape': (1, 3), }\n", 24);
        if (which == 2) {
            memcpy(file + 8, header, strlen(header));
            test_folder_put(test_folder_path("file"), file, 8 + strlen(header) + 5);
        }
        if (which == 3)
            arrays_write(ARRAYS_IDX, REEL_F32, REEL_SHAPE(1), (float[]){1});
        arrays_mapped = true;
        data_expect(arrays_job, wanted[which]);
        arrays_mapped = false;
        ck_assert_msg(arrays_job(NULL, error), "%s", error);
    }
}
END_TEST

/* A table that opens files in its own way has no map() but its own; with the standard open() it has the
 * standard ones. */
static int arrays_open(void *user, const char *path, bool writing)
{
    return reel_io_standard()->open(user, path, writing);
}

START_TEST(maps_of_other_tables)
{
    reel_io own = {.size = sizeof(reel_io), .open = arrays_open}, old = {.size = sizeof(reel_io)};
    ck_assert(!reel_io_complete(&own).map && !reel_io_complete(&own).unmap);
    ck_assert(reel_io_complete(&old).map == reel_io_standard()->map);
    ck_assert(reel_io_complete(NULL).unmap == reel_io_standard()->unmap);
    old.open = reel_io_standard()->open;
    ck_assert(reel_io_complete(&old).map == reel_io_standard()->map);
    own.size = offsetof(reel_io, map);
    own.map = reel_io_standard()->map;
    ck_assert(!reel_io_complete(&own).map);
}
END_TEST


void test_data_arrays(Suite *suite)
{
    TCase *arrays = tcase_create("arrays");
    tcase_set_timeout(arrays, 120);
    tcase_add_checked_fixture(arrays, test_files_set_up, test_files_tear_down);
    tcase_add_loop_test(arrays, idx_of_each_type_and_shape, 0, ARRAYS_TYPES);
    tcase_add_test(arrays, idx_written_at_the_limits);
    tcase_add_loop_test(arrays, idx_damaged, 0, ARRAYS_TYPES);
    tcase_add_loop_test(arrays, idx_that_are_wrong, 0, 11);
    tcase_add_test(arrays, idx_of_a_folder_or_of_nothing);
    tcase_add_loop_test(arrays, mapped_is_as_read, 0, ARRAYS_FORMATS * REEL_DTYPES);
    tcase_add_test(arrays, mapped_into_a_tape);
    tcase_add_loop_test(arrays, read_with_faults, 0, 2 * ARRAYS_FORMATS);
    tcase_add_test(arrays, written_with_faults);
    tcase_add_test(arrays, maps_are_refused);
    tcase_add_test(arrays, maps_of_other_tables);
    suite_add_tcase(suite, arrays);
}
