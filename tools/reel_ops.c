/* reel-ops HEADER: writes the reference of the ops, docs/ops.md, to standard output.
 *
 * Nothing in it is written by hand but this frame. Formulas and calls are those of the op table; dtypes,
 * shapes, derivatives and errors are found by running each op on its samples; the example is the call on the
 * first sample with short numbers, and what it prints. HEADER is include/reel.h, which says which ops have a
 * call. Exit status 1, and the op's name, where an op says too little of itself. */
#include "tools/op_samples.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { OPS_TEXT = 4096, OPS_CALL = 512, OPS_SHAPES = 4, OPS_ERRORS = 4, OPS_ORDERS = 3,
       OPS_MOST_ELEMENTS = 100 };

static const char ops_input_names[] = "abcd";

static int ops_inputs(const reel_op *op, const reel_sample *sample)
{
    return sample->inputs ? sample->inputs : op->inputs;
}

static int64_t ops_count(reel_shape shape)
{
    int64_t count = 1;
    for (int i = 0; i < shape.rank; i++)
        count *= shape.size[i];
    return count;
}

static int64_t ops_elements(const reel_op *op, const reel_sample *sample)
{
    int64_t sum = 0;
    for (int i = 0; i < ops_inputs(op, sample); i++)
        sum += ops_count(sample->in[i].shape);
    return sum;
}

/* ---- The call ---------------------------------------------------------------------------------------- */

static bool ops_is_declared(const char *header, const char *name)
{
    char macro[128];
    snprintf(macro, sizeof macro, "#define reel_%s(", name);
    return strstr(header, macro);
}

/* The call as C; "" for an op that only gradients record. False where the op does not say. */
static bool ops_call(const reel_op *op, const char *header, char *call, size_t bytes)
{
    int inputs = ops_inputs(op, op->samples);
    snprintf(call, bytes, "%s", op->example ? op->example : "");
    if (op->example || !ops_is_declared(header, op->name))
        return true;
    snprintf(call, bytes, "reel_%s(%.*s)", op->name, 3 * inputs - 2, "a, b, c, d");
    return !op->attributes && op->inputs != REEL_ANY;
}

/* ---- What running an op on its samples tells ------------------------------------------------------------ */

/* The sample in one dtype, and whether the op took it. y is its first floating output. */
static bool ops_try(op_sample *sample, reel_tape *tape, const reel_op *op, int index, reel_dtype dtype,
                    reel_tensor *y)
{
    reel_tensor output[OP_SAMPLE_OUTPUTS];
    if (!op_sample_make(sample, tape, op, index, dtype))
        return false;
    int outputs = op_sample_apply(sample, op, sample->input, output);
    *y = outputs ? output[0] : REEL_NONE;
    return !reel_failed(tape);
}

/* Bit d of taken[i]: input i may be of dtype d. */
static void ops_find_dtypes(const reel_op *op, unsigned taken[REEL_SAMPLE_INPUTS])
{
    memset(taken, 0, REEL_SAMPLE_INPUTS * sizeof *taken);
    for (int i = 0; i < (int)op->sample_count; i++)
        for (reel_dtype dtype = REEL_F16; dtype < REEL_DTYPES && !op->samples[i].error; dtype++) {
            reel_tape *tape = reel_tape_new();
            op_sample sample;
            reel_tensor y;
            if (ops_try(&sample, tape, op, i, dtype, &y))
                for (int k = 0; k < sample.inputs; k++)
                    taken[k] |= 1u << reel_dtype_of(sample.input[k]);
            reel_tape_free(tape);
            op_sample_free(&sample);
        }
}

static void ops_print_set(unsigned set)
{
    const char *comma = "";
    for (reel_dtype dtype = REEL_F16; dtype < REEL_DTYPES; dtype++)
        if (set >> dtype & 1) {
            printf("%s%s", comma, reel_dtype_name(dtype));
            comma = ", ";
        }
}

static void ops_print_dtypes(const reel_op *op)
{
    unsigned taken[REEL_SAMPLE_INPUTS];
    int inputs = 0;
    ops_find_dtypes(op, taken);
    while (inputs < REEL_SAMPLE_INPUTS && taken[inputs])
        inputs++;
    bool alike = true;
    for (int i = 1; i < inputs; i++)
        alike &= taken[i] == taken[0];
    printf("- dtypes: ");
    for (int i = 0; i < (alike ? 1 : inputs); i++) {
        if (!alike)
            printf("%s`%c` ", i ? "; " : "", ops_input_names[i]);
        ops_print_set(taken[i]);
    }
    printf("\n");
}

static void ops_shape_text(reel_shape shape, char *text, size_t bytes)
{
    size_t at = (size_t)snprintf(text, bytes, "[");
    for (int i = 0; i < shape.rank; i++)
        at += (size_t)snprintf(text + at, bytes - at, "%s%lld", i ? "," : "", (long long)shape.size[i]);
    snprintf(text + at, bytes - at, "]");
}

/* The inputs and the first result of a sample, "[4,3] [3] -> [4,3]"; false where it fails. */
static bool ops_shape_line(const reel_op *op, int index, char *line)
{
    reel_tape *tape = reel_tape_new();
    op_sample sample;
    reel_tensor y[OP_SAMPLE_OUTPUTS];
    char one[96];
    bool good = op_sample_make(&sample, tape, op, index, REEL_F32) &&
                reel_apply(op, reel_tensors_of(sample.input, (size_t)sample.inputs), sample.sample->attributes, y,
                           op->outputs);
    strcpy(line, " `");
    for (int i = 0; good && i < sample.inputs; i++) {
        ops_shape_text(reel_shape_of(sample.input[i]), one, sizeof one);
        strcat(strcat(line, i ? " " : ""), one);
    }
    if (good && op->outputs) {
        ops_shape_text(reel_shape_of(y[0]), one, sizeof one);
        strcat(strcat(line, " -> "), one);
    }
    strcat(line, "`");
    reel_tape_free(tape);
    op_sample_free(&sample);
    return good;
}

/* Some samples, each line once. */
static void ops_print_shapes(const reel_op *op)
{
    char shown[OPS_TEXT] = "- shapes:", line[512];
    int count = 0;
    for (int i = 0; i < (int)op->sample_count && count < OPS_SHAPES; i++) {
        if (op->samples[i].error || ops_elements(op, &op->samples[i]) >= OPS_MOST_ELEMENTS ||
            !ops_shape_line(op, i, line) || strstr(shown, line))
            continue;
        strcat(strcat(shown, count ? "," : ""), line);
        count++;
    }
    printf("%s\n", shown);
}

/* How often the sum of y can be differentiated by the sample's inputs, up to OPS_ORDERS. */
static int ops_orders(const reel_op *op)
{
    reel_tape *tape = reel_tape_new();
    op_sample sample;
    reel_tensor y, dx[REEL_SAMPLE_INPUTS];
    int order = 0;
    if (op_sample_has_gradient(op, 0) && ops_try(&sample, tape, op, 0, REEL_F64, &y))
        while (order < OPS_ORDERS && reel_gradient(y, reel_tensors_of(sample.x, (size_t)sample.xs), dx)) {
            order++;
            y = reel_sum(reel_mul(dx[0], dx[0]));
        }
    reel_tape_free(tape);
    if (op_sample_has_gradient(op, 0))
        op_sample_free(&sample);
    return order;
}

static void ops_print_gradient(const reel_op *op)
{
    int orders = ops_orders(op);
    if (orders == OPS_ORDERS)
        printf("- gradient: of any order (run to the third)\n");
    else if (orders)
        printf("- gradient: to order %d\n", orders);
    else
        printf("- gradient: none\n");
}

static void ops_print_errors(const reel_op *op)
{
    char before[128];
    int count = 0;
    snprintf(before, sizeof before, ": %s: ", op->name);
    for (int i = 0; i < (int)op->sample_count && count < OPS_ERRORS; i++) {
        if (!op->samples[i].error)
            continue;
        reel_tape *tape = reel_tape_new();
        op_sample sample;
        reel_tensor y;
        ops_try(&sample, tape, op, i, REEL_F32, &y);
        const char *message = strstr(reel_error_message(tape), before);
        if (message)
            printf("%s%s\n", count++ ? "  - " : "- errors:\n  - ", message + strlen(before));
        reel_tape_free(tape);
        op_sample_free(&sample);
    }
}

/* ---- The example --------------------------------------------------------------------------------------- */

/* Short numbers from the sample's range: steps of a power of two, whose sums are short too, or of ten. */
static void ops_draw(const reel_sample *sample, int input, reel_dtype dtype, int64_t count, double *value)
{
    double low = sample->in[input].low, high = sample->in[input].high;
    bool floating = reel_dtype_is_float(dtype);
    if (low == 0 && high == 0) {
        low = floating ? -1 : 0;
        high = floating ? 1 : 8;
    }
    double step = !floating ? 1 : high - low < 1 ? pow(10, floor(log10((high - low) / 10)))
                                                 : exp2(floor(log2((high - low) / 8)));
    low = ceil(low / step) * step;
    uint64_t state = 88172645463325252u + (uint64_t)input;
    for (int64_t i = 0; i < count; i++) {
        state ^= state << 13, state ^= state >> 7, state ^= state << 17;    /* Marsaglia's xorshift, 2003 */
        double at = (double)(state >> 11) * 0x1p-53;
        value[i] = sample->in[input].values ? sample->in[input].values[i]
                                            : low + step * floor(at * (high - low) / step + 1e-9);
    }
}

/* Makes input i on the tape, and prints the line that does. */
static reel_tensor ops_make_input(reel_tape *tape, const reel_sample *sample, int input)
{
    reel_dtype dtype = sample->in[input].dtype ? sample->in[input].dtype : REEL_F32;
    reel_shape shape = sample->in[input].shape;
    int64_t count = ops_count(shape);
    double *value = malloc((size_t)count * sizeof *value);
    const char *kind = reel_dtype_is_float(dtype) ? "variable" : "constant";
    char name[8] = "";
    for (int i = 0; reel_dtype_name(dtype)[i]; i++)
        name[i] = (char)(reel_dtype_name(dtype)[i] - (reel_dtype_name(dtype)[i] >= 'a' ? 'a' - 'A' : 0));
    printf("reel_tensor %c = reel_%s(tape, REEL_SHAPE(", ops_input_names[input], kind);
    for (int i = 0; i < shape.rank; i++)
        printf("%s%lld", i ? ", " : "", (long long)shape.size[i]);
    printf("), REEL_%s_VALUES(", name);
    ops_draw(sample, input, dtype, count, value);
    for (int64_t i = 0; i < count; i++) {
        char text[32];
        snprintf(text, sizeof text, "%.6g", value[i]);
        value[i] = strtod(text, NULL);
        printf("%s%s", i == 0 ? "" : i % 8 ? ", " : ",\n    ", text);
    }
    printf("));\n");
    reel_values values = reel_values_from_f64(dtype, value, (size_t)count);
    reel_tensor x = *kind == 'v' ? reel_variable(tape, shape, values) : reel_constant(tape, shape, values);
    free(value);
    return x;
}

/* A tensor as reel_print() shows it, added to the text of what is printed. */
static void ops_show(reel_tensor x, char *text)
{
    size_t at = strlen(text), length = reel_format(x, text + at, OPS_TEXT - at - 2);
    if (text[at + length - 1] != '\n')
        strcat(text, "\n");
}

/* A long call gets a line for each named argument. */
static void ops_print_call(const char *call)
{
    bool many = strlen(call) > 90;
    for (const char *c = call; *c; c++)
        if (many && !strncmp(c, ", .", 3)) {
            printf(",\n    ");
            c++;
        } else {
            putchar(*c);
        }
    printf(";\n");
}

/* The gradient of the first result into the inputs that it leads to. */
static void ops_show_gradient(reel_tensor y, const char *name, const reel_tensor x[], int inputs, char *text)
{
    reel_tensor wanted[REEL_SAMPLE_INPUTS], gradient[REEL_SAMPLE_INPUTS];
    char list[64] = "", why[8];
    size_t count = 0;
    for (int i = 0; i < inputs; i++)
        if (reel_dtype_is_float(reel_dtype_of(x[i])) && !reel_why_no_gradient(y, x[i], why, sizeof why)) {
            wanted[count++] = x[i];
            sprintf(list + strlen(list), "%s%c", *list ? ", " : "", ops_input_names[i]);
        }
    if (!count || !reel_gradient(y, reel_tensors_of(wanted, count), gradient))
        return;
    printf("\nreel_tensor gradient[%zu];\nreel_gradient(%s, REEL_TENSORS(%s), gradient);\n", count, name, list);
    for (size_t i = 0; i < count; i++) {
        printf("reel_print(gradient[%zu]);\n", i);
        ops_show(gradient[i], text);
    }
}

static bool ops_print_example(const reel_op *op, const char *call)
{
    const reel_sample *sample = &op->samples[0];
    reel_tape *tape = reel_tape_new();
    reel_tensor x[REEL_SAMPLE_INPUTS], y[OP_SAMPLE_OUTPUTS];
    int inputs = ops_inputs(op, sample);
    char text[OPS_TEXT] = "";
    bool pair = !strncmp(op->name, "raw_", 4), differentiable = op->vjp && !(op->flags & REEL_NO_GRADIENT);
    printf("\n```c\n");
    for (int i = 0; i < inputs; i++)
        x[i] = ops_make_input(tape, sample, i);
    reel_apply(op, reel_tensors_of(x, (size_t)inputs), sample->attributes, y, op->outputs);
    printf("%s", !op->outputs ? "" : pair ? "reel_loss_and_backprop y = " : "reel_tensor y = ");
    ops_print_call(call);
    if (op->outputs)
        printf("%s", pair ? "reel_print(y.loss);\nreel_print(y.backprop);\n" : "reel_print(y);\n");
    for (int i = 0; i < (pair ? 2 : op->outputs ? 1 : 0); i++)
        ops_show(y[i], text);
    for (int i = 0; op->writes && i < inputs; i++)
        if (op->writes(sample->attributes, i)) {
            printf("reel_print(%c);\n", ops_input_names[i]);
            ops_show(x[i], text);
        }
    if (differentiable)
        ops_show_gradient(y[0], pair ? "y.loss" : "y", x, inputs, text);
    printf("```\n```text\n%s```", text);
    bool good = !reel_failed(tape);
    if (!good)
        fprintf(stderr, "%s\n", reel_error_message(tape));
    reel_tape_free(tape);
    return good;
}

/* ---- The page ------------------------------------------------------------------------------------------ */

static bool ops_print_op(const reel_op *op, const char *call)
{
    printf("\n\n## %s\n\n    ", op->name);
    for (const char *c = op->formula; *c; c++)
        printf(*c == ';' ? "\n   " : "%c", *c);
    printf("\n\n");
    ops_print_dtypes(op);
    ops_print_shapes(op);
    ops_print_gradient(op);
    ops_print_errors(op);
    return ops_print_example(op, call);
}

static char *ops_read(const char *path)
{
    FILE *file = fopen(path, "rb");
    char *text = calloc(1, 1 << 20);
    if (file && text)
        text[fread(text, 1, (1 << 20) - 1, file)] = 0;
    if (file)
        fclose(file);
    return text;
}

static const char ops_head[] =
    "# The ops\n\n"
    "Made by `build/tools/reel-ops include/reel.h`; do not edit. The formula of an op is the one in its file,\n"
    "where y is the result, dy the gradient that comes into it, and dx the one that goes into x. All the rest was\n"
    "found by running the op on the samples that its tests use: the dtypes it takes, some shapes, how often it can\n"
    "be differentiated, and what it says of wrong calls. Inputs are called `a`, `b`, `c` and `d`, in order. Each\n"
    "example runs as it stands on a `tape`; it prints the result and then the gradients of its sum. What each\n"
    "argument means is in [include/reel.h](../include/reel.h).\n\n";

/* The head, and a list of the ops that have a call. False where an op says too little of itself. */
static bool ops_print_list(const char *header)
{
    char call[OPS_CALL];
    const char *comma = "";
    printf("%s", ops_head);
    for (size_t i = 0; i < reel_op_count(); i++) {
        const reel_op *op = reel_op_in_table(i);
        if (!op->formula || !op->sample_count || !ops_call(op, header, call, sizeof call)) {
            fprintf(stderr, "%s: no formula, no sample, or no example\n", op->name);
            return false;
        }
        if (*call) {
            printf("%s[%s](#%s)", comma, op->name, op->name);
            comma = ",\n";
        }
    }
    return true;
}

static bool ops_print_all(const char *header)
{
    char call[OPS_CALL];
    bool good = true;
    for (size_t i = 0; i < reel_op_count(); i++) {
        ops_call(reel_op_in_table(i), header, call, sizeof call);
        if (*call)
            good &= ops_print_op(reel_op_in_table(i), call);
    }
    printf("\n\n## Ops that only gradients record\n\n| op | formula |\n|---|---|\n");
    for (size_t i = 0; i < reel_op_count(); i++) {
        ops_call(reel_op_in_table(i), header, call, sizeof call);
        if (!*call)
            printf("| `%s` | %s |\n", reel_op_in_table(i)->name, reel_op_in_table(i)->formula);
    }
    return good;
}

int main(int argc, char **argv)
{
    char *header = argc == 2 ? ops_read(argv[1]) : NULL;
    if (!header || !*header)
        fprintf(stderr, "usage: reel-ops HEADER > docs/ops.md\n");
    bool good = header && *header && ops_print_list(header) && ops_print_all(header);
    free(header);
    return !good;
}
