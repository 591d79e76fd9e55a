/* Logistic regression on a CSV file: numbers in its columns, the name of a class in the last one.
 *
 *     12_logistic_csv [FILE]
 *
 * Without FILE it writes a small one first: three kinds of flowers with two measures each, drawn from
 * normal distributions that overlap a little. Columns are standardised on the tape. */
#include <reel.h>
#include <reel_train.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { STEPS = 200, FLOWERS = 50 };

/* Writes the flowers to a new file, whose name it completes. */
static bool write_flowers(char *path)
{
    static const char *const name[] = {"daisy", "poppy", "tulip"};
    static const double middle[][2] = {{2, 1}, {4, 3}, {6, 2}};
    int descriptor = mkstemp(path);
    FILE *file = descriptor < 0 ? NULL : fdopen(descriptor, "w");
    reel_tape *tape = reel_tape_new_with(.seed = 12);
    double spread[3 * FLOWERS * 2];
    reel_read_f64(reel_random_normal(tape, REEL_SHAPE(3 * FLOWERS, 2), REEL_F64, 0, 0.6), spread,
                  sizeof spread / sizeof *spread);
    bool good = file && !reel_failed(tape);
    if (good)
        fputs("petal length,petal width,flower\n", file);
    for (int i = 0; good && i < 3 * FLOWERS; i++)
        fprintf(file, "%.2f,%.2f,%s\n", middle[i % 3][0] + spread[2 * i],
                middle[i % 3][1] + spread[2 * i + 1], name[i % 3]);
    reel_tape_free(tape);
    return (!file || fclose(file) == 0) && good;
}

/* How many rows have their largest logit at the label. */
static int64_t count_right(reel_tensor logits, const reel_csv *table)
{
    const float *row = reel_data(logits);
    int64_t right = 0;
    for (int64_t i = 0; row && i < table->rows; i++)
        right += reel_predicted(row + i * table->classes, table->classes) == table->labels[i];
    return right;
}

static bool learn(reel_tape *tape, const reel_csv *table)
{
    reel_tensor x = reel_wrap(tape, .dtype = REEL_F32, .shape = REEL_SHAPE(table->rows, table->columns),
                              .data = table->data);
    reel_tensor labels = reel_wrap(tape, .dtype = REEL_I32, .shape = REEL_SHAPE(table->rows),
                                   .data = table->labels);
    reel_tensor mean = reel_mean(x, .axes = REEL_AXES(0)), var = reel_var(x, .axes = REEL_AXES(0));
    x = reel_div(reel_sub(x, mean), reel_sqrt(reel_affine(var, 1, 1e-12)));

    reel_tensor w = reel_init_zeros(tape, REEL_SHAPE(table->columns, table->classes), REEL_F32);
    reel_tensor b = reel_init_zeros(tape, REEL_SHAPE(table->classes), REEL_F32);
    reel_tensor rate = reel_constant(tape, REEL_SHAPE(), REEL_F32_VALUES(1)), gradient[2];
    reel_mark from = reel_tape_mark(tape);
    reel_tensor logits = reel_add(reel_matmul(x, w), b);
    reel_tensor loss =
        reel_mean(reel_sparse_softmax_cross_entropy_with_logits(.labels = labels, .logits = logits));
    reel_gradient(loss, REEL_TENSORS(w, b), gradient, .final = true);
    reel_sgd(.parameters = REEL_TENSORS(w, b), .gradients = REEL_TENSORS(gradient[0], gradient[1]),
             .learning_rate = rate);
    reel_section step = reel_tape_section(from, reel_tape_mark(tape));
    for (int i = 1; i < STEPS; i++)
        reel_tape_replay(step);

    int64_t right = count_right(logits, table);
    printf("loss %.3f after %d steps\n", reel_item(loss), STEPS);
    printf("accuracy: %.3f (%lld/%lld)\n", (double)right / (double)table->rows, (long long)right,
           (long long)table->rows);
    if (reel_failed(tape))
        fprintf(stderr, "%s\n", reel_error_message(tape));
    return !reel_failed(tape);
}

int main(int argc, char **argv)
{
    char path[] = "/tmp/reel-flowers-XXXXXX";
    if (argc < 2 && !write_flowers(path)) {
        fprintf(stderr, "%s cannot be written\n", path);
        return 1;
    }
    reel_csv table = {.header = true, .label_column = -1};
    bool good = reel_csv_read(&table, argc < 2 ? path : argv[1], NULL);
    if (good) {
        reel_tape *tape = reel_tape_new();
        printf("%lld rows of %lld numbers, and a %s out of %lld\n", (long long)table.rows,
               (long long)table.columns, table.label_name, (long long)table.classes);
        good = learn(tape, &table);
        reel_tape_free(tape);
    } else {
        fprintf(stderr, "%s\n", table.error);
    }
    reel_csv_free(&table);
    if (argc < 2)
        unlink(path);
    return good ? 0 : 1;
}
