/* Files when the world is bad: folders and FIFOs in their place, no permission, a full disk, each call
 * failing in turn, each allocation failing in turn, a crash at any moment.
 *
 * SPDX-License-Identifier: MIT */
#include "tests/files.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* What is saved here: two tensors, longer than one buffer together; or an array. */
enum { FAULTS_COUNT = 3000 };

static float faults_numbers[FAULTS_COUNT];

static bool faults_write(bool npy, const char *path, const reel_io *io, char error[REEL_TRAIN_MESSAGE])
{
    reel_stored_tensor tensor[2] = {
        {.name = "w", .dtype = REEL_F32, .shape = REEL_SHAPE(FAULTS_COUNT), .data = faults_numbers},
        {.name = "b", .dtype = REEL_F32, .shape = REEL_SHAPE(7), .data = faults_numbers}};
    reel_safetensors object = TEST_FILES_OBJECT(.tensor = tensor, .tensors = 2);
    reel_npy array =
        TEST_FILES_OBJECT(.dtype = REEL_F32, .shape = REEL_SHAPE(FAULTS_COUNT), .data = faults_numbers);
    bool good = npy ? reel_npy_write(&array, path, io) : reel_safetensors_write(&object, path, io);
    strcpy(error, npy ? array.error : object.error);
    return good;
}

/* Whether the file there holds the numbers from `first` on, whole. */
static bool faults_read(bool npy, const char *path, const reel_io *io, float first,
                        char error[REEL_TRAIN_MESSAGE])
{
    reel_safetensors object = TEST_FILES_OBJECT();
    reel_npy array = TEST_FILES_OBJECT();
    bool good = npy ? reel_npy_read(&array, path, io) : reel_safetensors_read(&object, path, io);
    strcpy(error, npy ? array.error : object.error);
    if (good) {
        const float *numbers = npy ? array.data : reel_safetensors_find(&object, "w")->data;
        good = numbers[0] == first && numbers[FAULTS_COUNT - 1] == first + FAULTS_COUNT - 1;
    }
    reel_safetensors_free(&object);
    reel_npy_free(&array);
    return good;
}

static void faults_number(float first)
{
    for (int i = 0; i < FAULTS_COUNT; i++)
        faults_numbers[i] = first + (float)i;
}

static void faults_set_up(void)
{
    test_files_set_up();
    faults_number(1);
}

static void faults_expect(const char *error, const char *path, const char *text)
{
    ck_assert_msg(strstr(error, path) == error && strstr(error, text), "\"%s\" does not say \"%s\"", error,
                  text);
}


/* ---- Other things in the file's place ------------------------------------------------------------ */

START_TEST(only_regular_files_are_read_and_replaced)
{
    char error[REEL_TRAIN_MESSAGE];
    const char *folder = test_folder_path("folder"), *fifo = test_folder_path("fifo");
    const char *missing = test_folder_path("x/y");
    struct stat status;
    ck_assert(mkdir(folder, 0700) == 0 && mkfifo(fifo, 0600) == 0);
    for (int npy = 0; npy < 2; npy++) {
        ck_assert(!faults_read(npy, folder, NULL, 0, error));
        faults_expect(error, folder, "cannot be read: a folder, not a file");
        ck_assert(!faults_read(npy, fifo, NULL, 0, error));
        faults_expect(error, fifo, "cannot be read: not a regular file");
        ck_assert(!faults_read(npy, missing, NULL, 0, error));
        faults_expect(error, missing, "cannot be opened: no such file or folder");
        ck_assert(!faults_write(npy, folder, NULL, error));
        faults_expect(error, folder, "cannot be written: a folder, not a file");
        ck_assert(!faults_write(npy, fifo, NULL, error));
        faults_expect(error, fifo, "cannot be written: not a regular file");
        ck_assert(!faults_write(npy, missing, NULL, error));
        faults_expect(error, missing, "no new file can be made beside it: no such file or folder");
        ck_assert(stat(fifo, &status) == 0 && S_ISFIFO(status.st_mode));
        ck_assert_int_eq(test_folder_count(), 2);
    }
}
END_TEST

START_TEST(paths_can_be_too_long)
{
    char error[REEL_TRAIN_MESSAGE], path[5001];
    memset(path, 'a', 5000);
    path[0] = '/', path[5000] = 0;
    ck_assert(!faults_read(false, path, NULL, 0, error));
    ck_assert_msg(strstr(error, "...aaa") == error && strstr(error, "too long"), "%s", error);
    ck_assert(!faults_write(false, path, NULL, error));
    ck_assert_msg(strstr(error, "...aaa") == error && strstr(error, "too long"), "%s", error);
}
END_TEST

/* For root, which may do everything, the calls say so instead. */
START_TEST(permission_can_be_denied)
{
    char error[REEL_TRAIN_MESSAGE];
    const char *path = test_folder_path("file");
    test_faults faults;
    ck_assert(faults_write(false, path, NULL, error));
    test_faults_start(&faults);
    faults.code = EACCES;
    bool root = geteuid() == 0;
    if (!root)
        ck_assert_int_eq(chmod(path, 0), 0);
    faults.fail_at = root;
    ck_assert(!faults_read(false, path, &faults.io, 1, error));
    faults_expect(error, path, "cannot be opened: permission denied");
    faults.fail_at = root ? faults.calls + 1 : 0;
    ck_assert(!faults_write(false, path, &faults.io, error));
    faults_expect(error, path, "cannot be written: permission denied");
    ck_assert(chmod(path, 0600) == 0 && (root || chmod(test_folder_path("."), 0500) == 0));
    faults.fail_at = root ? faults.calls + 4 : 0;   /* open, length, close, create                 */
    ck_assert(!faults_write(false, path, &faults.io, error));
    faults_expect(error, path, "no new file can be made beside it: permission denied");
    ck_assert(faults_read(false, path, NULL, 1, error));
}
END_TEST


/* ---- Calls that fail ----------------------------------------------------------------------------- */

/* After a failed write: the old file is whole, nothing else is there, nothing is open. */
static void faults_check_old(bool npy, const char *path, const test_faults *faults)
{
    char error[REEL_TRAIN_MESSAGE];
    ck_assert_msg(faults_read(npy, path, NULL, 1, error), "after call %llu ('%c') failed: %s",
                  (unsigned long long)faults->fail_at, faults->failed, error);
    ck_assert_int_eq(test_folder_count(), 1);
    ck_assert_int_eq(faults->open, 0);
}

START_TEST(a_disk_can_be_full)
{
    char error[REEL_TRAIN_MESSAGE];
    const char *path = test_folder_path("file");
    ck_assert_msg(faults_write(_i, path, NULL, error), "%s", error);
    faults_number(5);
    size_t length;
    free(test_folder_read(path, &length));
    for (size_t room = 0; room < length; room += room < 300 || room + 300 > length ? 1 : 97) {
        test_faults faults;
        test_faults_start(&faults);
        faults.room = (int64_t)room;
        char wanted[60];
        snprintf(wanted, sizeof wanted, "byte %zu: cannot be written: no space left", room);
        ck_assert(!faults_write(_i, path, &faults.io, error));
        faults_expect(error, path, wanted);
        faults_check_old(_i, path, &faults);
    }
}
END_TEST

/* A folder that cannot be synced is told of, but then the new file has its place. */
START_TEST(each_call_of_a_write_can_fail)
{
    char error[REEL_TRAIN_MESSAGE];
    const char *path = test_folder_path("file");
    char seen[32] = "";
    ck_assert(faults_write(_i, path, NULL, error));
    for (uint64_t call = 1;; call++) {
        test_faults faults;
        test_faults_start(&faults);
        faults.fail_at = call;
        faults_number(5);
        bool good = faults_write(_i, path, &faults.io, error);
        ck_assert_int_eq(faults.open, 0);
        if (!faults.failed) {
            ck_assert(good && faults_read(_i, path, NULL, 5, error));
            break;
        }
        seen[strlen(seen)] = faults.failed;
        bool early = faults.failed == 'c' && call == 3;     /* of the old file, which was only looked at */
        ck_assert_msg(good == early, "call %llu ('%c')", (unsigned long long)call, faults.failed);
        if (!early)
            faults_expect(error, path, "input/output error");
        if (faults.failed == 'f' || early) {
            ck_assert(faults_read(_i, path, NULL, 5, error));
            faults_number(1);
            ck_assert(faults_write(_i, path, NULL, error));
        }
        faults_check_old(_i, path, &faults);
    }
    ck_assert_msg(strspn(seen, "olcnwscmf") == strlen(seen) && strstr(seen, "olcnw") == seen &&
                      strstr(seen, "wscmf"),
                  "the calls were %s", seen);
}
END_TEST

/* From some call on nothing works any more, not even tidying up: as a crash would leave it. */
START_TEST(a_crash_leaves_a_whole_file)
{
    char error[REEL_TRAIN_MESSAGE];
    const char *path = test_folder_path("file");
    ck_assert(faults_write(_i, path, NULL, error));
    for (uint64_t call = 1;; call++) {
        test_faults faults;
        test_faults_start(&faults);
        faults.fail_at = call;
        faults.fail_on = true;
        faults_number(5);
        bool good = faults_write(_i, path, &faults.io, error);
        if (!faults.failed)
            break;
        ck_assert(!good);
        char kept[REEL_TRAIN_MESSAGE], other[REEL_TRAIN_MESSAGE];
        strcpy(kept, error);
        bool old = faults_read(_i, path, NULL, 1, other), new = faults_read(_i, path, NULL, 5, other);
        ck_assert_msg(faults.failed == 'f' ? new : old, "after call %llu ('%c')", (unsigned long long)call,
                      faults.failed);
        if (test_folder_count() > 1)
            ck_assert_msg(strstr(kept, "; a part of it is left behind (.new-0)"), "%s", kept);
        remove(test_folder_path("file.new-0"));
        faults_number(1);
        ck_assert(faults_write(_i, path, NULL, error));
        ck_assert_int_eq(test_folder_count(), 1);
    }
}
END_TEST

START_TEST(each_call_of_a_read_can_fail)
{
    char error[REEL_TRAIN_MESSAGE];
    const char *path = test_folder_path("file");
    ck_assert(faults_write(_i, path, NULL, error));
    for (uint64_t call = 1;; call++) {
        test_faults faults;
        test_faults_start(&faults);
        faults.fail_at = call;
        faults.most = 1000;
        bool good = faults_read(_i, path, &faults.io, 1, error);
        ck_assert_int_eq(faults.open, 0);
        if (!faults.failed)
            break;
        ck_assert(good == (faults.failed == 'c'));
        if (!good)
            faults_expect(error, path,
                          faults.failed == 'r' ? "cannot be read: input/output error" : "input/output error");
        if (faults.failed == 'r')
            faults_expect(error, path, "byte ");
    }
}
END_TEST

START_TEST(reads_and_writes_may_be_short)
{
    char error[REEL_TRAIN_MESSAGE];
    const char *path = test_folder_path("file");
    test_faults faults;
    test_faults_start(&faults);
    faults.most = 1;
    ck_assert(faults_write(_i, path, &faults.io, error) && faults_read(_i, path, &faults.io, 1, error));
}
END_TEST

/* What a crash left behind is neither used nor removed. */
START_TEST(leftovers_are_passed_over)
{
    char error[REEL_TRAIN_MESSAGE];
    size_t length;
    test_folder_put(test_folder_path("file.new-0"), "rest", 4);
    ck_assert(faults_write(false, test_folder_path("file"), NULL, error));
    ck_assert(faults_read(false, test_folder_path("file"), NULL, 1, error));
    unsigned char *rest = test_folder_read(test_folder_path("file.new-0"), &length);
    ck_assert(length == 4 && memcmp(rest, "rest", 4) == 0);
    ck_assert_int_eq(test_folder_count(), 2);
    free(rest);
}
END_TEST

/* A table of the first version ends with close(): the standard functions stand in for what came later. */
START_TEST(an_older_table_will_do)
{
    char error[REEL_TRAIN_MESSAGE];
    const char *path = test_folder_path("file");
    test_faults faults;
    test_faults_start(&faults);
    faults.io.size = offsetof(reel_io, create);
    ck_assert_msg(faults_write(_i, path, &faults.io, error), "%s", error);
    ck_assert(faults_read(_i, path, &faults.io, 1, error));
    ck_assert_uint_gt(faults.calls, 5);
    reel_tape *tape = reel_tape_new_with(.io = &faults.io);
    ck_assert_ptr_nonnull(tape);
    reel_tape_free(tape);
    faults.io.size = offsetof(reel_io, close);
    ck_assert_ptr_null(reel_tape_new_with(.io = &faults.io));
}
END_TEST


/* ---- Memory that fails --------------------------------------------------------------------------- */

START_TEST(each_allocation_can_fail)
{
    char error[REEL_TRAIN_MESSAGE];
    const char *path = test_folder_path("file");
    ck_assert(faults_write(_i, path, NULL, error));
    for (int writing = 0; writing < 2; writing++)
        for (uint64_t request = 1;; request++) {
            test_files_memory = (test_memory){.fail_at = request};
            bool good = writing ? faults_write(_i, path, NULL, error) : faults_read(_i, path, NULL, 1, error);
            ck_assert(test_files_memory.live == 0 && test_files_memory.misuse == 0);
            ck_assert(good == !test_files_memory.refused && (good || strstr(error, "no memory")));
            if (good)
                break;
        }
    test_files_memory = (test_memory){0};
    ck_assert(faults_read(_i, path, NULL, 1, error));
    ck_assert_int_eq(test_folder_count(), 1);
}
END_TEST

/* Adding, saving and loading parameters, with each allocation of theirs failing: what was there stays. */
static bool faults_parameters(reel_tape *tape, const char *path, double value)
{
    reel_parameters p = {.allocator = test_allocate, .allocator_user = &test_files_memory};
    reel_tensor x = REEL_NONE;
    bool good = true;
    for (int i = 0; good && i < 20; i++) {
        char name[8];
        snprintf(name, sizeof name, "%d", i);
        x = reel_parameters_add(&p, name, reel_variable(tape, REEL_SHAPE(2), reel_fill(REEL_F32, value)));
        good = reel_is_valid(x);
    }
    good = good && reel_parameters_save(&p, path, NULL);
    if (good && reel_write(x, reel_fill(REEL_F32, 0)))
        good = reel_parameters_load(&p, path, NULL);
    double got[2] = {0};
    if (good)
        ck_assert(reel_read_f64(x, got, 2) && got[1] == value);
    else
        ck_assert_msg(strstr(p.error, "no memory"), "%s", p.error);
    reel_parameters_free(&p);
    return good;
}

START_TEST(each_allocation_of_parameters_can_fail)
{
    for (uint64_t request = 1;; request++) {
        reel_tape *tape = reel_tape_new();
        test_files_memory = (test_memory){.fail_at = request};
        bool good = faults_parameters(tape, test_folder_path("file"), 3);
        ck_assert(test_files_memory.live == 0 && test_files_memory.misuse == 0);
        ck_assert(good == !test_files_memory.refused);
        reel_tape_free(tape);
        if (good)
            break;
    }
    test_files_memory = (test_memory){0};
}
END_TEST


void test_files_faults(Suite *suite)
{
    TCase *faults = tcase_create("faults");
    tcase_set_timeout(faults, 120);
    tcase_add_checked_fixture(faults, faults_set_up, test_files_tear_down);
    tcase_add_test(faults, only_regular_files_are_read_and_replaced);
    tcase_add_test(faults, paths_can_be_too_long);
    tcase_add_test(faults, permission_can_be_denied);
    tcase_add_loop_test(faults, a_disk_can_be_full, 0, 2);
    tcase_add_loop_test(faults, each_call_of_a_write_can_fail, 0, 2);
    tcase_add_loop_test(faults, a_crash_leaves_a_whole_file, 0, 2);
    tcase_add_loop_test(faults, each_call_of_a_read_can_fail, 0, 2);
    tcase_add_loop_test(faults, reads_and_writes_may_be_short, 0, 2);
    tcase_add_test(faults, leftovers_are_passed_over);
    tcase_add_loop_test(faults, an_older_table_will_do, 0, 2);
    tcase_add_loop_test(faults, each_allocation_can_fail, 0, 2);
    tcase_add_test(faults, each_allocation_of_parameters_can_fail);
    suite_add_tcase(suite, faults);
}
