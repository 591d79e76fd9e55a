/* Lines: the elements of an array that a reduction over some axes brings together. A line is read in blocks of
 * doubles, in one fixed order, whatever the strides and the dtype. */
#ifndef REEL_OPS_LINES_H
#define REEL_OPS_LINES_H

#include <reel.h>
#include "core/shape.h"

enum { REEL_LINE_BLOCK = 256 };

typedef struct reel_lines {
    const reel_array *array;
    int64_t           lines, length;                /* how many, and the elements of one           */
    int               kept, along;                  /* dimensions across and along lines           */
    int64_t           kept_size[REEL_MAX_RANK], kept_stride[REEL_MAX_RANK];
    int64_t           along_size[REEL_MAX_RANK], along_stride[REEL_MAX_RANK];
} reel_lines;

/* The lines of an array along the axes of a set (bit i: axis i), in the order of the axes that are left. */
reel_lines reel_lines_of(const reel_array *array, unsigned axes);

/* A place on a line: reads or writes its elements block by block. */
typedef struct reel_line {
    const reel_array *array;
    int64_t           start;                        /* the line's first element                    */
    int64_t           at;                           /* in the walk's present run                   */
    reel_walk         walk;
} reel_line;

reel_line reel_line_at(const reel_lines *lines, int64_t index);
int64_t   reel_line_read(reel_line *line, double block[REEL_LINE_BLOCK]);   /* elements; 0: the end */

/* Writes as many elements as reel_line_read() reads from a line of the same shape. */
void reel_line_write(reel_line *line, const double *block, int64_t n);

/* A compensated sum in eight lanes (Knuth's two-sum), so that its bits depend on the order alone. */
typedef struct reel_sum_lanes {
    double sum[8], error[8];
} reel_sum_lanes;

void   reel_sum_add(reel_sum_lanes *lanes, const double *x, int64_t n);
double reel_sum_total(const reel_sum_lanes *lanes);

#endif
