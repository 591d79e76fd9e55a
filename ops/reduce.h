/* What the reductions share: their attributes and their shape rule. */
#ifndef REEL_OPS_REDUCE_H
#define REEL_OPS_REDUCE_H

#include "ops/lines.h"
#include "ops/op.h"

typedef struct reel_reduce {
    reel_axes axes;                                 /* none: all                                   */
    bool      keepdims;
} reel_reduce;

/* The axes as a set; false after reel_call_error(). */
bool reel_reduce_set(reel_call *call, unsigned *set);
/* The same where it is known that they are legal. */
unsigned reel_reduce_axes(const reel_reduce *reduce, int rank);

bool reel_reduce_shape(reel_call *call, reel_output *out, unsigned allowed);

/* dy or y, of the reduced shape, with the axes back as sizes of 1, so that it broadcasts to x. */
reel_tensor reel_reduce_restore(const reel_call *call, reel_tensor reduced);

reel_tensor reel_reduce_apply(REEL_PLACE, const reel_op *op, const reel_reduce_options *options);

/* Runs work(context, first line, line after the last) over the lines of input 0, on the tape's threads. */
void reel_each_line(const reel_call *call, const reel_lines *lines,
                    void (*work)(void *context, int64_t begin, int64_t end), void *context);

/* In references: calls visit(context, element of the output, value) for each element of the input, in order. */
void reel_reference_reduce(const reel_reduce *reduce, const reel_reference_array *in,
                           void (*visit)(double *out, int64_t element, double value), double *out);

extern const reel_reduce reel_reduce_all, reel_reduce_last, reel_reduce_first_kept, reel_reduce_outer, reel_reduce_bad;

/* What every reduction is tried on. */
#define REEL_REDUCE_SAMPLES                                                                          \
    {.note = "all axes", .in = {{.shape = REEL_SIZES(2, 3)}}, .attributes = &reel_reduce_all},       \
    {.note = "the last axis", .in = {{.shape = REEL_SIZES(4, 5)}}, .attributes = &reel_reduce_last}, \
    {.note = "the first axis, kept", .in = {{.shape = REEL_SIZES(3, 4)}}, .attributes = &reel_reduce_first_kept}, \
    {.note = "the outer axes", .in = {{.shape = REEL_SIZES(2, 3, 2)}}, .attributes = &reel_reduce_outer}, \
    {.note = "a scalar", .attributes = &reel_reduce_all},                                            \
    {.note = "longer than a block", .in = {{.shape = REEL_SIZES(2, 601)}}, .attributes = &reel_reduce_last}, \
    {.note = "no lines", .in = {{.shape = REEL_SIZES(0, 3)}}, .attributes = &reel_reduce_last},      \
    {.note = "transposed", .in = {{.shape = REEL_SIZES(4, 3), .layout = REEL_TRANSPOSED}},           \
     .attributes = &reel_reduce_last},                                                               \
    {.note = "every other", .in = {{.shape = REEL_SIZES(4, 3), .layout = REEL_EVERY_OTHER}},         \
     .attributes = &reel_reduce_first_kept},                                                         \
    {.note = "reversed", .in = {{.shape = REEL_SIZES(7), .layout = REEL_REVERSED}}, .attributes = &reel_reduce_all}, \
    {.note = "no such axis", .in = {{.shape = REEL_SIZES(3)}}, .attributes = &reel_reduce_bad,       \
     .error = "axis 5 is not in [-1, 1)"}

#endif
