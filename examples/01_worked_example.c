/* The example of TensorFlow's documentation: two rows of logits, two rows of labels, the loss of each row
 * and the gradients of their sum into both.
 *
 * TensorFlow prints 0.16984604 and 0.82474494. The exact values, rounded once to f32, are 0.16984601 and
 * 0.8247449: its digits are 2 and 1 units in the last place off. The gradient into the logits is
 * softmax(logits) - labels, the one into the labels -log softmax(logits). */
#include <reel.h>
#include <stdio.h>

int main(void)
{
    reel_tape *tape = reel_tape_new();

    reel_tensor logits = reel_variable(tape, REEL_SHAPE(2, 3), REEL_F32_VALUES(4, 2, 1,   0, 5, 1));
    reel_tensor labels = reel_variable(tape, REEL_SHAPE(2, 3), REEL_F32_VALUES(1, 0, 0,   0, .8f, .2f));

    reel_tensor loss = reel_softmax_cross_entropy_with_logits(.labels = labels, .logits = logits);

    reel_tensor gradient[2];
    reel_gradient(loss, REEL_TENSORS(logits, labels), gradient);

    reel_print(loss);               /* [0.16984601 0.8247449], the exact values rounded once */
    reel_print(gradient[0]);
    reel_print(gradient[1]);

    int failed = reel_failed(tape);
    if (failed)
        fprintf(stderr, "%s\n", reel_error_message(tape));
    reel_tape_free(tape);
    return failed;
}
