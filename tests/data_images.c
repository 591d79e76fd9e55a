/* Sets of images: CIFAR-100, IDX files and MNIST's four, and a part held out.
 *
 * SPDX-License-Identifier: MIT */
#include "tests/data.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static reel_image_data images_data;

static void images_set_up(void)
{
    test_files_set_up();
    images_data = (reel_image_data)TEST_FILES_OBJECT();
}

static void images_tear_down(void)
{
    reel_image_data_free(&images_data);
    test_files_tear_down();
}

static bool images_done(bool good, char error[REEL_TRAIN_MESSAGE])
{
    strcpy(error, images_data.error);
    if (good)
        ck_assert_str_eq(error, "");
    else
        ck_assert(!images_data.train.records && !images_data.test.records &&
                  !images_data.validation.records && images_data.classes == 0);
    reel_image_data_free(&images_data);
    return good;
}

static void images_put_text(const char *name, const char *text)
{
    test_folder_put(test_folder_path(name), text, strlen(text));
}

/* ---- CIFAR-100 ----------------------------------------------------------------------------------- */

enum { IMAGES_RECORD = 2 + REEL_IMAGE_VALUES, IMAGES_RECORDS = 40 };

/* Record r: coarse label r mod 20, fine label 97 r mod 100, value i of the image (r + 3 i) mod 256. */
static void images_put_cifar100(const char *name, int records)
{
    static uint8_t bytes[IMAGES_RECORDS * IMAGES_RECORD];
    for (int r = 0; r < records; r++) {
        uint8_t *record = bytes + r * IMAGES_RECORD;
        record[0] = (uint8_t)(r % 20);
        record[1] = (uint8_t)(97 * r % 100);
        for (int i = 0; i < REEL_IMAGE_VALUES; i++)
            record[2 + i] = (uint8_t)(r + 3 * i);
    }
    test_folder_put(test_folder_path(name), bytes, (size_t)(records * IMAGES_RECORD));
}

static bool images_cifar100(const reel_io *io, char error[REEL_TRAIN_MESSAGE])
{
    const char *folder = test_folder_path(".");
    return images_done(reel_cifar100_read(&images_data, folder, REEL_CIFAR100_FINE, io), error);
}

static void images_check_cifar100(const reel_images *images, int count, bool coarse)
{
    ck_assert_int_eq(images->count, count);
    ck_assert_int_eq(reel_image_values(images), REEL_IMAGE_VALUES);
    for (int r = 0; r < count; r++) {
        const uint8_t *record = images->records + r * REEL_IMAGE_RECORD;
        ck_assert_int_eq(record[0], coarse ? r % 20 : 97 * r % 100);
        for (int i = 0; i < REEL_IMAGE_VALUES; i++)
            ck_assert_int_eq(record[1 + i], (uint8_t)(r + 3 * i));
    }
}

START_TEST(cifar100_both_labels)
{
    char names[2000] = "";
    images_put_cifar100("train.bin", IMAGES_RECORDS);
    images_put_cifar100("test.bin", 3);
    for (int i = 0; i < 100; i++)
        snprintf(names + strlen(names), 20, "fine %d\r\n", i);
    images_put_text("fine_label_names.txt", names);
    ck_assert(reel_cifar100_read(&images_data, test_folder_path("."), REEL_CIFAR100_FINE, NULL));
    ck_assert_int_eq(images_data.classes, 100);
    ck_assert_str_eq(images_data.class_name[99], "fine 99");
    images_check_cifar100(&images_data.train, IMAGES_RECORDS, false);
    images_check_cifar100(&images_data.test, 3, false);
    ck_assert(reel_cifar100_read(&images_data, test_folder_path("."), REEL_CIFAR100_COARSE, NULL));
    ck_assert_int_eq(images_data.classes, 20);
    ck_assert_str_eq(images_data.class_name[19], "19");
    ck_assert_str_eq(images_data.class_name[20], "");
    images_check_cifar100(&images_data.train, IMAGES_RECORDS, true);
    images_put_text("coarse_label_names.txt", names);
    ck_assert(!reel_cifar100_read(&images_data, test_folder_path("."), REEL_CIFAR100_COARSE, NULL));
    ck_assert_msg(strstr(images_data.error, "coarse_label_names.txt: more than 20 class names"), "%s",
                  images_data.error);
    images_put_text("coarse_label_names.txt", "");
    ck_assert(!reel_cifar100_read(&images_data, test_folder_path("."), REEL_CIFAR100_COARSE, NULL));
    ck_assert_msg(strstr(images_data.error, "the file is empty"), "%s", images_data.error);
}
END_TEST

START_TEST(cifar100_bad_files)
{
    size_t length;
    char wanted[100];
    data_expect(images_cifar100, "train.bin: cannot be opened: no such file or folder");
    images_put_cifar100("train.bin", 2);
    data_expect(images_cifar100, "test.bin: cannot be opened: no such file or folder");
    images_put_cifar100("test.bin", 2);
    unsigned char *bytes = test_folder_read(test_folder_path("test.bin"), &length);
    for (size_t cut = 0; cut < length; cut += cut % IMAGES_RECORD == IMAGES_RECORD - 1 ? 2 : 1) {
        test_folder_put(test_folder_path("test.bin"), bytes, cut);
        snprintf(wanted, sizeof wanted, "test.bin: byte %zu: the file is cut inside record",
                 cut / IMAGES_RECORD * IMAGES_RECORD);
        data_expect(images_cifar100, cut ? wanted : "test.bin: the file is empty");
    }
    bytes[IMAGES_RECORD] = 20;
    test_folder_put(test_folder_path("test.bin"), bytes, length);
    data_expect(images_cifar100, "test.bin: byte 3074: label 20 is not from 0 to 19");
    bytes[IMAGES_RECORD] = 19, bytes[IMAGES_RECORD + 1] = 100;
    test_folder_put(test_folder_path("test.bin"), bytes, length);
    data_expect(images_cifar100, "test.bin: byte 3075: label 100 is not from 0 to 99");
    free(bytes);
}
END_TEST

START_TEST(cifar100_with_faults)
{
    images_put_cifar100("train.bin", IMAGES_RECORDS);
    images_put_cifar100("test.bin", 1);
    data_with_faults(images_cifar100);
}
END_TEST

/* ---- IDX ----------------------------------------------------------------------------------------- */

enum { IMAGES_IDX = 4096 };

/* A header of the given type and sizes, then bytes that count on from `first`. */
static size_t images_idx(uint8_t file[IMAGES_IDX], int type, int rank, const uint32_t *size, int first)
{
    size_t length = 4, count = 1;
    memcpy(file, (uint8_t[]){0, 0, (uint8_t)type, (uint8_t)rank}, 4);
    for (int i = 0; i < rank; i++) {
        for (int shift = 24; shift >= 0; shift -= 8)
            file[length++] = (uint8_t)(size[i] >> shift);
        count *= size[i];
    }
    for (size_t i = 0; i < count; i++)
        file[length++] = (uint8_t)(first + (int)i);
    return length;
}

static void images_put_idx(const char *name, int rank, const uint32_t *size, int first)
{
    uint8_t file[IMAGES_IDX];
    test_folder_put(test_folder_path(name), file, images_idx(file, 8, rank, size, first));
}

static bool images_pair(const reel_io *io, char error[REEL_TRAIN_MESSAGE])
{
    return images_done(reel_idx_images_read(&images_data, &images_data.test, test_folder_path("images"),
                                            test_folder_path("labels"), io), error);
}

static void images_check_idx(const reel_images *images, int count, int values, int first, int label)
{
    ck_assert_int_eq(images->count, count);
    ck_assert_int_eq(reel_image_values(images), values);
    for (int n = 0; n < count; n++) {
        const uint8_t *record = images->records + n * (1 + values);
        ck_assert_int_eq(record[0], (uint8_t)(label + n));
        for (int i = 0; i < values; i++)
            ck_assert_int_eq(record[1 + i], (uint8_t)(first + n * values + i));
    }
}

START_TEST(mnist_folder)
{
    const char *folder = test_folder_path(".");
    ck_assert(!reel_mnist_read(&images_data, folder, NULL));
    ck_assert_msg(strstr(images_data.error, "train-images-idx3-ubyte: cannot be opened: no such file"), "%s",
                  images_data.error);
    images_put_idx("train-images-idx3-ubyte", 3, (uint32_t[]){5, 4, 3}, 7);
    images_put_idx("train-labels-idx1-ubyte", 1, (uint32_t[]){5}, 2);
    images_put_idx("t10k-images-idx3-ubyte", 3, (uint32_t[]){2, 4, 3}, 30);
    images_put_text("t10k-labels-idx1-ubyte.gz", "\x1f\x8b");
    ck_assert(!reel_mnist_read(&images_data, folder, NULL));
    ck_assert_msg(strstr(images_data.error, "t10k-labels-idx1-ubyte: is there only compressed, with .gz"),
                  "%s", images_data.error);
    images_put_text("t10k-labels-idx1-ubyte", "\x1f\x8b\x08\x01");
    ck_assert(!reel_mnist_read(&images_data, folder, NULL));
    ck_assert_msg(strstr(images_data.error, "t10k-labels-idx1-ubyte: byte 0: compressed with gzip"), "%s",
                  images_data.error);
    images_put_idx("t10k-labels-idx1-ubyte", 1, (uint32_t[]){2}, 9);
    ck_assert_msg(reel_mnist_read(&images_data, folder, NULL), "%s", images_data.error);
    images_check_idx(&images_data.train, 5, 12, 7, 2);
    images_check_idx(&images_data.test, 2, 12, 30, 9);
    ck_assert(images_data.train.channels == 1 && images_data.train.height == 4 &&
              images_data.train.width == 3);
    ck_assert_int_eq(images_data.classes, 11);
    ck_assert_str_eq(images_data.class_name[10], "10");
    images_put_idx("t10k-images-idx3-ubyte", 3, (uint32_t[]){2, 3, 4}, 30);
    ck_assert(!reel_mnist_read(&images_data, folder, NULL));
    ck_assert_msg(strstr(images_data.error, "byte 8: images of 1 x 3 x 4, where the others are 1 x 4 x 3"),
                  "%s", images_data.error);
    char path[6000];
    memset(path, 'x', sizeof path);
    path[5999] = 0;
    ck_assert(!reel_mnist_read(&images_data, path, NULL));
    ck_assert_ptr_nonnull(strstr(images_data.error, "the path is too long"));
}
END_TEST

START_TEST(idx_images_of_channels)
{
    images_put_idx("images", 4, (uint32_t[]){3, 3, 2, 5}, 1);
    images_put_idx("labels", 1, (uint32_t[]){3}, 253);
    const char *images = test_folder_path("images"), *labels = test_folder_path("labels");
    ck_assert(reel_idx_images_read(&images_data, &images_data.validation, images, labels, NULL));
    images_check_idx(&images_data.validation, 3, 30, 1, 253);
    ck_assert_int_eq(images_data.classes, REEL_CLASSES_MOST);
    ck_assert(!reel_idx_images_read(&images_data, &images_data.validation, images, labels, NULL));
    ck_assert_str_eq(images_data.error, "not an empty set of this data");
    reel_images other = {0};
    ck_assert(!reel_idx_images_read(&images_data, &other, images, labels, NULL));
    images_check_idx(&images_data.validation, 3, 30, 1, 253);
}
END_TEST

static const struct images_bad {
    int         type, rank;
    uint32_t    size[9];
    bool        of_labels;
    const char *error;
} images_bad[] = {
    {8, 2, {4, 12}, false, "images: byte 2: not images: neither u8 [n, height, width]"},
    {9, 3, {4, 4, 3}, false, "images: byte 2: not images"},
    {8, 5, {4, 1, 1, 4, 3}, false, "images: byte 2: not images"},
    {8, 3, {4, 0, 3}, false, "images: byte 8: images of 1 x 0 x 3"},
    {8, 3, {0, 4, 3}, false, "labels: byte 4: 4 labels for 0 images"},
    {8, 3, {3, 4, 3}, false, "labels: byte 4: 4 labels for 3 images"},
    {8, 3, {4, 0x80000000, 2}, false, "images: byte 16: the file ends here"},
    {8, 4, {0, 0xffffffff, 0xffffffff, 1}, false, "images: byte 4: the shape is too large"},
    {8, 4, {0, 0xffffffff, 0xffffff, 1}, false, "images: byte 8: images of 4294967295 x 16777215 x 1"},
    {8, 9, {1, 1, 1, 1, 1, 1, 1, 1, 4}, false, "images: byte 3: 9 dimensions; there may be 8"},
    {8, 2, {4, 1}, true, "labels: byte 2: not labels: not u8 [n]"},
    {9, 1, {4}, true, "labels: byte 2: not labels: not u8 [n]"},
    {8, 1, {5}, true, "labels: byte 4: 5 labels for 4 images"},
};

START_TEST(idx_images_that_are_wrong)
{
    const struct images_bad *bad = &images_bad[_i];
    uint8_t file[IMAGES_IDX];
    images_put_idx("images", 3, (uint32_t[]){4, 4, 3}, 1);
    images_put_idx("labels", 1, (uint32_t[]){4}, 0);
    uint64_t count = 1;
    for (int i = 0; i < bad->rank; i++)
        count *= bad->size[i];
    uint32_t none[9] = {0};
    size_t length = images_idx(file, bad->type, bad->rank, count < 1000 ? bad->size : none, 0);
    for (int i = 0; i < bad->rank; i++)
        for (int k = 0; k < 4; k++)
            file[4 + 4 * i + k] = (uint8_t)(bad->size[i] >> (24 - 8 * k));
    test_folder_put(test_folder_path(bad->of_labels ? "labels" : "images"), file, length);
    data_expect(images_pair, bad->error);
}
END_TEST

/* One file of the two cut anywhere, one byte longer, and with each bit of its header flipped. */
START_TEST(idx_images_damaged)
{
    const char *path = test_folder_path(_i ? "labels" : "images");
    size_t length, header = _i ? 8 : 16;
    images_put_idx("images", 3, (uint32_t[]){4, 4, 3}, 1);
    images_put_idx("labels", 1, (uint32_t[]){4}, 0);
    unsigned char *bytes = test_folder_read(path, &length);
    bytes[length] = 0;
    for (size_t cut = 0; cut <= length + 1; cut++)
        if (cut != length) {
            test_folder_put(path, bytes, cut);
            data_expect(images_pair, cut < length ? "the file ends here, and " : "1 bytes behind the data");
        }
    for (size_t bit = 0; bit < 8 * header; bit++) {
        bytes[bit / 8] ^= (unsigned char)(1 << bit % 8);
        test_folder_put(path, bytes, length);
        data_expect(images_pair, ": byte ");
        bytes[bit / 8] ^= (unsigned char)(1 << bit % 8);
    }
    free(bytes);
}
END_TEST

START_TEST(idx_images_empty)
{
    images_put_idx("images", 3, (uint32_t[]){0, 4, 3}, 1);
    images_put_idx("labels", 1, (uint32_t[]){0}, 0);
    data_expect(images_pair, "images: byte 4: no images");
}
END_TEST

START_TEST(idx_images_with_faults)
{
    images_put_idx("images", 3, (uint32_t[]){40, 4, 3}, 1);
    images_put_idx("labels", 1, (uint32_t[]){40}, 0);
    data_with_faults(images_pair);
}
END_TEST

/* ---- Holding out --------------------------------------------------------------------------------- */

enum { IMAGES_HELD_OF = 12, IMAGES_HELD = 5, IMAGES_SEEDS = 3000 };

/* Training images of one pixel, their number. */
static void images_number(void)
{
    reel_image_data_free(&images_data);
    uint8_t *records = test_allocate(&test_files_memory, NULL, 0, 2 * IMAGES_HELD_OF);
    ck_assert_ptr_nonnull(records);
    images_data.train = (reel_images){IMAGES_HELD_OF, 1, 1, 1, records, 2 * IMAGES_HELD_OF};
    for (int i = 0; i < IMAGES_HELD_OF; i++) {
        records[2 * i] = (uint8_t)(200 - i);
        records[2 * i + 1] = (uint8_t)i;
    }
}

/* Which images are in the set, as bits; their numbers rise, and their labels are theirs. */
static unsigned images_in(const reel_images *images)
{
    unsigned bits = 0;
    int last = -1;
    for (int64_t i = 0; i < images->count; i++) {
        const uint8_t *record = images->records + 2 * i;
        ck_assert_int_gt(record[1], last);
        ck_assert_int_eq(record[0], 200 - record[1]);
        last = record[1];
        bits |= 1u << last;
    }
    return bits;
}

/* Each image is held out in 5/12 of the cases, each pair of neighbours in 5/12 4/11, within five
 * deviations. */
START_TEST(held_out_fairly)
{
    int single[IMAGES_HELD_OF] = {0}, pair[IMAGES_HELD_OF] = {0};
    unsigned all = (1u << IMAGES_HELD_OF) - 1, first = 0;
    for (uint64_t seed = 0; seed < IMAGES_SEEDS; seed++) {
        images_number();
        ck_assert(reel_images_hold_out(&images_data, IMAGES_HELD, seed));
        ck_assert(images_data.validation.count == IMAGES_HELD &&
                  images_data.train.count == IMAGES_HELD_OF - IMAGES_HELD);
        unsigned held = images_in(&images_data.validation);
        ck_assert_uint_eq(held ^ images_in(&images_data.train), all);
        for (int i = 0; i < IMAGES_HELD_OF; i++) {
            single[i] += held >> i & 1;
            pair[i] += (held >> i & 1) && (held >> (i + 1) % IMAGES_HELD_OF & 1);
        }
        first = seed == 0 ? held : first;
    }
    for (int i = 0; i < IMAGES_HELD_OF; i++) {
        ck_assert_int_le(abs(single[i] - IMAGES_SEEDS * 5 / 12), 5 * 27);
        ck_assert_int_le(abs(pair[i] - IMAGES_SEEDS * 20 / 132), 5 * 20);
    }
    images_number();
    ck_assert(reel_images_hold_out(&images_data, IMAGES_HELD, 0));
    ck_assert_uint_eq(images_in(&images_data.validation), first);
}
END_TEST

START_TEST(held_out_within_limits)
{
    images_number();
    ck_assert(!reel_images_hold_out(&images_data, IMAGES_HELD_OF + 1, 0));
    ck_assert_str_eq(images_data.error, "13 of 12 training images cannot be held out");
    ck_assert(!reel_images_hold_out(&images_data, -1, 0));
    ck_assert(reel_images_hold_out(&images_data, 0, 0) && images_data.train.count == IMAGES_HELD_OF);
    test_files_memory.fail_at = test_files_memory.requests + 1;
    ck_assert(!reel_images_hold_out(&images_data, 3, 0) && strstr(images_data.error, "no memory"));
    ck_assert_uint_eq(images_in(&images_data.train), (1u << IMAGES_HELD_OF) - 1);
    ck_assert(reel_images_hold_out(&images_data, IMAGES_HELD_OF, 0) && images_data.train.count == 0);
    ck_assert_uint_eq(images_in(&images_data.validation), (1u << IMAGES_HELD_OF) - 1);
    ck_assert(!reel_images_hold_out(&images_data, 0, 0));
    ck_assert_str_eq(images_data.error, "12 images are held out already");
}
END_TEST


void test_data_images(Suite *suite)
{
    TCase *images = tcase_create("images");
    tcase_set_timeout(images, 120);
    tcase_add_checked_fixture(images, images_set_up, images_tear_down);
    tcase_add_test(images, cifar100_both_labels);
    tcase_add_test(images, cifar100_bad_files);
    tcase_add_test(images, cifar100_with_faults);
    tcase_add_test(images, mnist_folder);
    tcase_add_test(images, idx_images_of_channels);
    tcase_add_loop_test(images, idx_images_that_are_wrong, 0, sizeof images_bad / sizeof images_bad[0]);
    tcase_add_loop_test(images, idx_images_damaged, 0, 2);
    tcase_add_test(images, idx_images_empty);
    tcase_add_test(images, idx_images_with_faults);
    tcase_add_test(images, held_out_fairly);
    tcase_add_test(images, held_out_within_limits);
    suite_add_tcase(suite, images);
}
