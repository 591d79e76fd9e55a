/* How many digits survive: one network in f32, bf16 and f16, node by node, against itself in f64.
 *
 *     x_0 [64, 48],   x_k = tanh(x_(k-1) W_k),   logits = x_8 W,   loss = mean cross-entropy
 *
 * The recorded section is recorded once more in f64 from the very numbers that the small network started
 * with (reel_section_in_f64()), so what is seen is the rounding on the way and nothing else.
 * reel_counterpart() finds each node's twin; the digits that have survived at a node are
 *
 *     - log10(|small - f64| / |f64|)                    |.| the root of the sum of squares
 *
 * Going forwards each layer adds its own rounding; going backwards the gradient of the first layer has
 * been through all of them.
 *
 *     surviving_digits [FILE.svg] */
#include "lab.h"

#include <math.h>
#include <stdio.h>

enum { ROWS = 64, WIDTH = 48, LAYERS = 8, CLASSES = 10, NODES = 2 * LAYERS + 4, DTYPES = 3 };

static const reel_dtype dtypes[DTYPES] = {REEL_F32, REEL_F16, REEL_BF16};
static const char *const node_name[NODES] = {
    "x 1", "x 2", "x 3", "x 4", "x 5", "x 6", "x 7", "x 8", "logits", "loss", "d logits", "d W",
    "d W 8", "d W 7", "d W 6", "d W 5", "d W 4", "d W 3", "d W 2", "d W 1",
};

/* What the section reads from outside. */
typedef struct network {
    reel_tensor x, labels, weight[LAYERS + 1];
} network;

/* The same draw whatever the dtype, rounded to it. */
static reel_tensor draw(reel_tape *tape, reel_dtype dtype, int64_t rows, int64_t columns, double deviation)
{
    return reel_cast(reel_random_normal(tape, REEL_SHAPE(rows, columns), REEL_F64, 0, deviation), dtype);
}

static network make(reel_tape *tape, reel_dtype dtype)
{
    network net = {.x = draw(tape, dtype, ROWS, WIDTH, 1)};
    int32_t label[ROWS];
    for (int i = 0; i < ROWS; i++)
        label[i] = i * 7 % CLASSES;
    net.labels = reel_constant(tape, REEL_SHAPE(ROWS), reel_values_of(REEL_I32, label, ROWS));
    for (int k = 0; k <= LAYERS; k++)
        net.weight[k] = draw(tape, dtype, WIDTH, k < LAYERS ? WIDTH : CLASSES, 1.2 / sqrt(WIDTH));
    return net;
}

/* Records the network and its gradients; node[i] is what node_name[i] says. */
static void record(const network *net, reel_tensor node[NODES])
{
    reel_tensor x = net->x, into[LAYERS + 2];
    for (int k = 0; k < LAYERS; k++)
        node[k] = x = reel_tanh(reel_matmul(x, net->weight[k]));
    reel_tensor logits = node[LAYERS] = into[0] = reel_matmul(x, net->weight[LAYERS]);
    reel_tensor loss = node[LAYERS + 1] = reel_sparse_softmax_cross_entropy_with_logits(
        .labels = net->labels, .logits = logits, .reduction = REEL_REDUCTION_MEAN);
    for (int k = 0; k <= LAYERS; k++)
        into[k + 1] = net->weight[LAYERS - k];
    reel_gradient(loss, reel_tensors_of(into, LAYERS + 2), node + LAYERS + 2);
}

static double surviving(reel_tensor small, reel_tensor twin)
{
    static double a[WIDTH * ROWS], b[WIDTH * ROWS];
    int64_t count = reel_count(small);
    double wrong = 0, size = 0;
    if (count < 0 || count > WIDTH * ROWS || !reel_read_f64(small, a, (size_t)count) ||
        !reel_read_f64(twin, b, (size_t)count))
        return NAN;
    for (int64_t i = 0; i < count; i++) {
        wrong += (a[i] - b[i]) * (a[i] - b[i]);
        size += b[i] * b[i];
    }
    return -log10(sqrt(wrong / size));
}

static bool measure(reel_dtype dtype, double digits[NODES])
{
    reel_tape *tape = reel_tape_new_with(.seed = 1);
    network net = make(tape, dtype);
    reel_tensor node[NODES];
    reel_mark from = reel_tape_mark(tape);
    record(&net, node);
    reel_section wide = reel_section_in_f64(reel_tape_section(from, reel_tape_mark(tape)));
    for (int i = 0; i < NODES; i++)
        digits[i] = surviving(node[i], reel_counterpart(wide, node[i]));
    return lab_close(tape);
}

int main(int argc, char **argv)
{
    double digits[DTYPES][NODES], at[NODES];
    reel_plot_series series[DTYPES];
    for (int i = 0; i < NODES; i++)
        at[i] = i;
    for (int d = 0; d < DTYPES; d++) {
        if (!measure(dtypes[d], digits[d]))
            return 1;
        series[d] = (reel_plot_series){.name = reel_dtype_name(dtypes[d]), .x = at, .y = digits[d],
                                       .count = NODES, .style = REEL_PLOT_LINE_AND_DOTS};
    }
    const lab_column column[] = {
        {"%-10s", .names = node_name}, {"%8.1f", .values = digits[0]},
        {"%8.1f", .values = digits[1]}, {"%8.1f", .values = digits[2]}};
    lab_table("surviving decimal digits\nnode           f32     f16    bf16", column, 4, 0, NODES, 1);
    printf("%-10s%8.1f%8.1f%8.1f\n", "one ulp/2", 24 * log10(2), 11 * log10(2), 8 * log10(2));
    reel_plot plot = {.title = "Digits that survive, node by node, in a network of eight layers",
                      .x = {.label = "forwards to the loss, and back to the first layer", .names = node_name,
                            .name_count = NODES},
                      .y = {.label = "decimal digits", .low = 0, .high = 8},
                      .series = series, .count = DTYPES};
    return lab_draw(plot, argc > 1 ? argv[1] : "surviving_digits.svg") ? 0 : 1;
}
