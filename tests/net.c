/* The network of net.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "tests/net.h"

#include <string.h>

static void net_draw_batches(test_net *net, uint64_t *seed)
{
    for (int b = 0; b < NET_BATCHES; b++) {
        for (int i = 0; i < NET_ROWS * NET_INPUTS; i++)
            net->image[b][i] = (float)test_uniform(seed, -1, 1);
        for (int i = 0; i < NET_ROWS; i++)
            net->label[b][i] = (int32_t)(test_random(seed) % NET_CLASSES);
    }
}

static reel_tensor net_weight(reel_tape *tape, reel_shape shape, uint64_t *seed)
{
    float value[NET_HIDDEN * NET_HIDDEN];
    size_t count = (size_t)test_count(shape);
    for (size_t i = 0; i < count; i++)
        value[i] = (float)test_uniform(seed, -.4, .4);
    return reel_variable(tape, shape, reel_values_of(REEL_F32, value, count));
}

void test_net_make(test_net *net, reel_tape *tape, uint64_t seed)
{
    memset(net, 0, sizeof *net);
    net->tape = tape;
    net_draw_batches(net, &seed);
    net->images = reel_wrap(tape, .dtype = REEL_F32, .shape = REEL_SHAPE(NET_ROWS, NET_INPUTS),
                            .data = net->image[0]);
    net->labels =
        reel_wrap(tape, .dtype = REEL_I32, .shape = REEL_SHAPE(NET_ROWS), .data = net->label[0]);
    net->rate = reel_constant(tape, REEL_SHAPE(), REEL_F32_VALUES(.1f));
    const reel_shape shape[NET_WEIGHTS] = {
        REEL_SHAPE(NET_INPUTS, NET_HIDDEN), REEL_SHAPE(NET_HIDDEN), REEL_SHAPE(NET_HIDDEN, NET_HIDDEN),
        REEL_SHAPE(NET_HIDDEN), REEL_SHAPE(NET_HIDDEN, NET_CLASSES),
    };
    for (int i = 0; i < NET_WEIGHTS; i++) {
        net->weight[i] = net_weight(tape, shape[i], &seed);
        net->velocity[i] = reel_variable(tape, shape[i], reel_fill(REEL_F32, 0));
    }
}

bool test_net_aim(test_net *net, int batch)
{
    return reel_point(net->images, net->image[batch % NET_BATCHES]) &&
           reel_point(net->labels, net->label[batch % NET_BATCHES]);
}

bool test_net_step(test_net *net)
{
    const reel_tensor *w = net->weight;
    reel_tensor h = reel_tanh(reel_add(reel_matmul(net->images, w[0]), w[1]));
    reel_tensor logits = reel_matmul(reel_relu(reel_add(reel_matmul(h, w[2]), w[3])), w[4]);
    net->loss =
        reel_mean(reel_sparse_softmax_cross_entropy_with_logits(.labels = net->labels, .logits = logits));
    reel_gradient(net->loss, reel_tensors_of(w, NET_WEIGHTS), net->gradient);
    return reel_sgd(.parameters = reel_tensors_of(w, NET_WEIGHTS),
                    .gradients = reel_tensors_of(net->gradient, NET_WEIGHTS),
                    .velocities = reel_tensors_of(net->velocity, NET_WEIGHTS),
                    .learning_rate = net->rate, .momentum = .9, .weight_decay = .001);
}

bool test_net_read(const test_net *net, float numbers[NET_NUMBERS])
{
    bool done = true;
    for (int i = 0; i < 2 * NET_WEIGHTS; i++) {
        reel_tensor x = i < NET_WEIGHTS ? net->weight[i] : net->velocity[i - NET_WEIGHTS];
        size_t count = reel_count(x) > 0 ? (size_t)reel_count(x) : 0;
        done &= reel_read(x, numbers, count * sizeof *numbers);
        numbers += count;
    }
    return done;
}
