/* Elementwise ops. Kernels know contiguous runs of one dtype; everything else is brought to that form in blocks
 * that stay in the first-level cache: broadcasting, odd strides, half types. */
#include "autograd/elementwise.h"
#include "core/dtype.h"
#include "core/shape.h"

#include <string.h>

enum { ELEMENTWISE_BLOCK = 256 };

struct elementwise {
    const reel_call *call;
    reel_kernel      kernel;
    reel_dtype       works_in;                      /* the kernel's dtype                          */
    int              split;                         /* the dimension divided among threads         */
    int64_t          stride[REEL_KERNEL_INPUTS + 1][REEL_MAX_RANK];     /* the output's last        */
    int64_t          size[REEL_KERNEL_INPUTS + 1];  /* of an element, in bytes                     */
};

/* The half types are computed in f32. */
static reel_dtype dtype_of_work(reel_dtype dtype)
{
    return dtype == REEL_F16 || dtype == REEL_BF16 ? REEL_F32 : dtype;
}

bool reel_elementwise_shape(reel_call *call, reel_output *out)
{
    const reel_array *a = &call->in[0];
    if (call->inputs > REEL_KERNEL_INPUTS)
        return reel_call_error(call, "an elementwise op has at most %d inputs", REEL_KERNEL_INPUTS);
    if (!call->op->kernels->of[dtype_of_work(a->dtype)])
        return reel_call_error(call, "%s is of a dtype that this op does not take",
                               reel_describe(call->input[0]).text);
    out->dtype = a->dtype;
    out->shape = reel_make_shape(a->rank, a->shape);
    for (int i = 1; i < call->inputs; i++) {
        const reel_array *b = &call->in[i];
        reel_shape wider;
        if (b->dtype != a->dtype)
            return reel_call_error(call, "dtypes differ: %s and %s", reel_describe(call->input[0]).text,
                                   reel_describe(call->input[i]).text);
        if (!reel_broadcast_shapes(out->shape.rank, out->shape.size, b->rank, b->shape, &wider))
            return reel_call_error(call, "%s and %s do not broadcast", reel_describe(call->input[0]).text,
                                   reel_describe(call->input[i]).text);
        out->shape = wider;
    }
    if (!(call->op->flags & REEL_OP_IN_SWEEP))
        return true;
    out->view_of = 0;                               /* the sum takes the first operand's place     */
    for (int i = 0; i < a->rank; i++)
        out->strides[i] = a->strides[i];
    return true;
}

/* One block of a run: operands that are not contiguous, or of a half type, are gathered first. */
static void run_block(const struct elementwise *e, const reel_walk *walk, char *const start[], int64_t at, int64_t n)
{
    const reel_call *call = e->call;
    double room[REEL_KERNEL_INPUTS + 1][ELEMENTWISE_BLOCK];
    const void *in[REEL_KERNEL_INPUTS];
    for (int i = 0; i < call->inputs; i++) {
        const char *from = start[i] + (walk->offset[i] + at * walk->step[i]) * e->size[i];
        in[i] = from;
        if (walk->step[i] != 1 || e->works_in != call->in[i].dtype) {
            reel_convert_strided(e->works_in, room[i], 1, call->in[i].dtype, from, walk->step[i], n);
            in[i] = room[i];
        }
    }
    int out = call->inputs;
    char *to = start[out] + (walk->offset[out] + at * walk->step[out]) * e->size[out];
    bool direct = (walk->step[out] == 1 || n == 1) && e->works_in == call->out[0].dtype;
    e->kernel(n, in, direct ? to : (char *)room[out], call->attributes);
    if (!direct)
        reel_convert_strided(call->out[0].dtype, to, walk->step[out], e->works_in, room[out], 1, n);
}

/* Positions [begin, end) of the dimension that is split. A run whose operands need no gathering is one block. */
static void run_part(void *context, int64_t begin, int64_t end)
{
    const struct elementwise *e = context;
    const reel_call *call = e->call;
    const reel_array *out = &call->out[0];
    int operands = call->inputs + 1;
    int64_t size[REEL_MAX_RANK];
    const int64_t *strides[REEL_KERNEL_INPUTS + 1];
    char *start[REEL_KERNEL_INPUTS + 1];
    for (int i = 0; i < out->rank; i++)
        size[i] = i == e->split ? end - begin : out->shape[i];
    for (int i = 0; i < operands; i++) {
        strides[i] = e->stride[i];
        start[i] = i < call->inputs ? call->in[i].data : out->data;
        if (out->rank)
            start[i] += begin * e->stride[i][e->split] * e->size[i];
    }
    reel_walk walk;
    for (reel_walk_start(&walk, out->rank, size, operands, strides); walk.more; reel_walk_next(&walk)) {
        bool plain = true;
        for (int i = 0; i < operands; i++)
            plain &= walk.step[i] == 1 && (i < call->inputs ? call->in[i].dtype : out->dtype) == e->works_in;
        int64_t block = plain ? walk.length : ELEMENTWISE_BLOCK;
        for (int64_t at = 0; at < walk.length; at += block)
            run_block(e, &walk, start, at, walk.length - at < block ? walk.length - at : block);
    }
}

static int first_wide_dimension(const reel_array *out)
{
    for (int i = 0; i < out->rank; i++)
        if (out->shape[i] > 1)
            return i;
    return 0;
}

bool reel_elementwise_run(const reel_call *call)
{
    const reel_array *out = &call->out[0];
    reel_dtype works_in = dtype_of_work(call->in[call->inputs - 1].dtype);
    struct elementwise e = {.call = call, .kernel = call->op->kernels->of[works_in], .works_in = works_in,
                            .split = first_wide_dimension(out)};
    if (out->count == 0)
        return true;
    reel_shape shape = reel_make_shape(out->rank, out->shape);
    for (int i = 0; i < call->inputs; i++) {
        reel_broadcast_strides(call->in[i].rank, call->in[i].shape, call->in[i].strides, &shape, e.stride[i]);
        e.size[i] = (int64_t)reel_dtype_size(call->in[i].dtype);
    }
    for (int i = 0; i < out->rank; i++)
        e.stride[call->inputs][i] = out->strides[i];
    e.size[call->inputs] = (int64_t)reel_dtype_size(out->dtype);
    int64_t wide = out->rank ? out->shape[e.split] : 1;
    reel_call_parallel(call, wide, REEL_ELEMENTWISE_GRAIN * wide / out->count + 1, run_part, &e);
    return true;
}

/* ---- Plain calls ------------------------------------------------------------------------------------------- */

/* A contiguous value that can be read, or NULL. Node 0 stands for none. */
static inline reel_node *plain_input(const reel_tape *tape, reel_tensor x)
{
    const unsigned all = REEL_NODE_COMPUTED | REEL_NODE_CONTIGUOUS | REEL_NODE_RECYCLED | REEL_NODE_NOTE;
    if (x.tape != tape || x.node - 1 >= tape->nodes - 1)
        return NULL;
    reel_node *node = reel_node_at(tape, x.node);
    bool good = node->generation == x.generation &&
                (node->flags & all) == (REEL_NODE_COMPUTED | REEL_NODE_CONTIGUOUS);
    return good ? node : NULL;
}

static inline bool same_layout(const reel_node *a, const reel_node *b)
{
    return a->dtype == b->dtype && a->rank == b->rank &&
           (a->shape == b->shape || reel_same_sizes(a->rank, a->shape, b->rank, b->shape));
}

/* Finds the inputs' nodes; false where the call is not plain. */
static inline bool inputs_are_plain(const reel_tape *tape, const reel_op *op, reel_tensors inputs, reel_node *in[])
{
    if (op->size < sizeof *op || op->shape || inputs.count - 1 >= REEL_KERNEL_INPUTS || inputs.count != (size_t)op->inputs ||
        (op->writes && !(op->flags & REEL_OP_IN_SWEEP)) || !(in[0] = plain_input(tape, inputs.tensor[0])))
        return false;
    for (size_t i = 1; i < inputs.count; i++)
        if (!(in[i] = plain_input(tape, inputs.tensor[i])) || !same_layout(in[i], in[0]))
            return false;
    return op->kernels->of[in[0]->dtype] && (in[0]->count <= REEL_ELEMENTWISE_GRAIN || !tape->pool);
}

static bool plain_memory(reel_tape *tape, reel_node *node, const reel_op *op, const reel_node *first,
                         const void *attributes)
{
    if (op->attributes) {
        void *copy = attributes ? reel_tape_get(tape, op->attributes) : NULL;
        if (!copy)
            return false;
        node->attributes = memcpy(copy, attributes, op->attributes);
    }
    if (op->flags & REEL_OP_IN_SWEEP) {
        node->base = first->base;
        node->offset = first->offset;
        return true;
    }
    size_t bytes = (size_t)first->count * reel_dtype_size(first->dtype);
    node->data = tape->sweeping ? reel_sweep_get(tape, bytes) : reel_tape_get(tape, bytes);
    return node->data;
}

/* The addresses that the kernel works on; all but those in the caller's memory stay what they are. */
static bool find_operands(const reel_tape *tape, reel_node *node)
{
    unsigned wrapped = 0;
    for (uint32_t i = 0; i < node->inputs; i++) {
        const reel_node *in = reel_node_at(tape, node->input.few[i]), *base = reel_node_at(tape, in->base);
        node->operand[i] = (const char *)base->data + in->offset;
        wrapped |= base->flags;
    }
    node->result = node->data ? node->data : (char *)reel_node_at(tape, node->base)->data + node->offset;
    return !(wrapped & REEL_NODE_WRAPPED);
}

uint32_t reel_record_plain(REEL_PLACE, reel_tape *tape, const reel_op *op, reel_tensors inputs,
                           const void *attributes)
{
    reel_node *in[REEL_KERNEL_INPUTS];
    if (!inputs_are_plain(tape, op, inputs, in))
        return 0;
    reel_node *node = reel_node_new(tape);
    if (!node || !plain_memory(tape, node, op, in[0], attributes))
        return 0;
    unsigned inherited = 0;
    for (size_t i = 0; i < inputs.count; i++) {
        node->input.few[i] = inputs.tensor[i].node;
        inherited |= in[i]->flags;
        in[i]->flags |= REEL_NODE_USED;
    }
    inherited = op->flags & REEL_NO_GRADIENT ? 0 : inherited & REEL_NODE_VARIABLE;
    node->flags = (uint16_t)(inherited | REEL_NODE_CONTIGUOUS | REEL_NODE_PLAIN | (tape->final ? REEL_NODE_FINAL : 0));
    node->op = op;
    node->file = tape->sweeping ? tape->inherit_file : file;
    node->line = tape->sweeping ? tape->inherit_line : line;
    node->shape = in[0]->shape;
    node->strides = in[0]->strides;
    node->rank = in[0]->rank;
    node->dtype = in[0]->dtype;
    node->count = in[0]->count;
    node->outputs = 1;
    node->inputs = (uint32_t)inputs.count;
    reel_run_plain(tape, node);
    return tape->nodes++;
}

/* Where an operand's memory can move, the addresses are found anew each time. */
void reel_run_plain(reel_tape *tape, reel_node *node)
{
    if (!(node->flags & REEL_NODE_FIXED) && find_operands(tape, node))
        node->flags |= REEL_NODE_FIXED;
    if (!node->data)                                /* a sum in its first operand's memory          */
        reel_node_at(tape, node->base)->written = ++tape->clock;
    node->op->kernels->of[node->dtype](node->count, node->operand, node->result, node->attributes);
    node->executed = tape->clock;
    node->flags |= REEL_NODE_COMPUTED;
}
