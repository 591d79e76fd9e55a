/* What a training shows and writes: a line for each epoch, the bar on a terminal, the log, the pictures. */
#include "train/trainer.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { OUTPUT_PATH = 4096 };

static const char *const output_pictures[] = {"loss.svg", "accuracy.svg", "confusion.svg", "mistakes.svg",
                                              "templates.svg", "templates.png"};
enum { OUTPUT_LOSS, OUTPUT_ACCURACY, OUTPUT_CONFUSION, OUTPUT_MISTAKES, OUTPUT_TEMPLATES,
       OUTPUT_TEMPLATES_PNG, OUTPUT_PICTURES };

static const char *const output_columns[] = {"epoch", "loss", "accuracy", "learning_rate"};

static double output_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static const char *output_path(const trainer *t, const char *name, char path[OUTPUT_PATH])
{
    snprintf(path, OUTPUT_PATH, "%s/%s", t->options.pictures, name);
    return path;
}


/* ---- Before the training ------------------------------------------------------------------------ */

/* A picture of one pixel, drawn and removed again: whether there is a folder, room and libpng. */
static bool output_try_picture(const trainer *t)
{
    char path[OUTPUT_PATH];
    reel_picture picture = {0};
    bool good = reel_picture_make(&picture, 1, 1, 1, 0) &&
                reel_png_write(&picture, output_path(t, "trial.png", path), NULL);
    if (good)
        unlink(path);
    else
        trainer_failed(t, "%s", picture.error);
    reel_picture_free(&picture);
    return good;
}

static bool output_check_pictures(const trainer *t)
{
    char path[OUTPUT_PATH], error[REEL_TRAIN_MESSAGE];
    if (strlen(t->options.pictures) > OUTPUT_PATH - 32)
        return trainer_failed(t, "%s: the name is too long", t->options.pictures);
    if (mkdir(t->options.pictures, 0777) != 0 && errno != EEXIST)
        return trainer_failed(t, "%s: the folder cannot be made: %s", t->options.pictures, strerror(errno));
    for (int i = 0; i < OUTPUT_PICTURES; i++)
        if (!reel_writable(output_path(t, output_pictures[i], path), NULL, error))
            return trainer_failed(t, "%s", error);
    return output_try_picture(t);
}

bool trainer_check_paths(const trainer *t)
{
    char error[REEL_TRAIN_MESSAGE];
    const char *path[] = {t->options.save, t->options.log};
    for (int i = 0; i < 2; i++)
        if (path[i] && !reel_writable(path[i], NULL, error))
            return trainer_failed(t, "%s", error);
    return !t->options.pictures || output_check_pictures(t);
}

bool trainer_start_outputs(trainer *t)
{
    reel_terminal terminal[] = {reel_terminal_of(1), reel_terminal_of(2)};
    int file = terminal[0].columns > 0 ? 1 : 2;
    t->first_epoch = t->epoch;
    t->started = t->epoch_started = output_seconds();
    t->progress = (reel_progress){.epochs = t->options.epochs, .steps = t->train.steps, .epoch = t->epoch,
                                  .file = file, .terminal = terminal[file - 1]};
    if (!t->options.quiet && t->progress.terminal.columns > 0)
        reel_progress_start(&t->progress);
    t->log = (reel_log){.column = output_columns, .columns = sizeof output_columns / sizeof *output_columns,
                        .from = t->options.resume ? t->epoch + 1 : 0};
    return !t->options.log || reel_log_open(&t->log, t->options.log, NULL) ||
           trainer_failed(t, "%s", t->log.error);
}


/* ---- While it runs ------------------------------------------------------------------------------ */

static bool output_has_bar(const trainer *t)
{
    return !t->options.quiet && t->progress.terminal.columns > 0;
}

/* A progress that cannot be shown stops no training. */
bool trainer_step_done(trainer *t, int64_t images, double loss, int64_t correct)
{
    t->sums.loss += loss * (double)images;
    t->sums.correct += (double)correct;
    t->sums.images += (double)images;
    if (output_has_bar(t))
        reel_progress_step(&t->progress, images, loss, correct);
    return true;
}

static void output_print_epoch(const trainer *t, trainer_result result)
{
    int width = snprintf(NULL, 0, "%lld", (long long)t->options.epochs);
    double now = output_seconds(), done = (double)(t->epoch - t->first_epoch + 1);
    double left = (now - t->started) / done * (double)(t->options.epochs - t->epoch - 1);
    bool minutes = left >= 120;
    printf("epoch %*lld/%lld   loss %.6f   accuracy %.3f   %.0f images/s   %.*f %s left\n", width,
           (long long)t->epoch + 1, (long long)t->options.epochs, result.loss, result.accuracy,
           t->sums.images / (now - t->epoch_started), left < 9.95 ? 1 : 0, minutes ? left / 60 : left,
           minutes ? "min" : "s");
    fflush(stdout);
}

/* The line of the epoch goes to standard output; where the bar is there, it leaves that line. */
bool trainer_epoch_done(trainer *t)
{
    trainer_result result = {t->sums.loss / t->sums.images, t->sums.correct / t->sums.images};
    t->history[t->epoch] = result;
    if (output_has_bar(t))
        reel_progress_epoch(&t->progress, NULL);
    if (!t->options.quiet && !(output_has_bar(t) && t->progress.file == 1))
        output_print_epoch(t, result);
    t->epoch_started = output_seconds();
    t->sums = (trainer_sums){0};
    double rate = reel_item(t->learning_rate);
    return !t->options.log ||
           reel_log_row(&t->log, REEL_ROW((double)t->epoch + 1, result.loss, result.accuracy, rate)) ||
           trainer_failed(t, "%s", t->log.error);
}


/* ---- Pictures ----------------------------------------------------------------------------------- */

static bool output_draw_curve(const trainer *t, int picture, const char *label)
{
    char path[OUTPUT_PATH];
    size_t count = (size_t)t->epoch;
    double *points = calloc(2 * count + 1, sizeof *points), *values = points + count;
    for (size_t i = 0; points && i < count; i++) {
        points[i] = (double)i + 1;
        values[i] = picture == OUTPUT_LOSS ? t->history[i].loss : t->history[i].accuracy;
    }
    reel_plot_series series = {.x = points, .y = values, .count = count, .style = REEL_PLOT_LINE_AND_DOTS};
    reel_plot plot = {.title = t->model->name, .x = {.label = "epoch"}, .y = {.label = label},
                      .series = &series, .count = 1};
    bool good = points ? reel_plot_svg(&plot, output_path(t, output_pictures[picture], path), NULL) ||
                             trainer_failed(t, "%s", plot.error)
                       : trainer_failed(t, "no memory for a curve");
    free(points);
    return good;
}

static bool output_draw_templates(const trainer *t, const char *const names[])
{
    char path[OUTPUT_PATH];
    reel_shape shape = reel_shape_of(t->templates);
    const reel_images *images = &t->data.train;
    reel_templates templates = {
        .weights = reel_data(t->templates), .classes = shape.size[1], .channels = images->channels,
        .height = images->height, .width = images->width, .title = t->model->name,
        .names = shape.size[1] == t->data.classes ? names : NULL};
    if (!reel_templates_svg(&templates, output_path(t, output_pictures[OUTPUT_TEMPLATES], path), NULL))
        return trainer_failed(t, "%s", templates.error);
    reel_picture picture = {0};
    bool good = reel_draw_templates(&picture, &templates, &(reel_sheet){.magnify = 2, .gap = 2}) &&
                reel_png_write(&picture, output_path(t, output_pictures[OUTPUT_TEMPLATES_PNG], path), NULL);
    if (!good)
        trainer_failed(t, "%s", picture.error);
    reel_picture_free(&picture);
    return good;
}

static bool output_draw_test(trainer *t, const char *const names[])
{
    char path[OUTPUT_PATH];
    const reel_images *images = t->tested;
    reel_planes planes = {.data = images->records + 1, .stride = 1 + reel_image_values(images),
                          .count = images->count, .channels = images->channels, .height = images->height,
                          .width = images->width};
    t->confusion.names = t->mistakes.names = names;
    t->confusion.title = t->options.held_out ? "validation images" : "test images";
    t->mistakes.title = "the worst mistakes";
    if (!reel_confusion_svg(&t->confusion, output_path(t, output_pictures[OUTPUT_CONFUSION], path), NULL))
        return trainer_failed(t, "%s", t->confusion.error);
    return reel_mistakes_svg(&t->mistakes, &planes, output_path(t, output_pictures[OUTPUT_MISTAKES], path),
                             NULL) ||
           trainer_failed(t, "%s", t->mistakes.error);
}

bool trainer_finish_outputs(trainer *t)
{
    const char *names[REEL_CLASSES_MOST];
    for (int c = 0; c < t->data.classes; c++)
        names[c] = t->data.class_name[c];
    if (!reel_log_close(&t->log))
        return trainer_failed(t, "%s", t->log.error);
    if (!t->options.pictures)
        return true;
    bool curves = t->options.load || (output_draw_curve(t, OUTPUT_LOSS, "mean loss") &&
                                      output_draw_curve(t, OUTPUT_ACCURACY, "accuracy"));
    return curves && (!t->templates.tape || output_draw_templates(t, names)) && output_draw_test(t, names);
}
