/* The progress of a training: on a terminal one line that is drawn over and over, and a line that stays for
 * each epoch; else the latter alone.
 *
 * A redraw is one write of "\r", the line and "clear to its end", so that nothing flickers; and the line is
 * shorter than the terminal is wide, so that it never breaks. */
#include "train/train.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { PROGRESS_LINE = 2048, PROGRESS_NOTE = 1024, PROGRESS_PIECE = 64, PROGRESS_CLOCK = 32, PROGRESS_BAR = 8,
       PROGRESS_WIDE = 40 };

#define PROGRESS_CLEAR "\x1b[K"                     /* ECMA-48: erase to the end of the line       */

static const double PROGRESS_PAUSE = 0.1;           /* seconds between two redraws                 */

/* The pieces of a line, in their order. */
enum { PROGRESS_EPOCH, PROGRESS_STEP, PROGRESS_LOSS, PROGRESS_ACCURACY, PROGRESS_RATE, PROGRESS_LEFT,
       PROGRESS_PIECES };

typedef struct progress_pieces {
    char text[PROGRESS_PIECES][PROGRESS_PIECE];     /* "": left out                                */
} progress_pieces;


/* ---- Time ---------------------------------------------------------------------------------------- */

static double progress_now(const reel_progress *p)
{
    if (p->now)
        return p->now(p->now_user);
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* `done`: the epochs that this run has done, with the part of the one that runs. */
static void progress_measure(reel_progress *p, double now, double done)
{
    double took = now - p->epoch_started, left = (double)(p->epochs - p->first_epoch) - done;
    p->images_per_second = took > 0 ? (double)p->images / took : NAN;
    p->seconds = now - p->started;
    p->seconds_left = done > 0 && left >= 0 ? p->seconds / done * left : NAN;
    p->loss = p->loss_sum / (double)p->images;
    p->accuracy = p->unjudged ? NAN : (double)p->correct / (double)p->images;
}

/* Of the epoch that runs. */
static double progress_part(const reel_progress *p)
{
    return p->steps > 0 ? fmin(1, (double)p->step / (double)p->steps) : 0;
}


/* ---- Words --------------------------------------------------------------------------------------- */

/* 0:04, 12:34, 1:02:03, 3 d 04:05 */
static void progress_clock(char text[PROGRESS_CLOCK], double seconds)
{
    int64_t s = llround(fmin(seconds, 1e12));
    if (s >= 86400)
        snprintf(text, PROGRESS_CLOCK, "%lld d %02d:%02d", (long long)(s / 86400), (int)(s / 3600 % 24),
                 (int)(s / 60 % 60));
    else if (s >= 3600)
        snprintf(text, PROGRESS_CLOCK, "%d:%02d:%02d", (int)(s / 3600), (int)(s / 60 % 60), (int)(s % 60));
    else
        snprintf(text, PROGRESS_CLOCK, "%d:%02d", (int)(s / 60), (int)(s % 60));
}

/* "name 3/20", both numbers as wide. */
static void progress_count(char text[PROGRESS_PIECE], const char *name, int64_t at, int64_t of)
{
    int width = snprintf(NULL, 0, "%lld", (long long)of);
    if (of > 0)
        snprintf(text, PROGRESS_PIECE, "%s %*lld/%lld", name, width, (long long)at, (long long)of);
}

/* Of the line that is drawn, or of one that stays. */
static progress_pieces progress_words(const reel_progress *p, bool stays)
{
    progress_pieces words = {0};
    char number[REEL_TRAIN_NUMBER], clock[PROGRESS_CLOCK];
    progress_count(words.text[PROGRESS_EPOCH], "epoch", p->epoch + 1, p->epochs);
    progress_count(words.text[PROGRESS_STEP], "step", p->step, p->steps);
    if (p->images > 0) {
        reel_train_fixed(number, p->loss, stays ? 6 : 4);
        snprintf(words.text[PROGRESS_LOSS], PROGRESS_PIECE, "loss %s", number);
    }
    if (isfinite(p->accuracy)) {
        reel_train_fixed(number, p->accuracy, 3);
        snprintf(words.text[PROGRESS_ACCURACY], PROGRESS_PIECE, "accuracy %s", number);
    }
    if (isfinite(p->images_per_second)) {
        reel_train_fixed(number, p->images_per_second, p->images_per_second < 100);
        snprintf(words.text[PROGRESS_RATE], PROGRESS_PIECE, "%s images/s", number);
    }
    if (isfinite(p->seconds_left)) {
        bool over = stays && p->seconds_left == 0;
        progress_clock(clock, over ? p->seconds : p->seconds_left);
        snprintf(words.text[PROGRESS_LEFT], PROGRESS_PIECE, "%s %s", clock, over ? "in all" : "left");
    }
    return words;
}


/* ---- The line ------------------------------------------------------------------------------------ */

typedef struct progress_line {
    char   text[PROGRESS_LINE];
    size_t length;
} progress_line;

__attribute__((format(printf, 2, 3)))
static void progress_add(progress_line *line, const char *format, ...)
{
    size_t room = sizeof line->text - line->length;
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(line->text + line->length, room, format, arguments);
    va_end(arguments);
    line->length += (size_t)length < room ? (size_t)length : room - 1;
}

/* Behind what is there, which may be the "\r". */
static void progress_add_piece(progress_line *line, const char *piece)
{
    if (*piece)
        progress_add(line, "%s%s", line->length > 1 ? "  " : "", piece);
}

static int progress_width(const progress_pieces *words)
{
    int width = -2;
    for (int i = 0; i < PROGRESS_PIECES; i++)
        width += words->text[i][0] ? (int)strlen(words->text[i]) + 2 : 0;
    return width > 0 ? width : 0;
}

/* `width` columns with their frame, in steps of an eighth of a column or, in ASCII, of a whole one. */
static void progress_bar(progress_line *line, const reel_terminal *terminal, int width, double part)
{
    int inside = width - 2, eighths = (int)(part * 8 * inside + 1e-9);
    int full = eighths / 8, rest = terminal->utf8 ? eighths % 8 : 0;
    progress_add_piece(line, terminal->utf8 ? "|" : "[");
    progress_add(line, "%s", terminal->colour ? "\x1b[36m" : "");
    for (int i = 0; i < full; i++) {
        const char *ascii = i + 1 == full && full < inside ? ">" : "=";
        progress_add(line, "%s", terminal->utf8 ? "\xe2\x96\x88" : ascii);
    }
    if (rest > 0)                                   /* U+258F is one eighth, U+2589 are seven      */
        progress_add(line, "\xe2\x96%c", 0x90 - rest);
    progress_add(line, "%s%*s%s", terminal->colour ? "\x1b[0m" : "", inside - full - (rest > 0), "",
                 terminal->utf8 ? "|" : "]");
}

/* Where the terminal is narrow, the bar and pieces are left out, the least important ones first. */
static void progress_compose(progress_line *line, const reel_progress *p)
{
    enum { BAR = PROGRESS_PIECES };
    static const int order[] = {PROGRESS_STEP, PROGRESS_RATE, PROGRESS_ACCURACY, BAR, PROGRESS_LOSS,
                                PROGRESS_LEFT, PROGRESS_EPOCH};
    progress_pieces words = progress_words(p, false);
    int room = p->terminal.columns - 1, bar = p->steps > 0 ? 2 + PROGRESS_BAR : 0;
    for (int i = 0; i <= PROGRESS_PIECES && progress_width(&words) + bar > room; i++)
        if (order[i] == BAR)
            bar = 0;
        else
            words.text[order[i]][0] = 0;
    int width = room - progress_width(&words) - 2;
    for (int i = 0; i < PROGRESS_PIECES; i++) {
        progress_add_piece(line, words.text[i]);
        if (i == PROGRESS_EPOCH && bar > 0)
            progress_bar(line, &p->terminal, width < PROGRESS_WIDE ? width : PROGRESS_WIDE, progress_part(p));
    }
}


/* ---- Writing ------------------------------------------------------------------------------------- */

static bool progress_write(reel_progress *p, const progress_line *line)
{
    reel_io io = reel_io_complete(p->io);
    for (size_t at = 0; at < line->length;) {
        int64_t put = io.write(io.user, p->file, line->text + at, line->length - at);
        if (put <= 0)
            return reel_train_fail(p->error, "the progress cannot be written: system error %lld",
                                   put < 0 ? (long long)-put : (long long)EIO);
        at += (size_t)put;
    }
    return true;
}

static bool progress_draw(reel_progress *p, double now)
{
    progress_line line = {.length = 0};
    progress_measure(p, now, (double)(p->epoch - p->first_epoch) + progress_part(p));
    reel_terminal_follow(&p->terminal);
    progress_add(&line, "\r");
    progress_compose(&line, p);
    progress_add(&line, PROGRESS_CLEAR);
    p->drawn = now;
    p->on_line = true;
    return progress_write(p, &line);
}

static void progress_begin_epoch(reel_progress *p)
{
    p->step = p->images = p->correct = p->unjudged = 0;
    p->loss_sum = 0;
}

bool reel_progress_start(reel_progress *p)
{
    progress_begin_epoch(p);
    p->first_epoch = p->epoch;
    p->started = p->epoch_started = progress_now(p);
    p->on_line = false;
    p->error[0] = 0;
    return p->terminal.columns <= 0 || progress_draw(p, p->started);
}

bool reel_progress_step(reel_progress *p, int64_t images, double loss, int64_t correct)
{
    if (p->step == 0)
        progress_begin_epoch(p);
    p->step++;
    p->images += images;
    p->loss_sum += loss * (double)images;
    p->correct += correct > 0 ? correct : 0;
    p->unjudged += correct < 0;
    if (p->terminal.columns <= 0)
        return true;
    double now = progress_now(p);
    bool due = now - p->drawn >= PROGRESS_PAUSE || p->step == p->steps;
    return !due || progress_draw(p, now);
}

bool reel_progress_epoch(reel_progress *p, const char *note)
{
    bool terminal = p->terminal.columns > 0;
    double now = progress_now(p);
    progress_measure(p, now, (double)(p->epoch - p->first_epoch + 1));
    progress_line line = {.length = 0};
    progress_pieces words = progress_words(p, true);
    words.text[PROGRESS_STEP][0] = 0;
    progress_add(&line, "%s", terminal ? "\r" : "");
    for (int i = 0; i < PROGRESS_PIECES; i++)
        progress_add_piece(&line, words.text[i]);
    if (note)
        progress_add(&line, "  %.*s", PROGRESS_NOTE, note);
    progress_add(&line, "%s\n", terminal ? PROGRESS_CLEAR : "");
    p->epoch++;
    p->step = 0;
    p->epoch_started = now;
    p->on_line = false;
    return progress_write(p, &line);
}

bool reel_progress_stop(reel_progress *p)
{
    progress_line line = {.text = "\n", .length = 1};
    bool on_line = p->on_line;
    p->on_line = false;
    return !on_line || progress_write(p, &line);
}
