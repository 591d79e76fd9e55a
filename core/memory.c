/* Memory: the allocator hook with its counts and its cap, and the arena. */
#include "core/memory.h"

#include <stdlib.h>
#include <sys/mman.h>

#if defined(__SANITIZE_ADDRESS__)
#define ARENA_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ARENA_SANITIZED 1
#endif
#endif

/* Under the address sanitizer what the arena has not handed out cannot be touched, and a red zone follows
 * each piece. */
#ifdef ARENA_SANITIZED
#include <sanitizer/asan_interface.h>
enum { ARENA_RED_ZONE = 64 };
#define ARENA_CLOSE(pointer, bytes) ASAN_POISON_MEMORY_REGION(pointer, bytes)
#define ARENA_OPEN(pointer, bytes)  ASAN_UNPOISON_MEMORY_REGION(pointer, bytes)
#else
enum { ARENA_RED_ZONE = 0 };
#define ARENA_CLOSE(pointer, bytes) ((void)(pointer), (void)(bytes))
#define ARENA_OPEN(pointer, bytes)  ((void)(pointer), (void)(bytes))
#endif

enum { MEMORY_LARGE_PAGE = 2 << 20 };
enum { ARENA_FIRST_BLOCK = 64 << 10, ARENA_LARGEST_STEP = 64 << 20 };

/* Large pieces lie in large pages, where the system has them: fewer addresses to look up, and fewer faults at first. */
static void *memory_large(size_t bytes)
{
    void *piece;
    if (posix_memalign(&piece, MEMORY_LARGE_PAGE, bytes))
        return NULL;
#ifdef MADV_HUGEPAGE
    madvise(piece, bytes, MADV_HUGEPAGE);           /* a wish: no harm if it is not granted        */
#endif
    return piece;
}

void *reel_standard_allocator(void *user, void *pointer, size_t old_size, size_t new_size)
{
    (void)user;
    (void)old_size;
    if (new_size == 0) {
        free(pointer);
        return NULL;
    }
    return pointer || new_size < MEMORY_LARGE_PAGE ? realloc(pointer, new_size) : memory_large(new_size);
}

/* Counts change only once the call has succeeded. */
void *reel_memory_resize(reel_memory *memory, void *pointer, size_t old_bytes, size_t bytes)
{
    size_t held = memory->held - old_bytes;
    memory->wanted = bytes;
    memory->over_cap = bytes > SIZE_MAX - held || (memory->cap && held + bytes > memory->cap);
    if (memory->over_cap)
        return NULL;
    memory->calls++;
    void *got = memory->call(memory->user, pointer, old_bytes, bytes);
    if (!got)
        return NULL;
    memory->held = held + bytes;
    if (memory->peak < memory->held)
        memory->peak = memory->held;
    return got;
}

void *reel_memory_get(reel_memory *memory, size_t bytes)
{
    return reel_memory_resize(memory, NULL, 0, bytes);
}

void reel_memory_put(reel_memory *memory, void *pointer, size_t bytes)
{
    if (!pointer)
        return;
    memory->calls++;
    memory->held -= bytes;
    memory->call(memory->user, pointer, bytes, 0);
}

static char *block_start(reel_block *block)
{
    return (char *)(block + 1);
}

/* A block is used up to here, so that the arena always stands at a multiple of 8 inside it. */
static uintptr_t block_end(reel_block *block)
{
    return (uintptr_t)block_start(block) + (block->size & ~(size_t)7);
}

/* Blocks grow with what the tape holds, so that a large tape is a few dozen blocks. */
static size_t arena_block_size(const reel_arena *arena, size_t bytes)
{
    if (arena->each_request)
        return bytes;
    size_t step = arena->memory->held / 2;
    if (step > ARENA_LARGEST_STEP)
        step = ARENA_LARGEST_STEP;
    if (step < ARENA_FIRST_BLOCK)
        step = ARENA_FIRST_BLOCK;
    if (arena->memory->cap && step > arena->memory->cap / 16)
        step = arena->memory->cap / 16;
    return bytes > step ? bytes : step;
}

size_t reel_arena_used(const reel_arena *arena)
{
    return arena->current ? arena->at - (uintptr_t)block_start(arena->current) : 0;
}

static void arena_stand(reel_arena *arena, reel_block *block, size_t used)
{
    arena->current = block;
    arena->at = block ? (uintptr_t)block_start(block) + used : 0;
    bool short_way = block && !arena->each_request && !ARENA_RED_ZONE;
    arena->limit = short_way ? block_end(block) : 0;
}

static void arena_enter(reel_arena *arena, reel_block *block)
{
    if (arena->current)
        arena->current->used = reel_arena_used(arena);
    arena_stand(arena, block, 0);
}

static bool arena_grow(reel_arena *arena, size_t bytes)
{
    size_t size = arena_block_size(arena, bytes);
    if (size > SIZE_MAX - sizeof(reel_block))
        return false;
    reel_block *block = reel_memory_get(arena->memory, sizeof(reel_block) + size);
    if (!block && size > bytes)                     /* there may be just enough                    */
        block = reel_memory_get(arena->memory, sizeof(reel_block) + (size = bytes));
    if (!block)
        return false;
    reel_block **link = arena->current ? &arena->current->next : &arena->first;
    *block = (reel_block){.next = *link, .size = size};
    *link = block;
    ARENA_CLOSE(block_start(block), size);
    arena_enter(arena, block);
    return true;
}

/* A piece of the current block, or NULL where it does not fit. */
static void *arena_carve(reel_arena *arena, size_t bytes, size_t align)
{
    if (!arena->current)
        return NULL;
    uintptr_t at = (arena->at + align - 1) & ~(uintptr_t)(align - 1), end = block_end(arena->current);
    if (at > end || bytes + ARENA_RED_ZONE > end - at)
        return NULL;
    arena->at = reel_arena_behind(at, bytes + ARENA_RED_ZONE);
    ARENA_OPEN((void *)at, bytes);
    return (void *)at;
}

void *reel_arena_get_more(reel_arena *arena, size_t bytes)
{
    size_t align = reel_arena_alignment(bytes);
    if (bytes > SIZE_MAX / 2)
        return NULL;
    if (!arena->each_request) {
        void *piece = arena_carve(arena, bytes, align);
        if (piece)
            return piece;
        reel_block *next = arena->current ? arena->current->next : arena->first;
        if (next && next->size >= bytes + align + ARENA_RED_ZONE) {
            arena_enter(arena, next);
            return arena_carve(arena, bytes, align);
        }
    }
    return arena_grow(arena, bytes + align + ARENA_RED_ZONE) ? arena_carve(arena, bytes, align) : NULL;
}

static void arena_drop_after(reel_arena *arena, reel_block *last)
{
    reel_block **link = last ? &last->next : &arena->first;
    while (*link) {
        reel_block *block = *link;
        *link = block->next;
        ARENA_OPEN(block, sizeof *block + block->size);
        reel_memory_put(arena->memory, block, sizeof *block + block->size);
    }
}

void reel_arena_rewind(reel_arena *arena, reel_block *current, size_t used)
{
#ifdef ARENA_SANITIZED
    if (current)
        ARENA_CLOSE(block_start(current) + used, current->size - used);
    for (reel_block *block = current ? current->next : arena->first; block; block = block->next)
        ARENA_CLOSE(block_start(block), block->size);
#endif
    arena_stand(arena, current, used);
    if (arena->each_request)
        arena_drop_after(arena, current);
}

void reel_arena_free(reel_arena *arena)
{
    arena_drop_after(arena, NULL);
    arena_stand(arena, NULL, 0);
}

size_t reel_arena_bytes(const reel_arena *arena)
{
    size_t bytes = reel_arena_used(arena);
    for (const reel_block *block = arena->first; block && block != arena->current; block = block->next)
        bytes += block->used;
    return arena->current ? bytes : 0;
}
