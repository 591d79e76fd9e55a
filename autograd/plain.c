/* Plain calls: an elementwise op on contiguous operands of one shape, in a dtype that its kernel knows, on
 * one thread. That is most calls and nearly all scalar ones. They need no shape rule and no stride, so there
 * is a short way to record them and a shorter one to run them again: the node knows the kernel and the
 * addresses. Scalar programs are made of calls of two operands, and their gradients of sums, too: for these there is
 * a quick way to record, which is kept quick by leaving everything that is not at hand to the other. */
#include "autograd/plain.h"
#include "autograd/arithmetic.h"
#include "autograd/apply.h"

#include <string.h>

#define PLAIN_INLINE static inline __attribute__((always_inline))

/* What is asked of an operand: a contiguous value that can be read. */
enum { PLAIN_GOOD = REEL_NODE_COMPUTED | REEL_NODE_CONTIGUOUS };

static inline bool plain_input(const reel_node *node)
{
    return (node->flags & (PLAIN_GOOD | REEL_NODE_RECYCLED)) == PLAIN_GOOD;
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

/* Returns the operand's flags. */
static inline unsigned plain_operand(reel_node *node, size_t i, reel_node *in)
{
    unsigned flags = in->flags;
    node->input.few[i] = in->id;
    node->operand[i] = in->data;
    in->flags |= REEL_NODE_USED;
    return flags;
}

/* Fills in the node at the tape's end for a plain call, but for its memory, its attributes, its time and its place.
 * Every field is set by itself, which is shorter than clearing them all before. Returns whether an operand is in
 * wrapped memory, so that its address is not known. */
PLAIN_INLINE bool plain_node(reel_tape *tape, reel_node *node, const reel_op *op, reel_node *const in[], size_t inputs,
                             unsigned sum)
{
    unsigned any = plain_operand(node, 0, in[0]);
    if (inputs > 1)
        any |= plain_operand(node, 1, in[1]);
    if (inputs > 2)
        any |= plain_operand(node, 2, in[2]);
    unsigned variable = any & REEL_NODE_VARIABLE;
    if (!sum && op->flags & REEL_NO_GRADIENT)       /* which no sum has                            */
        variable = 0;
    node->kernel = op->kernels->of[in[0]->dtype];
    node->flags = (uint16_t)(PLAIN_GOOD | REEL_NODE_FIXED | sum | variable | tape->final);
    node->output = 0;
    node->outputs = 1;
    reel_node_take_form(node, in[0]);
    node->number = tape->number;
    node->sweep = node->pins = node->reader = 0;
    node->inputs = (uint32_t)inputs;
    node->gradient = NULL;
    node->name = NULL;
    node->op = op;
    node->written = 0;
    return any & REEL_NODE_WRAPPED;
}

/* Runs a call whose operands may move. */
static void plain_run_moving(reel_tape *tape, reel_node *node)
{
    node->flags &= (uint16_t)~REEL_NODE_FIXED;
    reel_run_moving(tape, node);
}

/* ---- The quick way ------------------------------------------------------------------------------------------ */

/* Whether two nodes are seen at a glance to be of one dtype and one shape. */
PLAIN_INLINE bool quick_alike(const reel_node *a, const reel_node *b)
{
    return a->dtype == b->dtype &&
           (a->shape == b->shape || (a->rank == 1 && b->rank == 1 && a->count == b->count));
}

/* Whether operands are good for the quick way. Of a sum they are known to be alike, and may be in wrapped memory. */
PLAIN_INLINE bool quick_inputs(reel_node *const in[], size_t inputs, bool sum)
{
    const unsigned bad = sum ? REEL_NODE_RECYCLED : REEL_NODE_RECYCLED | REEL_NODE_WRAPPED;
#pragma GCC unroll 3
    for (size_t i = 0; i < inputs; i++)
        if ((in[i]->flags & (PLAIN_GOOD | bad)) != PLAIN_GOOD || (!sum && !quick_alike(in[i], in[0])))
            return false;
    return true;
}

/* Records a plain call for which everything is at hand, so that it makes no call but the kernel's; a sum in the memory
 * of its first operand. NULL with nothing recorded where this way is closed. */
PLAIN_INLINE reel_node *quick_call(REEL_PLACE, reel_tape *tape, const reel_op *op, reel_node *const in[], size_t inputs,
                                   bool sum)
{
    reel_node *first = in[0];
    if (!quick_inputs(in, inputs, sum) || !op->kernels->of[first->dtype] || !plain_alone(tape, first) ||
        !reel_node_is_at_hand(tape))
        return NULL;
    reel_node *node = reel_node_at(tape, tape->nodes);
    node->file = file;
    node->line = line;
    void *data = first->data;
    if (!sum && !reel_value_at_hand(tape, reel_node_bytes(first), &data))
        return NULL;
    bool moving = plain_node(tape, node, op, in, inputs, sum ? REEL_NODE_SUM : 0);
    node->base = sum ? first->base : node;
    node->data = data;
    node->attributes = NULL;
    reel_tape_count_node(tape);
    if (sum && moving) {
        plain_run_moving(tape, node);
        return node;
    }
    if (sum)
        node->base->written = ++tape->clock;
    node->executed = tape->clock;
    node->kernel(node->count, node->operand, node->data, NULL);
    return node;
}

/* ---- The short way ------------------------------------------------------------------------------------------ */

static void *plain_attributes(reel_tape *tape, const reel_op *op, const void *attributes)
{
    void *copy = attributes ? reel_tape_get(tape, op->attributes) : NULL;
    return copy ? memcpy(copy, attributes, op->attributes) : NULL;
}

/* Records a plain call. NULL with nothing recorded where the call is not plain or fails: record.c says why. */
static inline reel_node *plain_call(REEL_PLACE, reel_tape *tape, const reel_op *op, reel_node *const in[],
                                    size_t inputs, const void *attributes)
{
    reel_node *node = plain_inputs(tape, op, in, inputs) ? reel_node_room(tape) : NULL;
    void *data = node ? reel_value_room(tape, reel_node_bytes(in[0])) : NULL;
    const void *copy = data && op->attributes ? plain_attributes(tape, op, attributes) : NULL;
    if (!data || (op->attributes && !copy))
        return NULL;
    bool moving = plain_node(tape, node, op, in, inputs, 0);
    node->base = node;
    node->data = data;
    node->attributes = copy;
    node->file = file;
    node->line = line;
    if (moving)
        plain_run_moving(tape, node);
    else
        reel_run_fixed(tape, node);
    reel_tape_count_node(tape);
    return node;
}

/* The same on handles. False with nothing recorded. */
__attribute__((noinline))
static bool plain_apply(REEL_PLACE, const reel_op *op, const reel_tensor *input, size_t inputs, const void *attributes,
                        reel_tensor *output)
{
    reel_node *in[REEL_KERNEL_INPUTS];
    reel_tape *tape = input[0].tape;
    if (!tape || tape->error != REEL_FINE)
        return false;
    for (size_t i = 0; i < inputs; i++)
        if (!(in[i] = reel_node_of(tape, input[i])))
            return false;
    if (tape->sweeping) {
        file = tape->inherit_file;
        line = tape->inherit_line;
    }
    const reel_node *node = plain_call(file, line, tape, op, in, inputs, attributes);
    if (node)
        *output = reel_handle_to(tape, node);
    return node;
}

/* ---- Applying ------------------------------------------------------------------------------------------------ */

bool reel_apply_at(REEL_PLACE, const reel_op *op, reel_tensors inputs, const void *attributes,
                   reel_tensor *outputs, int output_count)
{
    bool plain = op->size >= sizeof *op && op->kernels && !op->shape && !op->writes && output_count == 1 &&
                 inputs.count == (size_t)op->inputs && inputs.count - 1 < REEL_KERNEL_INPUTS;
    return (plain && plain_apply(file, line, op, inputs.tensor, inputs.count, attributes, outputs)) ||
           reel_apply_any(file, line, op, inputs, attributes, outputs, output_count);
}

static reel_tensor apply_few(REEL_PLACE, const reel_tensor *input, size_t inputs, const reel_op *op)
{
    reel_tensor y;
    if (op->shape || !plain_apply(file, line, op, input, inputs, NULL, &y))
        reel_apply_any(file, line, op, (reel_tensors){input, inputs}, NULL, &y, 1);
    return y;
}

reel_tensor reel_apply_unary(REEL_PLACE, reel_tensor x, const reel_op *op)
{
    return apply_few(file, line, &x, 1, op);
}

/* Where the quick way is closed. */
__attribute__((noinline))
static reel_tensor apply_pair(REEL_PLACE, reel_tensor a, reel_tensor b, const reel_op *op)
{
    return apply_few(file, line, (reel_tensor[]){a, b}, 2, op);
}

reel_tensor reel_apply_binary(REEL_PLACE, reel_tensor a, reel_tensor b, const reel_op *op)
{
    reel_tape *tape = a.tape;
    reel_node *x, *y;
    if (op->shape || !tape || tape->error != REEL_FINE || !(x = reel_node_of(tape, a)) || !(y = reel_node_of(tape, b)))
        return apply_pair(file, line, a, b, op);
    if (tape->sweeping) {
        file = tape->inherit_file;
        line = tape->inherit_line;
    }
    const reel_node *node = quick_call(file, line, tape, op, (reel_node *[]){x, y}, 2, false);
    if (node)
        return reel_handle_to(tape, node);
    a = reel_handle_to(tape, x);                    /* anew: so the quick way need not keep them   */
    b = reel_handle_to(tape, y);
    return apply_pair(file, line, a, b, op);
}

/* ---- In a sweep ----------------------------------------------------------------------------------------------- */

/* Where the quick way is closed. NULL after an error. */
__attribute__((noinline))
static reel_node *product_again(reel_tape *tape, const reel_node *a, const reel_node *b)
{
    return reel_node_of(tape, reel_mul_at(tape->inherit_file, tape->inherit_line, reel_handle_to(tape, a),
                                          reel_handle_to(tape, b)));
}

reel_node *reel_record_product(reel_tape *tape, reel_node *a, reel_node *b)
{
    reel_node *in[] = {a, b};
    reel_node *node = quick_call(tape->inherit_file, tape->inherit_line, tape, &reel_op_mul, in, 2, false);
    return node ? node : product_again(tape, a, b);
}

/* Makes room for nodes where there is none left. False where there was some, or memory is short. */
__attribute__((noinline))
static bool grow_if_full(reel_tape *tape)
{
    return !reel_node_is_at_hand(tape) && reel_nodes_grow(tape);
}

reel_node *reel_record_sum(reel_tape *tape, reel_node *a, reel_node *b)
{
    reel_node *in[] = {a, b};
    reel_node *sum = quick_call(tape->inherit_file, tape->inherit_line, tape, &reel_op_accumulate, in, 2, true);
    return sum || !grow_if_full(tape) ? sum : reel_record_sum(tape, a, b);
}

reel_node *reel_record_sum_with_product(reel_tape *tape, reel_node *a, reel_node *b, reel_node *c)
{
    reel_node *in[] = {a, b, c};
    reel_node *sum = quick_call(tape->inherit_file, tape->inherit_line, tape, &reel_op_accumulate_product, in, 3, true);
    return sum || !grow_if_full(tape) ? sum : reel_record_sum_with_product(tape, a, b, c);
}

void reel_run_moving(reel_tape *tape, reel_node *node)
{
    for (uint32_t i = 0; i < node->inputs; i++)
        node->operand[i] = reel_node_data(reel_node_at(tape, node->input.few[i]));
    reel_run_fixed(tape, node);
}
