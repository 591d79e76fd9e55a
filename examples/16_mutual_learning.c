/* Two classifiers that teach each other (after Zhang and others, "Deep mutual learning", 2018). Each learns
 * from a few labelled points, and from what the other says of many points without labels:
 *
 *     loss = CE(truth, a) + CE(truth, b) + CE(softmax(b), a) + CE(softmax(a), b)
 *
 * The labels of the last two terms are computed from parameters. With v2 of the loss gradients go into them
 * too, so each also learns to say what the other can follow; v1 stops them there. a sees the points' first
 * two coordinates and b the last two, the same two numbers seen through other noise. */
#include <reel.h>
#include <math.h>
#include <stdio.h>

enum { POINTS = 600, LABELLED = 12, CLASSES = 3, STEPS = 300 };

typedef struct pupil {
    reel_tensor x, w, b, logits;                    /* [POINTS, 2], [2, CLASSES], [CLASSES]        */
} pupil;

static pupil make_pupil(reel_tape *tape, reel_tensor centres)
{
    pupil p = {.x = reel_stop_gradient(reel_add(centres, reel_random_normal(
                   tape, REEL_SHAPE(POINTS, 2), REEL_F32, 0, 0.8)))};
    p.w = reel_random_normal(tape, REEL_SHAPE(2, CLASSES), REEL_F32, 0, 0.1);
    p.b = reel_variable(tape, REEL_SHAPE(CLASSES), reel_fill(REEL_F32, 0));
    return p;
}

/* Cross-entropy with the truth on the labelled points, the first ones. */
static reel_tensor truth_loss(const pupil *p, reel_tensor truth)
{
    reel_tensor seen = reel_slice(p->logits, 0, 0, LABELLED, 1);
    reel_tensor labels = reel_slice(truth, 0, 0, LABELLED, 1);
    return reel_mean(reel_sparse_softmax_cross_entropy_with_logits(.labels = labels, .logits = seen));
}

static reel_tensor taught_by(const pupil *pupil, const struct pupil *teacher, bool v2)
{
    reel_tensor labels = reel_softmax(teacher->logits, -1);
    if (v2)
        return reel_mean(reel_softmax_cross_entropy_with_logits(.labels = labels, .logits = pupil->logits));
    return reel_mean(reel_softmax_cross_entropy_with_logits_v1(.labels = labels, .logits = pupil->logits));
}

static double percent_right(const pupil *p, reel_tensor truth)
{
    reel_tensor guess = reel_argmax(p->logits, 1);
    reel_tensor right = reel_equal(guess, reel_cast(truth, REEL_I64));
    return 100 * reel_item(reel_mean(reel_cast(right, REEL_F64)));
}

/* Trains from the same start; `teach`: each other, too. Returns the mean of the accuracies. */
static double train(bool teach, bool v2, double *into_labels)
{
    static int32_t label[POINTS];
    static float centre[POINTS][2];
    for (int i = 0; i < POINTS; i++) {
        label[i] = i % CLASSES;
        centre[i][0] = cosf(2.0943951f * (float)label[i]) * 1.5f;
        centre[i][1] = sinf(2.0943951f * (float)label[i]) * 1.5f;
    }
    reel_tape *tape = reel_tape_new_with(.seed = 16);
    reel_tensor truth = reel_constant(tape, REEL_SHAPE(POINTS), reel_values_of(REEL_I32, label, POINTS));
    reel_tensor centres = reel_constant(tape, REEL_SHAPE(POINTS, 2),
                                        reel_values_of(REEL_F32, centre, 2 * POINTS));
    pupil a = make_pupil(tape, centres), b = make_pupil(tape, centres);
    reel_tensor rate = reel_constant(tape, REEL_SHAPE(), REEL_F32_VALUES(0.2f)), gradient[4], path;

    reel_mark from = reel_tape_mark(tape);
    a.logits = reel_add(reel_matmul(a.x, a.w), a.b);
    b.logits = reel_add(reel_matmul(b.x, b.w), b.b);
    reel_tensor loss = reel_add(truth_loss(&a, truth), truth_loss(&b, truth));
    reel_tensor lesson = taught_by(&a, &b, v2);
    if (teach)
        loss = reel_add(loss, reel_add(lesson, taught_by(&b, &a, v2)));
    reel_gradient(lesson, REEL_TENSORS(b.w), &path);        /* reaches b through the labels alone  */
    *into_labels = reel_item(reel_global_norm(REEL_TENSORS(path)));
    reel_gradient(loss, REEL_TENSORS(a.w, a.b, b.w, b.b), gradient, .final = true);
    reel_sgd(.parameters = REEL_TENSORS(a.w, a.b, b.w, b.b), .gradients = reel_tensors_of(gradient, 4),
             .learning_rate = rate);
    reel_section step = reel_tape_section(from, reel_tape_mark(tape));
    for (int i = 1; i < STEPS; i++)
        reel_tape_replay(step);

    double right = (percent_right(&a, truth) + percent_right(&b, truth)) / 2;
    if (reel_failed(tape))
        fprintf(stderr, "%s\n", reel_error_message(tape));
    reel_tape_free(tape);
    return right;
}

int main(void)
{
    double into_labels, alone = train(false, true, &into_labels);
    printf("alone:                     %.1f %% of %d points right\n", alone, POINTS);
    double v1 = train(true, false, &into_labels);
    printf("teaching each other, v1:   %.1f %%, gradient into the teacher %.4f\n", v1, into_labels);
    double v2 = train(true, true, &into_labels);
    printf("teaching each other, v2:   %.1f %%, gradient into the teacher %.4f\n", v2, into_labels);
    return !(alone > 0 && v1 > 0 && v2 > 0);
}
