/* v1 against v2: what the gradient into the labels changes when a teacher makes them that is itself
 * being trained.
 *
 *     teacher = x T         learns the truth:     mean cross-entropy(truth, teacher)
 *     student = x' S        learns the teacher:   mean cross-entropy(softmax(teacher), student)
 *
 * x' is the first half of the features, so the student cannot follow. Both losses are minimised
 * together. v1 puts a stop_gradient behind the labels: the teacher is trained by the truth alone. v2
 * differentiates what it returns, so the teacher is also drawn to where the student can follow, and
 * gives up some of the truth.
 *
 * Then the same with a finite difference of T. The difference sees a loss that depends on T, whatever
 * stop_gradient says; v1's gradient is right only for the loss whose labels are held at their recorded
 * values.
 *
 *     v1_against_v2 [FILE.svg] */
#include "lab.h"

#include <stdio.h>
#include <string.h>

enum { ROWS = 400, FEATURES = 12, SEEN = 6, CLASSES = 4, STEPS = 300 };

typedef struct run {
    reel_tape   *tape;
    reel_tensor  teacher, labels, truth_loss, student_loss, gradient[2];
    reel_section labels_section, loss_section, step;
    double       truth[STEPS + 1], follow[STEPS + 1];       /* the two losses at each step */
} run;

static reel_tensor record_student_loss(bool v2, reel_tensor labels, reel_tensor logits)
{
    return reel_mean(v2 ? reel_softmax_cross_entropy_with_logits_v2(.labels = labels, .logits = logits)
                        : reel_softmax_cross_entropy_with_logits_v1(.labels = labels, .logits = logits));
}

/* Labels are the largest outputs of a linear model that nobody knows. */
static reel_tensor make_truth(reel_tape *tape, reel_tensor x)
{
    double output[ROWS * CLASSES] = {0};
    int32_t best[ROWS];
    reel_tensor hidden = reel_random_normal(tape, REEL_SHAPE(FEATURES, CLASSES), REEL_F64, 0, 1);
    reel_read(reel_matmul(x, hidden), output, sizeof output);
    for (int i = 0; i < ROWS; i++) {
        best[i] = 0;
        for (int c = 1; c < CLASSES; c++)
            if (output[i * CLASSES + c] > output[i * CLASSES + best[i]])
                best[i] = c;
    }
    return reel_constant(tape, REEL_SHAPE(ROWS), reel_values_of(REEL_I32, best, ROWS));
}

static void record(run *r, bool v2)
{
    reel_tape *tape = r->tape = reel_tape_new_with(.seed = 5);
    reel_tensor x = reel_random_normal(tape, REEL_SHAPE(ROWS, FEATURES), REEL_F64, 0, 1);
    reel_tensor truth = make_truth(tape, x);
    reel_tensor rate = reel_constant(tape, REEL_SHAPE(), REEL_F64_VALUES(1));
    r->teacher = reel_variable(tape, REEL_SHAPE(FEATURES, CLASSES), reel_fill(REEL_F64, 0));
    reel_tensor student = reel_variable(tape, REEL_SHAPE(SEEN, CLASSES), reel_fill(REEL_F64, 0));

    reel_mark from = reel_tape_mark(tape);
    reel_tensor teacher_logits = reel_matmul(x, r->teacher);
    r->labels = reel_softmax(teacher_logits, -1);
    reel_mark labels_made = reel_tape_mark(tape);
    reel_tensor student_logits = reel_matmul(reel_slice(x, 1, 0, SEEN, 1), student);
    r->truth_loss = reel_sparse_softmax_cross_entropy_with_logits(.labels = truth, .logits = teacher_logits,
                                                                  .reduction = REEL_REDUCTION_MEAN);
    r->student_loss = record_student_loss(v2, r->labels, student_logits);
    reel_mark losses_made = reel_tape_mark(tape);
    reel_gradient(reel_add(r->truth_loss, r->student_loss), REEL_TENSORS(r->teacher, student), r->gradient);
    reel_sgd(.parameters = REEL_TENSORS(r->teacher, student), .learning_rate = rate,
             .gradients = REEL_TENSORS(r->gradient[0], r->gradient[1]));
    r->labels_section = reel_tape_section(from, labels_made);
    r->loss_section = reel_tape_section(labels_made, losses_made);
    r->step = reel_tape_section(from, reel_tape_mark(tape));
}

static void train(run *r)
{
    for (int step = 0; step <= STEPS; step++) {
        if (step > 0)
            reel_tape_replay(r->step);
        r->truth[step] = reel_item(r->truth_loss);
        r->follow[step] = reel_item(r->student_loss);
    }
}

enum { TEACHER = FEATURES * CLASSES };

/* The student's loss with the teacher's first parameter moved by h, and its labels made anew or held
 * where they were. */
static double loss_at(run *r, const double t[TEACHER], double h, bool held)
{
    double moved[TEACHER];
    memcpy(moved, t, sizeof moved);
    moved[0] += h;
    reel_write(r->teacher, reel_values_of(REEL_F64, t, TEACHER));
    reel_tape_replay(r->labels_section);
    reel_write(r->teacher, reel_values_of(REEL_F64, moved, TEACHER));
    if (!held)
        reel_tape_replay(r->labels_section);
    reel_tape_replay(r->loss_section);
    return reel_item(r->student_loss);
}

static void check(run *r, const char *name)
{
    double h = 1e-5, t[TEACHER] = {0}, gradient[TEACHER] = {0};
    reel_read(r->teacher, t, sizeof t);
    double plain = (loss_at(r, t, h, false) - loss_at(r, t, -h, false)) / (2 * h);
    double held = (loss_at(r, t, h, true) - loss_at(r, t, -h, true)) / (2 * h);
    loss_at(r, t, 0, false);
    reel_tensor into_teacher;
    reel_gradient(r->student_loss, REEL_TENSORS(r->teacher), &into_teacher);
    reel_read(into_teacher, gradient, sizeof gradient);
    printf("  %s   %+.9f      %+.9f         %+.9f\n", name, gradient[0], plain, held);
}

int main(int argc, char **argv)
{
    static run v1, v2;
    double at[STEPS + 1];
    for (int i = 0; i <= STEPS; i++)
        at[i] = i;
    record(&v1, false);
    record(&v2, true);
    train(&v1);
    train(&v2);
    const lab_column column[] = {
        {"  %4.0f", .values = at}, {"    %.6f", .values = v1.truth}, {"     %.6f", .values = v2.truth},
        {"          %.6f", .values = v1.follow}, {"     %.6f", .values = v2.follow}};
    lab_table("         teacher's loss on the truth    student's loss on the teacher\n"
              "  step          v1           v2                v1           v2",
              column, 5, 0, STEPS + 1, STEPS / 10);
    printf("\nd student's loss / d T[0,0]\n"
           "      reel_gradient()   difference   difference with labels held\n");
    check(&v1, "v1");
    check(&v2, "v2");
    bool good = lab_close(v1.tape);
    good = lab_close(v2.tape) && good;

    const reel_plot_series series[] = {
        {.name = "teacher on truth, v1", .x = at, .y = v1.truth, .count = STEPS + 1, .colour = 1},
        {.name = "teacher on truth, v2", .x = at, .y = v2.truth, .count = STEPS + 1, .colour = 2},
        {.name = "student, v1", .x = at, .y = v1.follow, .count = STEPS + 1, .colour = 1,
         .style = REEL_PLOT_DASHES},
        {.name = "student, v2", .x = at, .y = v2.follow, .count = STEPS + 1, .colour = 2,
         .style = REEL_PLOT_DASHES},
    };
    reel_plot plot = {.title = "A teacher in training, with and without the gradient into its labels",
                      .x = {.label = "step"}, .y = {.label = "loss"}, .series = series, .count = 4};
    return good && lab_draw(plot, argc > 1 ? argv[1] : "v1_against_v2.svg") ? 0 : 1;
}
