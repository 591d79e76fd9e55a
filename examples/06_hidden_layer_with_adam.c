/* A network with a hidden layer, trained with Adam: which of two moons does a point lie in?
 *
 *     h = tanh(x W1 + b1)        x [64,2], W1 [2,16]
 *     z = h W2 + b2              W2 [16,2]
 *     loss = mean of the softmax cross-entropy of z with the classes
 *
 * No straight line separates the two half circles, so a linear classifier stops at 0.875. The step is recorded
 * once, in its first round, and replayed from then on. */
#include <reel.h>

#include <math.h>
#include <stdio.h>

enum { POINTS = 64, HIDDEN = 16, STEPS = 300 };

/* Two half circles, each reaching into the other. */
static void draw_moons(float points[POINTS][2], int32_t classes[POINTS])
{
    for (int i = 0; i < POINTS; i++) {
        double angle = 3.14159265358979 * (i / 2) / (POINTS / 2 - 1);
        classes[i] = i % 2;
        points[i][0] = (float)(i % 2 ? 1 - cos(angle) : cos(angle));
        points[i][1] = (float)(i % 2 ? .5 - sin(angle) : sin(angle));
    }
}

int main(void)
{
    float points[POINTS][2];
    int32_t classes[POINTS];
    draw_moons(points, classes);

    /* Below the mark: data, parameters, and what Adam remembers of each. */
    reel_tape *tape = reel_tape_new_with(.seed = 1);
    reel_tensor x = reel_wrap(tape, .dtype = REEL_F32, .shape = REEL_SHAPE(POINTS, 2), .data = points);
    reel_tensor labels = reel_wrap(tape, .dtype = REEL_I32, .shape = REEL_SHAPE(POINTS), .data = classes);
    reel_tensor w[4] = {
        reel_random_normal(tape, REEL_SHAPE(2, HIDDEN), REEL_F32, 0, 1),
        reel_variable(tape, REEL_SHAPE(HIDDEN), reel_fill(REEL_F32, 0)),
        reel_random_normal(tape, REEL_SHAPE(HIDDEN, 2), REEL_F32, 0, .25),
        reel_variable(tape, REEL_SHAPE(2), reel_fill(REEL_F32, 0)),
    };
    reel_tensor states[4], gradients[4];
    for (int i = 0; i < 4; i++)
        states[i] = reel_optimiser_state(w[i], 2);
    reel_tensor learning_rate = reel_constant(tape, REEL_SHAPE(), REEL_F32_VALUES(.02f));

    reel_mark from = reel_tape_mark(tape);
    reel_tensor h = reel_tanh(reel_add(reel_matmul(x, w[0]), w[1]));
    reel_tensor z = reel_add(reel_matmul(h, w[2]), w[3]);
    reel_tensor loss = reel_sparse_softmax_cross_entropy_with_logits(.labels = labels, .logits = z,
                                                                     .reduction = REEL_REDUCTION_MEAN);
    reel_tensor hit = reel_equal(reel_argmax(z, 1), reel_cast(labels, REEL_I64));
    reel_tensor accuracy = reel_mean(reel_cast(hit, REEL_F32));
    reel_gradient(loss, reel_tensors_of(w, 4), gradients, .final = true);
    reel_adam(.parameters = reel_tensors_of(w, 4), .gradients = reel_tensors_of(gradients, 4),
              .states = reel_tensors_of(states, 4), .learning_rate = learning_rate);
    reel_section step = reel_tape_section(from, reel_tape_mark(tape));

    for (int i = 1; i <= STEPS && !reel_failed(tape); i++) {
        if (i > 1)
            reel_tape_replay(step);
        if (i == 1 || i % 100 == 0)
            printf("step %3d   loss %.4f   accuracy %.3f\n", i, reel_item(loss), reel_item(accuracy));
    }

    int failed = reel_failed(tape) || reel_item(accuracy) != 1;
    if (reel_failed(tape))
        fprintf(stderr, "%s\n", reel_error_message(tape));
    reel_tape_free(tape);
    return failed;
}
