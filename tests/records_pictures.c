/* PNG files read again by libpng, and pictures against pixels computed by hand.
 *
 * SPDX-License-Identifier: MIT */
#include "tests/records.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef REEL_WITHOUT_PNG
enum { PICTURES_PNG = 0 };
#else
enum { PICTURES_PNG = 1 };
#endif

static reel_picture pictures_new(void)
{
    return (reel_picture)TEST_FILES_OBJECT();
}

static void pictures_expect(const reel_picture *picture, int64_t width, int64_t height, int channels,
                            const uint8_t *pixels)
{
    ck_assert(picture->width == width && picture->height == height && picture->channels == channels);
    for (int64_t i = 0; i < width * height * channels; i++)
        ck_assert_msg(picture->pixels[i] == pixels[i], "value %d is %d, not %d", (int)i, picture->pixels[i],
                      pixels[i]);
}


/* ---- PNG ----------------------------------------------------------------------------------------- */

#ifndef REEL_WITHOUT_PNG
#include <png.h>

/* Decodes with libpng's simplified reader, as the file's own kind of pixels. */
static void pictures_check_png(const reel_picture *picture, const void *bytes, size_t length)
{
    png_image image = {.version = PNG_IMAGE_VERSION};
    ck_assert_msg(png_image_begin_read_from_memory(&image, bytes, length), "%s", image.message);
    ck_assert(image.width == picture->width && image.height == picture->height);
    ck_assert_uint_eq(image.format, picture->channels == 1 ? PNG_FORMAT_GRAY : PNG_FORMAT_RGB);
    uint8_t *pixels = malloc(PNG_IMAGE_SIZE(image));
    ck_assert(pixels && png_image_finish_read(&image, NULL, pixels, 0, NULL));
    pictures_expect(picture, picture->width, picture->height, picture->channels, pixels);
    free(pixels);
}

START_TEST(png_reads_back)
{
    static const int sizes[][2] = {{1, 1}, {3, 2}, {1, 300}, {257, 1}, {190, 131}};
    const char *path = test_folder_path("picture.png");
    for (int i = 0; i < 10; i++) {
        reel_picture picture = pictures_new();
        uint64_t state = (uint64_t)i;
        size_t length;
        ck_assert(reel_picture_make(&picture, sizes[i / 2][0], sizes[i / 2][1], i % 2 ? 3 : 1, 0));
        for (size_t k = 0; k < picture.bytes; k++)
            picture.pixels[k] = (uint8_t)test_random(&state);
        ck_assert_msg(reel_png_write(&picture, path, NULL), "%s", picture.error);
        unsigned char *bytes = test_folder_read(path, &length);
        pictures_check_png(&picture, bytes, length);
        free(bytes);
        reel_picture_free(&picture);
    }
    ck_assert_int_eq(test_folder_count(), 1);
}
END_TEST

/* Longer than a buffer, so that writing fails inside libpng too. */
static bool pictures_write(const reel_io *io, uint8_t *pixels, char error[REEL_TRAIN_MESSAGE])
{
    reel_picture picture = TEST_FILES_OBJECT(.width = 128, .height = 100, .channels = 3, .pixels = pixels);
    bool good = reel_png_write(&picture, test_folder_path("picture.png"), io);
    strcpy(error, picture.error);
    reel_picture_free(&picture);
    return good;
}

START_TEST(a_failed_png_leaves_the_old_one)
{
    static uint8_t pixels[128 * 100 * 3];
    const char *path = test_folder_path("picture.png");
    char error[REEL_TRAIN_MESSAGE];
    uint64_t state = 1, call = 1;
    for (size_t i = 0; i < sizeof pixels; i++)
        pixels[i] = (uint8_t)test_random(&state);
    test_folder_put(path, "old", 3);
    for (bool done = false; !done; call++) {
        test_faults faults;
        test_faults_start(&faults);
        faults.fail_at = call;
        bool good = pictures_write(&faults.io, pixels, error);
        ck_assert(faults.open == 0 && test_folder_count() == 1);
        done = !faults.failed;
        char *text = test_records_text(path);
        if (!good && faults.failed != 'f')
            ck_assert_str_eq(text, "old");
        ck_assert_msg(good || strstr(error, path) == error, "%s", error);
        free(text);
        test_folder_put(path, "old", 3);
    }
    ck_assert_uint_ge(call, 14);
    for (uint64_t request = 1;; request++) {
        test_files_memory = (test_memory){.fail_at = request};
        bool good = pictures_write(NULL, pixels, error);
        ck_assert(test_files_memory.live == 0 && test_files_memory.misuse == 0 && test_folder_count() == 1);
        ck_assert_msg(good == !test_files_memory.refused && good == (error[0] == 0), "%s", error);
        if (good)
            break;
    }
    test_files_memory = (test_memory){0};
}
END_TEST
#endif

START_TEST(bad_pictures_are_refused)
{
    uint8_t pixels[4] = {0};
    reel_picture wrong[] = {
        {.width = 0, .height = 1, .channels = 1, .pixels = pixels},
        {.width = 1, .height = 1000001, .channels = 1, .pixels = pixels},
        {.width = 1, .height = 1, .channels = 2, .pixels = pixels},
        {.width = 1, .height = 1, .channels = 1},
    };
    for (int i = 0; i < 4; i++) {
        ck_assert(!reel_png_write(&wrong[i], test_folder_path("picture.png"), NULL));
        ck_assert_str_eq(wrong[i].error, "png: the picture is empty, or neither grey nor RGB");
    }
    reel_picture picture = {.width = 2, .height = 2, .channels = 1, .pixels = pixels};
    ck_assert(!reel_png_write(&picture, NULL, NULL));
    ck_assert(reel_png_write(&picture, test_folder_path("picture.png"), NULL) == PICTURES_PNG);
    ck_assert_str_eq(picture.error, PICTURES_PNG ? "" : "png: this library was built without libpng");
    ck_assert_int_eq(test_folder_count(), PICTURES_PNG);
    picture = pictures_new();
    ck_assert(!reel_picture_make(&picture, 0, 1, 1, 0) && !reel_picture_make(&picture, 1, 1, 2, 0));
    test_files_memory.fail_at = test_files_memory.requests + 1;
    ck_assert(!reel_picture_make(&picture, 3, 5, 1, 0));
    ck_assert_str_eq(picture.error, "picture: no memory for 15 bytes");
}
END_TEST


/* ---- Sheets -------------------------------------------------------------------------------------- */

/* Three grey images of 2 x 1, magnified twice, one pixel apart, two in a row. */
START_TEST(images_are_laid_out)
{
    static const uint8_t data[] = {99, 10, 20, 99, 30, 40, 99, 50, 60};
    static const uint8_t wanted[7 * 11] = {
        255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255,
        255, 50,  50,  60,  60,  255, 10,  10,  20,  20,  255,
        255, 50,  50,  60,  60,  255, 10,  10,  20,  20,  255,
        255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255,
        255, 30,  30,  40,  40,  255, 255, 255, 255, 255, 255,
        255, 30,  30,  40,  40,  255, 255, 255, 255, 255, 255,
        255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255,
    };
    reel_planes images = {.data = data + 1, .count = 3, .stride = 3, .channels = 1, .height = 1, .width = 2};
    reel_picture picture = pictures_new();
    const int64_t which[] = {2, 0, 1}, none[] = {0, 3};
    ck_assert_msg(reel_draw_images(&picture, &images, which, 3, &(reel_sheet){.magnify = 2, .gap = 1}), "%s",
                  picture.error);
    pictures_expect(&picture, 11, 7, 1, wanted);
    ck_assert(reel_draw_images(&picture, &images, NULL, 3, &(reel_sheet){.columns = 9}));
    pictures_expect(&picture, 6, 1, 1, (const uint8_t[]){10, 20, 30, 40, 50, 60});
    ck_assert(!reel_draw_images(&picture, &images, none, 2, NULL));
    ck_assert_str_eq(picture.error, "picture: image 3 of 3");
    ck_assert_ptr_null(picture.pixels);
    ck_assert(!reel_draw_images(&picture, &images, NULL, 0, NULL));
    ck_assert(!reel_draw_images(&picture, &images, NULL, 3, &(reel_sheet){.magnify = 65}));
    ck_assert(!reel_draw_images(&picture, &images, NULL, 3, &(reel_sheet){.gap = -1}));
    images.channels = 2;
    ck_assert(!reel_draw_images(&picture, &images, NULL, 3, NULL));
}
END_TEST

/* Planes become pixels; without a stride there is no gap. */
START_TEST(colours_are_interleaved)
{
    static const uint8_t data[] = {1, 2, 3, 4, 5, 6, 11, 12, 13, 14, 15, 16};
    reel_planes images = {.data = data, .count = 2, .channels = 3, .height = 2, .width = 1};
    reel_picture picture = pictures_new();
    ck_assert(reel_draw_images(&picture, &images, NULL, 2, NULL));
    pictures_expect(&picture, 2, 2, 3, (const uint8_t[]){1, 3, 5, 11, 13, 15, 2, 4, 6, 12, 14, 16});
    reel_picture_free(&picture);
}
END_TEST

/* Weights [3 channels of 1 x 2, 2 classes]. Class 0: most is 4, over all channels; class 1 is zero but for
 * what is not finite. 127.5 + 127.5 / 4 = 159.375, and 127.5 - 127.5 / 2 = 63.75. */
START_TEST(templates_are_symmetric)
{
    static const float weights[12] = {1, 0, -2, NAN, 0, INFINITY, 4, -INFINITY, -4, 0, 2, -0.f};
    static const uint8_t wanted[] = {
        159, 128, 0,   64, 255, 191, 255, 255, 255, 128, 255, 128, 128, 0, 128,
    };
    reel_picture picture = pictures_new();
    reel_templates t = TEST_FILES_OBJECT(.weights = weights, .classes = 2, .channels = 3, .height = 1,
                                         .width = 2);
    ck_assert_msg(reel_draw_templates(&picture, &t, NULL), "%s", picture.error);
    pictures_expect(&picture, 4, 1, 3,
                    (const uint8_t[]){159, 128, 0, 64, 255, 191, 128, 255, 128, 128, 0, 128});
    ck_assert(reel_draw_templates(&picture, &t, &(reel_sheet){.gap = 1}));
    ck_assert(picture.width == 7 && picture.height == 3);
    ck_assert_mem_eq(picture.pixels + 3 * 8, wanted, 9);
    const char *path = test_folder_path("templates.svg");
    ck_assert(reel_templates_svg(&t, path, NULL) == PICTURES_PNG);
    ck_assert_str_eq(t.error, PICTURES_PNG ? "" : "png: this library was built without libpng");
    ck_assert_int_eq(test_folder_count(), PICTURES_PNG);
    ck_assert(!reel_templates_svg(&t, test_folder_path("no/file"), NULL));
    t.height = 0;
    ck_assert(!reel_draw_templates(&picture, &t, NULL) && !reel_templates_svg(&t, path, NULL));
    ck_assert_str_eq(t.error, "picture: images of 3 channels, 0 high and 2 wide");
    t.height = 1, t.classes = 0;
    ck_assert(!reel_draw_templates(&picture, &t, NULL));
}
END_TEST


/* ---- Right and wrong ----------------------------------------------------------------------------- */

static const char *const pictures_names[] = {"cat", "dog & co", "ship"};

/* Right, wrong, NaN, a tie (the first wins), infinite logits, and labels that are none. */
enum { PICTURES_ROWS = 8 };
static const int32_t pictures_labels[PICTURES_ROWS] = {0, 0, 1, 2, 2, 1, -1, 3};
static const float pictures_logits[PICTURES_ROWS][3] = {
    {3, 1, 2}, {0, 1, 0}, {0, NAN, 9}, {7, 0, 7}, {0, -INFINITY, INFINITY}, {4, 4, 4}, {9, 0, 0}, {0, 9, 0},
};

START_TEST(confusion_counts)
{
    static const int64_t wanted[12] = {1, 1, 0, 0, 1, 0, 0, 1, 1, 0, 1, 0};
    int64_t count[12] = {0}, none[12] = {0};
    reel_confusion confusion = {.classes = 3, .count = count}, empty = {.classes = 3, .count = none};
    for (int i = 0; i < PICTURES_ROWS; i += 4)
        ck_assert_int_eq(reel_confusion_add(&confusion, pictures_logits[i], pictures_labels + i, 4), 1);
    ck_assert_mem_eq(count, wanted, sizeof wanted);
    ck_assert_double_eq(reel_confusion_accuracy(&confusion), 2. / 6);
    ck_assert(isnan(reel_confusion_accuracy(&empty)));
    ck_assert_int_eq(reel_predicted((const float[]){NAN, 1}, 2), -1);
    ck_assert_int_eq(reel_predicted((const float[]){-INFINITY, -INFINITY}, 2), 0);
    ck_assert_int_eq(reel_predicted(NULL, 0), -1);
}
END_TEST

static int pictures_count(const char *text, const char *wanted)
{
    int count = 0;
    for (; (text = strstr(text, wanted)); text++)
        count++;
    return count;
}

/* Row "dog": 3 of 4 wrong, which is orange at full depth; 1 of 4 right: 255 - 255/4, 255 - 141/4 and
 * 255 - 77/4. */
START_TEST(confusion_is_drawn)
{
    int64_t count[12] = {8, 0, 0, 0, 3, 1, 0, 0, 0, 0, 0, 0};
    reel_confusion confusion = {.classes = 3, .count = count, .names = pictures_names, .title = "a < b"};
    const char *path = test_folder_path("confusion.svg");
    ck_assert_msg(reel_confusion_svg(&confusion, path, NULL), "%s", confusion.error);
    char *text = test_records_text(path);
    static const char *const parts[] = {
        ">a &lt; b</text>", ">cat</text>", ">dog &amp; co</text>", ">8</text>", ">3</text>", ">100 %</text>",
        ">25 %</text>", ">73 %</text>", "<rect fill=\"#0072b2\" x=\"150.5\" y=\"74.5\"",
        "<rect fill=\"#d55e00\" x=\"150.5\" y=\"126.5\"", "<rect fill=\"#bfdcec\" x=\"202.5\" y=\"126.5\"",
        "<rect fill=\"#ffffff\" x=\"254.5\" y=\"178.5\"",
    };
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        ck_assert_msg(strstr(text, parts[i]) != NULL, "no %s", parts[i]);
    ck_assert_int_eq(pictures_count(text, "<rect fill"), 9);
    ck_assert_int_eq(pictures_count(text, "<text"), pictures_count(text, "</text>"));
    ck_assert_ptr_null(strstr(text, ">none<"));
    free(text);
    count[11] = 2;
    confusion.names = NULL;
    ck_assert(reel_confusion_svg(&confusion, path, NULL));
    text = test_records_text(path);
    ck_assert_int_eq(pictures_count(text, "<rect fill"), 12);
    ck_assert(strstr(text, ">none<") && strstr(text, ">2</text>"));
    free(text);
    confusion.classes = 0;
    ck_assert(!reel_confusion_svg(&confusion, path, NULL));
    confusion.classes = 3;
    ck_assert(!reel_confusion_svg(&confusion, test_folder_path("."), NULL));
    ck_assert_ptr_nonnull(strstr(confusion.error, "a folder, not a file"));
}
END_TEST

/* Row 1 loses log(2 + e), row 5 log 3, row 3 ln(2 + e^-7). */
START_TEST(mistakes_are_ranked)
{
    reel_mistakes mistakes = {.classes = 3};
    reel_mistakes_add(&mistakes, pictures_logits[0], pictures_labels, 3, 100);
    reel_mistakes_add(&mistakes, pictures_logits[3], pictures_labels + 3, 5, 103);
    static const reel_mistake wanted[] = {{102, 1, -1, INFINITY, 0}, {101, 0, 1, 1.5514447139320511, 0},
                                          {105, 1, 0, 1.0986122886681098, 0},
                                          {103, 2, 0, .693603017633216, 0}};
    ck_assert_uint_eq(mistakes.count, 4);
    for (int i = 0; i < 4; i++) {
        const reel_mistake *got = &mistakes.worst[i];
        ck_assert(got->image == wanted[i].image && got->label == wanted[i].label);
        ck_assert_int_eq(got->predicted, wanted[i].predicted);
        ck_assert(got->loss == wanted[i].loss || fabs(got->loss - wanted[i].loss) < 1e-15);
    }
    ck_assert_double_eq_tol(mistakes.worst[1].probability, .5761168847658291, 1e-15);
    ck_assert_double_eq_tol(mistakes.worst[2].probability, 1. / 3, 1e-15);
}
END_TEST

/* Where softmax has no value, nothing is worse; where the true class has no chance, neither. */
START_TEST(infinite_logits_are_the_worst)
{
    const float logits[3][2] = {{2, 1}, {INFINITY, INFINITY}, {1, -INFINITY}};
    reel_mistakes mistakes = {.classes = 2};
    reel_mistakes_add(&mistakes, logits[0], (const int32_t[]){1, 1, 1}, 3, 0);
    ck_assert_uint_eq(mistakes.count, 3);
    for (int i = 0; i < 2; i++) {
        ck_assert(mistakes.worst[i].image == 1 + i && mistakes.worst[i].predicted == 0);
        ck_assert(mistakes.worst[i].loss == INFINITY && mistakes.worst[i].probability == i);
    }
}
END_TEST

/* The worst so many of 2,000, against sorting them all; of equals the earlier ones. */
START_TEST(only_the_worst_are_kept)
{
    enum { ROWS = 2000 };
    static float logits[ROWS][2];
    static int32_t labels[ROWS];
    uint64_t state = 5;
    for (size_t most = 0; most <= 200; most += 40) {
        reel_mistakes mistakes = {.classes = 2, .most = most};
        for (int i = 0; i < ROWS; i++) {
            logits[i][0] = (float)(test_random(&state) % 64);
            labels[i] = 1;
            reel_mistakes_add(&mistakes, logits[i], labels + i, 1, i);
        }
        ck_assert_uint_eq(mistakes.count, most == 0 ? 24 : most < 100 ? most : 100);
        int rank = 0;
        for (int z = 63; rank < (int)mistakes.count; z--)
            for (int i = 0; i < ROWS && rank < (int)mistakes.count; i++)
                if (logits[i][0] == (float)z)
                    ck_assert_int_eq(mistakes.worst[rank++].image, i);
    }
}
END_TEST


/* ---- The picture of mistakes --------------------------------------------------------------------- */

static const uint8_t pictures_data[] = {1, 2, 3, 4, 5, 6, 250, 128, 7, 0, 255, 99};
static const reel_planes pictures_images = {.data = pictures_data, .count = 2, .channels = 3, .height = 1,
                                            .width = 2};

static reel_mistakes pictures_mistakes(void)
{
    reel_mistakes mistakes = TEST_FILES_OBJECT(.classes = 3, .names = pictures_names);
    const float logits[2][3] = {{0, 0, 1}, {0, NAN, 0}};
    reel_mistakes_add(&mistakes, logits[0], (const int32_t[]){1, 0}, 2, 0);
    return mistakes;
}

#ifndef REEL_WITHOUT_PNG
/* RFC 4648, the plain way. */
static size_t pictures_decode(unsigned char *bytes, const char *text)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t count = 0;
    unsigned bits = 0, value = 0;
    for (const char *digit; *text != '=' && (digit = strchr(digits, *text)) && *text; text++) {
        value = value << 6 | (unsigned)(digit - digits);
        if ((bits += 6) >= 8)
            bytes[count++] = (unsigned char)(value >> (bits -= 8));
    }
    return count;
}

START_TEST(mistakes_are_drawn)
{
    static const char start[] = "base64,";
    unsigned char bytes[2000];
    reel_mistakes mistakes = pictures_mistakes();
    const char *path = test_folder_path("mistakes.svg");
    ck_assert_msg(reel_mistakes_svg(&mistakes, &pictures_images, path, NULL), "%s", mistakes.error);
    char *text = test_records_text(path), *at = text;
    for (int i = 0; i < 2; i++) {                   /* the worst is image 1                        */
        reel_picture image = pictures_new();
        ck_assert(reel_draw_images(&image, &pictures_images, (const int64_t[]){1 - i}, 1, NULL));
        at = strstr(at, start) + strlen(start);
        pictures_check_png(&image, bytes, pictures_decode(bytes, at));
        reel_picture_free(&image);
    }
    ck_assert_ptr_null(strstr(at, start));
    ck_assert(strstr(text, ">none</text>") && strstr(text, ">is cat</text>"));
    ck_assert(strstr(text, ">ship 58 %</text>") && strstr(text, ">is dog &amp; co</text>"));
    ck_assert(strstr(text, "width=\"128.0\" height=\"64.0\""));
    free(text);
    mistakes.count = 0;
    ck_assert(reel_mistakes_svg(&mistakes, &pictures_images, path, NULL));
    ck_assert_int_eq(test_folder_count(), 1);
}
END_TEST

/* The same pixels as on a sheet, and their names. */
START_TEST(templates_are_named)
{
    static const char start[] = "base64,";
    static const float weights[6] = {1, 2, -1, 2, .5f, -1};
    unsigned char bytes[2000];
    reel_templates t = TEST_FILES_OBJECT(.weights = weights, .classes = 3, .channels = 1, .height = 2,
                                         .width = 1, .names = pictures_names);
    ck_assert_msg(reel_templates_svg(&t, test_folder_path("t.svg"), NULL), "%s", t.error);
    char *text = test_records_text(test_folder_path("t.svg")), *at = text;
    static uint8_t wanted[3][2] = {{191, 255}, {255, 159}, {0, 0}};
    for (int c = 0; c < 3; c++) {
        reel_picture image = {.width = 1, .height = 2, .channels = 1, .pixels = wanted[c]};
        at = strstr(at, start) + strlen(start);
        pictures_check_png(&image, bytes, pictures_decode(bytes, at));
    }
    ck_assert(strstr(text, ">cat</text>") && strstr(text, ">dog &amp; co</text>"));
    ck_assert(strstr(text, "width=\"64.0\" height=\"128.0\""));
    free(text);
}
END_TEST

START_TEST(drawing_mistakes_can_fail)
{
    const char *path = test_folder_path("mistakes.svg");
    reel_mistakes mistakes = pictures_mistakes();
    for (uint64_t request = 1;; request++) {
        test_files_memory = (test_memory){.fail_at = request};
        bool good = reel_mistakes_svg(&mistakes, &pictures_images, path, NULL);
        ck_assert(test_files_memory.live == 0 && test_files_memory.misuse == 0);
        ck_assert_msg(good == !test_files_memory.refused && good == !mistakes.error[0], "%s", mistakes.error);
        ck_assert_int_eq(test_folder_count(), good);
        if (good)
            break;
    }
    test_files_memory = (test_memory){0};
    size_t length;
    free(test_folder_read(path, &length));
    for (int64_t room = 0; room < (int64_t)length; room += 7) {
        test_faults faults;
        test_faults_start(&faults);
        faults.room = room;
        ck_assert(!reel_mistakes_svg(&mistakes, &pictures_images, path, &faults.io));
        ck_assert_msg(strstr(mistakes.error, "no space left") != NULL, "%s", mistakes.error);
        ck_assert(faults.open == 0 && test_folder_count() == 1);
    }
}
END_TEST
#endif

START_TEST(mistakes_need_their_images)
{
    reel_mistakes mistakes = pictures_mistakes();
    reel_planes images = pictures_images;
    images.count = 1;
    ck_assert(!reel_mistakes_svg(&mistakes, &images, test_folder_path("m"), NULL));
    ck_assert_str_eq(mistakes.error, "mistakes: image 1 of 1");
    images.channels = 4;
    ck_assert(!reel_mistakes_svg(&mistakes, &images, test_folder_path("m"), NULL));
    ck_assert_str_eq(mistakes.error, "picture: images of 4 channels, 1 high and 2 wide");
    ck_assert(reel_mistakes_svg(&mistakes, &pictures_images, test_folder_path("m"), NULL) == PICTURES_PNG);
    if (!PICTURES_PNG)
        ck_assert_str_eq(mistakes.error, "png: this library was built without libpng");
    ck_assert_int_eq(test_folder_count(), PICTURES_PNG);
}
END_TEST


void test_records_pictures(Suite *suite)
{
    TCase *pictures = tcase_create("pictures");
    tcase_add_checked_fixture(pictures, test_files_set_up, test_files_tear_down);
#ifndef REEL_WITHOUT_PNG
    tcase_add_test(pictures, png_reads_back);
    tcase_add_test(pictures, a_failed_png_leaves_the_old_one);
    tcase_add_test(pictures, mistakes_are_drawn);
    tcase_add_test(pictures, templates_are_named);
    tcase_add_test(pictures, drawing_mistakes_can_fail);
#endif
    tcase_add_test(pictures, bad_pictures_are_refused);
    tcase_add_test(pictures, images_are_laid_out);
    tcase_add_test(pictures, colours_are_interleaved);
    tcase_add_test(pictures, templates_are_symmetric);
    tcase_add_test(pictures, confusion_counts);
    tcase_add_test(pictures, confusion_is_drawn);
    tcase_add_test(pictures, mistakes_are_ranked);
    tcase_add_test(pictures, infinite_logits_are_the_worst);
    tcase_add_test(pictures, only_the_worst_are_kept);
    tcase_add_test(pictures, mistakes_need_their_images);
    suite_add_tcase(suite, pictures);
}
