/* Memory: the allocator hook with its counts and its cap, and the arena from which a tape takes all that it
 * records. The arena hands out memory from large blocks, remembers where it stood, and returns there at a
 * rewind; blocks are kept for the next time, so a step that asks for what the last one asked for makes no
 * call to the allocator. */
#ifndef REEL_CORE_MEMORY_H
#define REEL_CORE_MEMORY_H

#include <reel.h>

typedef struct reel_memory {
    reel_allocator call;
    void          *user;
    size_t         cap;                             /* bytes; 0: none                              */
    size_t         held, peak;
    uint64_t       calls;
    size_t         wanted;                          /* what the last failure was about, in bytes,  */
    bool           over_cap;                        /* ... and whether it was the cap's            */
} reel_memory;

void *reel_memory_get(reel_memory *memory, size_t bytes);                   /* NULL on failure     */
void *reel_memory_resize(reel_memory *memory, void *pointer, size_t old_bytes, size_t bytes);
void  reel_memory_put(reel_memory *memory, void *pointer, size_t bytes);

typedef struct reel_block {
    struct reel_block *next;
    size_t             size;                        /* bytes behind this header                    */
    size_t             used;                        /* ... in use, where the arena has moved on    */
} reel_block;

_Static_assert(sizeof(reel_block) % 8 == 0, "what follows the header lies at a multiple of 8");

typedef struct reel_arena {
    reel_memory *memory;
    reel_block  *first, *current;
    uintptr_t    at;                                /* where the current block is free, a multiple of 8 */
    uintptr_t    limit;                             /* how far the short way may go                */
    bool         each_request;                      /* a block for each request                    */
} reel_arena;

/* The long way, by way of other blocks. */
void *reel_arena_get_more(reel_arena *arena, size_t bytes);

/* What so many bytes are aligned to. */
static inline uintptr_t reel_arena_alignment(size_t bytes)
{
    return bytes <= 8 ? 8 : bytes < 64 ? 16 : 64;
}

/* The place behind a piece, where the next of them can lie. */
static inline uintptr_t reel_arena_behind(uintptr_t at, size_t bytes)
{
    return (at + bytes + 7) & ~(uintptr_t)7;
}

/* The short way; false where the current block has no room. It is closed, with a limit of 0, where each piece needs a
 * block or a red zone. */
static inline bool reel_arena_at_hand(reel_arena *arena, size_t bytes, void **piece)
{
    uintptr_t at = arena->at;
    if (bytes > 8)
        at = ((at - 1) | (reel_arena_alignment(bytes) - 1)) + 1;
    if (at >= arena->limit || bytes > arena->limit - at)
        return false;
    arena->at = reel_arena_behind(at, bytes);
    *piece = (void *)at;
    return true;
}

/* NULL on failure. Not cleared. */
static inline void *reel_arena_get(reel_arena *arena, size_t bytes)
{
    void *piece;
    return reel_arena_at_hand(arena, bytes, &piece) ? piece : reel_arena_get_more(arena, bytes);
}

size_t reel_arena_used(const reel_arena *arena);    /* of the current block                        */

/* Back to where the arena stood when `current` and its used bytes were these. */
void   reel_arena_rewind(reel_arena *arena, reel_block *current, size_t used);
void   reel_arena_free(reel_arena *arena);
size_t reel_arena_bytes(const reel_arena *arena);   /* in use                                      */

#endif
