/* Mean and variance of a line, in two passes with compensated sums (Chan, Golub, LeVeque, "Algorithms for
 * computing the sample variance", 1983). */
#ifndef REEL_OPS_MOMENTS_H
#define REEL_OPS_MOMENTS_H

#include "ops/lines.h"

typedef struct reel_moments {
    double mean, rest; /* the mean is mean + rest, to twice the digits of a double */
    double squares;                                 /* the sum of (x_i - the mean)^2               */
} reel_moments;

reel_moments reel_moments_of(const reel_lines *lines, int64_t index);

#endif
