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

#endif
