/* Errors: the tape keeps the first one, as one line for a person. */
#include "autograd/tape.h"
#include "core/shape.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

bool reel_failed(const reel_tape *tape)
{
    return !tape || tape->error != REEL_FINE;
}

const char *reel_error_message(const reel_tape *tape)
{
    if (!tape)
        return "no tape: it could not be made, or every handle passed was REEL_NONE";
    return tape->error == REEL_FINE ? "" : tape->message;
}

bool reel_error_clear(reel_tape *tape)
{
    if (!tape || (tape->error != REEL_FINE && !tape->rewound))
        return false;
    tape->error = REEL_FINE;
    return true;
}

static void error_write(reel_tape *tape, const char *file, int line, const char *op, const char *format,
                        va_list arguments)
{
    if (tape->error == REEL_ERROR)
        return;                                     /* the first is kept; what failed while a replay was being
                                                       mended takes the replay's place               */
    if (tape->in_vjp) {
        file = tape->inherit_file;
        line = tape->inherit_line;
    }
    reel_text text = {.buffer = tape->message, .size = sizeof tape->message};
    if (file)
        reel_text_add(&text, "%s:%d: ", file, line);
    if (op)
        reel_text_add(&text, "%s: ", op);
    size_t at = text.length < text.size ? text.length : text.size - 1;
    vsnprintf(text.buffer + at, text.size - at, format, arguments);
    tape->error = REEL_ERROR;
    tape->rewound = false;
}

bool reel_tape_fail(reel_tape *tape, const char *file, int line, const char *op, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    error_write(tape, file, line, op, format, arguments);
    va_end(arguments);
    return false;
}

void reel_tape_add_to_error(reel_tape *tape, const char *format, ...)
{
    size_t at = strlen(tape->message);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(tape->message + at, sizeof tape->message - at, format, arguments);
    va_end(arguments);
}

void reel_error_set_at(REEL_PLACE, reel_tape *tape, const char *format, ...)
{
    if (!tape)
        return;
    va_list arguments;
    va_start(arguments, format);
    error_write(tape, file, line, NULL, format, arguments);
    va_end(arguments);
}

/* The op is known from the call; the place is the caller's while it is recorded, the node's on a replay. */
bool reel_call_error(const reel_call *call, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    error_write(call->tape, call->tape->here_file, call->tape->here_line, call->op->name, format,
                arguments);
    va_end(arguments);
    return false;
}

reel_description reel_call_describe(const reel_call *call, int input)
{
    if (call->input)
        return reel_describe(call->input[input]);
    const reel_node *head = reel_node_at(call->tape, call->tape->here_node);
    return reel_describe(reel_handle(call->tape, reel_node_inputs(head)[input]));
}

bool reel_tape_out_of_memory(reel_tape *tape, const char *file, int line, const char *op, size_t bytes)
{
    if (bytes < tape->memory.wanted)
        bytes = tape->memory.wanted;                /* records come in larger pieces               */
    if (tape->memory.over_cap)
        return reel_tape_fail(tape, file, line, op,
                              "%zu more bytes would pass the memory cap of %zu (%zu are held)", bytes,
                              tape->memory.cap, tape->memory.held);
    return reel_tape_fail(tape, file, line, op, "out of memory: %zu bytes were wanted, %zu are held", bytes,
                          tape->memory.held);
}

reel_description reel_describe(reel_tensor x)
{
    reel_description description;
    reel_text text = {.buffer = description.text, .size = sizeof description.text};
    description.text[0] = 0;
    if (!reel_is_valid(x)) {
        reel_text_add(&text, "%s", x.tape ? "(not on the tape)" : "(none)");
        return description;
    }
    const reel_node *node = reel_node_at(x.tape, x.node);
    if (node->name)
        reel_text_add(&text, "\"%.60s\" ", node->name);
    reel_text_shape(&text, node->rank, node->shape);
    reel_text_add(&text, " %s", reel_dtype_name(node->dtype));
    return description;
}

/* What is wrong with a handle whose value cannot be read. */
static const char *handle_fault(const reel_tape *tape, reel_tensor x)
{
    if (!x.tape)
        return "is none";
    if (x.tape != tape)
        return "belongs to another tape";
    if (!x.node)
        return "is the result of a call that failed";
    if (!reel_on_tape(tape, x))
        return "was rewound past";
    const reel_node *node = reel_node_at(tape, x.node);
    if (node->flags & REEL_NODE_NOTE || node->dtype == REEL_NO_DTYPE)
        return "has no value";
    if (node->flags & REEL_NODE_RECYCLED)
        return "was a temporary of a final gradient";
    return "is not computed: the last replay failed at it or before it";
}

bool reel_refuse(const char *file, int line, const char *what, reel_tensor x)
{
    return !reel_failed(x.tape) &&
           reel_tape_fail(x.tape, file, line, what, "the tensor %s", handle_fault(x.tape, x));
}

bool reel_can_be_set(const char *file, int line, const char *what, reel_tensor x)
{
    bool mending = x.tape && x.tape->error == REEL_REPLAY_ERROR && reel_on_tape(x.tape, x);
    return mending || reel_usable(file, line, what, x);
}

bool reel_refuse_input(reel_tape *tape, const char *file, int line, const char *op, int position, reel_tensor x)
{
    return reel_tape_fail(tape, file, line, op, "input %d %s", position + 1, handle_fault(tape, x));
}

bool reel_inputs_computed(reel_tape *tape, const reel_node *node)
{
    const uint32_t *input = reel_node_inputs(node);
    for (uint32_t i = 0; i < node->inputs; i++)
        if (!(reel_node_at(tape, input[i])->flags & REEL_NODE_COMPUTED))
            return reel_refuse_input(tape, node->file, node->line, node->op->name, (int)i, reel_handle(tape, input[i]));
    return true;
}
