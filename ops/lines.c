/* Lines of an array along some axes, and the compensated sum. */
#include "ops/lines.h"
#include "core/dtype.h"

#include <math.h>

reel_lines reel_lines_of(const reel_array *array, unsigned axes)
{
    reel_lines lines = {.array = array, .lines = 1, .length = 1};
    for (int i = 0; i < array->rank; i++)
        if (axes >> i & 1) {
            lines.along_size[lines.along] = array->shape[i];
            lines.along_stride[lines.along++] = array->strides[i];
            lines.length *= array->shape[i];
        } else {
            lines.kept_size[lines.kept] = array->shape[i];
            lines.kept_stride[lines.kept++] = array->strides[i];
            lines.lines *= array->shape[i];
        }
    return lines;
}

reel_line reel_line_at(const reel_lines *lines, int64_t index)
{
    reel_line line = {.array = lines->array};
    for (int i = lines->kept - 1; i >= 0; i--) {
        line.start += index % lines->kept_size[i] * lines->kept_stride[i];
        index /= lines->kept_size[i];
    }
    const int64_t *strides[] = {lines->along_stride};
    reel_walk_start(&line.walk, lines->along, lines->along_size, 1, strides);
    return line;
}

static char *line_place(const reel_line *line)
{
    int64_t element = line->start + line->walk.offset[0] + line->at * line->walk.step[0];
    return (char *)line->array->data + element * (int64_t)reel_dtype_size(line->array->dtype);
}

static void line_move(reel_line *line, int64_t n)
{
    line->at += n;
    if (line->at == line->walk.length) {
        line->at = 0;
        reel_walk_next(&line->walk);
    }
}

int64_t reel_line_read(reel_line *line, double block[REEL_LINE_BLOCK])
{
    if (!line->walk.more)
        return 0;
    int64_t left = line->walk.length - line->at, n = left < REEL_LINE_BLOCK ? left : REEL_LINE_BLOCK;
    reel_convert_strided(REEL_F64, block, 1, line->array->dtype, line_place(line), line->walk.step[0], n);
    line_move(line, n);
    return n;
}

void reel_line_write(reel_line *line, const double *block, int64_t n)
{
    while (n > 0 && line->walk.more) {
        int64_t left = line->walk.length - line->at, part = n < left ? n : left;
        reel_convert_strided(line->array->dtype, line_place(line), line->walk.step[0], REEL_F64, block, 1, part);
        line_move(line, part);
        block += part;
        n -= part;
    }
}

/* sum + x = rounded + error, exactly (Knuth, The Art of Computer Programming 2, section 4.2.2). */
static inline __attribute__((always_inline)) void two_sum(double *sum, double *error, double x)
{
    double rounded = *sum + x, of_x = rounded - *sum, of_sum = rounded - of_x;
    *error += (x - of_x) + (*sum - of_sum);
    *sum = rounded;
}

void reel_sum_add(reel_sum_lanes *lanes, const double *x, int64_t n)
{
    int64_t i = 0;
    for (; i + 8 <= n; i += 8)
#pragma omp simd
        for (int lane = 0; lane < 8; lane++)
            two_sum(&lanes->sum[lane], &lanes->error[lane], x[i + lane]);
    for (int lane = 0; i < n; i++, lane++)
        two_sum(&lanes->sum[lane], &lanes->error[lane], x[i]);
}

/* The errors of a sum that is infinite or NaN mean nothing. */
double reel_sum_total(const reel_sum_lanes *lanes)
{
    double sum = 0, error = 0, plain = 0;
    for (int lane = 0; lane < 8; lane++) {
        two_sum(&sum, &error, lanes->sum[lane]);
        error += lanes->error[lane];
        plain += lanes->sum[lane];
    }
    return isfinite(plain) ? sum + error : plain;
}
