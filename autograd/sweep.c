/* The reverse sweep. From y back to the xs, along paths between them only, each node's VJP records what it
 * adds to the gradients of its inputs. What is recorded are ordinary nodes, so that they can be replayed,
 * printed and differentiated again. How contributions are summed, and what becomes of their memory, stands in
 * sweep_memory.c, and which calls need no VJP in sweep_plain.c. */
#include "autograd/sweep.h"
#include "core/shape.h"

/* ---- Paths -------------------------------------------------------------------------------------------- */

static inline void put_on_path(const reel_tape *tape, reel_node *node)
{
    node->sweep = tape->sweep;
    node->gradient = NULL;
}

static inline bool reads_path(const reel_tape *tape, const reel_node *node)
{
    const uint32_t *input = reel_node_inputs(node);
    for (uint32_t i = 0; i < node->inputs; i++)
        if (reel_on_path(tape, reel_node_at(tape, input[i])))
            return true;
    return false;
}

/* Marks what depends on the xs by way of differentiable ops. Every stretch of nodes is walked in the order of
 * recording, so inputs come before what reads them and nothing recurses. */
void reel_sweep_mark_paths(const reel_sweep *s, reel_tensors xs)
{
    reel_tape *tape = s->tape;
    tape->sweep++;
    for (size_t i = 0; i < xs.count; i++)
        put_on_path(tape, reel_node_at(tape, xs.tensor[i].node));
    reel_node *node = NULL;
    for (uint32_t id = s->lowest; id <= s->y; id++) {
        node = node && id % REEL_CHUNK_NODES ? node + 1 : reel_node_at(tape, id);
        if (node->flags & REEL_NODE_VARIABLE && reads_path(tape, node))
            put_on_path(tape, node);
    }
}

/* ---- One node ------------------------------------------------------------------------------------------- */

/* Room for a node with more inputs than there was room for so far. */
static bool more_inputs(reel_sweep *s, uint32_t inputs)
{
    reel_vjp_call *v = &s->vjp;
    v->call.input = v->x = reel_tape_get(s->tape, inputs * sizeof *v->x);
    v->dx = reel_tape_get(s->tape, inputs * sizeof *v->dx);
    v->wanted = reel_tape_get(s->tape, inputs * sizeof *v->wanted);
    v->contribution = reel_tape_get(s->tape, inputs * sizeof *v->contribution);
    s->inputs = inputs;
    return (v->x && v->dx && v->wanted && v->contribution) ||
           reel_tape_out_of_memory(s->tape, s->file, s->line, "gradient", inputs * 3 * sizeof *v->x);
}

/* A VJP is computed from the values that the node read; where one of them has been overwritten since, it
 * would mix old and new. */
static bool still_as_read(const reel_sweep *s, const reel_node *node)
{
    if (node->op->flags & REEL_OP_IN_SWEEP || node->base != node)
        return true;                                /* a sum of the sweep's own, or a view         */
    const uint32_t *input = reel_node_inputs(node);
    for (uint32_t i = 0; i < node->inputs; i++) {
        const reel_node *in = reel_node_at(s->tape, input[i]), *base = in->base;
        if (in->executed > node->executed)
            return reel_tape_fail(s->tape, s->file, s->line, "gradient",
                                  "%s at %s:%d read %s, recorded at %s:%d, which was computed again since: replay "
                                  "the reader too", node->op->name, node->file, node->line,
                                  reel_describe(reel_handle(s->tape, input[i])).text, in->file, in->line);
        if (base->written <= node->executed)
            continue;
        const reel_leaf *leaf = base->op ? NULL : base->attributes;
        return reel_tape_fail(s->tape, s->file, s->line, "gradient",
                              "%s at %s:%d read %s, which was overwritten since, at %s:%d: replay its section, or "
                              "record it again", node->op->name,
                              node->file, node->line, reel_describe(reel_handle(s->tape, input[i])).text,
                              leaf ? leaf->writer_file : "a temporary", leaf ? leaf->writer_line : 0);
    }
    return true;
}

static bool can_go_through(const reel_sweep *s, const reel_node *node)
{
    if (node->flags & REEL_NODE_FINAL)
        return reel_tape_fail(s->tape, s->file, s->line, "gradient",
                              "it would go through a gradient that was taken with .final = true (%s at %s:%d)",
                              node->op->name, node->file, node->line);
    if (!node->op->vjp)
        return reel_tape_fail(s->tape, s->file, s->line, "gradient", "%s at %s:%d has no VJP", node->op->name,
                              node->file, node->line);
    return (!s->tape->gaps || reel_inputs_computed(s->tape, node)) &&
           (node->executed >= s->tape->leaf_written || still_as_read(s, node));
}

/* The node of a gradient of x, or NULL where it cannot be one. */
static inline reel_node *gradient_fits(const reel_tape *tape, const reel_node *x, reel_tensor dx)
{
    reel_node *gradient = reel_node_of(tape, dx);
    return gradient && reel_alike(gradient, x) ? gradient : NULL;
}

static void gradient_misfit(const reel_sweep *s, const reel_node *node, uint32_t i, reel_tensor dx)
{
    if (!reel_on_tape(s->tape, dx))
        reel_tape_fail(s->tape, s->file, s->line, "gradient",
                       "the VJP of %s at %s:%d gave no tensor of this tape for input %u", node->op->name, node->file,
                       node->line, i + 1);
    else
        reel_tape_fail(s->tape, s->file, s->line, "gradient",
                       "the VJP of %s at %s:%d gave %s for input %u, which is %s", node->op->name, node->file,
                       node->line, reel_describe(dx).text, i + 1,
                       reel_describe(reel_handle(s->tape, reel_node_inputs(node)[i])).text);
}

/* The gradient of an input that an elementwise op has stretched comes in the output's shape, and is summed. NULL after
 * an error. */
static reel_node *summed(const reel_sweep *s, const reel_node *node, uint32_t i)
{
    const reel_vjp_call *v = &s->vjp;
    reel_node *gradient = NULL;
    if (node->op->kernels && gradient_fits(s->tape, node, v->dx[i])) {
        v->dx[i] = reel_sum_like_at(node->file, node->line, v->dx[i], v->x[i]);
        gradient = gradient_fits(s->tape, v->contribution[i].target, v->dx[i]);
    }
    if (!gradient)
        gradient_misfit(s, node, i, v->dx[i]);
    return gradient;
}

/* Whether any gradient is wanted of the node's inputs. */
static bool fill_inputs(reel_tape *tape, const reel_node *node, const reel_vjp_call *v)
{
    const uint32_t *input = reel_node_inputs(node), inputs = node->inputs;
    reel_tensor *x = v->x, *dx = v->dx;
    reel_contribution *c = v->contribution;
    bool *wanted = v->wanted, any = false;
    for (uint32_t i = 0; i < inputs; i++) {
        reel_node *in = reel_node_at(tape, input[i]);
        x[i] = reel_handle_to(tape, in);
        dx[i] = REEL_NONE;
        c[i].target = in;
        any |= wanted[i] = reel_on_path(tape, in);
    }
    return any;
}

/* The gradient that has arrived at an output, or NULL. */
static inline reel_node *arrived_at(const reel_tape *tape, const reel_node *output)
{
    return reel_on_path(tape, output) ? output->gradient : NULL;
}

/* The outputs of a call stand side by side, but not always in one chunk. */
static inline reel_node *output_of(const reel_tape *tape, reel_node *head, int i)
{
    return i == 0 ? head : reel_node_at(tape, head->id + (uint32_t)i);
}

static void fill_outputs(reel_tape *tape, reel_node *head, reel_vjp_call *v)
{
    for (int i = 0; i < head->outputs; i++) {
        const reel_node *out = output_of(tape, head, i), *gradient = arrived_at(tape, out);
        v->y[i] = reel_handle_to(tape, out);
        v->dy[i] = gradient ? reel_handle_to(tape, gradient) : REEL_NONE;
    }
}

static bool take_contributions(const reel_sweep *s, const reel_node *node, const reel_vjp_call *v)
{
    const bool *wanted = v->wanted;
    const reel_tensor *dx = v->dx;
    reel_contribution *c = v->contribution;
    const uint32_t inputs = node->inputs;
    for (uint32_t i = 0; i < inputs; i++) {         /* all wait before the first is added: two may be one */
        c[i].added = NULL;
        if (!wanted[i] || !dx[i].tape)
            continue;
        reel_node *added = gradient_fits(s->tape, c[i].target, dx[i]);
        if (!added && !(added = summed(s, node, i)))
            return false;
        added->base->pins++;
        c[i].added = added;
    }
    for (uint32_t i = 0; i < inputs; i++)
        if (c[i].added && !reel_sweep_take(s, c[i].target, c[i].added))
            return false;
    return true;
}

/* The call's own gradients have been passed on. */
static void let_go(const reel_sweep *s, reel_node *head)
{
    for (int i = 0; i < head->outputs; i++) {
        const reel_node *out = output_of(s->tape, head, i), *gradient = arrived_at(s->tape, out);
        if (gradient)
            reel_sweep_passed(s, out, gradient);
    }
}

/* Shows the tape's watcher a step, before its VJP has run and after; after it only what will be added. */
static bool watch(const reel_sweep *s, const reel_node *node, reel_vjp_call *v, bool done)
{
    const reel_call *call = &v->call;
    reel_tape *tape = s->tape;
    for (uint32_t i = 0; done && i < node->inputs; i++) {
        if (!v->wanted[i])
            v->dx[i] = REEL_NONE;
        else if (v->dx[i].tape && !gradient_fits(tape, v->contribution[i].target, v->dx[i]) && !summed(s, node, i))
            return false;
    }
    tape->step += !done;
    reel_step step = {
        .tape = tape, .number = tape->step, .op = node->op, .file = node->file, .line = node->line,
        .inputs = call->inputs, .outputs = call->outputs, .input = call->input, .output = call->output,
        .incoming = v->dy, .added = done ? v->dx : NULL,
    };
    if (!tape->watcher(tape->watcher_user, &step))
        reel_tape_fail(tape, s->file, s->line, "gradient", "the watcher stopped it at %s at %s:%d", node->op->name,
                       node->file, node->line);
    return !reel_failed(tape);
}

void reel_watch(reel_tape *tape, reel_watcher watcher, void *user)
{
    if (!tape)
        return;
    tape->watcher = watcher;
    tape->watcher_user = user;
}

static bool run_vjp(const reel_sweep *s, const reel_node *node, reel_vjp_call *v)
{
    reel_tape *tape = s->tape;
    v->call.op = node->op;
    v->call.attributes = node->attributes;
    v->call.inputs = (int)node->inputs;
    v->call.outputs = node->outputs;
    tape->inherit_file = node->file;
    tape->inherit_line = node->line;
    if (tape->watcher && !watch(s, node, v, false))
        return false;
    tape->in_vjp = true;
    node->op->vjp(&v->call, v->dy, v->dx, v->wanted);
    tape->in_vjp = false;
    return tape->error == REEL_FINE && (!tape->watcher || watch(s, node, v, true));
}

static bool sweep_node(reel_sweep *s, reel_node *head)
{
    reel_vjp_call *v = &s->vjp;
    reel_tape *tape = s->tape;
    if (head->inputs > s->inputs && !more_inputs(s, head->inputs))
        return false;
    if (!fill_inputs(tape, head, v))
        return true;
    fill_outputs(tape, head, v);
    const uint32_t recorded_from = tape->nodes;
    if (!can_go_through(s, head) || !run_vjp(s, head, v) || !take_contributions(s, head, v))
        return false;
    let_go(s, head);
    reel_sweep_reuse(s, recorded_from);
    return true;
}

/* Whether a gradient has arrived at any output of the call. */
static inline bool has_arrived(const reel_tape *tape, reel_node *head)
{
    for (int i = 0; i < head->outputs; i++)
        if (arrived_at(tape, output_of(tape, head, i)))
            return true;
    return false;
}

/* Nodes are numbered in the order of recording, so going down the numbers each node has all of its gradient
 * when its turn comes. A call with several outputs has its turn at the first. */
bool reel_sweep_down(reel_sweep *s)
{
    for (uint32_t id = s->y; reel_sweep_plain(s, &id); id--) {
        if (id < s->lowest)
            return true;
        reel_node *node = reel_node_at(s->tape, id);
        if (node->op && node->output == 0 && has_arrived(s->tape, node) && !sweep_node(s, node))
            return false;
    }
    return false;
}
