/* A small network to train: what the tape, its memory and its threads are tested with as a whole.
 *
 *     h = tanh(x W1 + b1)      z = relu(h W2 + b2) W3      loss = mean sparse cross-entropy(z, labels)
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef REEL_TESTS_NET_H
#define REEL_TESTS_NET_H

#include "tests/harness.h"

enum { NET_BATCHES = 3, NET_ROWS = 24, NET_INPUTS = 18, NET_HIDDEN = 32, NET_CLASSES = 5, NET_WEIGHTS = 5 };

typedef struct test_net {
    reel_tape  *tape;
    reel_tensor images, labels, rate;               /* the first two wrap a batch                  */
    reel_tensor weight[NET_WEIGHTS], velocity[NET_WEIGHTS];
    reel_tensor loss, gradient[NET_WEIGHTS];        /* of the step last recorded                   */
    float       image[NET_BATCHES][NET_ROWS * NET_INPUTS];
    int32_t     label[NET_BATCHES][NET_ROWS];
} test_net;

/* Draws the batches and makes the leaves on the tape, the same for the same seed. */
void test_net_make(test_net *net, reel_tape *tape, uint64_t seed);

/* Aims the leaves at a batch. */
bool test_net_aim(test_net *net, int batch);

/* Records loss, gradients and the update. */
bool test_net_step(test_net *net);

/* All weights and velocities, one behind the other: what training has come to. */
enum { NET_NUMBERS = 2 * (NET_INPUTS * NET_HIDDEN + NET_HIDDEN + NET_HIDDEN * NET_HIDDEN + NET_HIDDEN +
                          NET_HIDDEN * NET_CLASSES) };
bool test_net_read(const test_net *net, float numbers[NET_NUMBERS]);

#endif
