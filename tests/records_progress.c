/* The progress of a training, drawn at given times on given terminals.
 *
 * SPDX-License-Identifier: MIT */
#define _GNU_SOURCE                                 /* posix_openpt                                */
#include "tests/records.h"

#include <fcntl.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

static test_files progress_files;
static double progress_time;
static size_t progress_read;

static double progress_clock(void *user)
{
    return *(double *)user;
}

static void progress_set_up(void)
{
    test_files_start(&progress_files);
    progress_time = 1000;
    progress_read = 0;
}

static void progress_tear_down(void)
{
    test_files_end(&progress_files);
}

static reel_progress progress_of(int columns)
{
    return (reel_progress){.epochs = 20, .steps = 8, .file = 2, .io = &progress_files.io,
                           .now = progress_clock, .now_user = &progress_time,
                           .terminal = {.columns = columns}};
}

/* What was written since this was asked last. */
static void progress_expect(const char *text)
{
    const char *all = test_files_text(&progress_files, "stderr");
    ck_assert_str_eq(all + progress_read, text);
    progress_read = strlen(all);
}

static void progress_step(reel_progress *p, double seconds)
{
    progress_time += seconds;
    ck_assert(reel_progress_step(p, 50, 1.5, 20));
}

/* An epoch: 8 steps of 50 images in 2 s: 200 images/s; 19 epochs of 2 s are left. */
START_TEST(a_wide_terminal_shows_all)
{
    reel_progress p = progress_of(120);
    ck_assert(reel_progress_start(&p));
    progress_expect("\repoch  1/20  [                                      ]  step 0/8\x1b[K");
    progress_step(&p, .25);
    progress_expect("\repoch  1/20  [===>                                  ]  step 1/8  loss 1.5000"
                    "  accuracy 0.400  200 images/s  0:40 left\x1b[K");
    ck_assert_double_eq(p.loss, 1.5);
    ck_assert_double_eq(p.accuracy, .4);
    ck_assert_double_eq(p.images_per_second, 200);
    ck_assert_double_eq(p.seconds_left, 39.75);
    for (int i = 1; i < 8; i++)
        progress_step(&p, .25);
    progress_read = strlen(test_files_text(&progress_files, "stderr"));
    ck_assert(reel_progress_epoch(&p, "test accuracy 0.412"));
    progress_expect("\repoch  1/20  loss 1.500000  accuracy 0.400  200 images/s  0:38 left"
                    "  test accuracy 0.412\x1b[K\n");
    ck_assert_int_eq(p.epoch, 1);
    ck_assert(reel_progress_stop(&p));
    progress_expect("");
}
END_TEST

/* The columns of a line, its "\r" and "clear to the end" left out; a character of UTF-8 is one. */
static int progress_columns(const char *text)
{
    int columns = 0;
    for (; *text; text++)
        if (*text == '\x1b')
            text = strpbrk(text, "Km");
        else
            columns += *text != '\r' && ((unsigned char)*text & 0xc0) != 0x80;
    return columns;
}

/* However narrow it is, the line is shorter, and what matters most stays longest. */
START_TEST(a_narrow_terminal_shows_less)
{
    static const char *const parts[] = {"epoch  1/20", "left", "loss", "  [", "accuracy", "images/s", "step"};
    int before = 0;
    for (int columns = 1; columns <= 200; columns++) {
        reel_progress p = progress_of(columns);
        p.terminal.colour = columns % 3 == 0;
        ck_assert(reel_progress_start(&p));
        progress_read = strlen(test_files_text(&progress_files, "stderr"));
        progress_step(&p, .25);
        const char *text = test_files_text(&progress_files, "stderr") + progress_read;
        ck_assert_int_lt(progress_columns(text), columns);
        int shown = 0;
        while (shown < 7 && strstr(text, parts[shown]))
            shown++;
        for (int i = shown; i < 7; i++)
            ck_assert_msg(!strstr(text, parts[i]), "%d columns: %s", columns, text);
        ck_assert_int_ge(shown, before);
        before = shown;
    }
    ck_assert_int_eq(before, 7);
}
END_TEST

/* 10 columns inside are 80 eighths: 3 of 7 steps are 34.3 of them, four blocks and 2/8 (U+258E). */
START_TEST(the_bar_moves_by_eighths)
{
    reel_progress p = progress_of(66);
    p.steps = 7;
    p.terminal.utf8 = p.terminal.colour = true;
    ck_assert(reel_progress_start(&p));
    for (int i = 0; i < 3; i++)
        progress_step(&p, .25);
    const char *last = strrchr(test_files_text(&progress_files, "stderr"), '\r');
    ck_assert_str_eq(last, "\repoch  1/20  |\x1b[36m\xe2\x96\x88\xe2\x96\x88\xe2\x96\x88\xe2\x96\x88"
                           "\xe2\x96\x8e\x1b[0m     |  loss 1.5000  accuracy 0.400  0:34 left\x1b[K");
}
END_TEST

/* Ten times a second, whatever the steps take; and when the last step is done. */
START_TEST(redraws_are_rare)
{
    reel_progress p = progress_of(80);
    p.steps = 1001;
    ck_assert(reel_progress_start(&p));
    uint64_t calls = progress_files.calls;
    for (int i = 0; i < 1000; i++)
        progress_step(&p, 1. / 1024);
    ck_assert_uint_eq(progress_files.calls - calls, 9);
    progress_step(&p, 0);
    ck_assert_uint_eq(progress_files.calls - calls, 10);
}
END_TEST

START_TEST(without_a_terminal_there_is_a_line_an_epoch)
{
    reel_progress p = progress_of(0);
    ck_assert(reel_progress_start(&p));
    for (int epoch = 0; epoch < 2; epoch++) {
        for (int i = 0; i < 8; i++)
            progress_step(&p, 500);
        ck_assert(reel_progress_epoch(&p, NULL));
    }
    ck_assert(reel_progress_stop(&p));
    progress_expect("epoch  1/20  loss 1.500000  accuracy 0.400  0.1 images/s  21:06:40 left\n"
                    "epoch  2/20  loss 1.500000  accuracy 0.400  0.1 images/s  20:00:00 left\n");
}
END_TEST

/* Only this run's epochs tell how long the others take. */
START_TEST(a_resumed_training_goes_on)
{
    reel_progress p = progress_of(0);
    p.epoch = 17;
    ck_assert(reel_progress_start(&p));
    for (; p.epoch < p.epochs; ck_assert(reel_progress_epoch(&p, NULL)))
        progress_step(&p, 100000);
    progress_expect("epoch 18/20  loss 1.500000  accuracy 0.400  0.0 images/s  2 d 07:33 left\n"
                    "epoch 19/20  loss 1.500000  accuracy 0.400  0.0 images/s  1 d 03:46 left\n"
                    "epoch 20/20  loss 1.500000  accuracy 0.400  0.0 images/s  3 d 11:20 in all\n");
}
END_TEST

START_TEST(little_may_be_known)
{
    reel_progress p = progress_of(60);
    p.epochs = p.steps = 0;
    ck_assert(reel_progress_start(&p));
    progress_expect("\r\x1b[K");
    progress_time += 2;
    ck_assert(reel_progress_step(&p, 10, NAN, -1));
    progress_expect("\rloss nan  5.0 images/s\x1b[K");
    ck_assert(isnan(p.accuracy) && isnan(p.seconds_left));
    ck_assert(reel_progress_stop(&p) && reel_progress_stop(&p));
    progress_expect("\n");
    ck_assert(reel_progress_step(&p, 30, INFINITY, 3));
    ck_assert(reel_progress_epoch(&p, NULL));
    progress_expect("\rloss nan  20.0 images/s\x1b[K\n");
}
END_TEST

/* The means are over images, not steps; each epoch has its own. */
START_TEST(means_are_over_images)
{
    reel_progress p = progress_of(0);
    ck_assert(reel_progress_start(&p));
    ck_assert(reel_progress_step(&p, 30, 1, 30) && reel_progress_step(&p, 10, 3, 0));
    ck_assert(reel_progress_epoch(&p, NULL));
    ck_assert_double_eq(p.loss, 1.5);
    ck_assert_double_eq(p.accuracy, .75);
    ck_assert(reel_progress_step(&p, 10, 7, 0) && reel_progress_epoch(&p, NULL));
    ck_assert_double_eq(p.loss, 7);
    ck_assert_double_eq(p.accuracy, 0);
}
END_TEST

START_TEST(a_failed_write_is_told)
{
    reel_progress p = progress_of(80);
    progress_files.fail_at = 1, progress_files.fail_on = true;
    ck_assert(!reel_progress_start(&p));
    ck_assert_str_eq(p.error, "the progress cannot be written: system error 5");
    progress_time += 1;
    ck_assert(!reel_progress_step(&p, 1, 1, 1));
    ck_assert(!reel_progress_stop(&p));
    progress_files.fail_at = 0;
    ck_assert(reel_progress_step(&p, 1, 1, 1) && reel_progress_epoch(&p, NULL));
}
END_TEST

/* A decimal comma, where this machine has a locale with one, is not taken over. */
START_TEST(the_locale_changes_nothing)
{
    static const char *const locales[] = {"de_DE.UTF-8", "fr_FR.UTF-8", "C.UTF-8", "C"};
    for (int i = 0; i < 4; i++)
        if (setlocale(LC_ALL, locales[i])) {
            reel_progress p = progress_of(0);
            p.epochs = 1;
            ck_assert(reel_progress_start(&p) && reel_progress_step(&p, 2, .5, 1));
            ck_assert(reel_progress_epoch(&p, NULL));
            progress_expect("epoch 1/1  loss 0.500000  accuracy 0.500  0:00 in all\n");
        }
    setlocale(LC_ALL, "C");
}
END_TEST


/* ---- The terminal -------------------------------------------------------------------------------- */

/* -1 on a system that has no pseudo-terminals to give: what needs one is then left out, and said so. */
static int progress_open_terminal(unsigned short columns)
{
    struct winsize window = {.ws_row = 24, .ws_col = columns};
    int control = posix_openpt(O_RDWR | O_NOCTTY);
    if (control < 0 || grantpt(control) != 0 || unlockpt(control) != 0) {
        fputs("no pseudo-terminal here: the checks on one are left out\n", stderr);
        return -1;
    }
    int file = open(ptsname(control), O_RDWR | O_NOCTTY);
    ck_assert(file >= 0 && ioctl(file, TIOCSWINSZ, &window) == 0);
    return file;
}

static void progress_environment(const char *columns, const char *no_color, const char *lang,
                                 const char *term)
{
    static const char *const names[] = {"COLUMNS", "NO_COLOR", "LANG", "TERM"};
    const char *values[] = {columns, no_color, lang, term};
    unsetenv("LC_ALL"), unsetenv("LC_CTYPE");
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(values[i] ? setenv(names[i], values[i], 1) : unsetenv(names[i]), 0);
}

START_TEST(a_terminal_is_asked)
{
    int file = progress_open_terminal(67);
    if (file < 0)
        return;
    progress_environment(NULL, NULL, "C", "xterm");
    reel_terminal t = reel_terminal_of(file);
    ck_assert(t.columns == 67 && t.window && t.colour && !t.utf8);
    struct winsize window = {.ws_row = 24, .ws_col = 31};
    ck_assert_int_eq(ioctl(file, TIOCSWINSZ, &window), 0);
    reel_terminal_follow(&t);
    ck_assert_int_eq(t.columns, 31);
    progress_environment("40", "1", "de_DE.UTF-8", "xterm");
    t = reel_terminal_of(file);
    ck_assert(t.columns == 40 && !t.window && !t.colour && t.utf8);
    reel_terminal_follow(&t);
    ck_assert_int_eq(t.columns, 40);
    setenv("LC_ALL", "C", 1);
    progress_environment("-3", "", NULL, "dumb");
    ck_assert_int_eq(reel_terminal_of(file).columns, 0);
    progress_environment("-3", "", NULL, "vt100");
    setenv("LC_ALL", "C", 1), setenv("LANG", "C.UTF-8", 1);
    t = reel_terminal_of(file);
    ck_assert(t.columns == 31 && t.window && t.colour && !t.utf8);
    close(file);
    file = progress_open_terminal(0);
    ck_assert_int_eq(reel_terminal_of(file).columns, 80);
    close(file);
}
END_TEST

START_TEST(a_file_is_no_terminal)
{
    int file = open("/dev/null", O_WRONLY);
    progress_environment("80", NULL, NULL, "xterm");
    ck_assert_int_eq(reel_terminal_of(file).columns, 0);
    close(file);
    ck_assert_int_eq(reel_terminal_of(file).columns, 0);
}
END_TEST


void test_records_progress(Suite *suite)
{
    TCase *progress = tcase_create("progress");
    tcase_add_checked_fixture(progress, progress_set_up, progress_tear_down);
    tcase_add_test(progress, a_wide_terminal_shows_all);
    tcase_add_test(progress, a_narrow_terminal_shows_less);
    tcase_add_test(progress, the_bar_moves_by_eighths);
    tcase_add_test(progress, redraws_are_rare);
    tcase_add_test(progress, without_a_terminal_there_is_a_line_an_epoch);
    tcase_add_test(progress, a_resumed_training_goes_on);
    tcase_add_test(progress, little_may_be_known);
    tcase_add_test(progress, means_are_over_images);
    tcase_add_test(progress, a_failed_write_is_told);
    tcase_add_test(progress, the_locale_changes_nothing);
    tcase_add_test(progress, a_terminal_is_asked);
    tcase_add_test(progress, a_file_is_no_terminal);
    suite_add_tcase(suite, progress);
}
