/* Which node is at fault: each call between the inputs and the outputs is recorded alone, on leaves that
 * hold what its inputs held, and its VJP is checked. Where a call has one tensor in two places it has one
 * leaf there too; if the VJP is wrong so but right with two leaves, a contribution was lost.
 *
 * When a gradient of a gradient is wrong, that is done first to the calls that the lower gradient
 * recorded. If they are all right, a call's VJP does not follow what it is computed from, and each call of
 * y itself is checked to the order that is wrong. */
#include "autograd/lab/lab.h"
#include "autograd/section.h"

#include <string.h>

enum { BLAME_OUTPUTS = 8 };

/* Elements looked at for one input of one call. */
static const double blame_budget = 4e8;

struct blame_call {
    reel_lab        *lab;
    const reel_node *head;
    uint32_t         id;
    int              order;
    bool             apart;                         /* a leaf for each input, though it is one tensor */
    reel_tensor     *input, *x;                     /* leaves; of those, what can be differentiated */
    int             *x_input;                       /* which of the call's inputs each x is         */
    size_t           xs;
};

/* Down through the copies; what a gradient recorded between two of them stands for nothing. */
uint32_t reel_lab_origin(const reel_lab *lab, uint32_t node)
{
    uint32_t user = 0;
    for (const reel_lab_copy *copy = &lab->copy; copy; copy = copy->below) {
        if (node >= copy->from && node < copy->to)
            node = copy->origin[node - copy->from];
        user = node < copy->from ? node : 0;
    }
    return user;
}

/* ---- One call alone -------------------------------------------------------------------------------- */

static bool blame_leaves(struct blame_call *c)
{
    const uint32_t *input = reel_node_inputs(c->head);
    for (uint32_t i = 0; i < c->head->inputs; i++) {
        uint32_t same = 0;
        while (same < i && (c->apart || input[same] != input[i]))
            same++;
        c->input[i] = c->input[same];
        if (same < i)
            continue;
        const reel_node *from = reel_node_at(c->lab->tape, input[i]);
        bool variable = from->flags & REEL_NODE_VARIABLE;
        c->input[i] = reel_leaf_like(c->head->file, c->head->line, c->lab->tape, from,
                                     (reel_dtype)from->dtype, variable, "gradcheck");
        if (!c->input[i].node)
            return false;
        if (variable) {
            c->x_input[c->xs] = (int)i;
            c->x[c->xs++] = c->input[i];
        }
    }
    return true;
}

/* Records the call on its leaves and checks it. */
static bool blame_check(struct blame_call *c, reel_gradcheck_report *report)
{
    reel_lab *lab = c->lab;
    uint32_t low = lab->tape->nodes;
    reel_tensor output[BLAME_OUTPUTS];
    c->xs = 0;
    if (!blame_leaves(c) ||
        !reel_apply_at(c->head->file, c->head->line, c->head->op, reel_tensors_of(c->input, c->head->inputs),
                       c->head->attributes, output, c->head->outputs))
        return false;
    size_t outputs = 0;
    for (int i = 0; i < c->head->outputs; i++)
        if (reel_dtype_is_float(reel_dtype_of(output[i])))
            output[outputs++] = output[i];
    reel_lab alone = {
        .tape = lab->tape, .file = lab->file, .line = lab->line, .tolerance = lab->tolerance,
        .roundoff = lab->roundoff, .grid = lab->grid, .random = lab->random, .no_blame = true,
        .budget = blame_budget,
    };
    reel_lab_open_report(&alone, report, NULL, 0);
    if (outputs && c->xs &&
        !reel_lab_levels(&alone, low, reel_tensors_of(output, outputs), reel_tensors_of(c->x, c->xs),
                         c->order))
        return false;
    reel_lab_close_report(&alone, true);
    return true;
}

static bool blame_has_twins(const reel_node *head)
{
    const uint32_t *input = reel_node_inputs(head);
    for (uint32_t i = 0; i < head->inputs; i++)
        for (uint32_t k = 0; k < i; k++)
            if (input[i] == input[k])
                return true;
    return false;
}

static bool blame_run(struct blame_call *c, bool apart, reel_gradcheck_report *report)
{
    reel_mark mark = reel_tape_mark(c->lab->tape);
    uint32_t inputs = c->head->inputs;
    c->apart = apart;
    c->input = reel_lab_get(c->lab, inputs, sizeof *c->input);
    c->x = reel_lab_get(c->lab, inputs, sizeof *c->x);
    c->x_input = reel_lab_get(c->lab, inputs, sizeof *c->x_input);
    bool done = c->input && c->x && c->x_input && blame_check(c, report);
    int x = report->worst[0].x;
    if (done && report->findings)                   /* among the call's inputs                     */
        report->worst[0].x = x < (int)c->xs ? c->x_input[x] : -1;
    return done && reel_tape_rewind_at(c->lab->file, c->lab->line, c->lab->tape, mark);
}

/* ---- All calls ------------------------------------------------------------------------------------- */

/* The next order looks at the calls of y again. */
static bool blame_is_known(const struct blame_call *c)
{
    const reel_gradcheck_report *report = c->lab->report;
    uint32_t node = reel_lab_origin(c->lab, c->id);
    for (int i = 0; i < report->blames; i++)
        if (node && report->blame[i].node == node)
            return true;
    return false;
}

/* Makes room in the list, the worst first; NULL where it is full of worse ones. */
static reel_blame *blame_place(reel_gradcheck_report *report, double severity)
{
    int at = report->blames < REEL_BLAMES ? report->blames++ : REEL_BLAMES;
    for (; at > 0 && report->blame[at - 1].finding.severity < severity; at--)
        if (at < REEL_BLAMES)
            report->blame[at] = report->blame[at - 1];
    return at < REEL_BLAMES ? &report->blame[at] : NULL;
}

static void blame_note(const struct blame_call *c, const reel_gradcheck_report *found, reel_cause cause)
{
    reel_blame *blame = blame_place(c->lab->report, found->worst[0].severity);
    if (!blame)
        return;
    int input = found->worst[0].x;
    uint32_t x = input < 0 ? c->id : reel_node_inputs(c->head)[input], origin = reel_lab_origin(c->lab, x);
    *blame = (reel_blame){
        .op = c->head->op->name, .file = c->head->file, .line = c->head->line,
        .node = reel_lab_origin(c->lab, c->id), .input = input,
        .described = reel_describe(reel_handle(c->lab->tape, origin ? origin : x)),
        .cause = cause, .clue = found->clue, .finding = found->worst[0],
    };
    if (input >= 0)
        blame->finding.name = reel_node_at(c->lab->tape, x)->name;
}

static bool blame_call(reel_lab *lab, uint32_t id, int order)
{
    struct blame_call c = {.lab = lab, .head = reel_node_at(lab->tape, id), .id = id, .order = order};
    reel_gradcheck_report found, apart;
    if (blame_is_known(&c))
        return true;
    if (!blame_run(&c, false, &found))
        return false;
    if (!found.failed)
        return true;
    reel_cause cause = found.cause;
    if (blame_has_twins(c.head)) {
        if (!blame_run(&c, true, &apart))
            return false;
        if (!apart.failed)
            cause = REEL_CAUSE_ACCUMULATION;
    }
    blame_note(&c, &found, cause);
    return true;
}

/* Variables are the inputs alone, so what depends on them is known by that flag. */
static bool blame_calls(reel_lab *lab, const reel_lab_copy *copy, int order)
{
    for (uint32_t id = copy->from; id < copy->to; id++) {
        const reel_node *node = reel_node_at(lab->tape, id);
        if (node->op && node->output == 0 && node->flags & REEL_NODE_VARIABLE && !blame_call(lab, id, order))
            return false;
    }
    return true;
}

bool reel_lab_find_blame(reel_lab *lab, int order)
{
    const reel_lab_copy *copy = &lab->copy;
    lab->report->blame_tried = true;
    if (order == lab->order && !blame_calls(lab, copy, 1))
        return false;
    while (copy->below)
        copy = copy->below;
    return order == 1 || lab->report->blames || blame_calls(lab, copy, order);
}
