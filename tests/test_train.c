/* The training kit: reading CIFAR-10's files and refusing bad ones, drawing images, standardising them,
 * batches. */
#include <reel_train.h>

#include <check.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

Suite *reel_suite_train(void);


/* ---- A folder in CIFAR-10's layout --------------------------------------------------------------- */

enum { TRAIN_FILES = 7 };

static const char *const train_file_name[TRAIN_FILES] = {
    "data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin",
    "data_batch_5.bin", "test_batch.bin",   "batches.meta.txt"};
static const char train_meta[] = "airplane\nautomobile\nbird\ncat\ndeer\ndog\nfrog\nhorse\nship\ntruck\n\n";

static char train_folder[] = "/tmp/reel-test-XXXXXX";
static reel_image_data train_data;

static const char *train_path(int file)
{
    static char path[200];
    snprintf(path, sizeof path, "%s/%s", train_folder, train_file_name[file]);
    return path;
}

static void train_put(int file, const void *bytes, size_t count)
{
    FILE *out = fopen(train_path(file), "wb");
    ck_assert_ptr_nonnull(out);
    ck_assert_uint_eq(fwrite(bytes, 1, count, out), count);
    ck_assert_int_eq(fclose(out), 0);
}

/* File f has f + 1 records: every byte of record r is f + r, its label (f + r) mod 10. */
static void train_put_records(int file)
{
    static uint8_t records[TRAIN_FILES * REEL_IMAGE_RECORD];
    for (int r = 0; r <= file; r++) {
        memset(records + r * REEL_IMAGE_RECORD, file + r, REEL_IMAGE_RECORD);
        records[r * REEL_IMAGE_RECORD] = (uint8_t)((file + r) % REEL_IMAGE_CLASSES);
    }
    train_put(file, records, (size_t)(file + 1) * REEL_IMAGE_RECORD);
}

static void train_set_up(void)
{
    strcpy(train_folder, "/tmp/reel-test-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(train_folder));
    for (int file = 0; file < 6; file++)
        train_put_records(file);
    train_put(6, train_meta, strlen(train_meta));
}

static void train_forget(void)
{
    reel_image_data_free(&train_data);
    train_data = (reel_image_data){0};
}

static void train_tear_down(void)
{
    train_forget();
    for (int file = 0; file < TRAIN_FILES; file++)
        if (unlink(train_path(file)) != 0)
            rmdir(train_path(file));
    rmdir(train_folder);
}

static void train_expect_empty(void)
{
    ck_assert_int_eq(train_data.train.count + train_data.test.count, 0);
    ck_assert_ptr_null(train_data.train.records);
    ck_assert_ptr_null(train_data.test.records);
    ck_assert_str_eq(train_data.class_name[0], "");
}

/* Reading fails with one line: the path of the file, then what is wrong. The folder is made good again. */
static void train_expect(int file, const char *problem)
{
    char wanted[400];
    snprintf(wanted, sizeof wanted, "%s: %s", train_path(file), problem);
    ck_assert(!reel_cifar10_read(&train_data, train_folder, NULL));
    ck_assert_str_eq(train_data.error, wanted);
    train_expect_empty();
    if (file < 6)
        train_put_records(file);
    else
        train_put(file, train_meta, strlen(train_meta));
    ck_assert(reel_cifar10_read(&train_data, train_folder, NULL));
}

START_TEST(test_cifar10_layout)
{
    ck_assert_msg(reel_cifar10_read(&train_data, train_folder, NULL), "%s", train_data.error);
    ck_assert_str_eq(train_data.error, "");
    ck_assert_int_eq(train_data.train.count, 1 + 2 + 3 + 4 + 5);
    ck_assert_int_eq(train_data.test.count, 6);
    ck_assert_str_eq(train_data.class_name[0], "airplane");
    ck_assert_str_eq(train_data.class_name[9], "truck");
    const uint8_t *last = train_data.train.records + 14 * REEL_IMAGE_RECORD;
    ck_assert_int_eq(last[0], (4 + 4) % 10);
    ck_assert_int_eq(last[1], 8);
    ck_assert_int_eq(last[REEL_IMAGE_RECORD - 1], 8);
}
END_TEST

START_TEST(test_cifar10_missing)
{
    for (int file = 0; file < TRAIN_FILES; file++) {
        ck_assert_int_eq(unlink(train_path(file)), 0);
        train_expect(file, "cannot be opened: no such file or folder");
    }
    ck_assert(!reel_cifar10_read(&train_data, "/nowhere/at/all", NULL));
    ck_assert_str_eq(train_data.error,
                     "/nowhere/at/all/data_batch_1.bin: cannot be opened: no such file or folder");
}
END_TEST

START_TEST(test_cifar10_empty)
{
    for (int file = 0; file < TRAIN_FILES; file++) {
        train_put(file, "", 0);
        train_expect(file, "the file is empty");
    }
}
END_TEST

START_TEST(test_cifar10_cut)
{
    for (int file = 0; file < 6; file++) {
        char problem[100];
        long bytes = (file + 1) * REEL_IMAGE_RECORD - 1;
        ck_assert_int_eq(truncate(train_path(file), bytes), 0);
        snprintf(problem, sizeof problem,
                 "byte %d: the file is cut inside record %d: %ld bytes, and a record has 3073",
                 file * REEL_IMAGE_RECORD, file, bytes);
        train_expect(file, problem);
    }
    ck_assert_int_eq(truncate(train_path(2), 1), 0);
    train_expect(2, "byte 0: the file is cut inside record 0: 1 bytes, and a record has 3073");
}
END_TEST

START_TEST(test_cifar10_label)
{
    uint8_t records[2 * REEL_IMAGE_RECORD] = {9};
    records[REEL_IMAGE_RECORD] = 10;
    train_put(1, records, sizeof records);
    train_expect(1, "byte 3073: label 10 is not from 0 to 9");
    records[REEL_IMAGE_RECORD] = 255;
    train_put(5, records, sizeof records);
    train_expect(5, "byte 3073: label 255 is not from 0 to 9");
}
END_TEST

START_TEST(test_cifar10_directory)
{
    for (int file = 0; file < TRAIN_FILES; file++) {
        ck_assert_int_eq(unlink(train_path(file)), 0);
        ck_assert_int_eq(mkdir(train_path(file), 0700), 0);
        char wanted[400];
        snprintf(wanted, sizeof wanted, "%s: cannot be read: a folder, not a file", train_path(file));
        ck_assert(!reel_cifar10_read(&train_data, train_folder, NULL));
        ck_assert_str_eq(train_data.error, wanted);
        train_expect_empty();
        ck_assert_int_eq(rmdir(train_path(file)), 0);
        train_put_records(file < 6 ? file : 0);
    }
}
END_TEST

START_TEST(test_cifar10_names)
{
    static const char nine[] = "a\nb\nc\nd\ne\nf\ng\nh\ni\n", eleven[] = "a\nb\nc\nd\ne\nf\ng\nh\ni\nj\nk\n";
    static const char windows[] = "a\r\nb\r\nc\r\nd\r\ne\r\nf\r\ng\r\nh\r\ni\r\nlast";
    static const char odd[] = "a\nb\033[2J\nc\n", wide[] = "a\nbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb\n";
    static const char long_file[8193] = "a\n";
    train_put(6, nine, strlen(nine));
    train_expect(6, "9 class names, not 10");
    train_put(6, eleven, strlen(eleven));
    train_expect(6, "more than 10 class names");
    train_put(6, odd, strlen(odd));
    train_expect(6, "class name 1 is over 31 bytes or not text");
    train_put(6, wide, strlen(wide));
    train_expect(6, "class name 1 is over 31 bytes or not text");
    train_put(6, long_file, sizeof long_file);
    train_expect(6, "too long for 10 class names");
    train_put(6, windows, strlen(windows));
    ck_assert_msg(reel_cifar10_read(&train_data, train_folder, NULL), "%s", train_data.error);
    ck_assert_str_eq(train_data.class_name[0], "a");
    ck_assert_str_eq(train_data.class_name[9], "last");
}
END_TEST

START_TEST(test_cifar10_long_path)
{
    char folder[6000];
    memset(folder, 'x', sizeof folder);
    folder[5000] = 0;
    ck_assert(!reel_cifar10_read(&train_data, folder, NULL));
    ck_assert_uint_lt(strlen(train_data.error), REEL_TRAIN_MESSAGE - 1);
    ck_assert_ptr_nonnull(strstr(train_data.error, "xxx: the path is too long"));
    folder[3000] = 0;
    ck_assert(!reel_cifar10_read(&train_data, folder, NULL));
    ck_assert_uint_lt(strlen(train_data.error), REEL_TRAIN_MESSAGE - 1);
    ck_assert_ptr_nonnull(strstr(train_data.error,
                                 "/data_batch_1.bin: cannot be opened: the path is too long"));
}
END_TEST


/* ---- Files and memory that fail ------------------------------------------------------------------ */

/* Call number `fail_at` of the table fails; -1 for none. Reads give at most `most` bytes. */
static struct {
    int     fail_at, calls, open_files;
    size_t  most;
    int64_t cut;                                    /* bytes after which every file ends; 0: never */
    int64_t done;
} train_disk;

static bool train_disk_fails(void)
{
    return train_disk.calls++ == train_disk.fail_at;
}

static int train_open(void *user, const char *path, bool writing)
{
    int file = train_disk_fails() ? -EACCES : reel_io_standard()->open(user, path, writing);
    train_disk.open_files += file >= 0;
    train_disk.done = 0;
    return file;
}

static int64_t train_length(void *user, int file)
{
    return train_disk_fails() ? -EIO : reel_io_standard()->length(user, file);
}

static int64_t train_read(void *user, int file, void *buffer, size_t bytes)
{
    if (train_disk_fails())
        return -EIO;
    bytes = bytes < train_disk.most ? bytes : train_disk.most;
    if (train_disk.cut && train_disk.done + (int64_t)bytes > train_disk.cut)
        bytes = (size_t)(train_disk.cut - train_disk.done);
    train_disk.done += (int64_t)bytes;
    return bytes ? reel_io_standard()->read(user, file, buffer, bytes) : 0;
}

static int train_close(void *user, int file)
{
    train_disk.open_files--;
    return reel_io_standard()->close(user, file);
}

static const reel_io train_io = {.size = sizeof(reel_io), .open = train_open, .length = train_length,
                                 .read = train_read, .close = train_close};

START_TEST(test_cifar10_io_fails)
{
    bool good = false;
    for (int at = 0; !good; at++) {
        ck_assert_int_lt(at, 1000);
        train_disk.fail_at = at;
        train_disk.calls = 0;
        train_disk.most = 1000;
        good = reel_cifar10_read(&train_data, train_folder, &train_io);
        ck_assert_int_eq(train_disk.open_files, 0);
        ck_assert_int_eq(good, train_disk.calls <= at);
        if (good)
            break;
        train_expect_empty();
        const char *open_failed = strstr(train_data.error, ": permission denied");
        ck_assert(open_failed || strstr(train_data.error, ": input/output error"));
    }
    ck_assert_int_eq(train_data.train.count, 15);
    ck_assert_int_eq(train_data.train.records[15 * REEL_IMAGE_RECORD - 1], 8);
}
END_TEST

START_TEST(test_cifar10_shrinks_while_read)
{
    train_disk.fail_at = -1;
    train_disk.most = SIZE_MAX;
    train_disk.cut = 4000;
    ck_assert(!reel_cifar10_read(&train_data, train_folder, &train_io));
    ck_assert_ptr_nonnull(strstr(train_data.error, "data_batch_2.bin: byte 4000: the file ends here, and 2146 "
                                                   "more bytes are needed"));
    ck_assert_int_eq(train_disk.open_files, 0);
}
END_TEST

/* Request number `fail_at` of the allocator gets no memory. */
static struct {
    int    fail_at, calls;
    size_t held;
} train_memory;

static void *train_allocator(void *user, void *pointer, size_t old_size, size_t new_size)
{
    ck_assert_ptr_eq(user, &train_memory);
    if (new_size == 0) {
        train_memory.held -= old_size;
        free(pointer);
        return NULL;
    }
    if (train_memory.calls++ == train_memory.fail_at)
        return NULL;
    train_memory.held += new_size - old_size;
    return realloc(pointer, new_size);
}

static bool train_fill_all(reel_batches *batches)
{
    return reel_cifar10_read(&train_data, train_folder, NULL) && reel_shapes_draw(&train_data, 3, 2, 1) &&
           reel_batches_start(batches);
}

START_TEST(test_no_memory)
{
    train_data = (reel_image_data){.allocator = train_allocator, .allocator_user = &train_memory};
    bool good = false;
    for (int at = 0; !good; at++) {
        train_memory.fail_at = at;
        train_memory.calls = 0;
        reel_batches batches = {.images = &train_data.train, .size = 2, .allocator = train_allocator,
                                .allocator_user = &train_memory};
        good = train_fill_all(&batches);
        const char *error = train_data.error[0] ? train_data.error : batches.error;
        ck_assert_int_eq(!good, strncmp(error, "no memory for ", 14) == 0);
        ck_assert_int_eq(good, train_memory.calls <= at);
        reel_batches_free(&batches);
        reel_image_data_free(&train_data);
        ck_assert_uint_eq(train_memory.held, 0);
    }
}
END_TEST


/* ---- Drawn images -------------------------------------------------------------------------------- */

/* FNV-1a (Fowler, Noll and Vo). */
static uint64_t train_hash(const reel_images *images)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < images->bytes; i++)
        hash = (hash ^ images->records[i]) * UINT64_C(0x100000001b3);
    return hash;
}

START_TEST(test_shapes_are_the_same_everywhere)
{
    ck_assert(reel_shapes_draw(&train_data, 40, 20, 1));
    ck_assert_uint_eq(train_hash(&train_data.train), UINT64_C(0x72af8b9f08bd06ae));
    ck_assert_uint_eq(train_hash(&train_data.test), UINT64_C(0x758444bb1e9f4ede));
    ck_assert_str_eq(train_data.class_name[0], "disc");
    ck_assert_str_eq(train_data.class_name[9], "crescent");
    for (int i = 0; i < 40; i++)
        ck_assert_int_eq(train_data.train.records[i * REEL_IMAGE_RECORD], i % 10);
}
END_TEST

START_TEST(test_shapes_do_not_depend_on_the_count)
{
    reel_image_data few = {0}, other = {0};
    ck_assert(reel_shapes_draw(&train_data, 40, 20, 7));
    ck_assert(reel_shapes_draw(&few, 10, 5, 7));
    ck_assert(reel_shapes_draw(&other, 10, 0, 8));
    ck_assert_int_eq(other.test.count, 0);
    ck_assert_mem_eq(few.train.records, train_data.train.records, few.train.bytes);
    ck_assert_mem_eq(few.test.records, train_data.test.records, few.test.bytes);
    ck_assert_mem_ne(few.train.records, other.train.records, few.train.bytes);
    ck_assert_mem_ne(few.train.records, few.test.records, few.test.bytes);
    reel_image_data_free(&other);
    reel_image_data_free(&few);
}
END_TEST


/* ---- Standardisation and batches ------------------------------------------------------------------ */

static double train_byte(int64_t image, int value)
{
    return train_data.train.records[image * REEL_IMAGE_RECORD + 1 + value];
}

START_TEST(test_standardise)
{
    enum { COUNT = 50 };
    static reel_standardisation got;
    ck_assert(reel_shapes_draw(&train_data, COUNT, 0, 3));
    for (int64_t i = 0; i < COUNT; i++)
        train_data.train.records[i * REEL_IMAGE_RECORD + 1 + 5] = 77;
    reel_standardise(&got, &train_data.train);
    for (int value = 0; value < REEL_IMAGE_VALUES; value++) {
        double mean = 0, variance = 0;
        for (int64_t i = 0; i < COUNT; i++)
            mean += train_byte(i, value) / COUNT;
        for (int64_t i = 0; i < COUNT; i++)
            variance += (train_byte(i, value) - mean) * (train_byte(i, value) - mean) / COUNT;
        double scale = variance > 1e-9 ? 1 / sqrt(variance) : 1;
        ck_assert_double_eq_tol(got.mean[value], mean, 1e-7 * (1 + mean));
        ck_assert_double_eq_tol(got.scale[value], scale, 1e-6 * scale);
    }
    ck_assert_double_eq(got.mean[5], 77);
    ck_assert_double_eq(got.scale[5], 1);
}
END_TEST

/* Twenty-three images whose first two bytes are their number; batches of five. */
enum { BATCHES_COUNT = 23, BATCHES_SIZE = 5 };

static reel_batches train_batches(const reel_standardisation *standardisation)
{
    ck_assert(reel_shapes_draw(&train_data, BATCHES_COUNT, 0, 3));
    for (int i = 0; i < BATCHES_COUNT; i++)
        train_data.train.records[i * REEL_IMAGE_RECORD + 1] = (uint8_t)i;
    reel_batches batches = {.images = &train_data.train, .standardisation = standardisation,
                            .size = BATCHES_SIZE};
    ck_assert(reel_batches_start(&batches));
    return batches;
}

/* Walks to the end; order[i] is set to the number of the i-th image. */
static void train_walk(reel_batches *batches, int order[BATCHES_COUNT])
{
    const float *values = batches->values;
    int seen[BATCHES_COUNT] = {0}, at = 0;
    while (reel_batches_next(batches)) {
        ck_assert_int_eq(batches->count, at + BATCHES_SIZE <= BATCHES_COUNT ? BATCHES_SIZE : 3);
        ck_assert_ptr_eq(batches->values, values);
        for (int64_t i = 0; i < batches->count; i++) {
            int image = (int)batches->values[i * REEL_IMAGE_VALUES];
            ck_assert_int_eq(batches->labels[i], image % 10);
            ck_assert_int_eq(seen[image]++, 0);
            order[at++] = image;
        }
    }
    ck_assert_int_eq(at, BATCHES_COUNT);
    ck_assert_int_eq(batches->count, 0);
}

START_TEST(test_batches_cover_each_image_once)
{
    reel_batches batches = train_batches(NULL);
    int plain[BATCHES_COUNT], first[BATCHES_COUNT], second[BATCHES_COUNT], again[BATCHES_COUNT];
    train_walk(&batches, plain);
    for (int i = 0; i < BATCHES_COUNT; i++)
        ck_assert_int_eq(plain[i], i);
    reel_batches_shuffle(&batches, 9, 0);
    train_walk(&batches, first);
    reel_batches_shuffle(&batches, 9, 1);
    train_walk(&batches, second);
    reel_batches_shuffle(&batches, 9, 0);
    train_walk(&batches, again);
    ck_assert_mem_ne(plain, first, sizeof plain);
    ck_assert_mem_ne(first, second, sizeof first);
    ck_assert_mem_eq(first, again, sizeof first);
    reel_batches_shuffle(&batches, 10, 0);
    train_walk(&batches, again);
    ck_assert_mem_ne(first, again, sizeof first);
    reel_batches_free(&batches);
}
END_TEST

START_TEST(test_batches_are_standardised)
{
    static reel_standardisation by;
    ck_assert(reel_shapes_draw(&train_data, BATCHES_COUNT, 0, 3));
    reel_standardise(&by, &train_data.train);
    reel_batches batches = train_batches(&by);
    for (int64_t image = 0; reel_batches_next(&batches);)
        for (int64_t i = 0; i < batches.count; i++, image++)
            for (int value = 0; value < REEL_IMAGE_VALUES; value++) {
                float wanted = ((float)train_byte(image, value) - by.mean[value]) * by.scale[value];
                ck_assert_float_eq(batches.values[i * REEL_IMAGE_VALUES + value], wanted);
            }
    reel_batches_free(&batches);
}
END_TEST

/* Aligned to 16 and no further, as an allocator has to be. */
static void *train_bare_allocator(void *user, void *pointer, size_t old_size, size_t new_size)
{
    (void)user;
    (void)old_size;
    if (pointer)
        free((char *)pointer - 16);
    return new_size ? (char *)aligned_alloc(64, (new_size + 16 + 63) / 64 * 64) + 16 : NULL;
}

START_TEST(test_batches_are_aligned)
{
    ck_assert(reel_shapes_draw(&train_data, 7, 0, 3));
    reel_batches batches = {.images = &train_data.train, .size = 5, .allocator = train_bare_allocator};
    ck_assert(reel_batches_start(&batches));
    ck_assert_uint_eq((uintptr_t)batches.values % 64, 0);
    while (reel_batches_next(&batches))
        continue;
    reel_batches_free(&batches);
}
END_TEST

START_TEST(test_batches_of_odd_sizes)
{
    ck_assert(reel_shapes_draw(&train_data, 3, 0, 3));
    reel_batches none = {.images = &train_data.train, .size = 0};
    ck_assert(!reel_batches_start(&none));
    ck_assert_str_eq(none.error, "a batch of 0 images");
    reel_batches large = {.images = &train_data.train, .size = INT64_MAX};
    ck_assert(reel_batches_start(&large));
    ck_assert(reel_batches_next(&large));
    ck_assert_int_eq(large.count, 3);
    ck_assert(!reel_batches_next(&large));
    reel_batches_free(&large);
    reel_batches empty = {.images = &train_data.test, .size = 4};
    ck_assert(reel_batches_start(&empty));
    reel_batches_shuffle(&empty, 1, 1);
    ck_assert(!reel_batches_next(&empty));
    reel_batches_free(&empty);
}
END_TEST

Suite *reel_suite_train(void)
{
    Suite *suite = suite_create("train");
    TCase *files = tcase_create("files"), *images = tcase_create("images");
    tcase_add_checked_fixture(files, train_set_up, train_tear_down);
    tcase_add_checked_fixture(images, NULL, train_forget);
    tcase_add_test(files, test_cifar10_layout);
    tcase_add_test(files, test_cifar10_missing);
    tcase_add_test(files, test_cifar10_empty);
    tcase_add_test(files, test_cifar10_cut);
    tcase_add_test(files, test_cifar10_label);
    tcase_add_test(files, test_cifar10_directory);
    tcase_add_test(files, test_cifar10_names);
    tcase_add_test(files, test_cifar10_long_path);
    tcase_add_test(files, test_cifar10_io_fails);
    tcase_add_test(files, test_cifar10_shrinks_while_read);
    tcase_add_test(files, test_no_memory);
    suite_add_tcase(suite, files);
    tcase_add_test(images, test_shapes_are_the_same_everywhere);
    tcase_add_test(images, test_shapes_do_not_depend_on_the_count);
    tcase_add_test(images, test_standardise);
    tcase_add_test(images, test_batches_cover_each_image_once);
    tcase_add_test(images, test_batches_are_standardised);
    tcase_add_test(images, test_batches_are_aligned);
    tcase_add_test(images, test_batches_of_odd_sizes);
    suite_add_tcase(suite, images);
    return suite;
}
