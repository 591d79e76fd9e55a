/* Nodes: where they are kept, and how they are seen as arrays. */
#include "autograd/tape.h"
#include "core/shape.h"

#include <string.h>

/* One more chunk. The numbers of all nodes must fit in 32 bits. */
bool reel_nodes_grow(reel_tape *tape)
{
    if (tape->chunks == UINT32_MAX / REEL_CHUNK_NODES)
        return false;
    if (tape->chunks == tape->chunk_room) {
        uint32_t room = tape->chunk_room ? 2 * tape->chunk_room : 16;
        reel_node **chunk = reel_memory_resize(&tape->memory, tape->chunk, tape->chunk_room * sizeof *chunk,
                                               room * sizeof *chunk);
        if (!chunk)
            return false;
        tape->chunk = chunk;
        tape->chunk_room = room;
    }
    reel_node *nodes = reel_memory_get(&tape->memory, REEL_CHUNK_NODES * sizeof *nodes);
    if (!nodes)
        return false;
    tape->chunk[tape->chunks++] = nodes;
    return true;
}

/* The node at the tape's end, cleared. It is on the tape once its maker counts it. Chunks never move. */
reel_node *reel_node_new(reel_tape *tape)
{
    reel_node *node = reel_node_room(tape);
    if (!node)
        return NULL;
    *node = (reel_node){.generation = tape->generation, .executed = tape->clock, .id = tape->nodes, .base = node};
    return node;
}

/* Gives a node its shape and strides (NULL: contiguous). */
bool reel_node_shape(reel_tape *tape, reel_node *node, const reel_shape *shape, const int64_t *strides)
{
    static const int64_t none[1] = {0};
    node->rank = (uint8_t)shape->rank;
    node->shape = node->strides = none;
    if (shape->rank == 0)
        return true;
    size_t bytes = (size_t)shape->rank * sizeof(int64_t);
    int64_t *sizes = reel_tape_get(tape, 2 * bytes);
    if (!sizes)
        return false;
    memcpy(sizes, shape->size, bytes);
    if (strides)
        memcpy(sizes + shape->rank, strides, bytes);
    else
        reel_contiguous_strides(shape->rank, shape->size, sizes + shape->rank);
    node->shape = sizes;
    node->strides = sizes + shape->rank;
    return true;
}

reel_array reel_node_array(const reel_node *node)
{
    return (reel_array){
        .data = reel_node_data(node),
        .dtype = (reel_dtype)node->dtype,
        .rank = node->rank,
        .shape = node->shape,
        .strides = node->strides,
        .count = node->count,
    };
}
