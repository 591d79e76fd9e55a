/* Recording: an op's inputs are checked, its shape rule asked, memory taken, the op run, and only when all
 * that has succeeded is its node counted as part of the tape. */
#include "autograd/plain.h"
#include "core/dtype.h"
#include "core/shape.h"

#include <string.h>

enum { RECORD_FEW = 8, RECORD_MOST_OUTPUTS = 8 };

/* ---- Running an op --------------------------------------------------------------------------------------- */

/* The arrays of a call's operands: on the caller's stack where they are few, else in the tape's own room,
 * which was made large enough when the call was recorded. */
static reel_array *call_operands(reel_tape *tape, uint32_t inputs, reel_array few[RECORD_FEW])
{
    return inputs <= RECORD_FEW ? few : tape->operands;
}

static void *aligned_scratch(const reel_tape *tape)
{
    return (void *)(((uintptr_t)tape->scratch + 63) & ~(uintptr_t)63);
}


/* Time passes with each write, so that what was read before it is older. */
static void note_writes(reel_tape *tape, const reel_node *head)
{
    const uint32_t *input = reel_node_inputs(head);
    for (uint32_t i = 0; i < head->inputs; i++)
        if (head->op->writes(head->attributes, (int)i)) {
            reel_node *base = reel_node_at(tape, input[i])->base;
            reel_mark_written(tape, base, head->file, head->line);
        }
}

/* What was true of written leaves when the call was recorded may not be any more: memory is re-aimed, and more
 * of it is wrapped. */
static bool can_still_write(reel_tape *tape, const reel_node *head)
{
    const uint32_t *input = reel_node_inputs(head);
    for (uint32_t i = 0; i < head->inputs; i++) {
        const reel_node *leaf = reel_node_at(tape, input[i]);
        const char *why;
        if (leaf->flags & REEL_NODE_WRAPPED && head->op->writes(head->attributes, (int)i) &&
            !reel_leaf_can_be_written(tape, leaf, &why))
            return reel_tape_fail(tape, head->file, head->line, head->op->name, "input %u, %s, is written, but %s",
                                  i + 1, reel_describe(reel_handle(tape, input[i])).text, why);
    }
    return true;
}

/* Runs a call whose nodes are complete, on the tape or about to be. */
bool reel_execute(reel_tape *tape, uint32_t id)
{
    reel_node *head = reel_node_at(tape, id);
    if (head->kernel) {
        reel_run_plain(tape, head);
        head->flags |= REEL_NODE_COMPUTED;
        return true;
    }
    const reel_op *op = head->op;
    if (op->writes && !(op->flags & REEL_OP_IN_SWEEP) && !can_still_write(tape, head))
        return false;
    bool (*forward)(const reel_call *) = op->kernels ? reel_elementwise_run : op->forward;
    if (forward) {
        reel_array few[RECORD_FEW], out[RECORD_MOST_OUTPUTS];
        reel_array *in = call_operands(tape, head->inputs, few);
        const uint32_t *input = reel_node_inputs(head);
        for (uint32_t i = 0; i < head->inputs; i++)
            in[i] = reel_node_array(reel_node_at(tape, input[i]));
        for (int i = 0; i < head->outputs; i++)
            out[i] = reel_node_array(reel_node_at(tape, id + (uint32_t)i));
        reel_call call = {
            .tape = tape, .op = op, .attributes = head->attributes,
            .inputs = (int)head->inputs, .outputs = head->outputs,
            .in = in, .out = out, .scratch = aligned_scratch(tape),
        };
        tape->here_file = head->file;
        tape->here_line = head->line;
        tape->here_node = id;
        if (!forward(&call))
            return false;
    }
    if (op->writes)
        note_writes(tape, head);
    int nodes = head->outputs ? head->outputs : 1;
    for (int i = 0; i < nodes; i++) {
        reel_node *node = reel_node_at(tape, id + (uint32_t)i);
        node->executed = tape->clock;
        node->flags |= REEL_NODE_COMPUTED;
    }
    return true;
}

/* ---- Recording ------------------------------------------------------------------------------------------- */

/* What recording one call is made of. */
struct record {
    reel_tape         *tape;
    const reel_op     *op;
    const char        *file;
    int                line;
    reel_tensors       inputs;
    const void        *attributes;                  /* the caller's                                */
    reel_call          call;
    reel_output        output[RECORD_MOST_OUTPUTS];
    int                outputs;
    unsigned           inherited;                   /* flags from the inputs                       */
};

static bool record_fail(const struct record *r, const char *text)
{
    return reel_tape_fail(r->tape, r->file, r->line, r->op->name, "%s", text);
}

static bool record_no_memory(const struct record *r, size_t bytes)
{
    return reel_tape_out_of_memory(r->tape, r->file, r->line, r->op->name, bytes);
}

static bool check_op(const struct record *r, int outputs)
{
    const reel_op *op = r->op;
    if (op->size < sizeof *op || !(op->shape || op->kernels) || outputs > RECORD_MOST_OUTPUTS)
        return record_fail(r, "the op's struct is not complete (its size, a shape rule or kernels, at most 8 outputs)");
    if (op->inputs != REEL_ANY && (size_t)op->inputs != r->inputs.count)
        return reel_tape_fail(r->tape, r->file, r->line, op->name, "%zu inputs for an op of %d", r->inputs.count,
                              op->inputs);
    if (op->outputs != REEL_ANY && op->outputs != outputs)
        return reel_tape_fail(r->tape, r->file, r->line, op->name, "%d outputs for an op of %d", outputs,
                              op->outputs);
    if (op->attributes && !r->attributes)
        return record_fail(r, "the attributes are NULL");
    if (!op->attributes && r->attributes)
        return record_fail(r, "attributes are passed to an op whose .attributes is 0: set it to their size");
    if (r->inputs.count == 0 || r->inputs.count > INT32_MAX)
        return record_fail(r, "an op needs at least one input");
    return true;
}

/* Memory that is written is no other input's: found by marking the written bases. */
static bool writes_stand_alone(const struct record *r)
{
    reel_tape *tape = r->tape;
    tape->searches++;
    for (int round = 0; round < 2; round++)
        for (size_t i = 0; i < r->inputs.count; i++) {
            reel_node *base = reel_node_at(tape, r->inputs.tensor[i].node)->base;
            bool written = r->op->writes(r->attributes, (int)i);
            if (written == (round == 0) && base->reader == tape->searches)
                return reel_tape_fail(tape, r->file, r->line, r->op->name,
                                      "input %zu, %s, shares memory with an input that is written", i + 1,
                                      reel_describe(r->inputs.tensor[i]).text);
            if (written)
                base->reader = tape->searches;
        }
    return true;
}

static bool check_inputs(struct record *r)
{
    for (size_t i = 0; i < r->inputs.count; i++) {
        reel_tensor x = r->inputs.tensor[i];
        if (!reel_usable_input(r->tape, r->file, r->line, r->op->name, (int)i, x))
            return false;
        const reel_node *node = reel_node_at(r->tape, x.node);
        r->inherited |= node->flags & REEL_NODE_VARIABLE;
        const char *why;
        if (r->op->writes && r->op->writes(r->attributes, (int)i) && !(r->op->flags & REEL_OP_IN_SWEEP) &&
            !reel_leaf_can_be_written(r->tape, node, &why))
            return reel_tape_fail(r->tape, r->file, r->line, r->op->name, "input %zu, %s, is written, but %s",
                                  i + 1, reel_describe(x).text, why);
    }
    if (r->op->flags & REEL_NO_GRADIENT)
        r->inherited = 0;
    return !r->op->writes || r->op->flags & REEL_OP_IN_SWEEP || writes_stand_alone(r);
}

/* Asks the shape rule. The inputs' arrays lie in `in`. */
static bool infer_outputs(struct record *r, reel_array *in)
{
    for (size_t i = 0; i < r->inputs.count; i++)
        in[i] = reel_node_array(reel_node_at(r->tape, r->inputs.tensor[i].node));
    for (int i = 0; i < r->outputs; i++) {
        r->output[i].dtype = REEL_NO_DTYPE;
        r->output[i].shape.rank = 0;
        r->output[i].view_of = -1;
        r->output[i].offset = 0;
    }
    r->call = (reel_call){
        .tape = r->tape, .op = r->op, .attributes = r->attributes,
        .inputs = (int)r->inputs.count, .outputs = r->outputs,
        .input = r->inputs.tensor, .in = in,
    };
    r->tape->here_file = r->file;
    r->tape->here_line = r->line;
    bool (*shape)(reel_call *, reel_output *) = r->op->shape ? r->op->shape : reel_elementwise_shape;
    return shape(&r->call, r->output) || record_fail(r, "the shape rule failed");
}

static bool check_output(const struct record *r, int i)
{
    const reel_output *out = &r->output[i];
    if (!reel_dtype_size(out->dtype) || out->shape.rank < 0 || out->shape.rank > REEL_MAX_RANK ||
        out->view_of >= r->call.inputs)
        return record_fail(r, "the shape rule gave an output without a legal dtype, shape or base");
    if (out->view_of < 0 && !r->op->forward && !r->op->kernels)
        return record_fail(r, "an op needs a .forward or .kernels for an output that is no view");
    int64_t count = reel_shape_count(out->shape.rank, out->shape.size);
    return (count >= 0 && count <= INT64_MAX / 16) || record_fail(r, "the result has too many elements");
}

/* A result has its input's shape more often than not; then it shares the arrays. */
static bool share_or_make_shape(struct record *r, reel_node *node, const reel_output *out)
{
    const reel_array *in = &r->call.in[out->view_of < 0 ? 0 : out->view_of];
    if (reel_same_sizes(in->rank, in->shape, out->shape.rank, out->shape.size) &&
        (out->view_of < 0 ? reel_is_contiguous(in->rank, in->shape, in->strides)
                          : reel_same_sizes(in->rank, in->strides, in->rank, out->strides))) {
        node->rank = (uint8_t)in->rank;
        node->shape = in->shape;
        node->strides = in->strides;
        return true;
    }
    return reel_node_shape(r->tape, node, &out->shape, out->view_of < 0 ? NULL : out->strides) ||
           record_no_memory(r, 2 * sizeof(int64_t) * (size_t)out->shape.rank);
}

static bool give_memory(struct record *r, reel_node *node, const reel_output *out)
{
    if (out->view_of >= 0) {
        const reel_node *from = reel_node_at(r->tape, r->inputs.tensor[out->view_of].node);
        int64_t behind = out->offset * node->size;
        node->base = from->base;
        node->flags |= from->flags & REEL_NODE_WRAPPED;
        if (!(from->flags & REEL_NODE_WRAPPED))
            node->data = (char *)from->data + behind;
        else
            node->offset = (from == from->base ? 0 : from->offset) + behind;
        return true;
    }
    node->data = reel_value_room(r->tape, reel_node_bytes(node));
    return node->data || record_no_memory(r, reel_node_bytes(node));
}

static bool copy_inputs(struct record *r, reel_node *node)
{
    size_t count = r->inputs.count;
    uint32_t *input = node->input.few;
    if (count > REEL_FEW_INPUTS)
        node->input.many = input = reel_tape_get(r->tape, count * sizeof *input);
    if (!input)
        return record_no_memory(r, count * sizeof *input);
    for (size_t i = 0; i < count; i++)
        input[i] = r->inputs.tensor[i].node;
    node->inputs = (uint32_t)count;
    return true;
}

/* Node `i` of the call, the first of which is `head`. The inputs' list and the attributes are the head's. */
static bool make_node(struct record *r, int i, reel_node **head)
{
    reel_node *node = reel_node_new(r->tape);
    if (!node)
        return record_no_memory(r, sizeof *node);
    node->op = r->op;
    node->file = r->file;
    node->line = r->line;
    node->output = (uint8_t)i;
    node->outputs = (uint8_t)r->outputs;
    node->flags = (uint16_t)(r->inherited | r->tape->final);
    if (r->outputs) {
        const reel_output *out = &r->output[i];
        if (!check_output(r, i))
            return false;
        node->dtype = (uint8_t)out->dtype;
        node->size = (uint8_t)reel_dtype_size(out->dtype);
        node->count = reel_shape_count(out->shape.rank, out->shape.size);
        if (!reel_dtype_is_float(out->dtype))
            node->flags &= (uint16_t)~REEL_NODE_VARIABLE;
        if (!share_or_make_shape(r, node, out) || !give_memory(r, node, out))
            return false;
        if (reel_is_contiguous(node->rank, node->shape, node->strides))
            node->flags |= REEL_NODE_CONTIGUOUS;
    }
    if (i == 0) {
        *head = node;
        if (!copy_inputs(r, node))
            return false;
        if (r->op->attributes) {
            void *copy = reel_tape_get(r->tape, r->op->attributes);
            if (!copy)
                return record_no_memory(r, r->op->attributes);
            node->attributes = memcpy(copy, r->attributes, r->op->attributes);
        }
    } else {
        node->input = (*head)->input;
        node->inputs = (*head)->inputs;
        node->attributes = (*head)->attributes;
    }
    r->tape->nodes++;
    return true;
}

static bool record_nodes(struct record *r)
{
    reel_tape *tape = r->tape;
    reel_array few[RECORD_FEW];
    if (!reel_tape_ensure_operands(tape, r->inputs.count))
        return record_no_memory(r, r->inputs.count * sizeof(reel_array));
    if (!infer_outputs(r, call_operands(tape, (uint32_t)r->inputs.count, few)))
        return false;
    if (!reel_tape_ensure_scratch(tape, r->call.scratch_bytes))
        return record_no_memory(r, r->call.scratch_bytes);
    uint32_t first = tape->nodes;
    reel_node *head = NULL;
    for (int i = 0; i < (r->outputs ? r->outputs : 1); i++)
        if (!make_node(r, i, &head))
            return false;
    if (!reel_execute(tape, first))
        return record_fail(r, "the op failed");     /* unless it has said more itself              */
    for (size_t i = 0; i < r->inputs.count; i++)
        reel_node_at(tape, r->inputs.tensor[i].node)->flags |= REEL_NODE_USED;
    return true;
}

/* On failure the tape's end is put back where it was. */
static bool record_call(struct record *r)
{
    reel_tape *tape = r->tape;
    uint32_t nodes = tape->nodes;
    reel_block *block = tape->arena.current;
    size_t used = reel_arena_used(&tape->arena);
    if (record_nodes(r))
        return true;
    tape->nodes = nodes;
    if (!tape->sweeping)                            /* a sweep puts back all that it has recorded  */
        reel_arena_rewind(&tape->arena, block, used);
    return false;
}

static reel_tape *tape_of_inputs(reel_tensors inputs)
{
    for (size_t i = 0; i < inputs.count; i++)
        if (inputs.tensor[i].tape)
            return inputs.tensor[i].tape;
    return NULL;
}

bool reel_apply_any(REEL_PLACE, const reel_op *op, reel_tensors inputs, const void *attributes,
                    reel_tensor *outputs, int output_count)
{
    reel_tape *tape = tape_of_inputs(inputs);
    for (int i = 0; i < output_count; i++)
        outputs[i] = (reel_tensor){tape, 0, 0};
    if (reel_failed(tape))
        return false;
    struct record r;
    r.tape = tape;
    r.op = op;
    r.file = tape->sweeping ? tape->inherit_file : file;
    r.line = tape->sweeping ? tape->inherit_line : line;
    r.inputs = inputs;
    r.attributes = attributes;
    r.outputs = output_count;
    r.inherited = 0;
    uint32_t first = tape->nodes;
    if (!check_op(&r, output_count) || !check_inputs(&r) || !record_call(&r))
        return false;
    for (int i = 0; i < output_count; i++)
        outputs[i] = reel_handle(tape, first + (uint32_t)i);
    return true;
}
