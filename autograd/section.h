/* What a section knows beside its two ends, kept on the tape in a note that the section is anchored at. */
#ifndef REEL_AUTOGRAD_SECTION_H
#define REEL_AUTOGRAD_SECTION_H

#include "autograd/tape.h"

typedef struct reel_twins {
    uint32_t        from, to;                       /* the original section                        */
    const uint32_t *inside;                         /* the twins of its nodes                      */
    uint32_t        outside_count;
    const uint32_t *outside;                        /* pairs: a node it reads from outside, its twin */
} reel_twins;

typedef struct reel_section_note {
    bool              pruned;
    uint32_t          kept;                         /* of a pruned section: calls to run,          */
    const uint32_t   *call;                         /* ... by their heads, in order                */
    const reel_twins *twins;                        /* of a section in f64, else NULL              */
} reel_section_note;

/* The note of a section, or NULL where it has none. */
const reel_section_note *reel_section_details(reel_section section);

/* Puts a note on the tape and returns the section anchored at it; a failed section where memory is short. */
reel_section reel_section_with_note(REEL_PLACE, reel_tape *tape, uint32_t from, uint32_t to,
                                    const reel_section_note *note, const char *what);

/* A leaf with a node's shape and its value in another dtype. Its memory has no gaps, and its dimensions lie in it in the
 * node's own order, so that what was a view of the node can be a view of the leaf. */
reel_tensor reel_leaf_like(REEL_PLACE, reel_tape *tape, const reel_node *node, reel_dtype dtype, bool variable,
                           const char *what);

/* Whether a section is on its tape, with an error on the tape where it is not. */
bool reel_section_usable(REEL_PLACE, reel_section section, const char *what);

#endif
