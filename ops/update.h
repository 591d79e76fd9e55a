/* What the optimisers share: one call that updates all parameters, element by element.
 *
 * Its inputs are the learning rate, then for each parameter a group of two or three: w, its gradient, and
 * what the optimiser remembers of it. It writes w and the memory, and has no output. An optimiser that
 * remembers keeps either one tensor like w (parts = 0: sgd's velocity), or a state: `parts` times w's
 * elements one behind the other, and then the number of steps taken.
 *
 * Arithmetic is in f64 for f64 and in f32 for all else; a state has that dtype. */
#ifndef REEL_OPS_UPDATE_H
#define REEL_OPS_UPDATE_H

#include "ops/op.h"

enum { REEL_UPDATE_STREAMS = 5, REEL_UPDATE_NUMBERS = 10 };

/* The first member of an optimiser's attributes. */
typedef struct reel_update {
    int group;                                      /* inputs a parameter                          */
    int parts;                                      /* of a state; 0: a velocity, or nothing       */
} reel_update;

/* n elements side by side: x[0] is w, x[1] the gradient, which is only read, then come the velocity or the
 * state's parts. `number` holds what is the same for all elements. */
typedef void (*reel_update_kernel)(int64_t n, void *const x[], const double *number, const void *attributes);

/* A kernel's loop is made anew for each set of options, so that there is no branch in it and it can be
 * vectorised. */
#define REEL_UPDATE_LOOP static inline __attribute__((always_inline)) void

typedef struct reel_update_rule {
    reel_update_kernel f32, f64;
    /* From the attributes, the learning rate, and the number of steps with this one. */
    void (*numbers)(const void *attributes, double rate, double step, double *number);
} reel_update_rule;

/* The parts of a reel_op. */
bool reel_update_writes(const void *attributes, int input);
bool reel_update_shape(reel_call *call, reel_output *out);
bool reel_update_run(const reel_call *call, const reel_update_rule *rule);

/* Records an update; `memory` has no tensors where the optimiser remembers nothing. */
bool reel_update_record(REEL_PLACE, const reel_op *op, reel_tensor learning_rate, reel_tensors parameters,
                        reel_tensors gradients, reel_tensors memory, const void *attributes);

/* The tape of an update, NULL where no input names one. */
reel_tape *reel_update_tape(reel_tensor learning_rate, reel_tensors parameters);

#endif
