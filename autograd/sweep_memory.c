/* The memory of a reverse sweep.
 *
 * Contributions to one gradient are summed in the memory of the first where nobody else can see it, and
 * memory that nobody can see any more serves the next temporary: in a final sweep each temporary, else the
 * contributions that were added to a sum. Both rest on counts of the gradients that wait in a base's memory
 * (pins) and on the flag USED of a node that another one reads. */
#include "autograd/arithmetic.h"
#include "autograd/plain.h"
#include "autograd/sweep.h"

enum { SWEEP_PROBES = 8 };

static void *pieces_take(reel_piece **list, size_t bytes)
{
    for (int probe = 0; *list && probe < SWEEP_PROBES; probe++, list = &(*list)->next)
        if ((*list)->bytes >= bytes) {
            reel_piece *piece = *list;
            *list = piece->next;
            return piece;
        }
    return NULL;
}

static size_t piece_size(size_t bytes)
{
    return bytes > sizeof(reel_piece) ? bytes : sizeof(reel_piece);
}

void *reel_sweep_get(reel_tape *tape, size_t bytes)
{
    bytes = piece_size(bytes);
    int bucket = reel_piece_bucket(bytes);
    void *piece = bucket < REEL_BUCKETS ? pieces_take(&tape->free_pieces[bucket], bytes) : NULL;
    return piece ? piece : reel_tape_get(tape, bytes);
}

__attribute__((noinline))
static void recycle(const reel_sweep *s, reel_node *base)
{
    size_t bytes = piece_size(reel_node_bytes(base));
    int bucket = reel_piece_bucket(bytes);
    base->flags |= REEL_NODE_RECYCLED;
    if (bucket >= REEL_BUCKETS)
        return;
    reel_piece *piece = base->data;
    *piece = (reel_piece){.next = s->tape->free_pieces[bucket], .bytes = bytes};
    s->tape->free_pieces[bucket] = piece;
}

/* Whether the sweep made this base's memory and may do with it what it likes once no gradient waits in it. */
static bool is_temporary(const reel_sweep *s, const reel_node *base)
{
    return base->id >= s->first && base->op && !(base->flags & REEL_NODE_RECYCLED);
}

/* Whether this gradient is a sum or a contribution that nothing else reads or will read: its memory can be
 * added to, or used again. Without `final`, a later gradient of this gradient may want the value. */
static inline bool is_private(const reel_sweep *s, const reel_node *node, uint32_t waiting)
{
    const reel_node *base = node->base;
    bool whole = node == base || node->op->flags & REEL_OP_IN_SWEEP;
    return whole && base->pins == waiting && !(node->flags & REEL_NODE_USED) && is_temporary(s, base) &&
           (s->final || base->op->flags & REEL_OUTPUT_UNREAD);
}

/* What nothing waits in any more is free again where it was private, and in a final sweep in any case. */
static inline void sweep_unpin(const reel_sweep *s, reel_node *base, bool was_private)
{
    if (--base->pins == 0 && (was_private || (s->final && is_temporary(s, base))))
        recycle(s, base);
}

void reel_sweep_unpin(const reel_sweep *s, reel_node *base)
{
    sweep_unpin(s, base, false);
}

/* a + b, in a's memory where that is private. NULL after an error. */
static inline reel_node *sweep_sum(const reel_sweep *s, reel_node *a, reel_node *b, bool in_place)
{
    reel_node *sum = in_place ? reel_record_sum(s->tape, a, b) : NULL;
    if (sum)
        return sum;
    reel_tensor x = reel_handle_to(s->tape, a), y = reel_handle_to(s->tape, b);
    return reel_node_of(s->tape, in_place ? reel_accumulate(x, y) : reel_add_at(s->file, s->line, x, y));
}

bool reel_sweep_add(const reel_sweep *s, reel_node *target, reel_node *added)
{
    reel_node *old = target->gradient;
    bool into_old = is_private(s, old, 1), spare = !(into_old && s->final) && is_private(s, added, 1);
    bool into_added = spare && !into_old;
    reel_node *sum = sweep_sum(s, into_added ? added : old, into_added ? old : added, into_old || spare);
    if (!sum)
        return false;
    target->gradient = sum;
    if (!into_old) {                                /* where the sum waits by now                  */
        sum->base->pins++;
        sweep_unpin(s, old->base, false);
    }
    sweep_unpin(s, added->base, spare);
    return true;
}

bool reel_sweep_add_product(const reel_sweep *s, reel_node *target, reel_node *a, reel_node *b)
{
    reel_node *old = target->gradient;
    reel_node *sum = s->final && old && is_private(s, old, 1) ? reel_record_sum_with_product(s->tape, old, a, b) : NULL;
    if (sum)
        target->gradient = sum;
    return sum;
}

void reel_sweep_reuse(const reel_sweep *s, uint32_t recorded_from)
{
    for (uint32_t id = recorded_from; s->final && id < s->tape->nodes; id++) {
        reel_node *node = reel_node_at(s->tape, id);
        if (node->base == node && node->pins == 0 && is_temporary(s, node))
            recycle(s, node);
    }
}
