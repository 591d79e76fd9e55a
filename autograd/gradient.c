/* The reverse sweep. From y back to the xs, along paths between them only, each node's VJP records what it
 * adds to the gradients of its inputs. What is recorded are ordinary nodes, so that they can be replayed,
 * printed and differentiated again.
 *
 * Contributions to one gradient are summed in the memory of the first where nobody else can see it, and
 * memory that nobody can see any more serves the next temporary: in a final sweep each temporary, else the
 * contributions that were added to a sum. Both rest on counts of the gradients that wait in a base's memory
 * (pins) and on the flag USED of a node that another one reads. */
#include "autograd/tape.h"
#include "autograd/accumulate.h"
#include "core/dtype.h"
#include "core/shape.h"

#include <string.h>

enum { SWEEP_FEW = 8, SWEEP_OUTPUTS = 8, SWEEP_PROBES = 8 };

struct sweep {
    reel_tape  *tape;
    const char *file;
    int         line;
    uint32_t    y, lowest;                          /* nodes between which the paths lie           */
    uint32_t    first;                              /* the first node of the sweep's own           */
    bool        final;
};

/* ---- Memory ------------------------------------------------------------------------------------------- */

static int piece_bucket(size_t bytes)
{
    return 63 - __builtin_clzll(bytes);
}

static void *pieces_take(reel_piece **list, size_t bytes)
{
    for (int probe = 0; *list && probe < SWEEP_PROBES; probe++, list = &(*list)->next)
        if ((*list)->bytes >= bytes) {
            reel_piece *piece = *list;
            *list = piece->next;
            return piece;
        }
    return NULL;
}

/* A piece must be able to hold its own place in a list. */
static size_t piece_size(size_t bytes)
{
    return bytes > sizeof(reel_piece) ? bytes : sizeof(reel_piece);
}

void *reel_sweep_get(reel_tape *tape, size_t bytes)
{
    bytes = piece_size(bytes);
    int bucket = piece_bucket(bytes);
    void *piece = bucket < REEL_BUCKETS ? pieces_take(&tape->free_pieces[bucket], bytes) : NULL;
    return piece ? piece : reel_tape_get(tape, bytes);
}

static void recycle(const struct sweep *s, uint32_t id)
{
    reel_node *base = reel_node_at(s->tape, id);
    size_t bytes = piece_size((size_t)base->count * reel_dtype_size(base->dtype));
    int bucket = piece_bucket(bytes);
    base->flags |= REEL_NODE_RECYCLED;
    if (bucket >= REEL_BUCKETS)
        return;
    reel_piece *piece = base->data;
    *piece = (reel_piece){.next = s->tape->free_pieces[bucket], .bytes = bytes};
    s->tape->free_pieces[bucket] = piece;
}

static reel_node *base_of(const struct sweep *s, uint32_t id)
{
    return reel_node_at(s->tape, reel_node_at(s->tape, id)->base);
}

/* Whether the sweep made this base's memory and may do with it what it likes once no gradient waits in it. */
static bool is_temporary(const struct sweep *s, uint32_t base)
{
    const reel_node *node = reel_node_at(s->tape, base);
    return base >= s->first && node->op && node->base == base && !(node->flags & REEL_NODE_RECYCLED);
}

/* Whether this gradient is a sum or a contribution that nothing else reads or will read: its memory can be
 * added to, or used again. Without `final`, a later gradient of this gradient may want the value. */
static bool is_private(const struct sweep *s, uint32_t id, uint32_t waiting)
{
    const reel_node *node = reel_node_at(s->tape, id);
    if (!is_temporary(s, node->base) || node->flags & REEL_NODE_USED)
        return false;
    const reel_node *base = reel_node_at(s->tape, node->base);
    bool whole = node == base || node->op == &reel_op_accumulate;
    return whole && base->pins == waiting && (s->final || base->op->flags & REEL_OUTPUT_UNREAD);
}

/* ---- Paths -------------------------------------------------------------------------------------------- */

static bool on_path(const reel_tape *tape, uint32_t id)
{
    return reel_node_at(tape, id)->sweep == tape->sweep;
}

static void put_on_path(reel_tape *tape, uint32_t id)
{
    reel_node *node = reel_node_at(tape, id);
    node->sweep = tape->sweep;
    node->gradient = 0;
}

/* Marks what depends on the xs by way of differentiable ops. Every stretch of nodes is walked in the order of
 * recording, so inputs come before what reads them and nothing recurses. */
static void mark_paths(const struct sweep *s, reel_tensors xs)
{
    reel_tape *tape = s->tape;
    tape->sweep++;
    for (size_t i = 0; i < xs.count; i++)
        put_on_path(tape, xs.tensor[i].node);
    for (uint32_t id = s->lowest; id <= s->y; id++) {
        const reel_node *node = reel_node_at(tape, id);
        if (!(node->flags & REEL_NODE_VARIABLE) || !node->op || node->sweep == tape->sweep)
            continue;
        const uint32_t *input = reel_node_inputs(node);
        for (uint32_t i = 0; i < node->inputs; i++)
            if (input[i] >= s->lowest && on_path(tape, input[i])) {
                put_on_path(tape, id);
                break;
            }
    }
}

/* ---- Contributions ------------------------------------------------------------------------------------ */

static void wait_in(const struct sweep *s, uint32_t target, uint32_t gradient)
{
    reel_node_at(s->tape, target)->gradient = gradient;
    base_of(s, gradient)->pins++;
}

static bool add_contribution(const struct sweep *s, uint32_t target, uint32_t added)
{
    uint32_t sum = reel_node_at(s->tape, target)->gradient;
    if (!sum) {
        wait_in(s, target, added);
        return true;
    }
    reel_tensor a = reel_handle(s->tape, sum), b = reel_handle(s->tape, added), total;
    bool spare = is_private(s, added, 0);
    if (is_private(s, sum, 1))
        total = reel_accumulate(a, b);
    else if (spare)
        total = reel_accumulate(b, a);
    else
        total = reel_add_at(s->file, s->line, a, b);
    if (!total.node)
        return false;
    uint32_t old = reel_node_at(s->tape, sum)->base, base = reel_node_at(s->tape, added)->base;
    wait_in(s, target, total.node);
    if (--reel_node_at(s->tape, old)->pins == 0 && s->final && is_temporary(s, old))
        recycle(s, old);
    if (spare && reel_node_at(s->tape, total.node)->base != base)
        recycle(s, base);
    return true;
}

/* ---- One node ------------------------------------------------------------------------------------------- */

struct vjp_call {
    reel_tensor input[SWEEP_FEW], dx[SWEEP_FEW];
    bool        wanted[SWEEP_FEW];
    reel_tensor output[SWEEP_OUTPUTS], dy[SWEEP_OUTPUTS];
    reel_tensor *inputs, *dxs;
    bool        *wanteds;
};

static bool vjp_room(const struct sweep *s, struct vjp_call *v, uint32_t inputs)
{
    v->inputs = v->input;
    v->dxs = v->dx;
    v->wanteds = v->wanted;
    if (inputs <= SWEEP_FEW)
        return true;
    v->inputs = reel_tape_get(s->tape, inputs * sizeof *v->inputs);
    v->dxs = reel_tape_get(s->tape, inputs * sizeof *v->dxs);
    v->wanteds = reel_tape_get(s->tape, inputs * sizeof *v->wanteds);
    return (v->inputs && v->dxs && v->wanteds) ||
           reel_tape_out_of_memory(s->tape, s->file, s->line, "gradient", inputs * 2 * sizeof *v->inputs);
}

/* A VJP is computed from the values that the node read; where one of them has been overwritten since, it
 * would mix old and new. */
static bool still_as_read(const struct sweep *s, const reel_node *node)
{
    if (node->executed == s->tape->clock || node->op->flags & REEL_OP_IN_SWEEP ||
        reel_node_at(s->tape, node->base) != node)
        return true;                                /* nothing was written since, or it is a view  */
    const uint32_t *input = reel_node_inputs(node);
    for (uint32_t i = 0; i < node->inputs; i++) {
        const reel_node *base = base_of(s, input[i]), *in = reel_node_at(s->tape, input[i]);
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

static bool can_go_through(const struct sweep *s, const reel_node *node)
{
    if (node->flags & REEL_NODE_FINAL)
        return reel_tape_fail(s->tape, s->file, s->line, "gradient",
                              "it would go through a gradient that was taken with .final = true (%s at %s:%d)",
                              node->op->name, node->file, node->line);
    if (!node->op->vjp)
        return reel_tape_fail(s->tape, s->file, s->line, "gradient", "%s at %s:%d has no VJP", node->op->name,
                              node->file, node->line);
    return still_as_read(s, node);
}

static bool dx_fits(const struct sweep *s, const reel_node *node, uint32_t i, reel_tensor dx)
{
    if (!reel_on_tape(s->tape, dx))
        return reel_tape_fail(s->tape, s->file, s->line, "gradient",
                              "the VJP of %s at %s:%d gave no tensor of this tape for input %u", node->op->name,
                              node->file, node->line, i + 1);
    const reel_node *x = reel_node_at(s->tape, reel_node_inputs(node)[i]), *g = reel_node_at(s->tape, dx.node);
    if (g->dtype == x->dtype && reel_same_sizes(g->rank, g->shape, x->rank, x->shape))
        return true;
    return reel_tape_fail(s->tape, s->file, s->line, "gradient",
                          "the VJP of %s at %s:%d gave %s for input %u, which is %s", node->op->name, node->file,
                          node->line, reel_describe(dx).text, i + 1,
                          reel_describe(reel_handle(s->tape, reel_node_inputs(node)[i])).text);
}

static void fill_vjp(const struct sweep *s, uint32_t head, struct vjp_call *v)
{
    const reel_node *node = reel_node_at(s->tape, head);
    const uint32_t *input = reel_node_inputs(node);
    for (uint32_t i = 0; i < node->inputs; i++) {
        v->inputs[i] = reel_handle(s->tape, input[i]);
        v->dxs[i] = REEL_NONE;
        v->wanteds[i] = input[i] >= s->lowest && on_path(s->tape, input[i]);
    }
    for (int i = 0; i < node->outputs; i++) {
        const reel_node *out = reel_node_at(s->tape, head + (uint32_t)i);
        v->output[i] = reel_handle(s->tape, head + (uint32_t)i);
        bool arrived = out->sweep == s->tape->sweep && out->gradient;
        v->dy[i] = arrived ? reel_handle(s->tape, out->gradient) : REEL_NONE;
    }
}

static bool take_contributions(const struct sweep *s, uint32_t head, const struct vjp_call *v)
{
    const reel_node *node = reel_node_at(s->tape, head);
    const uint32_t *input = reel_node_inputs(node);
    for (uint32_t i = 0; i < node->inputs; i++) {   /* all wait before the first is added: two may be one */
        if (!v->wanteds[i] || !v->dxs[i].tape)
            continue;
        if (!dx_fits(s, node, i, v->dxs[i]))
            return false;
        base_of(s, v->dxs[i].node)->pins++;
    }
    for (uint32_t i = 0; i < node->inputs; i++) {
        if (!v->wanteds[i] || !v->dxs[i].tape)
            continue;
        base_of(s, v->dxs[i].node)->pins--;
        if (!add_contribution(s, input[i], v->dxs[i].node))
            return false;
    }
    return true;
}

/* The node's own gradients have been passed on. In a final sweep what nothing waits in is free again. */
static void let_go(const struct sweep *s, uint32_t head, uint32_t recorded_from)
{
    const reel_node *node = reel_node_at(s->tape, head);
    for (int i = 0; i < node->outputs; i++) {
        reel_node *out = reel_node_at(s->tape, head + (uint32_t)i);
        if (out->sweep != s->tape->sweep || !out->gradient || out->flags & REEL_NODE_RESULT)
            continue;
        uint32_t base = reel_node_at(s->tape, out->gradient)->base;
        if (--reel_node_at(s->tape, base)->pins == 0 && s->final && is_temporary(s, base))
            recycle(s, base);
    }
    for (uint32_t id = recorded_from; s->final && id < s->tape->nodes; id++)
        if (is_temporary(s, id) && reel_node_at(s->tape, id)->pins == 0)
            recycle(s, id);
}

/* Shows the tape's watcher a step, before its VJP has run and after; after it only what will be added. */
static bool watch(const struct sweep *s, const reel_node *node, const reel_call *call, struct vjp_call *v, bool done)
{
    reel_tape *tape = s->tape;
    if (!tape->watcher)
        return true;
    for (uint32_t i = 0; done && i < node->inputs; i++) {
        if (!v->wanteds[i])
            v->dxs[i] = REEL_NONE;
        else if (v->dxs[i].tape && !dx_fits(s, node, i, v->dxs[i]))
            return false;
    }
    tape->step += !done;
    reel_step step = {
        .tape = tape, .number = tape->step, .op = node->op, .file = node->file, .line = node->line,
        .inputs = call->inputs, .outputs = call->outputs, .input = call->input, .output = call->output,
        .incoming = v->dy, .added = done ? v->dxs : NULL,
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

static bool sweep_node(const struct sweep *s, uint32_t head)
{
    const reel_node *node = reel_node_at(s->tape, head);
    if (!can_go_through(s, node))
        return false;
    struct vjp_call v;
    if (!vjp_room(s, &v, node->inputs))
        return false;
    fill_vjp(s, head, &v);
    reel_call call = {
        .tape = s->tape, .op = node->op, .attributes = node->attributes,
        .inputs = (int)node->inputs, .outputs = node->outputs, .input = v.inputs, .output = v.output,
    };
    s->tape->inherit_file = s->tape->here_file = node->file;
    s->tape->inherit_line = s->tape->here_line = node->line;
    uint32_t recorded_from = s->tape->nodes;
    if (!watch(s, node, &call, &v, false))
        return false;
    s->tape->in_vjp = true;
    node->op->vjp(&call, v.dy, v.dxs, v.wanteds);
    s->tape->in_vjp = false;
    if (reel_failed(s->tape) || !watch(s, node, &call, &v, true) || !take_contributions(s, head, &v))
        return false;
    let_go(s, head, recorded_from);
    return true;
}

/* Whether a gradient has arrived at any output of the call. */
static bool has_arrived(const struct sweep *s, uint32_t head)
{
    const reel_node *node = reel_node_at(s->tape, head);
    for (int i = 0; i < node->outputs; i++) {
        const reel_node *out = reel_node_at(s->tape, head + (uint32_t)i);
        if (out->sweep == s->tape->sweep && out->gradient)
            return true;
    }
    return false;
}

static bool reaches_inputs(const struct sweep *s, const reel_node *node)
{
    const uint32_t *input = reel_node_inputs(node);
    for (uint32_t i = 0; i < node->inputs; i++)
        if (input[i] >= s->lowest && on_path(s->tape, input[i]))
            return true;
    return false;
}

/* Nodes are numbered in the order of recording, so going down the numbers each node has all of its gradient
 * when its turn comes. A call with several outputs has its turn at the first. */
static bool sweep_down(const struct sweep *s)
{
    for (uint32_t id = s->y; id >= s->lowest; id--) {
        const reel_node *node = reel_node_at(s->tape, id);
        if (node->op && node->output == 0 && !(node->flags & REEL_NODE_NOTE) && has_arrived(s, id) &&
            reaches_inputs(s, node) && !sweep_node(s, id))
            return false;
    }
    return true;
}

/* ---- The call ------------------------------------------------------------------------------------------- */

static bool check_floating(const struct sweep *s, const char *what, reel_tensor x)
{
    return reel_dtype_is_float(reel_dtype_of(x)) ||
           reel_tape_fail(s->tape, s->file, s->line, "gradient", "%s, %s, is not of a floating dtype", what,
                          reel_describe(x).text);
}

static bool check_x(struct sweep *s, reel_tensor x, size_t i)
{
    if (!reel_usable_input(s->tape, s->file, s->line, "gradient", (int)i + 1, x) || !check_floating(s, "an x", x))
        return false;
    const reel_node *node = reel_node_at(s->tape, x.node);
    if (!(node->flags & REEL_NODE_VARIABLE))
        return reel_tape_fail(s->tape, s->file, s->line, "gradient",
                              "no variable reaches %s, recorded at %s:%d: make it with reel_variable(), or with "
                              "reel_wrap(.variable = true)",
                              reel_describe(x).text, node->file, node->line);
    if (x.node < s->lowest)
        s->lowest = x.node;
    return true;
}

static bool check_arguments(struct sweep *s, const reel_gradient_options *o)
{
    if (!reel_usable_input(s->tape, s->file, s->line, "gradient", 0, o->y) || !check_floating(s, "y", o->y))
        return false;
    if (!o->gradients || !o->xs.tensor || !o->xs.count)
        return reel_tape_fail(s->tape, s->file, s->line, "gradient", "no xs, or no room for their gradients");
    for (size_t i = 0; i < o->xs.count; i++)
        if (!check_x(s, o->xs.tensor[i], i))
            return false;
    if (!o->upstream.tape)
        return true;
    if (o->upstream.tape != s->tape)
        return reel_tape_fail(s->tape, s->file, s->line, "gradient", "the upstream gradient belongs to another tape");
    if (!reel_usable(s->file, s->line, "gradient", o->upstream))
        return false;
    reel_shape y = reel_shape_of(o->y), u = reel_shape_of(o->upstream);
    if (reel_dtype_of(o->upstream) == reel_dtype_of(o->y) &&
        reel_same_sizes(y.rank, y.size, u.rank, u.size))
        return true;
    return reel_tape_fail(s->tape, s->file, s->line, "gradient", "the upstream gradient %s does not match y, %s",
                          reel_describe(o->upstream).text, reel_describe(o->y).text);
}

/* The upstream gradient: the caller's, or a one stretched to y's shape. */
static uint32_t seed(const struct sweep *s, const reel_gradient_options *o)
{
    if (o->upstream.tape)
        return o->upstream.node;
    reel_shape shape = reel_shape_of(o->y);
    reel_tensor one = reel_constant_at(s->file, s->line, s->tape, (reel_shape){0}, reel_fill(reel_dtype_of(o->y), 1));
    return shape.rank ? reel_broadcast_at(s->file, s->line, one, shape).node : one.node;
}

static bool give_results(const struct sweep *s, const reel_gradient_options *o)
{
    for (size_t i = 0; i < o->xs.count; i++) {
        reel_tensor x = o->xs.tensor[i];            /* which may be the place of gradients[i]      */
        const reel_node *node = reel_node_at(s->tape, x.node);
        uint32_t gradient = node->gradient;
        if (!gradient) {
            reel_shape shape = reel_shape_of(x);
            gradient = reel_constant_at(s->file, s->line, s->tape, shape, reel_fill(node->dtype, 0)).node;
        }
        if (!gradient)
            return false;
        o->gradients[i] = reel_handle(s->tape, gradient);
    }
    return true;
}

/* A gradient that goes to the caller stays pinned, so that nothing is added to it on its way further down. */
static void hold_results(const struct sweep *s, reel_tensors xs, bool hold)
{
    for (size_t i = 0; i < xs.count; i++) {
        reel_node *node = reel_node_at(s->tape, xs.tensor[i].node);
        node->flags = (uint16_t)(hold ? node->flags | REEL_NODE_RESULT : node->flags & ~REEL_NODE_RESULT);
    }
}

static bool run_sweep(const struct sweep *s, const reel_gradient_options *o)
{
    mark_paths(s, o->xs);
    if (on_path(s->tape, o->y.node)) {
        uint32_t upstream = seed(s, o);
        if (!upstream)
            return false;
        wait_in(s, o->y.node, upstream);
        hold_results(s, o->xs, true);
        bool done = sweep_down(s);
        hold_results(s, o->xs, false);
        if (!done)
            return false;
    }
    s->tape->inherit_file = s->file;
    s->tape->inherit_line = s->line;
    return give_results(s, o);
}

static bool sweep_or_undo(struct sweep *s, const reel_gradient_options *o)
{
    reel_tape *tape = s->tape;
    reel_block *block = tape->arena.current;
    size_t used = tape->arena.used;
    tape->sweeping = true;
    tape->final = s->final;
    tape->inherit_file = s->file;
    tape->inherit_line = s->line;
    tape->step = 0;
    memset(tape->free_pieces, 0, sizeof tape->free_pieces);
    bool done = run_sweep(s, o);
    tape->sweeping = tape->final = tape->in_vjp = false;
    tape->swept = done ? tape->sweep : 0;
    tape->swept_generation = tape->generation;
    if (!done) {
        tape->nodes = s->first;
        reel_arena_rewind(&tape->arena, block, used);
    }
    return done;
}

bool reel_gradient_at(REEL_PLACE, reel_gradient_options options)
{
    reel_tape *tape = options.y.tape;
    bool done = false;
    if (!reel_failed(tape) && tape->sweeping) {
        reel_tape_fail(tape, file, line, "gradient", "a VJP cannot ask for a gradient");
    } else if (!reel_failed(tape)) {
        struct sweep s = {.tape = tape, .file = file, .line = line, .y = options.y.node,
                          .lowest = options.y.node, .first = tape->nodes, .final = options.final};
        done = check_arguments(&s, &options) && sweep_or_undo(&s, &options);
    }
    for (size_t i = 0; !done && options.gradients && i < options.xs.count; i++)
        options.gradients[i] = (reel_tensor){tape, 0, 0};
    return done;
}
