/* Exclusive or, which no line through the plane separates, learnt by a network with one hidden layer:
 *
 *     h = tanh(x W1 + b1)     x [4, 2], W1 [2, 4], b1 [4]
 *     z = h W2 + b2           W2 [4, 1], b2 [1];     the probability of "true" is sigmoid(z) */
#include <reel.h>
#include <reel_train.h>
#include <stdio.h>

enum { STEPS = 500 };

int main(void)
{
    reel_tape *tape = reel_tape_new_with(.seed = 1);
    reel_tensor x = reel_constant(tape, REEL_SHAPE(4, 2), REEL_F32_VALUES(0, 0,   0, 1,   1, 0,   1, 1));
    reel_tensor truth = reel_constant(tape, REEL_SHAPE(4, 1), REEL_F32_VALUES(0, 1, 1, 0));

    reel_parameters model = {0};
    reel_shape in = REEL_SHAPE(2, 4), out = REEL_SHAPE(4, 1);
    reel_tensor w1 = reel_parameters_add(&model, "w1", reel_init_glorot_normal(tape, in, REEL_F32));
    reel_tensor b1 = reel_parameters_add(&model, "b1", reel_init_zeros(tape, REEL_SHAPE(4), REEL_F32));
    reel_tensor w2 = reel_parameters_add(&model, "w2", reel_init_glorot_normal(tape, out, REEL_F32));
    reel_tensor b2 = reel_parameters_add(&model, "b2", reel_init_zeros(tape, REEL_SHAPE(1), REEL_F32));
    reel_tensor state[4], gradient[4];
    for (int i = 0; i < 4; i++)
        state[i] = reel_optimiser_state(model.trained.tensor[i], 2);
    reel_tensor rate = reel_constant(tape, REEL_SHAPE(), REEL_F32_VALUES(0.05f));

    reel_mark from = reel_tape_mark(tape);
    reel_tensor z = reel_add(reel_matmul(reel_tanh(reel_add(reel_matmul(x, w1), b1)), w2), b2);
    reel_tensor probability = reel_sigmoid(z);
    reel_tensor loss = reel_binary_cross_entropy_with_logits(z, truth, .reduction = REEL_REDUCTION_MEAN);
    reel_gradient(loss, model.trained, gradient, .final = true);
    reel_adam(.parameters = model.trained, .gradients = reel_tensors_of(gradient, 4),
              .states = reel_tensors_of(state, 4), .learning_rate = rate);
    reel_section step = reel_tape_section(from, reel_tape_mark(tape));
    double first = reel_item(loss);
    for (int i = 1; i < STEPS; i++)
        reel_tape_replay(step);

    double p[4];
    reel_read_f64(probability, p, 4);
    printf("loss %.3f at first, %.3f after %d steps\n", first, reel_item(loss), STEPS);
    for (int i = 0; i < 4; i++)
        printf("%d xor %d = %d   (probability of 1: %.3f)\n", i / 2, i % 2, p[i] > 0.5, p[i]);

    bool failed = reel_failed(tape);
    if (failed)
        fprintf(stderr, "%s\n", reel_error_message(tape));
    reel_parameters_free(&model);
    reel_tape_free(tape);
    return failed;
}
