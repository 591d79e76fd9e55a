/* v1 beside v2, where the labels are themselves computed from parameters.
 *
 *     labels = softmax(x T)        the soft answers of a teacher, with parameters T
 *     logits = x W                 those of a student, with parameters W
 *
 * The loss is the same number either way, and so is its gradient into W. v2 also passes a gradient through
 * the labels into T: minimising the loss would then move the teacher towards the student. v1 stands the
 * labels behind a stop_gradient, so T gets zeros; asked why, the tape tells. */
#include <reel.h>
#include <stdio.h>

int main(void)
{
    reel_tape *tape = reel_tape_new();
    reel_tensor x = reel_constant(tape, REEL_SHAPE(2, 2), REEL_F32_VALUES(1, 2,   -1, 1));
    reel_tensor teacher = reel_variable(tape, REEL_SHAPE(2, 3), REEL_F32_VALUES(1, 0, -1,   0, .5f, 1));
    reel_tensor student = reel_variable(tape, REEL_SHAPE(2, 3), REEL_F32_VALUES(.2f, .1f, 0,   0, 0, .3f));
    reel_name(teacher, "teacher");
    reel_tensor labels = reel_softmax(reel_matmul(x, teacher), -1);
    reel_tensor logits = reel_matmul(x, student);

    reel_tensor loss[2] = {
        reel_softmax_cross_entropy_with_logits_v1(.labels = labels, .logits = logits),
        reel_softmax_cross_entropy_with_logits_v2(.labels = labels, .logits = logits),
    };
    for (int i = 0; i < 2; i++) {
        reel_tensor gradient[2];
        reel_gradient(loss[i], REEL_TENSORS(student, teacher), gradient);
        printf("v%d: loss, its gradient into the student, its gradient into the teacher\n", i + 1);
        fflush(stdout);             /* reel_print() writes past stdio's buffer */
        reel_print(loss[i]);
        reel_print(gradient[0]);
        reel_print(gradient[1]);
    }

    char why[256];
    reel_why_no_gradient(loss[0], teacher, why, sizeof why);
    printf("why v1 gives the teacher none: %s\n", why);

    int failed = reel_failed(tape);
    if (failed)
        fprintf(stderr, "%s\n", reel_error_message(tape));
    reel_tape_free(tape);
    return failed;
}
