/* A reverse sweep: what its two files share. */
#ifndef REEL_AUTOGRAD_SWEEP_H
#define REEL_AUTOGRAD_SWEEP_H

#include "autograd/tape.h"

enum { REEL_SWEEP_OUTPUTS = 8 };

/* What the gradient of one input is added to, and what is added. */
typedef struct reel_contribution {
    reel_node *target, *added;
} reel_contribution;

/* What a VJP is called with, and what becomes of its results. */
typedef struct reel_vjp_call {
    reel_tensor         *x, *dx;                    /* of each input                               */
    bool                *wanted;
    reel_contribution   *contribution;
    reel_tensor          y[REEL_SWEEP_OUTPUTS], dy[REEL_SWEEP_OUTPUTS];
} reel_vjp_call;

typedef struct reel_sweep {
    reel_tape  *tape;
    const char *file;
    int         line;
    uint32_t    y, lowest;                          /* nodes between which the paths lie           */
    uint32_t    first;                              /* the first node of the sweep's own           */
    bool        final;
    uint32_t    inputs;                             /* that `vjp` has room for                     */
    reel_vjp_call vjp;
} reel_sweep;

/* sweep_memory.c */

/* Adds a contribution, which is pinned, to the gradient that waits for the target; the sum is pinned in its
 * place. False after an error. */
bool reel_sweep_add(const reel_sweep *s, reel_node *target, reel_node *added);

/* A gradient waits no more. */
void reel_sweep_unpin(const reel_sweep *s, const reel_node *gradient);

/* In a final sweep: of the temporaries recorded from here on, those in which no gradient waits have served. */
void reel_sweep_reuse(const reel_sweep *s, uint32_t recorded_from);

#endif
