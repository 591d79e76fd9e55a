/* The backward pass, step by step: for each node of the sweep its op's formula, the gradient that comes
 * in, and what its VJP adds to the gradient of each input. */
#include "autograd/look.h"
#include "core/dtype.h"

enum { STEP_ELEMENTS = 40, STEP_TEXT = 2048 };

struct shown_step {
    const reel_tape *tape;
    const reel_step *step;
};

/* "logits", or %12 (tanh) for a value without a name. */
static void put_tensor_name(reel_text *text, const reel_tape *tape, reel_tensor x)
{
    const reel_node *node = reel_node_at(tape, x.node);
    if (node->name) {
        reel_text_add(text, "\"%.60s\"", node->name);
        return;
    }
    reel_text_add(text, "%%%u (", x.node);
    reel_text_origin(text, node);
    reel_text_char(text, ')');
}

/* Set in from the left; only the range where there are many elements. */
static void put_indented(reel_text *text, const reel_tape *tape, reel_tensor x)
{
    const reel_node *node = reel_node_at(tape, x.node);
    char buffer[STEP_TEXT];
    reel_text plain = reel_text_in(buffer, sizeof buffer);
    if (!reel_value_missing(node) && node->count <= STEP_ELEMENTS) {
        reel_array array = reel_node_array(node);
        reel_text_array(&plain, &array);
    } else {
        reel_text_range(&plain, tape, x.node);
    }
    reel_text_add(text, "        ");
    for (const char *at = buffer; *at; at++) {
        reel_text_char(text, *at);
        if (*at == '\n')
            reel_text_add(text, "        ");
    }
    reel_text_char(text, '\n');
}

static void put_incoming(reel_text *text, const void *context)
{
    const struct shown_step *shown = context;
    const reel_step *step = shown->step;
    reel_text_add(text, "step %d: %s, recorded at ", step->number, step->op->name);
    reel_text_place(text, step->file, step->line);
    reel_text_char(text, '\n');
    if (step->op->formula)
        reel_text_add(text, "    %s\n", step->op->formula);
    for (int i = 0; i < step->outputs; i++) {
        reel_text_add(text, "    the gradient of ");
        put_tensor_name(text, shown->tape, step->output[i]);
        if (!step->incoming[i].node) {
            reel_text_add(text, " is zero\n");
            continue;
        }
        reel_text_add(text, " is\n");
        put_indented(text, shown->tape, step->incoming[i]);
    }
}

/* Whether the sweep has found something for this input already. */
static bool has_gradient(const struct shown_step *shown, int input)
{
    reel_tensor x = shown->step->input[input];
    for (int i = 0; i < input; i++)
        if (shown->step->input[i].node == x.node && shown->step->added[i].node)
            return true;
    const reel_node *node = reel_node_at(shown->tape, x.node);
    return node->sweep == shown->tape->sweep && node->gradient;
}

static void put_added(reel_text *text, const void *context)
{
    const struct shown_step *shown = context;
    const reel_step *step = shown->step;
    for (int i = 0; i < step->inputs; i++) {
        if (!step->added[i].node)
            continue;
        reel_text_add(text, "    %s the gradient of ", has_gradient(shown, i) ? "it adds to" : "it begins");
        put_tensor_name(text, shown->tape, step->input[i]);
        reel_text_add(text, has_gradient(shown, i) ? "\n" : " with\n");
        put_indented(text, shown->tape, step->added[i]);
    }
}

bool reel_print_step(void *user, const reel_step *step)
{
    (void)user;
    struct shown_step shown = {step->tape, step};
    reel_maker make = step->added ? put_added : put_incoming;
    return reel_tape_print(step->file, step->line, step->tape, "print", make, &shown);
}
