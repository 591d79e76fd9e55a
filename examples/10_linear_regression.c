/* A line, or rather a plane, through points: y = X w + b, by gradient descent on the mean squared error.
 *
 * For this loss the best w and b are also the solution of the normal equations, so the reader can check that
 * the descent arrives: at the best point the gradient is zero, and it is where the noise has put it. */
#include <reel.h>
#include <stdio.h>

enum { POINTS = 200, STEPS = 300 };

int main(void)
{
    reel_tape *tape = reel_tape_new_with(.seed = 10);
    reel_tensor x = reel_random_normal(tape, REEL_SHAPE(POINTS, 2), REEL_F64, 0, 1);
    reel_tensor noise = reel_random_normal(tape, REEL_SHAPE(POINTS, 1), REEL_F64, 0, 0.1);
    reel_tensor truth = reel_constant(tape, REEL_SHAPE(2, 1), REEL_F64_VALUES(2, -3));
    reel_tensor y = reel_stop_gradient(reel_add(reel_affine(reel_matmul(x, truth), 1, 0.5), noise));

    reel_tensor w = reel_name(reel_variable(tape, REEL_SHAPE(2, 1), reel_fill(REEL_F64, 0)), "w");
    reel_tensor b = reel_name(reel_variable(tape, REEL_SHAPE(1), reel_fill(REEL_F64, 0)), "b");
    reel_tensor rate = reel_constant(tape, REEL_SHAPE(), REEL_F64_VALUES(0.1));

    reel_mark from = reel_tape_mark(tape);
    reel_tensor gradient[2];
    reel_tensor guess = reel_add(reel_matmul(x, w), b);
    reel_tensor loss = reel_mean_squared_error(guess, y, .reduction = REEL_REDUCTION_MEAN);
    reel_gradient(loss, REEL_TENSORS(w, b), gradient, .final = true);
    reel_sgd(.parameters = REEL_TENSORS(w, b), .gradients = REEL_TENSORS(gradient[0], gradient[1]),
             .learning_rate = rate);
    reel_section step = reel_tape_section(from, reel_tape_mark(tape));
    for (int i = 1; i < STEPS; i++)
        reel_tape_replay(step);

    double weight[2], slope[2];
    reel_read_f64(w, weight, 2);
    reel_read_f64(gradient[0], slope, 2);
    printf("w = %.2f %.2f, b = %.2f; made with 2, -3 and 0.5\n", weight[0], weight[1], reel_item(b));
    printf("root of the mean squared error: %.2f; the noise has 0.1\n", reel_item(reel_sqrt(loss)));
    bool flat = slope[0] * slope[0] + slope[1] * slope[1] < 1e-24;
    printf("the gradient is %s\n", flat ? "below 1e-12: this is the least-squares solution" : "not zero yet");

    bool failed = reel_failed(tape);
    if (failed)
        fprintf(stderr, "%s\n", reel_error_message(tape));
    reel_tape_free(tape);
    return failed;
}
