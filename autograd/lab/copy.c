/* The lab's copy of what some outputs need of some inputs, in f64.
 *
 * Going back from the outputs, a call is recorded again if it depends on an input; what does not is copied
 * as it stands. Three things differ from what was recorded:
 *
 *     an input            is a leaf; one that depends on other inputs is f(others) + d, with the leaf
 *                         d = 0, so that the gradient into d is the one into it, and the paths through it
 *                         stay whole
 *     stop_gradient       is a constant, so that it stays where it was when its input moves
 *     a sum of gradients  that a sweep made in place is made anew, so that any part can be replayed alone
 *
 * So each call of the copy is a function of its inputs alone. */
#include "autograd/arithmetic.h"
#include "autograd/lab/lab.h"
#include "autograd/section.h"

#include <string.h>

extern const reel_op reel_op_stop_gradient;

enum { COPY_DEPENDS = 1, COPY_NEEDED = 2, COPY_INPUT = 4, COPY_APPLIED = 8, COPY_OUTPUTS = 8 };

struct copy_run {
    const char    *file;
    int            line;
    reel_tape     *tape;
    reel_lab_copy *copy;
    uint32_t       low, end;                        /* the original's nodes                        */
    unsigned char *mark;                            /* of node low + i                             */
    bool           hold;
};

static bool copy_no_memory(const struct copy_run *r, size_t bytes)
{
    return reel_tape_out_of_memory(r->tape, r->file, r->line, "gradcheck", bytes);
}

static unsigned char *copy_mark(const struct copy_run *r, uint32_t id)
{
    return &r->mark[id - r->low];
}

static uint32_t *copy_twin(const struct copy_run *r, uint32_t id)
{
    return &r->copy->twin[id - r->low];
}

/* ---- What is needed -------------------------------------------------------------------------------- */

static void copy_mark_dependents(const struct copy_run *r)
{
    for (uint32_t id = r->low; id < r->end; id++) {
        const reel_node *node = reel_node_at(r->tape, id);
        const uint32_t *input = reel_node_inputs(node);
        for (uint32_t i = 0; node->op && i < node->inputs; i++)
            if (input[i] >= r->low && *copy_mark(r, input[i]) & (COPY_DEPENDS | COPY_INPUT))
                *copy_mark(r, id) |= COPY_DEPENDS;
    }
}

/* Whether a node's value is there still: a sweep uses the memory of its temporaries again. */
static bool copy_is_intact(const reel_node *node)
{
    return !(node->flags & REEL_NODE_RECYCLED) && node->base->written <= node->executed;
}

static bool copy_is_applied(const struct copy_run *r, uint32_t id)
{
    const reel_node *node = reel_node_at(r->tape, id);
    if (!node->op)
        return false;
    return *copy_mark(r, id) & COPY_DEPENDS ||
           (!(*copy_mark(r, id) & COPY_INPUT) && !copy_is_intact(node));
}

static void copy_mark_needed(const struct copy_run *r)
{
    for (uint32_t id = r->end; id-- > r->low;) {
        const reel_node *node = reel_node_at(r->tape, id);
        if (*copy_mark(r, id) & COPY_NEEDED && copy_is_applied(r, id))
            *copy_mark(r, id - node->output) |= COPY_APPLIED;
        if (!(*copy_mark(r, id) & COPY_APPLIED) || node->output)
            continue;
        const uint32_t *input = reel_node_inputs(node);
        for (uint32_t i = 0; i < node->inputs; i++)
            *copy_mark(r, input[i]) |= COPY_NEEDED;
    }
}

/* ---- Making it ------------------------------------------------------------------------------------- */

static void copy_note_dtype(reel_lab_copy *copy, uint8_t dtype)
{
    static const int bits[REEL_DTYPES] = {[REEL_BF16] = 8, [REEL_F16] = 11, [REEL_F32] = 24, [REEL_F64] = 53};
    if (bits[dtype] && bits[dtype] < bits[copy->coarsest])
        copy->coarsest = (reel_dtype)dtype;
}

/* A leaf with the shape of a node, and its value or zeros. Returns 0 after an error on the tape. */
static uint32_t copy_leaf(const struct copy_run *r, const reel_node *node, bool zero, bool variable)
{
    reel_dtype dtype = reel_dtype_is_float(node->dtype) ? REEL_F64 : (reel_dtype)node->dtype;
    reel_tensor leaf = reel_leaf_like(node->file, node->line, r->tape, node, dtype, variable, "gradcheck");
    if (!leaf.node)
        return 0;
    double *data = reel_node_at(r->tape, leaf.node)->data;
    for (int64_t i = 0; zero && i < node->count; i++)
        data[i] = -0.0;                             /* x + -0 is x, for -0 too                     */
    reel_node_at(r->tape, leaf.node)->name = node->name;
    return leaf.node;
}

static const void *copy_attributes(const struct copy_run *r, const reel_node *node)
{
    if (!node->op->promote || !node->op->attributes)
        return node->attributes;
    void *attributes = reel_tape_get(r->tape, node->op->attributes);
    if (!attributes) {
        copy_no_memory(r, node->op->attributes);
        return NULL;
    }
    memcpy(attributes, node->attributes, node->op->attributes);
    node->op->promote(attributes);
    return attributes;
}

/* An op that takes the recorded dtype but not f64 gives an error, which is told in full. */
static bool copy_apply_op(const struct copy_run *r, const reel_node *node, const reel_tensor *inputs,
                          reel_tensor *outputs)
{
    const void *attributes = copy_attributes(r, node);
    if (node->op->attributes && !attributes)
        return false;
    r->tape->memory.wanted = 0;
    if (reel_apply_at(node->file, node->line, node->op, reel_tensors_of(inputs, node->inputs), attributes,
                      outputs, node->outputs))
        return true;
    if (!r->tape->memory.wanted && reel_dtype_is_float(node->dtype) && node->dtype != REEL_F64)
        reel_tape_add_to_error(r->tape,
                               "; the check at %s:%d records in f64 again what y needs, so %s, which was "
                               "recorded in %s, must take f64 too (reel_gradcheck_function() checks a "
                               "function of f32 as it is)",
                               r->file, r->line, node->op->name, reel_dtype_name((reel_dtype)node->dtype));
    return false;
}

static bool copy_apply_to(const struct copy_run *r, const reel_node *node, const reel_tensor *inputs,
                          reel_tensor *outputs)
{
    if (node->op->flags & REEL_OP_IN_SWEEP) {
        outputs[0] = reel_accumulate_apart(node->file, node->line, inputs, node->inputs);
        return outputs[0].node;
    }
    if (node->op == &reel_op_stop_gradient && r->hold) {
        const reel_node *held = reel_node_at(r->tape, inputs[0].node);
        outputs[0] = reel_handle(r->tape, copy_leaf(r, held, false, false));
        r->copy->stopped++;
        return outputs[0].node;
    }
    return copy_apply_op(r, node, inputs, outputs);
}

static bool copy_apply(const struct copy_run *r, uint32_t head)
{
    const reel_node *node = reel_node_at(r->tape, head);
    const uint32_t *input = reel_node_inputs(node);
    reel_tensor outputs[COPY_OUTPUTS];
    reel_tensor *inputs = reel_tape_get(r->tape, node->inputs * sizeof *inputs);
    if (!inputs)
        return copy_no_memory(r, node->inputs * sizeof *inputs);
    for (uint32_t i = 0; i < node->inputs; i++)
        inputs[i] = reel_handle(r->tape, *copy_twin(r, input[i]));
    if (!copy_apply_to(r, node, inputs, outputs))
        return false;
    for (int i = 0; i < node->outputs; i++) {
        *copy_twin(r, head + (uint32_t)i) = outputs[i].node;
        reel_node_at(r->tape, outputs[i].node)->name = reel_node_at(r->tape, head + (uint32_t)i)->name;
    }
    copy_note_dtype(r->copy, node->dtype);
    return true;
}

/* An input's leaf; where the input was computed from others, what is added to it. */
static bool copy_input(const struct copy_run *r, uint32_t id)
{
    const reel_node *node = reel_node_at(r->tape, id);
    uint32_t *twin = copy_twin(r, id);
    bool depends = *copy_mark(r, id) & COPY_DEPENDS;
    uint32_t leaf = copy_leaf(r, node, depends, true);
    if (!leaf)
        return false;
    copy_note_dtype(r->copy, node->dtype);
    r->copy->leaf[id - r->low] = leaf;
    if (!depends) {
        *twin = leaf;
        return true;
    }
    *twin = reel_add_at(node->file, node->line, reel_handle(r->tape, *twin), reel_handle(r->tape, leaf)).node;
    return *twin != 0;
}

static bool copy_node(const struct copy_run *r, uint32_t id)
{
    unsigned mark = *copy_mark(r, id);
    if (mark & COPY_APPLIED && !copy_apply(r, id))
        return false;
    if (mark & COPY_INPUT)
        return copy_input(r, id);
    if (!(mark & COPY_NEEDED) || *copy_twin(r, id))
        return true;
    const reel_node *node = reel_node_at(r->tape, id);
    if (!reel_usable(r->file, r->line, "gradcheck", reel_handle(r->tape, id)))
        return false;
    *copy_twin(r, id) = copy_leaf(r, node, false, false);
    return *copy_twin(r, id) != 0;
}

static bool copy_note_origins(const struct copy_run *r)
{
    reel_lab_copy *copy = r->copy;
    copy->to = r->tape->nodes;
    size_t bytes = (copy->to - copy->from + 1) * sizeof(uint32_t);
    uint32_t *origin = reel_tape_get(r->tape, bytes);
    if (!origin)
        return copy_no_memory(r, bytes);
    memset(origin, 0, bytes);
    for (uint32_t id = r->low; id < r->end; id++)
        if (*copy_twin(r, id))
            origin[*copy_twin(r, id) - copy->from] = id;
    copy->origin = origin;
    return true;
}

bool reel_lab_copy_make(REEL_PLACE, reel_lab_copy *copy, uint32_t low, reel_tensors outputs,
                        reel_tensors inputs, bool hold)
{
    reel_tape *tape = outputs.tensor[0].tape;
    struct copy_run r = {.file = file, .line = line, .tape = tape, .copy = copy, .low = low,
                         .end = tape->nodes, .hold = hold};
    *copy = (reel_lab_copy){.low = low, .from = tape->nodes, .coarsest = REEL_F64};
    size_t nodes = r.end - low, bytes = nodes * sizeof *copy->twin;
    copy->twin = reel_tape_get(tape, bytes);
    copy->leaf = reel_tape_get(tape, bytes);
    r.mark = reel_tape_get(tape, nodes);
    if (!copy->twin || !copy->leaf || !r.mark)
        return copy_no_memory(&r, 2 * bytes + nodes);
    memset(copy->twin, 0, bytes);
    memset(copy->leaf, 0, bytes);
    memset(r.mark, 0, nodes);
    for (size_t i = 0; i < inputs.count; i++)
        *copy_mark(&r, inputs.tensor[i].node) |= COPY_INPUT;
    for (size_t i = 0; i < outputs.count; i++)
        *copy_mark(&r, outputs.tensor[i].node) |= COPY_NEEDED;
    copy_mark_dependents(&r);
    copy_mark_needed(&r);
    for (uint32_t id = low; id < r.end; id++)
        if (!copy_node(&r, id))
            return false;
    return copy_note_origins(&r);
}
