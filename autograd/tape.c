/* A tape's life: made, marked, rewound, freed; and the memory that its parts share. */
#include "autograd/tape.h"
#include "core/io.h"
#include "core/options.h"

#include <string.h>

enum { TAPE_MOST_THREADS = 256 };

const char *reel_version(void)
{
    return "0.1.0";
}

/* What is wrong with the options, or NULL. */
static const char *tape_options_fault(const reel_tape_options *options)
{
    if (options->threads < 0 || options->threads > TAPE_MOST_THREADS)
        return "threads must be 1 to 256, or 0, which stands for 1";
    if (options->io && options->io->size < REEL_IO_LEAST)
        return "the size of the io table is not sizeof(reel_io)";
    return NULL;
}

static bool tape_start_pool(reel_tape *tape)
{
    if (tape->threads <= 1)
        return true;
    size_t bytes = reel_pool_bytes(tape->threads);
    reel_pool *pool = reel_memory_get(&tape->memory, bytes);
    if (!pool)
        return false;
    if (!reel_pool_start(pool, tape->threads)) {
        reel_memory_put(&tape->memory, pool, bytes);
        return false;
    }
    tape->pool = pool;
    return true;
}

static void tape_start(reel_tape *tape, const reel_tape_options *options, reel_memory memory)
{
    memset(tape, 0, sizeof *tape);
    tape->memory = memory;
    tape->arena = (reel_arena){.memory = &tape->memory, .each_request = options->each_request};
    tape->nodes = 1;
    tape->generation = 1;
    tape->cpu = reel_cpu_detect();
    tape->threads = options->threads ? options->threads : 1;
    tape->io = reel_io_complete(options->io);
    tape->random = (reel_random){.seed = options->seed};
}

/* Sets `why` where there is no tape. */
static reel_tape *tape_make(const reel_tape_options *options, const char **why)
{
    *why = tape_options_fault(options);
    if (*why)
        return NULL;
    reel_memory memory = {
        .call = options->allocator ? options->allocator : reel_standard_allocator,
        .user = options->allocator_user,
        .cap = options->memory_cap,
    };
    reel_tape *tape = reel_memory_get(&memory, sizeof *tape);
    if (!tape) {
        *why = memory.cap && memory.cap < sizeof *tape ? "the memory cap is less than an empty tape takes"
                                                       : "out of memory";
        return NULL;
    }
    tape_start(tape, options, memory);
    if (tape_start_pool(tape))
        return tape;
    reel_tape_free(tape);
    *why = "no memory for the threads, or the system starts no more of them";
    return NULL;
}

reel_tape *reel_tape_new_options(const reel_tape_options *given)
{
    if (!given || given->size < sizeof given->size)
        return NULL;
    reel_tape_options options;
    reel_known_options(&options, sizeof options, given);
    const char *why;
    reel_tape *tape = tape_make(&options, &why);
    if (options.why)
        *options.why = tape ? "" : why;
    return tape;
}

void reel_tape_free(reel_tape *tape)
{
    if (!tape)
        return;
    if (tape->pool) {
        reel_pool_stop(tape->pool);
        reel_memory_put(&tape->memory, tape->pool, reel_pool_bytes(tape->threads));
    }
    reel_names_free(tape);
    reel_arena_free(&tape->arena);
    for (uint32_t i = 0; i < tape->chunks; i++)
        reel_memory_put(&tape->memory, tape->chunk[i], REEL_CHUNK_NODES * sizeof(reel_node));
    reel_memory_put(&tape->memory, tape->chunk, tape->chunk_room * sizeof *tape->chunk);
    reel_memory_put(&tape->memory, tape->scratch, tape->scratch_bytes);
    reel_memory_put(&tape->memory, tape->operands, tape->operand_room * sizeof *tape->operands);
    reel_memory memory = tape->memory;
    reel_memory_put(&memory, tape, sizeof *tape);
}

/* ---- Marks ----------------------------------------------------------------------------------------- */

reel_mark reel_tape_mark(reel_tape *tape)
{
    if (reel_failed(tape))
        return (reel_mark){.tape = tape};
    return (reel_mark){
        .tape = tape,
        .nodes = tape->nodes,
        .generation = tape->nodes > 1 ? reel_node_at(tape, tape->nodes - 1)->generation : 0,
        .block = tape->arena.current,
        .used = reel_arena_used(&tape->arena),
    };
}

/* A mark lies on the tape as long as the node below it does. */
bool reel_tape_holds_mark(const reel_tape *tape, reel_mark mark)
{
    return mark.tape == tape && mark.nodes > 0 && mark.nodes <= tape->nodes &&
           (mark.nodes == 1 || reel_node_at(tape, mark.nodes - 1)->generation == mark.generation);
}

bool reel_tape_rewind_at(REEL_PLACE, reel_tape *tape, reel_mark mark)
{
    if (!tape)
        return false;
    if (!reel_tape_holds_mark(tape, mark))
        return reel_tape_fail(tape, file, line, "rewind", "the mark %s",
                              mark.tape != tape ? "belongs to another tape"
                              : mark.nodes      ? "was rewound past"
                                                : "was made after an error");
    while (tape->wrapped >= mark.nodes)
        tape->wrapped = ((const reel_leaf *)reel_node_at(tape, tape->wrapped)->attributes)->wrapped_before;
    tape->nodes = mark.nodes;
    tape->generation++;
    reel_arena_rewind(&tape->arena, mark.block, mark.used);
    tape->rewound = true;
    return true;
}

/* ---- Shared memory ----------------------------------------------------------------------------------- */

void *reel_tape_get(reel_tape *tape, size_t bytes)
{
    return reel_arena_get(&tape->arena, bytes);
}

/* Scratch is 64-byte aligned by hand, and what was in it need not survive. */
bool reel_tape_ensure_scratch(reel_tape *tape, size_t bytes)
{
    if (bytes > SIZE_MAX - 64)
        return false;
    size_t room = bytes ? bytes + 64 : 0;
    if (room <= tape->scratch_bytes)
        return true;
    void *scratch = reel_memory_get(&tape->memory, room);
    if (!scratch)
        return false;
    reel_memory_put(&tape->memory, tape->scratch, tape->scratch_bytes);
    tape->scratch = scratch;
    tape->scratch_bytes = room;
    return true;
}

bool reel_tape_ensure_operands(reel_tape *tape, size_t count)
{
    if (count <= tape->operand_room)
        return true;
    reel_array *operands = reel_memory_resize(&tape->memory, tape->operands,
                                              tape->operand_room * sizeof *operands, count * sizeof *operands);
    if (!operands)
        return false;
    tape->operands = operands;
    tape->operand_room = count;
    return true;
}

reel_statistics reel_tape_statistics(const reel_tape *tape)
{
    if (!tape)
        return (reel_statistics){0};
    return (reel_statistics){
        .bytes_held = tape->memory.held,
        .bytes_peak = tape->memory.peak,
        .bytes_used = reel_arena_bytes(&tape->arena) + (tape->nodes - 1) * sizeof(reel_node),
        .allocator_calls = tape->memory.calls,
        .nodes = tape->nodes - 1,
        .node_bytes = sizeof(reel_node),
    };
}

int reel_tape_threads(const reel_tape *tape)
{
    return tape ? tape->threads : 0;
}

void reel_call_parallel(const reel_call *call, int64_t count, int64_t grain,
                        void (*work)(void *context, int64_t begin, int64_t end), void *context)
{
    reel_pool_run(call->tape->pool, count, grain, work, context);
}
