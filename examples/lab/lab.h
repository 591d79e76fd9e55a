/* What the experiments share and what would only take up room on their pages: tables, pictures, long vectors,
 * and a set of images. */
#ifndef REEL_EXAMPLES_LAB_H
#define REEL_EXAMPLES_LAB_H

#include <reel.h>
#include <reel_train.h>

/* A column of a table: numbers or names, each through its own format, and what stands for a NaN. */
typedef struct lab_column {
    const char        *format;
    const double      *values;
    const char *const *names;                       /* instead of values                           */
    const char        *nan;
} lab_column;

/* The heading, then every so-many-th row from `first` on, up to `rows`. */
void lab_table(const char *heading, const lab_column *column, int columns, int first, int rows, int every);

/* Writes the picture and says so; or says why not, on standard error. */
bool lab_draw(reel_plot plot, const char *path);

/* Points of a curve, with x growing; no more are taken than there is room for. */
enum { LAB_POINTS = 400 };

typedef struct lab_curve {
    double x[LAB_POINTS], y[LAB_POINTS];
    int    points;
} lab_curve;

void   lab_curve_add(lab_curve *curve, double x, double y);
double lab_curve_last(const lab_curve *curve);                          /* y of the last point     */
void   lab_curve_lower(lab_curve *curve, double by);
/* For each point of `at`, y of the last point of `curve` that does not lie behind it. */
void   lab_curve_along(const lab_curve *curve, const lab_curve *at, double *y);

/* Frees the tape. False where it has failed, with its message on standard error. */
bool lab_close(reel_tape *tape);

/* The elements of some f64 tensors, one behind the other. */
void lab_write(const reel_tensor *to, int tensors, const double *v);
void lab_read(const reel_tensor *from, int tensors, double *v);

double lab_inner(int n, const double *a, const double *b);
void   lab_add_times(int n, double *y, double s, const double *x);      /* y = y + s x             */

/* A batch of training images, standardised: from a folder of CIFAR-10's binary files, or drawn where that is
 * NULL. */
typedef struct lab_images {
    reel_image_data      data;
    reel_standardisation standardisation;
    reel_batches         batch;
} lab_images;

bool lab_images_open(lab_images *images, const char *folder, int count);
/* The images, f64 [count, REEL_IMAGE_VALUES], and their labels, i32 [count]. */
reel_tensor lab_images_on(reel_tape *tape, const lab_images *images, reel_tensor *labels);
void lab_images_close(lab_images *images);

#endif
