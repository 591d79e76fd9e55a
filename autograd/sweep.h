/* A reverse sweep: what its files share. */
#ifndef REEL_AUTOGRAD_SWEEP_H
#define REEL_AUTOGRAD_SWEEP_H

#include "autograd/arithmetic.h"
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
    reel_call            call;
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

/* Whether a node is one of the xs, or depends on one by way of differentiable ops. */
static inline bool reel_on_path(const reel_tape *tape, const reel_node *node)
{
    return node->sweep == tape->sweep;
}

/* ---- sweep.c --------------------------------------------------------------------------------------------- */

/* Marks what depends on the xs, between s->lowest and s->y. */
void reel_sweep_mark_paths(const reel_sweep *s, reel_tensors xs);

/* Passes on what has arrived, from s->y down to s->lowest. False after an error. */
bool reel_sweep_down(reel_sweep *s);

/* ---- sweep_plain.c --------------------------------------------------------------------------------------- */

/* Goes down from *from as long as there are plain sums and products, which need no VJP, nobody looks on, and all values
 * are computed. False after an error. */
bool reel_sweep_plain(const reel_sweep *s, uint32_t *from);

/* ---- sweep_memory.c -------------------------------------------------------------------------------------- */

/* Whether the sweep made this base's memory and may do with it what it likes once no gradient waits in it. */
static inline bool reel_sweep_made(const reel_sweep *s, const reel_node *base)
{
    return base->id >= s->first && base->op && !(base->flags & REEL_NODE_RECYCLED);
}

/* Whether this gradient is a sum or a contribution that nothing else reads or will read: its memory can be
 * added to, or used again. Without `final`, a later gradient of this gradient may want the value. */
static inline bool reel_sweep_private(const reel_sweep *s, const reel_node *node)
{
    const reel_node *base = node->base;
    bool whole = node == base || node->op->flags & REEL_OP_IN_SWEEP;
    return base->pins == 1 && whole && !(node->flags & REEL_NODE_USED) && reel_sweep_made(s, base) &&
           (s->final || base->op->flags & REEL_OUTPUT_UNREAD);
}

/* Adds a contribution, which is pinned, to the gradient that waits for the target; the sum is pinned in its
 * place. False after an error. */
bool reel_sweep_add(const reel_sweep *s, reel_node *target, reel_node *added);

/* In a final sweep: a base in whose memory no gradient waits any more has served. */
void reel_sweep_recycle(const reel_sweep *s, reel_node *base);

/* In a final sweep: of the temporaries recorded from here on, those in which no gradient waits have served. */
void reel_sweep_reuse(const reel_sweep *s, uint32_t recorded_from);

/* Takes a contribution, which is pinned: the first waits as it is, and to it the others are added. */
static inline bool reel_sweep_take(const reel_sweep *s, reel_node *target, reel_node *added)
{
    if (target->gradient)
        return reel_sweep_add(s, target, added);
    target->gradient = added;
    return true;
}

/* The gradient of an output has been passed on to the inputs. */
static inline void reel_sweep_passed(const reel_sweep *s, const reel_node *output, const reel_node *gradient)
{
    if (!(output->flags & REEL_NODE_RESULT) && --gradient->base->pins == 0)
        reel_sweep_recycle(s, gradient->base);
}

#endif
