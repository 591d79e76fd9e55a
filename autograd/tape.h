/* The tape from inside: nodes, the record, the sweep's bookkeeping. The public picture is in reel.h. */
#ifndef REEL_AUTOGRAD_TAPE_H
#define REEL_AUTOGRAD_TAPE_H

#include <reel.h>
#include "core/cpu.h"
#include "core/memory.h"
#include "core/random.h"
#include "core/shape.h"
#include "core/text.h"
#include "core/threads.h"

#include <stddef.h>
#include <string.h>

enum { REEL_FEW_INPUTS = 4, REEL_CHUNK_NODES = 512, REEL_BUCKETS = 64, REEL_ERROR_BYTES = 1024 };

enum reel_node_flags {
    REEL_NODE_VARIABLE = 1 << 0,                    /* a variable reaches it                       */
    REEL_NODE_COMPUTED = 1 << 1,                    /* its value is there: not so after a failed replay */
    REEL_NODE_USED     = 1 << 2,                    /* another node has it as an input             */
    REEL_NODE_FINAL    = 1 << 3,                    /* recorded by a sweep that was said to be final */
    REEL_NODE_RECYCLED = 1 << 4,                    /* its memory serves another node by now       */
    REEL_NODE_RESULT   = 1 << 5,                    /* handed to the caller of a sweep             */
    REEL_NODE_NOTE     = 1 << 6,                    /* no value: it holds a section's details      */
    REEL_NODE_CONTIGUOUS = 1 << 7,                  /* laid out with the last dimension fastest    */
    REEL_NODE_WRAPPED  = 1 << 8,                    /* in the caller's memory, which may move      */
    REEL_NODE_FIXED    = 1 << 9,                    /* a plain call whose operands' addresses are known */
    REEL_NODE_SUM      = 1 << 10                    /* a plain call that writes its first operand  */
};

/* An op of the sweep's own, which writes a temporary rather than a leaf; beside enum reel_op_flags. */
enum { REEL_OP_IN_SWEEP = 1 << 16 };

/* What only leaves have. */
typedef struct reel_leaf {
    bool        wrapped;                            /* the caller's memory                         */
    bool        overlaps;                           /* ... with strides that meet an element twice */
    const char *writer_file;                        /* who wrote last                              */
    int         writer_line;
    uint32_t    wrapped_before;                     /* the wrapped leaf before this one            */
} reel_leaf;

/* One value on the tape. The outputs of one call stand side by side, and the first of them is its head; an
 * op without outputs has one node without a value. The node that has memory of its own is the base of
 * its views; time is counted in writes, so that a value read before a write is known to be old. What a replay
 * of plain calls needs stands together at the start. */
typedef struct reel_node {
    reel_kernel kernel;                             /* of a plain call (see plain.c), else NULL     */
    const void *operand[REEL_KERNEL_INPUTS];        /* ... whose addresses are known               */
    union {
        void   *data;                               /* the first element; but of a view of wrapped */
        int64_t offset;                             /* ... memory how many bytes behind the base's it is */
    };
    const void *attributes;                         /* of a leaf: its reel_leaf                    */
    uint64_t    executed;                           /* the time when it was computed               */
    uint16_t    flags;
    uint8_t     output, outputs;
    int32_t     line;
    int64_t     count;                              /* elements                                    */
    uint8_t     dtype, size, rank, unused;          /* size: bytes of one element                  */
    uint32_t    joined;                             /* the later call that can compute this one, too (joint.c) */
    const int64_t *shape, *strides;
    uint32_t    sweep;                              /* the last sweep whose paths it is on         */
    uint32_t    pins;                               /* in a sweep: gradients that wait in this base's memory */
    uint32_t    reader;                             /* the last search that marked this base       */
    uint32_t    inputs;
    union {
        struct {
            uint32_t id, generation;
        };
        uint64_t number;                            /* both, as in a handle                        */
    };
    struct reel_node *base;
    struct reel_node *gradient;                     /* in a sweep: the sum of what has arrived     */
    const char *name;
    union {
        uint32_t        few[REEL_FEW_INPUTS];
        const uint32_t *many;
    } input;
    const reel_op *op;                              /* NULL: a leaf or a note                      */
    uint64_t    written;                            /* the time when a base's memory was last written */
    const char *file;
} reel_node;

/* Memory that a sweep is done with, in lists by size: 2^n bytes or more, but less than twice as many. A piece must
 * be able to hold its own place in a list. */
typedef struct reel_piece {
    struct reel_piece *next;
    size_t             bytes;
} reel_piece;

static inline size_t reel_piece_bytes(size_t bytes)
{
    return bytes > sizeof(reel_piece) ? bytes : sizeof(reel_piece);
}

/* The list of pieces of so many bytes. */
static inline int reel_piece_bucket(size_t bytes)
{
    return 63 - __builtin_clzll(bytes);
}

enum { REEL_JOINT_MOST = 8 };

enum reel_error_kind { REEL_FINE, REEL_ERROR, REEL_REPLAY_ERROR };

struct reel_tape {
    reel_memory memory;
    reel_arena  arena;

    reel_node **chunk;                              /* nodes, REEL_CHUNK_NODES to a chunk          */
    uint32_t    chunks, chunk_room;
    uint64_t    clock;                              /* writes so far                               */
    uint64_t    leaf_written;                       /* the time of the last one to a leaf          */

    union {
        struct {
            uint32_t nodes;                         /* the next node; node 0 stands for none,      */
            uint32_t generation;                    /* ... and its generation                      */
        };
        uint64_t number;                            /* both                                        */
    };
    bool        sweeping;                           /* inside reel_gradient();                     */
    uint16_t    final;                              /* ... and what its nodes are: REEL_NODE_FINAL, or 0 */
    uint32_t    sweep;                              /* their count                                 */
    uint32_t    searches;                           /* the count of the searches that mark `reader` */
    const char *inherit_file;                       /* the place that a VJP's nodes inherit        */
    int         inherit_line;
    const char *here_file;                          /* the place of the call that runs now,        */
    int         here_line;
    uint32_t    here_node;                          /* ... and in a forward its node               */
    bool        in_vjp;                             /* numbers must not be read now                */
    reel_piece *free_pieces[REEL_BUCKETS];
    uint32_t    swept;                              /* the last sweep that succeeded, whose gradients are
                                                       known to its nodes,                         */
    uint32_t    swept_generation;                   /* ... unless they are of a later generation   */
    reel_watcher watcher;                           /* looks on at each step of a sweep            */
    void       *watcher_user;
    int         step;

    void       *scratch;                            /* shared by all forwards                      */
    size_t      scratch_bytes;
    reel_array *operands;                           /* for calls with many inputs                  */
    size_t      operand_room;

    reel_io        io;                              /* complete                                    */
    reel_random    random;
    reel_pool     *pool;
    reel_cpu_level cpu;                             /* whose kernels run                           */
    int            threads;

    uint32_t          wrapped;                      /* the last wrapped leaf, the head of their list */
    struct reel_name *names[64];                    /* interned, by hash                           */

    enum reel_error_kind error;
    uint32_t             failed_call;               /* where the last replay failed                */
    bool                 gaps;                      /* a replay has failed: some values are not computed */
    uint32_t             waiting[REEL_JOINT_MOST];  /* in a replay: calls that wait for those they are joined with */
    int                  waiting_count;
    bool                 rewound;                   /* ... since the error, to a mark before it    */
    char                 message[REEL_ERROR_BYTES];
};

bool reel_nodes_grow(reel_tape *tape);              /* nodes.c: room for more of them              */

static inline reel_node *reel_node_at(const reel_tape *tape, uint32_t id)
{
    return &tape->chunk[id / REEL_CHUNK_NODES][id % REEL_CHUNK_NODES];
}

static inline const uint32_t *reel_node_inputs(const reel_node *node)
{
    return node->inputs <= REEL_FEW_INPUTS ? node->input.few : node->input.many;
}

static inline reel_tensor reel_handle_to(reel_tape *tape, const reel_node *node)
{
    return (reel_tensor){tape, node->id, node->generation};
}

static inline reel_tensor reel_handle(reel_tape *tape, uint32_t id)
{
    return (reel_tensor){tape, id, id ? reel_node_at(tape, id)->generation : 0};
}

/* The first element's address, wherever wrapped memory is by now. */
static inline void *reel_node_data(const reel_node *node)
{
    if (!(node->flags & REEL_NODE_WRAPPED) || node->base == node)
        return node->data;
    char *start = node->base->data;
    return start ? start + node->offset : NULL;
}

/* Whether a handle is that of a node with the same id. */
static inline bool reel_is_handle_of(const reel_node *node, reel_tensor x)
{
    _Static_assert(offsetof(reel_tensor, generation) == offsetof(reel_tensor, node) + sizeof x.node, "side by side");
    uint64_t number;
    memcpy(&number, &x.node, sizeof number);
    return node->number == number;
}

/* The next node is on the tape. Both halves of the number are written, since a CPU waits where it reads both just after
 * only one was written. */
static inline void reel_tape_count_node(reel_tape *tape)
{
    tape->number += (reel_node){.id = 1}.number;
}

/* A node is to be of another's dtype and shape. What stands side by side is copied at once. */
static inline void reel_node_take_form(reel_node *node, const reel_node *other)
{
    enum { LOOKS = offsetof(reel_node, unused) + 1 - offsetof(reel_node, dtype),
           SIZES = offsetof(reel_node, strides) + sizeof node->strides - offsetof(reel_node, shape) };
    _Static_assert(LOOKS == 4 && SIZES == 2 * sizeof node->shape, "side by side");
    node->count = other->count;
    memcpy((char *)node + offsetof(reel_node, dtype), (const char *)other + offsetof(reel_node, dtype), LOOKS);
    memcpy((char *)node + offsetof(reel_node, shape), (const char *)other + offsetof(reel_node, shape), SIZES);
}

/* The node of a handle that is on the tape still, else NULL. */
static inline reel_node *reel_node_of(const reel_tape *tape, reel_tensor x)
{
    if (x.tape != tape || x.node == 0 || x.node >= tape->nodes)
        return NULL;
    reel_node *node = reel_node_at(tape, x.node);
    return reel_is_handle_of(node, x) ? node : NULL;
}

static inline bool reel_on_tape(const reel_tape *tape, reel_tensor x)
{
    return reel_node_of(tape, x) != NULL;
}

/* Whether there is room for the next node already. */
static inline bool reel_node_is_at_hand(const reel_tape *tape)
{
    return tape->nodes / REEL_CHUNK_NODES < tape->chunks;
}

/* The place of the next node, with what was there before; NULL where memory is short. */
static inline reel_node *reel_node_room(reel_tape *tape)
{
    return reel_node_is_at_hand(tape) || reel_nodes_grow(tape) ? reel_node_at(tape, tape->nodes) : NULL;
}

/* The node of a handle whose value can be read, else NULL. */
static inline reel_node *reel_readable(const reel_tape *tape, reel_tensor x)
{
    reel_node *node = reel_node_of(tape, x);
    return node && (node->flags & (REEL_NODE_COMPUTED | REEL_NODE_RECYCLED)) == REEL_NODE_COMPUTED &&
           node->dtype != REEL_NO_DTYPE ? node : NULL;
}

static inline size_t reel_node_bytes(const reel_node *node)
{
    return (size_t)node->count * node->size;
}

/* Nodes of one shape mostly share it. */
static inline bool reel_same_shape(const reel_node *a, const reel_node *b)
{
    return a->shape == b->shape || reel_same_sizes(a->rank, a->shape, b->rank, b->shape);
}

/* Whether two nodes are of one dtype and one shape. */
static inline bool reel_alike(const reel_node *a, const reel_node *b)
{
    return a->dtype == b->dtype && reel_same_shape(a, b);
}

/* tape.c */
void *reel_tape_get(reel_tape *tape, size_t bytes);                 /* from the arena              */
bool  reel_tape_ensure_scratch(reel_tape *tape, size_t bytes);
bool  reel_tape_ensure_operands(reel_tape *tape, size_t count);
bool  reel_tape_holds_mark(const reel_tape *tape, reel_mark mark);

/* error.c: each returns false, for `return reel_tape_fail(...)`. */
bool reel_tape_fail(reel_tape *tape, const char *file, int line, const char *op, const char *format, ...)
    __attribute__((format(printf, 5, 6)));
bool reel_tape_out_of_memory(reel_tape *tape, const char *file, int line, const char *op, size_t bytes);
/* Words behind the message of the error that the tape has. */
void reel_tape_add_to_error(reel_tape *tape, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Says what is wrong with a handle: stale, failed, none, not computed. */
bool reel_refuse(const char *file, int line, const char *what, reel_tensor x);
bool reel_refuse_input(reel_tape *tape, const char *file, int line, const char *op, int position, reel_tensor x);

/* Whether the inputs of a recorded call are computed, which they are but for a failed replay; with an error. */
bool reel_inputs_computed(reel_tape *tape, const reel_node *node);

/* Whether x can be used, with an error on its tape where it cannot. */
static inline bool reel_usable(const char *file, int line, const char *what, reel_tensor x)
{
    bool good = x.tape && x.tape->error == REEL_FINE && reel_readable(x.tape, x);
    return good || reel_refuse(file, line, what, x);
}

/* The same for an input of a call on `tape`. */
static inline bool reel_usable_input(reel_tape *tape, const char *file, int line, const char *op, int position,
                                     reel_tensor x)
{
    return reel_readable(tape, x) || reel_refuse_input(tape, file, line, op, position, x);
}

/* The same for a leaf that is to get new data, which a failed replay allows: that is how it is mended. */
bool reel_can_be_set(const char *file, int line, const char *what, reel_tensor x);

/* names.c: a copy of the text that lives as long as the tape, the same for the same text. NULL: no memory. */
const char *reel_intern(reel_tape *tape, const char *text);
void        reel_names_free(reel_tape *tape);

/* nodes.c */
reel_node *reel_node_new(reel_tape *tape);                          /* not yet counted in tape->nodes */
bool       reel_node_shape(reel_tape *tape, reel_node *node, const reel_shape *shape, const int64_t *strides);
reel_array reel_node_array(const reel_node *node);

/* access.c: all elements between a strided array and a contiguous list. */
void reel_array_get(const reel_array *array, reel_dtype to, void *list);
void reel_array_set(const reel_array *array, const reel_values *values);

/* record.c: runs one recorded call again. */
bool reel_execute(reel_tape *tape, uint32_t head);
void reel_mark_written(reel_tape *tape, reel_node *node, const char *file, int line);

/* print.c */
bool reel_tape_write(reel_tape *tape, int file, const char *text, size_t bytes);

/* sweep_memory.c: memory for a value recorded inside a sweep, of at least `bytes`. */
void *reel_sweep_get(reel_tape *tape, size_t bytes);

/* Memory for a value that is recorded, if some is at hand: in a sweep the first piece of its list, where it has one,
 * and else what the arena's block has left. False where it is not, ... */
static inline bool reel_value_at_hand(reel_tape *tape, size_t bytes, void **data)
{
    if (tape->sweeping) {
        bytes = reel_piece_bytes(bytes);
        reel_piece **first = &tape->free_pieces[reel_piece_bucket(bytes)], *piece = *first;
        if (piece) {
            if (piece->bytes < bytes)
                return false;
            *first = piece->next;
            *data = piece;
            return true;
        }
    }
    return reel_arena_at_hand(&tape->arena, bytes, data);
}

/* ... and NULL where memory is short. */
static inline void *reel_value_room(reel_tape *tape, size_t bytes)
{
    void *data;
    if (reel_value_at_hand(tape, bytes, &data))
        return data;
    return tape->sweeping ? reel_sweep_get(tape, bytes) : reel_arena_get_more(&tape->arena, bytes);
}

/* leaves.c */
reel_tensor reel_leaf_new(REEL_PLACE, reel_tape *tape, reel_dtype dtype, const reel_shape *shape, bool variable,
                          const char *what);
bool reel_leaf_can_be_written(const reel_tape *tape, const reel_node *leaf, const char **why);

#endif
