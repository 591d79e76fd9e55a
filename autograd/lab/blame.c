/* Which node is at fault: each call between the inputs and the outputs is recorded alone, on leaves that hold what
 * its inputs held, and its VJP is checked. Where a call has one tensor in two places it has one leaf there too; if
 * the VJP is wrong so but right with two leaves, a contribution was lost. */
#include "autograd/lab/lab.h"

#include <string.h>

enum { BLAME_OUTPUTS = 8 };

/* Elements looked at for one input of one call. */
static const double blame_budget = 4e8;

struct blame_call {
    reel_lab        *lab;
    const reel_node *head;
    uint32_t         id;
    bool             apart;                         /* a leaf for each input, though it is one tensor */
    reel_tensor     *input, *x;                     /* leaves; of those, what can be differentiated */
    int             *x_input;                       /* which of the call's inputs each x is         */
    size_t           xs;
};

uint32_t reel_lab_origin(const reel_lab *lab, uint32_t node)
{
    for (const reel_lab_copy *copy = &lab->copy; copy; copy = copy->below) {
        if (node < copy->from || node >= copy->to)
            return 0;
        node = copy->origin[node - copy->from];
    }
    return node;
}

static bool blame_moves(const reel_lab *lab, uint32_t node)
{
    for (size_t i = 0; i < lab->inputs; i++)
        if (reel_lab_moves(lab, &lab->input[i], node))
            return true;
    return false;
}

/* ---- One call alone -------------------------------------------------------------------------------------------------- */

static reel_tensor blame_leaf(const struct blame_call *c, const reel_node *from, bool variable)
{
    reel_shape shape = reel_make_shape(from->rank, from->shape);
    reel_tensor leaf = reel_leaf_new(c->head->file, c->head->line, c->lab->tape, (reel_dtype)from->dtype, &shape,
                                     variable, "gradcheck");
    if (leaf.node) {
        reel_array array = reel_node_array(c->lab->tape, from);
        reel_array_get(&array, array.dtype, reel_node_at(c->lab->tape, leaf.node)->data);
    }
    return leaf;
}

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
        bool variable = reel_dtype_is_float(from->dtype) && blame_moves(c->lab, input[i]);
        c->input[i] = blame_leaf(c, from, variable);
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
        !reel_lab_levels(&alone, low, reel_tensors_of(output, outputs), reel_tensors_of(c->x, c->xs), 1))
        return false;
    reel_lab_close_report(&alone);
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
    int x = done && report->findings ? c->x_input[report->worst[0].x] : 0;
    report->worst[0].x = x;                         /* among the call's inputs                     */
    return done && reel_tape_rewind_at(c->lab->file, c->lab->line, c->lab->tape, mark);
}

/* ---- All calls ------------------------------------------------------------------------------------------------------ */

static void blame_note(const struct blame_call *c, const reel_gradcheck_report *found, reel_cause cause)
{
    reel_gradcheck_report *report = c->lab->report;
    int at = report->blames < REEL_BLAMES ? report->blames++ : REEL_BLAMES;
    for (; at > 0 && report->blame[at - 1].finding.severity < found->worst[0].severity; at--)
        if (at < REEL_BLAMES)
            report->blame[at] = report->blame[at - 1];
    if (at == REEL_BLAMES)
        return;
    int input = found->worst[0].x;
    uint32_t x = reel_node_inputs(c->head)[input], origin = reel_lab_origin(c->lab, x);
    report->blame[at] = (reel_blame){
        .op = c->head->op->name, .file = c->head->file, .line = c->head->line,
        .node = reel_lab_origin(c->lab, c->id), .input = input,
        .described = reel_describe(reel_handle(c->lab->tape, origin ? origin : x)),
        .cause = cause, .finding = found->worst[0],
    };
    report->blame[at].finding.name = reel_node_at(c->lab->tape, x)->name;
}

static bool blame_call(reel_lab *lab, uint32_t id)
{
    struct blame_call c = {.lab = lab, .head = reel_node_at(lab->tape, id), .id = id};
    reel_gradcheck_report found, apart;
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

bool reel_lab_find_blame(reel_lab *lab)
{
    lab->report->blame_tried = true;
    for (uint32_t id = lab->copy.from; id < lab->copy.to; id++) {
        const reel_node *node = reel_node_at(lab->tape, id);
        if (node->op && node->output == 0 && lab->useful[id - lab->copy.from] && blame_moves(lab, id) &&
            !blame_call(lab, id))
            return false;
    }
    return true;
}
