/* What the ops that take integer indices share. */
#ifndef REEL_OPS_INDICES_H
#define REEL_OPS_INDICES_H

#include "ops/op.h"

/* In shape rules: reel_call_error() where an input is not of an integer dtype. */
bool reel_check_index_dtype(reel_call *call, int input);

/* In forwards: reel_call_error() where an index is not in [0, size). It names the first one, counted with
 * the last dimension fastest, however the indices were reshaped on their way. */
bool reel_check_indices(const reel_call *call, int input, int64_t size);

/* For gather and scatter_add along an axis: whether `picks`, input 1, has the sizes of input 0, or 1 to
 * stretch, but for the axis, where `same` says that the two must agree. An error where not. */
bool reel_check_picks(reel_call *call, int axis, bool same);

#endif
