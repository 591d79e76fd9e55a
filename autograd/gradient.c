/* reel_gradient(): what it is asked for, the sweep's two ends, and the tape put back where it fails. sweep.c goes the
 * way between. */
#include "autograd/sweep.h"
#include "core/dtype.h"
#include "core/options.h"
#include "core/shape.h"

#include <string.h>

enum { SWEEP_FEW = 8 };

static bool check_floating(const reel_sweep *s, const char *what, reel_tensor x)
{
    return reel_dtype_is_float(reel_dtype_of(x)) ||
           reel_tape_fail(s->tape, s->file, s->line, "gradient", "%s, %s, is not of a floating dtype", what,
                          reel_describe(x).text);
}

static bool check_x(reel_sweep *s, reel_tensor x, size_t i)
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

static bool check_arguments(reel_sweep *s, const reel_gradient_options *o)
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

/* The upstream gradient: the caller's, or a one stretched to y's shape. NULL after an error. */
static reel_node *seed(const reel_sweep *s, const reel_gradient_options *o)
{
    if (o->upstream.tape)
        return reel_node_of(s->tape, o->upstream);
    reel_shape shape = reel_shape_of(o->y);
    reel_tensor one = reel_constant_at(s->file, s->line, s->tape, (reel_shape){0}, reel_fill(reel_dtype_of(o->y), 1));
    return reel_node_of(s->tape, shape.rank ? reel_broadcast_at(s->file, s->line, one, shape) : one);
}

static bool give_results(const reel_sweep *s, const reel_gradient_options *o)
{
    for (size_t i = 0; i < o->xs.count; i++) {
        reel_tensor x = o->xs.tensor[i];            /* which may be the place of gradients[i]      */
        const reel_node *node = reel_node_at(s->tape, x.node);
        o->gradients[i] = node->gradient ? reel_handle_to(s->tape, node->gradient)
                                         : reel_constant_at(s->file, s->line, s->tape, reel_shape_of(x),
                                                            reel_fill(node->dtype, 0));
        if (!o->gradients[i].node)
            return false;
    }
    return true;
}

/* A gradient that goes to the caller stays pinned, so that nothing is added to it on its way further down. */
static void hold_results(const reel_sweep *s, reel_tensors xs, bool hold)
{
    for (size_t i = 0; i < xs.count; i++) {
        reel_node *node = reel_node_at(s->tape, xs.tensor[i].node);
        node->flags = (uint16_t)(hold ? node->flags | REEL_NODE_RESULT : node->flags & ~REEL_NODE_RESULT);
    }
}

static bool run_sweep(reel_sweep *s, const reel_gradient_options *o)
{
    reel_sweep_mark_paths(s, o->xs);
    if (reel_on_path(s->tape, reel_node_at(s->tape, o->y.node))) {
        reel_node *upstream = seed(s, o);
        if (!upstream)
            return false;
        upstream->base->pins++;
        reel_node_at(s->tape, o->y.node)->gradient = upstream;
        hold_results(s, o->xs, true);
        bool done = reel_sweep_down(s);
        hold_results(s, o->xs, false);
        if (!done)
            return false;
    }
    s->tape->inherit_file = s->file;
    s->tape->inherit_line = s->line;
    return give_results(s, o);
}

static bool sweep_or_undo(reel_sweep *s, const reel_gradient_options *o)
{
    reel_tape *tape = s->tape;
    reel_block *block = tape->arena.current;
    size_t used = reel_arena_used(&tape->arena);
    tape->sweeping = true;
    tape->final = s->final ? REEL_NODE_FINAL : 0;
    tape->inherit_file = s->file;
    tape->inherit_line = s->line;
    tape->step = 0;
    memset(tape->free_pieces, 0, sizeof tape->free_pieces);
    bool done = run_sweep(s, o);
    tape->sweeping = tape->in_vjp = false;
    tape->final = 0;
    tape->swept = done ? tape->sweep : 0;
    tape->swept_generation = tape->generation;
    if (!done) {
        tape->nodes = s->first;
        reel_arena_rewind(&tape->arena, block, used);
    }
    return done;
}

bool reel_gradient_at(REEL_PLACE, const reel_gradient_options *options)
{
    reel_gradient_options o;
    reel_known_options(&o, sizeof o, options);
    reel_tape *tape = o.y.tape;
    bool done = false;
    if (!reel_failed(tape) && tape->sweeping) {
        reel_tape_fail(tape, file, line, "gradient", "a VJP cannot ask for a gradient");
    } else if (!reel_failed(tape)) {
        reel_tensor x[SWEEP_FEW], dx[SWEEP_FEW];
        bool wanted[SWEEP_FEW];
        reel_contribution contribution[SWEEP_FEW];
        reel_sweep s = {.tape = tape, .file = file, .line = line, .y = o.y.node, .lowest = o.y.node,
                        .first = tape->nodes, .final = o.final, .inputs = SWEEP_FEW,
                        .vjp = {.x = x, .dx = dx, .wanted = wanted, .contribution = contribution}};
        s.vjp.call = (reel_call){.tape = tape, .input = x, .output = s.vjp.y};
        done = check_arguments(&s, &o) && sweep_or_undo(&s, &o);
    }
    for (size_t i = 0; !done && o.gradients && i < o.xs.count; i++)
        o.gradients[i] = (reel_tensor){tape, 0, 0};
    return done;
}
