/* Plain calls: an elementwise op on contiguous operands of one shape, in a dtype that its kernel knows, on
 * one thread. That is most calls and nearly all scalar ones. They need no shape rule and no stride, so there
 * is a short way to record them and a shorter one to run them again: the node knows the kernel and the
 * addresses. */
#include "autograd/plain.h"
#include "autograd/arithmetic.h"
#include "autograd/apply.h"

#include <string.h>

/* Whether a node is a contiguous value that can be read. */
static inline bool plain_input(const reel_node *node)
{
    const unsigned good = REEL_NODE_COMPUTED | REEL_NODE_CONTIGUOUS;
    return (node->flags & (good | REEL_NODE_RECYCLED)) == good;
}

/* Whether one thread is enough for values like this. */
static inline bool plain_alone(const reel_tape *tape, const reel_node *like)
{
    return !tape->pool || like->count <= REEL_ELEMENTWISE_GRAIN;
}

static inline bool plain_inputs(const reel_tape *tape, const reel_op *op, reel_node *const in[], size_t inputs)
{
    if (!plain_input(in[0]))
        return false;
    for (size_t i = 1; i < inputs; i++)
        if (!plain_input(in[i]) || !reel_alike(in[i], in[0]))
            return false;
    return op->kernels->of[in[0]->dtype] && plain_alone(tape, in[0]);
}

static inline unsigned plain_operand(reel_node *node, size_t i, reel_node *in)
{
    node->input.few[i] = in->id;
    node->operand[i] = in->data;
    return in->flags |= REEL_NODE_USED;
}

/* Fills in the node at the tape's end for a plain call, but for its memory, its attributes and its place. Every field is
 * set by itself, which is shorter than clearing them all before. */
static inline __attribute__((always_inline))
void plain_node(reel_tape *tape, reel_node *node, const reel_op *op, reel_node *const in[], size_t inputs)
{
    const reel_node *first = in[0];
    unsigned flags = 0;
    for (size_t i = 0; i < inputs; i++)
        flags |= plain_operand(node, i, in[i]);
    unsigned fixed = (~flags & REEL_NODE_WRAPPED) * (REEL_NODE_FIXED / REEL_NODE_WRAPPED);
    unsigned variable = op->flags & REEL_NO_GRADIENT ? 0 : flags & REEL_NODE_VARIABLE;
    node->kernel = op->kernels->of[first->dtype];
    node->count = first->count;
    node->flags = (uint16_t)(REEL_NODE_COMPUTED | REEL_NODE_CONTIGUOUS | fixed | variable | tape->final);
    node->dtype = first->dtype;
    node->size = first->size;
    node->rank = first->rank;
    node->output = 0;
    node->outputs = 1;
    node->id = tape->nodes;
    node->generation = tape->generation;
    node->sweep = node->pins = node->reader = 0;
    node->base = node;
    node->gradient = NULL;
    node->op = op;
    node->shape = first->shape;
    node->strides = first->strides;
    node->name = NULL;
    node->written = 0;
    node->inputs = (uint32_t)inputs;
}

static void *plain_attributes(reel_tape *tape, const reel_op *op, const void *attributes)
{
    void *copy = attributes ? reel_tape_get(tape, op->attributes) : NULL;
    return copy ? memcpy(copy, attributes, op->attributes) : NULL;
}

/* Records a plain call, for an op without a shape rule of its own that writes nothing. NULL with nothing recorded
 * where the call is not plain or fails: the general way says why. */
static inline __attribute__((always_inline))
reel_node *plain_call(REEL_PLACE, reel_tape *tape, const reel_op *op, reel_node *const in[], size_t inputs,
                      const void *attributes)
{
    reel_node *node = plain_inputs(tape, op, in, inputs) ? reel_node_room(tape) : NULL;
    void *data = node ? reel_value_room(tape, reel_node_bytes(in[0])) : NULL;
    const void *copy = data && op->attributes ? plain_attributes(tape, op, attributes) : NULL;
    if (!data || (op->attributes && !copy))
        return NULL;
    plain_node(tape, node, op, in, inputs);
    node->data = data;
    node->attributes = copy;
    node->file = tape->sweeping ? tape->inherit_file : file;
    node->line = tape->sweeping ? tape->inherit_line : line;
    reel_run_plain(tape, node);
    tape->nodes++;
    return node;
}

/* The same on handles. False with nothing recorded. */
static inline __attribute__((always_inline))
bool plain_apply(REEL_PLACE, const reel_op *op, const reel_tensor *input, size_t inputs, const void *attributes,
                 reel_tensor *output)
{
    reel_node *in[REEL_KERNEL_INPUTS];
    reel_tape *tape = input[0].tape;
    if (!tape || tape->error != REEL_FINE || !(in[0] = reel_node_of(tape, input[0])))
        return false;
    for (size_t i = 1; i < inputs; i++)
        if (!(in[i] = reel_node_of(tape, input[i])))
            return false;
    const reel_node *node = plain_call(file, line, tape, op, in, inputs, attributes);
    if (node)
        *output = reel_handle_to(tape, node);
    return node;
}

/* Of any number of inputs; where that is a constant instead, no loop is left. */
static bool plain_apply_few(REEL_PLACE, const reel_op *op, const reel_tensor *input, size_t inputs, const void *attributes,
                            reel_tensor *output)
{
    return plain_apply(file, line, op, input, inputs, attributes, output);
}

bool reel_apply_at(REEL_PLACE, const reel_op *op, reel_tensors inputs, const void *attributes,
                   reel_tensor *outputs, int output_count)
{
    bool plain = op->size >= sizeof *op && op->kernels && !op->shape && !op->writes && output_count == 1 &&
                 inputs.count == (size_t)op->inputs && inputs.count - 1 < REEL_KERNEL_INPUTS;
    return (plain && plain_apply_few(file, line, op, inputs.tensor, inputs.count, attributes, outputs)) ||
           reel_apply_any(file, line, op, inputs, attributes, outputs, output_count);
}

reel_tensor reel_apply_unary(REEL_PLACE, reel_tensor x, const reel_op *op)
{
    reel_tensor y;
    if (op->shape || !plain_apply_few(file, line, op, &x, 1, NULL, &y))
        reel_apply_any(file, line, op, (reel_tensors){&x, 1}, NULL, &y, 1);
    return y;
}

reel_tensor reel_apply_binary(REEL_PLACE, reel_tensor a, reel_tensor b, const reel_op *op)
{
    reel_tensor y;
    if (op->shape || !plain_apply(file, line, op, (reel_tensor[]){a, b}, 2, NULL, &y))
        reel_apply_any(file, line, op, REEL_TENSORS(a, b), NULL, &y, 1);
    return y;
}

/* A plain call in the memory of its first operand, which is as private as a sum must be. */
static inline __attribute__((always_inline))
reel_node *plain_sum(reel_tape *tape, const reel_op *op, reel_node *const in[], size_t inputs)
{
    reel_node *node = plain_inputs(tape, op, in, inputs) ? reel_node_room(tape) : NULL;
    if (!node)
        return NULL;
    plain_node(tape, node, op, in, inputs);
    node->flags |= REEL_NODE_SUM;
    node->base = in[0]->base;
    node->data = in[0]->data;
    node->attributes = NULL;
    node->file = tape->inherit_file;
    node->line = tape->inherit_line;
    reel_run_plain(tape, node);
    tape->nodes++;
    return node;
}

reel_node *reel_record_sum(reel_tape *tape, reel_node *a, reel_node *b)
{
    return plain_sum(tape, &reel_op_accumulate, (reel_node *[]){a, b}, 2);
}

reel_node *reel_record_sum_with_product(reel_tape *tape, reel_node *a, reel_node *b, reel_node *c)
{
    return plain_sum(tape, &reel_op_accumulate_product, (reel_node *[]){a, b, c}, 3);
}

void reel_run_moving(reel_tape *tape, reel_node *node)
{
    for (uint32_t i = 0; i < node->inputs; i++)
        node->operand[i] = reel_node_data(reel_node_at(tape, node->input.few[i]));
    reel_run_fixed(tape, node);
}
