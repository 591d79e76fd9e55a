/* A step recorded once and replayed: a straight line fitted to points that come three at a time.
 *
 *     y = a t + b,   loss = mean over three points of (y - truth)^2
 *
 * The points of each step lie in the caller's memory. reel_point() aims the two wrapped leaves at the next
 * ones and nothing is copied; the replay runs the recorded ops again, gradient and update included, and
 * allocates nothing: the count of allocator calls that is printed stays where it was. */
#include <reel.h>
#include <stdio.h>

enum { POINTS = 3, STEPS = 200 };

int main(void)
{
    float t[STEPS][POINTS], truth[STEPS][POINTS];   /* on the line 2 t - 1 */
    for (int i = 0; i < STEPS * POINTS; i++) {
        t[i / POINTS][i % POINTS] = (float)(i * 7 % 20) / 10 - 1;
        truth[i / POINTS][i % POINTS] = 2 * t[i / POINTS][i % POINTS] - 1;
    }

    reel_tape *tape = reel_tape_new();
    reel_tensor a = reel_variable(tape, REEL_SHAPE(), REEL_F32_VALUES(0));
    reel_tensor b = reel_variable(tape, REEL_SHAPE(), REEL_F32_VALUES(0));
    reel_tensor learning_rate = reel_constant(tape, REEL_SHAPE(), REEL_F32_VALUES(.2f));

    /* The first step: it is recorded, and it runs. */
    reel_mark from = reel_tape_mark(tape);
    reel_shape points = REEL_SHAPE(POINTS);
    reel_tensor input = reel_wrap(tape, .dtype = REEL_F32, .shape = points, .data = t[0]);
    reel_tensor wanted = reel_wrap(tape, .dtype = REEL_F32, .shape = points, .data = truth[0]);
    reel_tensor miss = reel_sub(reel_add(reel_mul(a, input), b), wanted);
    reel_tensor loss = reel_mean(reel_mul(miss, miss));
    reel_tensor gradient[2];
    reel_gradient(loss, REEL_TENSORS(a, b), gradient, .final = true);
    reel_sgd(.parameters = REEL_TENSORS(a, b), .gradients = REEL_TENSORS(gradient[0], gradient[1]),
             .learning_rate = learning_rate);
    reel_section step = reel_tape_section(from, reel_tape_mark(tape));

    for (int i = 0; i < STEPS && !reel_failed(tape); i++) {
        if (i > 0) {
            reel_point(input, t[i]);
            reel_point(wanted, truth[i]);
            reel_tape_replay(step);
        }
        if (i == 0 || i == 1 || i == 9 || i == STEPS - 1)
            printf("step %3d   loss %.7f   line %+.4f t %+.4f   %d allocator calls\n", i + 1, reel_item(loss),
                   reel_item(a), reel_item(b), (int)reel_tape_statistics(tape).allocator_calls);
    }

    int failed = reel_failed(tape);
    if (failed)
        fprintf(stderr, "%s\n", reel_error_message(tape));
    reel_tape_free(tape);
    return failed;
}
