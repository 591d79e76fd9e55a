/* The largest or the smallest element of a line, for max and min, argmax and argmin. */
#ifndef REEL_OPS_EXTREME_H
#define REEL_OPS_EXTREME_H

#include "ops/reduce.h"

/* The first NaN of a line that has one, else the first of its largest (or smallest) elements. */
typedef struct reel_extreme {
    double  value;
    int64_t exact;                                  /* the value where the dtype is i64            */
    int64_t position;                               /* on the line; -1: it has no elements         */
} reel_extreme;

reel_extreme reel_extreme_of(const reel_lines *lines, int64_t index, bool smallest);

#endif
