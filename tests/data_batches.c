/* Batches: augmentation against a plain one, walks that are resumed, and batches made ahead.
 *
 * SPDX-License-Identifier: MIT */
#include "tests/data.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define SET_THREAD_SANITIZED 1
#endif
#elif defined(__SANITIZE_THREAD__)
#define SET_THREAD_SANITIZED 1
#endif

/* 23 images of two channels, 6 x 5; byte i of image n is 1 + (31 n + 7 i) mod 255, never black. */
enum { SET_COUNT = 23, SET_HEIGHT = 6, SET_WIDTH = 5, SET_PLANE = SET_HEIGHT * SET_WIDTH,
       SET_VALUES = 2 * SET_PLANE, SET_RECORD = 1 + SET_VALUES };

static uint8_t set_records[SET_COUNT * SET_RECORD];
static const reel_images set_images = {SET_COUNT, 2, SET_HEIGHT, SET_WIDTH, set_records, 0};
static reel_standardisation set_by;

static void set_set_up(void)
{
    test_files_memory = (test_memory){0};
    for (int n = 0; n < SET_COUNT; n++) {
        set_records[n * SET_RECORD] = (uint8_t)n;
        for (int i = 0; i < SET_VALUES; i++)
            set_records[n * SET_RECORD + 1 + i] = (uint8_t)(1 + (31 * n + 7 * i) % 255);
    }
}

static void set_tear_down(void)
{
    ck_assert(test_files_memory.live == 0 && test_files_memory.misuse == 0);
}

#define SET_BATCHES(...)                                                                                 \
    {.images = &set_images, .allocator = test_allocate, .allocator_user = &test_files_memory, __VA_ARGS__}

/* ---- Augmentation -------------------------------------------------------------------------------- */

/* Pixel (c, y, x) of image n: of the image with a border of `pad` black pixels, cropped at (top, left), and
 * mirrored. */
static int set_pixel(const reel_batches *b, int n, int c, int y, int x)
{
    uint32_t key[2] = {(uint32_t)b->seed, (uint32_t)(b->seed >> 32)}, bits[4];
    uint32_t counter[4] = {(uint32_t)b->epoch, (uint32_t)(b->epoch >> 32), (uint32_t)n, UINT32_C(1) << 31};
    static uint8_t bordered[64][64];
    const int choices = 2 * b->pad + 1;
    reel_philox(key, counter, bits);
    int top = (int)floor(bits[1] * 0x1p-32 * choices), left = (int)floor(bits[2] * 0x1p-32 * choices);
    memset(bordered, 0, sizeof bordered);
    for (int i = 0; i < SET_PLANE; i++)
        bordered[b->pad + i / SET_WIDTH][b->pad + i % SET_WIDTH] =
            set_records[n * SET_RECORD + 1 + c * SET_PLANE + i];
    bool mirrored = b->flip && bits[0] >= UINT32_C(0x80000000);
    return bordered[top + y][left + (mirrored ? SET_WIDTH - 1 - x : x)];
}

static float set_standardised(const reel_standardisation *by, int byte, int i)
{
    int64_t place = by ? i / by->run : 0;
    return by ? ((float)byte - by->mean[place]) * by->scale[place] : (float)byte;
}

static void set_check(const reel_batches *b)
{
    for (int64_t k = 0; k < b->count; k++)
        for (int i = 0; i < SET_VALUES; i++) {
            int byte = set_pixel(b, b->labels[k], i / SET_PLANE, i % SET_PLANE / SET_WIDTH, i % SET_WIDTH);
            ck_assert_float_eq(b->values[k * SET_VALUES + i], set_standardised(b->standardisation, byte, i));
        }
}

START_TEST(augmented_as_a_plain_one)
{
    for (int which = 0; which < 3 * 2 * 5 * 2; which++) {
        reel_batches b = SET_BATCHES(.size = 4, .flip = which / 5 % 2, .pad = which % 5,
                                     .prefetch = which / 10 % 2);
        b.standardisation = which / 20 ? &set_by : NULL;
        ck_assert(which / 20 == 1 ? reel_standardise(&set_by, &set_images)
                                  : reel_standardise_channels(&set_by, &set_images));
        ck_assert_msg(reel_batches_start(&b), "%s", b.error);
        int seen = 0;
        for (; reel_batches_next(&b); seen += (int)b.count)
            set_check(&b);                          /* before a shuffle: seed 0, epoch 0           */
        for (uint64_t epoch = 0; epoch < 3; epoch++) {
            reel_batches_shuffle(&b, 7 + (epoch << 40), epoch << 33);
            for (; reel_batches_next(&b); seen += (int)b.count)
                set_check(&b);
        }
        ck_assert_int_eq(seen, 4 * SET_COUNT);
        reel_batches_free(&b);
    }
}
END_TEST

/* An image of one white pixel in a black one tells where it went: each of 2 x 5 x 5 ways comes as often. */
START_TEST(augmented_evenly)
{
    enum { SIDE = 11, EPOCHS = 20000, WAYS = 2 * 5 * 5 };
    static uint8_t record[1 + SIDE * SIDE];
    const reel_images images = {1, 1, SIDE, SIDE, record, 0};
    record[1 + 5 * SIDE + 3] = 255;
    reel_batches b = {.images = &images, .size = 1, .flip = true, .pad = 2};
    ck_assert(reel_batches_start(&b));
    int count[SIDE * SIDE] = {0};
    for (uint64_t epoch = 0; epoch < EPOCHS; epoch++) {
        reel_batches_shuffle(&b, 3, epoch);
        reel_batches_next(&b);
        int at = 0;
        while (b.values[at] == 0)
            at++;
        count[at]++;
    }
    for (int y = 3; y <= 7; y++)                    /* columns 1 to 5, and 5 to 9 where mirrored   */
        for (int x = 1; x <= 9; x++)
            ck_assert_int_le(abs(count[y * SIDE + x] - EPOCHS / WAYS * (x == 5 ? 2 : 1)),
                             5 * (x == 5 ? 28 : 20));
    reel_batches_free(&b);
}
END_TEST

START_TEST(standardised_by_channel)
{
    ck_assert(reel_standardise_channels(&set_by, &set_images) && set_by.run == SET_PLANE);
    for (int c = 0; c < 2; c++) {
        double mean = 0, variance = 0, count = SET_COUNT * SET_PLANE;
        for (int pass = 0; pass < 2; pass++)
            for (int n = 0; n < SET_COUNT; n++)
                for (int i = 0; i < SET_PLANE; i++) {
                    double x = set_records[n * SET_RECORD + 1 + c * SET_PLANE + i];
                    *(pass ? &variance : &mean) += (pass ? (x - mean) * (x - mean) : x) / count;
                }
        ck_assert_double_eq_tol(set_by.mean[c], mean, 1e-5);
        ck_assert_double_eq_tol(set_by.scale[c], 1 / sqrt(variance), 1e-7);
    }
}
END_TEST

/* Images with more values than there are means: by channel alone. */
START_TEST(standardised_large_images)
{
    enum { SIDE = 60 };
    static uint8_t record[1 + SIDE * SIDE];
    reel_images images = {1, 1, SIDE, SIDE, record, 0};
    for (int i = 0; i < SIDE * SIDE; i++)
        record[1 + i] = (uint8_t)(i % 2 * 2);
    ck_assert(!reel_standardise(&set_by, &images) && reel_standardise_channels(&set_by, &images));
    reel_batches b = {.images = &images, .standardisation = &set_by, .size = 1};
    ck_assert(reel_batches_start(&b) && reel_batches_next(&b));
    for (int i = 0; i < SIDE * SIDE; i++)
        ck_assert_float_eq(b.values[i], i % 2 ? 1 : -1);
    reel_batches_free(&b);
    set_by.run = 1;
    ck_assert(!reel_batches_start(&b));
    ck_assert_str_eq(b.error, "a standardisation by runs of 1 for images of 3600 values");
    set_by.run = 0;
    ck_assert(!reel_batches_start(&b));
    images.count = 0;
    set_by.run = 77;
    ck_assert(reel_standardise(&set_by, &images) && set_by.run == 77);
}
END_TEST

/* ---- Walks --------------------------------------------------------------------------------------- */

enum { WALK_STEPS = 40 };

typedef struct set_walk {
    int      steps;
    uint64_t hash[WALK_STEPS];                      /* of each batch, its labels and its count     */
} set_walk;

static uint64_t set_hash(uint64_t hash, const void *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++)
        hash = (hash ^ ((const uint8_t *)bytes)[i]) * UINT64_C(0x100000001b3);
    return hash;
}

static void set_go_on(reel_batches *b, set_walk *walk)
{
    const float *values = b->values;
    const int32_t *labels = b->labels;
    while (reel_batches_next(b)) {
        ck_assert(b->values == values && b->labels == labels && walk->steps < WALK_STEPS);
        uint64_t hash = set_hash(UINT64_C(0xcbf29ce484222325), values,
                                 (size_t)b->count * SET_VALUES * sizeof(float));
        walk->hash[walk->steps++] = set_hash(hash, labels, (size_t)b->count * sizeof(int32_t));
    }
    ck_assert(b->count == 0 && !reel_batches_next(b));
}

static set_walk set_walk_epochs(reel_batches *b)
{
    set_walk walk = {0};
    ck_assert_msg(reel_batches_start(b), "%s", b->error);
    set_go_on(b, &walk);
    for (uint64_t epoch = 0; epoch < 3; epoch++) {
        reel_batches_shuffle(b, 11, epoch);
        set_go_on(b, &walk);
    }
    return walk;
}

static void set_compare(const set_walk *a, const set_walk *b)
{
    ck_assert_int_eq(a->steps, b->steps);
    ck_assert_mem_eq(a->hash, b->hash, (size_t)a->steps * sizeof a->hash[0]);
}

START_TEST(made_ahead_is_the_same)
{
    static const int64_t sizes[] = {3, 5, 23, 24, INT64_MAX};
    const int64_t size = sizes[_i / 2];
    const bool drop = _i % 2;
    reel_batches plain = SET_BATCHES(.size = size, .drop_last = drop, .flip = true, .pad = 2);
    reel_batches ahead = plain;
    ahead.prefetch = true;
    set_walk a = set_walk_epochs(&plain), b = set_walk_epochs(&ahead);
    set_compare(&a, &b);
    int64_t steps = drop ? SET_COUNT / size : size > SET_COUNT ? 1 : (SET_COUNT + size - 1) / size;
    ck_assert(plain.steps == steps && a.steps == 4 * steps && ahead.steps == steps);
    reel_batches_free(&plain);
    reel_batches_free(&ahead);
    ck_assert(!ahead.steps && !ahead.maker && !ahead.values);
}
END_TEST

/* Stopped anywhere, in a shuffled epoch or in the images' own order, and gone on with elsewhere. */
START_TEST(resumed_is_the_same)
{
    for (int shuffled = 0; shuffled < 2; shuffled++)
        for (int stop = 0; stop <= 6; stop++) {
            reel_batches first = SET_BATCHES(.size = 4, .flip = true, .pad = 1, .prefetch = _i / 2);
            reel_batches second = SET_BATCHES(.size = 4, .flip = true, .pad = 1, .prefetch = _i % 2);
            ck_assert(reel_batches_start(&first) && reel_batches_start(&second));
            if (shuffled)
                reel_batches_shuffle(&first, UINT64_MAX - 5, UINT64_C(1) << 40);
            reel_batches_shuffle(&second, 1, 1);
            ck_assert(reel_batches_next(&second));
            for (int i = 0; i < stop; i++)
                ck_assert(reel_batches_next(&first));
            reel_batches_position position = reel_batches_tell(&first);
            ck_assert(position.step == stop && position.shuffled == shuffled);
            ck_assert(reel_batches_resume(&second, position) && second.count == 0);
            set_walk a = {0}, b = {0};
            set_go_on(&first, &a);
            set_go_on(&second, &b);
            ck_assert_int_eq(a.steps, 6 - stop);
            set_compare(&a, &b);
            reel_batches_free(&first);
            reel_batches_free(&second);
        }
}
END_TEST

/* A test set is walked once an epoch, in the same order. */
START_TEST(restarted_is_the_same)
{
    reel_batches b = SET_BATCHES(.size = 4, .prefetch = _i);
    ck_assert(!reel_batches_restart(&b) && b.error[0]);
    ck_assert(reel_batches_start(&b));
    set_walk first = {0}, second = {0};
    set_go_on(&b, &first);
    ck_assert(!reel_batches_next(&b));
    ck_assert(reel_batches_restart(&b));
    set_go_on(&b, &second);
    ck_assert_int_eq(first.steps, second.steps);
    set_compare(&first, &second);
    reel_batches_free(&b);
}
END_TEST

START_TEST(resumed_within_the_epoch)
{
    reel_batches b = SET_BATCHES(.size = 4, .prefetch = true);
    ck_assert(reel_batches_start(&b));
    reel_batches_shuffle(&b, 1, 2);
    ck_assert(reel_batches_next(&b));
    for (int64_t step = -1; step <= 7; step += 8) {
        ck_assert(!reel_batches_resume(&b, (reel_batches_position){.seed = 3, .step = step, .shuffled = 1}));
        ck_assert_str_eq(b.error, step < 0 ? "batch -1 of an epoch of 6" : "batch 7 of an epoch of 6");
        ck_assert(b.step == 1 && b.seed == 1 && b.epoch == 2);
    }
    reel_batches_free(&b);
}
END_TEST

/* Left at any moment: while a batch is being made, before the first, after the last. */
START_TEST(freed_early)
{
    for (int i = 0; i < 200; i++) {
        reel_batches b = SET_BATCHES(.size = 1 + i % 9, .flip = true, .pad = 3, .prefetch = true);
        ck_assert(reel_batches_start(&b));
        if (i % 3)
            reel_batches_shuffle(&b, 1, 0);
        for (int k = 0; k < i % 7; k++)
            reel_batches_next(&b);
        if (i % 5 == 0)
            reel_batches_shuffle(&b, 1, 1);
        reel_batches_free(&b);
        reel_batches_free(&b);
    }
}
END_TEST

START_TEST(batches_that_cannot_be)
{
    const reel_images odd = {1, 0, 3, 3, set_records, 0};
    static const char *const wanted[] = {"a batch of -1 images", "shifts of -1 pixels for images of 6 x 5",
                                         "shifts of 5 pixels for images of 6 x 5", "images of 0 x 3 x 3"};
    for (int i = 0; i < 4; i++) {
        reel_batches b = SET_BATCHES(.size = i == 0 ? -1 : 4, .pad = i == 1 ? -1 : i == 2 ? 5 : 0,
                                     .prefetch = true);
        b.images = i == 3 ? &odd : b.images;
        ck_assert(!reel_batches_start(&b));
        ck_assert_str_eq(b.error, wanted[i]);
        reel_batches_free(&b);
    }
    reel_batches b = SET_BATCHES(.size = 4, .prefetch = true);
    test_files_memory.fail_at = test_files_memory.requests + 1;
    ck_assert(!reel_batches_start(&b) && strstr(b.error, "no memory for batches"));
    reel_batches_free(&b);
}
END_TEST

/* A step recorded on the first batch is replayed on the others, while the next one is being made. */
START_TEST(replayed_on_each_batch)
{
    reel_batches plain = SET_BATCHES(.size = 4, .drop_last = true, .flip = true, .pad = 2), ahead = plain;
    ahead.prefetch = true;
    ck_assert(reel_batches_start(&plain) && reel_batches_start(&ahead));
    reel_batches_shuffle(&plain, 4, 4);
    reel_batches_shuffle(&ahead, 4, 4);
    reel_tape *tape = reel_tape_new();
    reel_mark from = reel_tape_mark(tape);
    reel_tensor x = reel_wrap(tape, .dtype = REEL_F32, .shape = REEL_SHAPE(4, SET_VALUES),
                              .data = ahead.values);
    ck_assert(reel_batches_next(&ahead) && reel_batches_next(&plain));
    reel_tensor sum = reel_sum(x);
    reel_section section = reel_tape_section(from, reel_tape_mark(tape));
    int steps = 0;
    do {
        double wanted = 0;
        for (int i = 0; i < 4 * SET_VALUES; i++)
            wanted += plain.values[i];
        reel_tape_replay(section);
        ck_assert_double_eq(reel_item(sum), wanted);
        steps++;
    } while (reel_batches_next(&plain) && reel_batches_next(&ahead));
    ck_assert_int_eq(steps, 5);
    reel_tape_free(tape);
    reel_batches_free(&ahead);
    reel_batches_free(&plain);
}
END_TEST

/* A forked child has no thread, and goes on without one. (The thread sanitizer does not let a process with
 * threads fork and go on.) */
#ifndef SET_THREAD_SANITIZED
START_TEST(a_forked_child_goes_on)
{
    reel_batches plain = SET_BATCHES(.size = 4, .flip = true), ahead = plain;
    ahead.prefetch = true;
    ck_assert(reel_batches_start(&plain) && reel_batches_start(&ahead));
    reel_batches_shuffle(&plain, 4, 4);
    reel_batches_shuffle(&ahead, 4, 4);
    ck_assert(reel_batches_next(&plain) && reel_batches_next(&ahead));
    /* The verdict lies in memory that both see: under valgrind the exit status is its own. */
    bool *same = mmap(NULL, sizeof *same, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ck_assert(same != MAP_FAILED);
    pid_t child = fork();
    if (child == 0) {
        bool good = true;
        for (int epoch = 5; good && epoch < 8; epoch++) {
            while (good && reel_batches_next(&plain))
                good = reel_batches_next(&ahead) && ahead.count == plain.count &&
                       memcmp(ahead.values, plain.values,
                              (size_t)plain.count * SET_VALUES * sizeof(float)) == 0;
            reel_batches_shuffle(&plain, 4, (uint64_t)epoch);
            reel_batches_shuffle(&ahead, 4, (uint64_t)epoch);
        }
        reel_batches_free(&ahead);
        reel_batches_free(&plain);
        *same = good;
        _exit(0);
    }
    ck_assert(child > 0 && waitpid(child, NULL, 0) == child && *same);
    munmap(same, sizeof *same);
    reel_batches_free(&ahead);
    reel_batches_free(&plain);
}
END_TEST
#endif


void test_data_batches(Suite *suite)
{
    TCase *batches = tcase_create("batches");
    tcase_set_timeout(batches, 120);
    tcase_add_checked_fixture(batches, set_set_up, set_tear_down);
    tcase_add_test(batches, augmented_as_a_plain_one);
    tcase_add_test(batches, augmented_evenly);
    tcase_add_test(batches, standardised_by_channel);
    tcase_add_test(batches, standardised_large_images);
    tcase_add_loop_test(batches, made_ahead_is_the_same, 0, 10);
    tcase_add_loop_test(batches, resumed_is_the_same, 0, 4);
    tcase_add_test(batches, resumed_within_the_epoch);
    tcase_add_loop_test(batches, restarted_is_the_same, 0, 2);
    tcase_add_test(batches, freed_early);
    tcase_add_test(batches, batches_that_cannot_be);
    tcase_add_test(batches, replayed_on_each_batch);
#ifndef SET_THREAD_SANITIZED
    tcase_add_test(batches, a_forked_child_goes_on);
#endif
    suite_add_tcase(suite, batches);
}
