/* What the experiments share: see lab.h. */
#include "lab.h"

#include <math.h>
#include <stdio.h>

static void print_cell(const lab_column *column, int row)
{
    if (column->names)
        printf(column->format, column->names[row]);
    else if (isnan(column->values[row]) && column->nan)
        printf("%s", column->nan);
    else
        printf(column->format, column->values[row]);
}

void lab_table(const char *heading, const lab_column *column, int columns, int first, int rows, int every)
{
    printf("%s\n", heading);
    for (int row = first; row < rows; row += every) {
        for (int i = 0; i < columns; i++)
            print_cell(&column[i], row);
        printf("\n");
    }
}

bool lab_draw(reel_plot plot, const char *path)
{
    if (reel_plot_svg(&plot, path, NULL))
        return printf("\n%s written\n", path) > 0;
    fprintf(stderr, "%s\n", plot.error);
    return false;
}

void lab_curve_add(lab_curve *curve, double x, double y)
{
    if (curve->points == LAB_POINTS)
        return;
    curve->x[curve->points] = x;
    curve->y[curve->points++] = y;
}

double lab_curve_last(const lab_curve *curve)
{
    return curve->points ? curve->y[curve->points - 1] : NAN;
}

void lab_curve_lower(lab_curve *curve, double by)
{
    for (int i = 0; i < curve->points; i++)
        curve->y[i] -= by;
}

void lab_curve_along(const lab_curve *curve, const lab_curve *at, double *y)
{
    for (int i = 0, k = 0; i < at->points; i++) {
        while (k + 1 < curve->points && curve->x[k + 1] <= at->x[i])
            k++;
        y[i] = curve->y[k];
    }
}

bool lab_close(reel_tape *tape)
{
    bool good = !reel_failed(tape);
    if (!good)
        fprintf(stderr, "%s\n", reel_error_message(tape));
    reel_tape_free(tape);
    return good;
}

void lab_write(const reel_tensor *to, int tensors, const double *v)
{
    for (int i = 0; i < tensors; v += reel_count(to[i++]))
        reel_write(to[i], reel_values_of(REEL_F64, v, (size_t)reel_count(to[i])));
}

void lab_read(const reel_tensor *from, int tensors, double *v)
{
    for (int i = 0; i < tensors; v += reel_count(from[i++]))
        reel_read_f64(from[i], v, (size_t)reel_count(from[i]));
}

double lab_inner(int n, const double *a, const double *b)
{
    double sum = 0;
    for (int i = 0; i < n; i++)
        sum += a[i] * b[i];
    return sum;
}

void lab_add_times(int n, double *y, double s, const double *x)
{
    for (int i = 0; i < n; i++)
        y[i] += s * x[i];
}

bool lab_images_open(lab_images *images, const char *folder, int count)
{
    *images = (lab_images){0};
    bool good = folder ? reel_cifar10_read(&images->data, folder, NULL)
                       : reel_shapes_draw(&images->data, count, 1, 1);
    if (!good) {
        fprintf(stderr, "%s\n", images->data.error);
        return false;
    }
    reel_standardise(&images->standardisation, &images->data.train);
    images->batch = (reel_batches){.images = &images->data.train, .size = count,
                                   .standardisation = &images->standardisation};
    return reel_batches_start(&images->batch) && reel_batches_next(&images->batch);
}

reel_tensor lab_images_on(reel_tape *tape, const lab_images *images, reel_tensor *labels)
{
    const reel_batches *batch = &images->batch;
    *labels = reel_wrap(tape, .dtype = REEL_I32, .shape = REEL_SHAPE(batch->count), .data = batch->labels);
    return reel_cast(reel_wrap(tape, .dtype = REEL_F32, .data = batch->values,
                               .shape = REEL_SHAPE(batch->count, REEL_IMAGE_VALUES)), REEL_F64);
}

void lab_images_close(lab_images *images)
{
    reel_batches_free(&images->batch);
    reel_image_data_free(&images->data);
}
