/* Elementwise ops: their shape rule, and how their kernels are brought to any operands. */
#ifndef REEL_AUTOGRAD_ELEMENTWISE_H
#define REEL_AUTOGRAD_ELEMENTWISE_H

#include "autograd/tape.h"

/* Fewer elements than this are not worth a second thread. */
enum { REEL_ELEMENTWISE_GRAIN = 32768 };

/* All inputs have one dtype, for which there is a kernel; the output has it too, and the shape that the inputs'
 * shapes broadcast to. */
bool reel_elementwise_shape(reel_call *call, reel_output *out);
bool reel_elementwise_run(const reel_call *call);

/* A plain call: an elementwise op on contiguous operands of one shape, in a dtype that its kernel knows. That is
 * most calls and nearly all scalar ones, so they are recorded and run without a shape rule or a stride.
 * Returns the node, or 0 with nothing recorded where the call is not plain, or fails: the general way says why. */
uint32_t reel_record_plain(REEL_PLACE, reel_tape *tape, const reel_op *op, reel_tensors inputs,
                           const void *attributes);
void reel_run_plain(reel_tape *tape, reel_node *node);

#endif
