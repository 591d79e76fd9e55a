/* The first step of a tiny classifier, for the time from a process's start to that step's end: 8 rows of 4
 * numbers, 3 classes, bias, mean sparse loss, its gradient, SGD. Prints the moment it is done, on the
 * monotonic clock, and the loss. */
#include <reel.h>
#include <stdio.h>
#include <time.h>

int main(void)
{
    reel_tape *tape = reel_tape_new();
    reel_tensor x = reel_random_normal(tape, REEL_SHAPE(8, 4), REEL_F32, 0, 1), gradient[2];
    reel_tensor labels = reel_constant(tape, REEL_SHAPE(8), REEL_I32_VALUES(0, 1, 2, 0, 1, 2, 0, 1));
    reel_tensor w = reel_random_normal(tape, REEL_SHAPE(4, 3), REEL_F32, 0, .1);
    reel_tensor b = reel_variable(tape, REEL_SHAPE(3), reel_fill(REEL_F32, 0));
    reel_tensor rate = reel_constant(tape, REEL_SHAPE(), REEL_F64_VALUES(.01));

    reel_tensor logits = reel_add(reel_matmul(x, w), b);
    reel_tensor loss = reel_sparse_softmax_cross_entropy_with_logits(.labels = labels, .logits = logits,
                                                                     .reduction = REEL_REDUCTION_MEAN);
    reel_gradient(loss, REEL_TENSORS(w, b), gradient, .final = true);
    reel_sgd(.parameters = REEL_TENSORS(w, b), .gradients = reel_tensors_of(gradient, 2),
             .learning_rate = rate);

    double value = reel_item(loss);
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    printf("%.9f %g\n", (double)now.tv_sec + 1e-9 * (double)now.tv_nsec, value);
    int failed = reel_failed(tape);
    if (failed)
        fprintf(stderr, "%s\n", reel_error_message(tape));
    reel_tape_free(tape);
    return failed;
}
