/* Digits, from the four IDX files of MNIST or of a set in its place, by a network with one hidden layer.
 *
 *     13_digits_mlp [DIR]
 *
 * Without DIR it draws digits, writes them as such files to a new folder, and reads them from there: ten
 * figures of 5 x 7 dots, blown up three times, at a random place in a picture of 28 x 28 with noise. */
#include <reel.h>
#include <reel_train.h>
#include <stdio.h>
#include <string.h>
#include <stdlib.h>
#include <unistd.h>

enum { SIDE = 28, DOT = 3, TRAIN = 2000, TEST = 500, BATCH = 50, EPOCHS = 5, HIDDEN = 64 };

/* ---- Drawing ------------------------------------------------------------------------------------- */

static const char *const file_name[] = {"train-images-idx3-ubyte", "train-labels-idx1-ubyte",
                                        "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"};

/* A row of five dots in each octal pair, the first dot in the highest bit. */
static const char font[10][8] = {
    "\016\021\023\025\031\021\016", "\004\014\004\004\004\004\016", "\016\021\001\002\004\010\037",
    "\037\002\004\002\001\021\016", "\002\006\012\022\037\002\002", "\037\020\036\001\001\021\016",
    "\006\010\020\036\021\021\016", "\037\001\002\004\010\010\010", "\016\021\021\016\021\021\016",
    "\016\021\021\017\001\002\014"};

static void draw_digit(int digit, uint32_t number, uint8_t image[SIDE * SIDE])
{
    uint32_t bits[4];
    for (uint32_t i = 0; i < SIDE * SIDE; i++) {
        if (i % 4 == 0)
            reel_philox((const uint32_t[]){13, 0}, (const uint32_t[]){number, i + 1, 0, 0}, bits);
        image[i] = (uint8_t)(bits[i % 4] % 100);
    }
    reel_philox((const uint32_t[]){13, 0}, (const uint32_t[]){number, 0, 0, 0}, bits);
    int left = (int)(bits[0] % 13), top = (int)(bits[1] % 7);
    for (int y = 0; y < 7 * DOT; y++)
        for (int x = 0; x < 5 * DOT; x++)
            if (font[digit][y / DOT] >> (4 - x / DOT) & 1)
                image[(top + y) * SIDE + left + x] |= 0x80;
}

/* Images [count, 28, 28] and labels [count], into the files number `first` and the next. */
static bool write_set(const char *folder, int first, int count)
{
    static uint8_t images[TRAIN * SIDE * SIDE], labels[TRAIN];
    char path[300], label_path[300];
    for (int i = 0; i < count; i++) {
        labels[i] = (uint8_t)(i % 10);
        draw_digit(labels[i], (uint32_t)(first * TRAIN + i), images + i * SIDE * SIDE);
    }
    snprintf(path, sizeof path, "%s/%s", folder, file_name[first]);
    snprintf(label_path, sizeof label_path, "%s/%s", folder, file_name[first + 1]);
    reel_idx a = {.dtype = REEL_U8, .shape = REEL_SHAPE(count, SIDE, SIDE), .data = images};
    reel_idx b = {.dtype = REEL_U8, .shape = REEL_SHAPE(count), .data = labels};
    return reel_idx_write(&a, path, NULL) && reel_idx_write(&b, label_path, NULL);
}

static void remove_files(const char *folder)
{
    char path[300];
    for (int i = 0; i < 4; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, file_name[i]);
        unlink(path);
    }
    rmdir(folder);
}

/* ---- Learning ------------------------------------------------------------------------------------ */

typedef struct network {
    reel_parameters parameters;
    reel_tensor     w1, b1, w2, b2, velocity[4], rate;
} network;

static void make_network(network *n, reel_tape *tape, int64_t values, int64_t classes)
{
    reel_parameters *p = &n->parameters;
    n->w1 = reel_parameters_add(p, "w1", reel_init_he_normal(tape, REEL_SHAPE(values, HIDDEN), REEL_F32));
    n->b1 = reel_parameters_add(p, "b1", reel_init_zeros(tape, REEL_SHAPE(HIDDEN), REEL_F32));
    n->w2 = reel_parameters_add(p, "w2", reel_init_zeros(tape, REEL_SHAPE(HIDDEN, classes), REEL_F32));
    n->b2 = reel_parameters_add(p, "b2", reel_init_zeros(tape, REEL_SHAPE(classes), REEL_F32));
    n->rate = reel_constant(tape, REEL_SHAPE(), REEL_F32_VALUES(0.02f));
    for (int i = 0; i < 4; i++)
        n->velocity[i] = reel_constant(tape, reel_shape_of(p->trained.tensor[i]), reel_fill(REEL_F32, 0));
}

static reel_tensor logits_of(const network *n, const reel_batches *batch, reel_tape *tape)
{
    reel_tensor x = reel_wrap(tape, .dtype = REEL_F32, .data = batch->values,
                              .shape = REEL_SHAPE(batch->count, reel_image_values(batch->images)));
    return reel_add(reel_matmul(reel_relu(reel_add(reel_matmul(x, n->w1), n->b1)), n->w2), n->b2);
}

static void learn(const network *n, const reel_batches *batch, reel_tape *tape)
{
    reel_tensor gradient[4], labels = reel_wrap(tape, .dtype = REEL_I32, .shape = REEL_SHAPE(batch->count),
                                                .data = batch->labels);
    reel_tensor loss = reel_mean(reel_sparse_softmax_cross_entropy_with_logits(
        .labels = labels, .logits = logits_of(n, batch, tape)));
    reel_gradient(loss, n->parameters.trained, gradient, .final = true);
    reel_sgd(.parameters = n->parameters.trained, .gradients = reel_tensors_of(gradient, 4),
             .velocities = reel_tensors_of(n->velocity, 4), .learning_rate = n->rate, .momentum = 0.9);
}

/* Every step is recorded anew and forgotten again; train/trainer.c replays it instead. */
static int64_t train_and_test(network *n, reel_batches *train, reel_batches *test, reel_tape *tape)
{
    reel_mark mark = reel_tape_mark(tape);
    for (uint64_t epoch = 0; epoch < EPOCHS; epoch++)
        for (reel_batches_shuffle(train, 1, epoch); reel_batches_next(train); reel_tape_rewind(tape, mark))
            learn(n, train, tape);
    int64_t right = 0, classes = reel_shape_of(n->b2).size[0];
    for (; reel_batches_next(test); reel_tape_rewind(tape, mark)) {
        const float *logits = reel_data(logits_of(n, test, tape));
        for (int64_t i = 0; logits && i < test->count; i++)
            right += reel_predicted(logits + i * classes, classes) == test->labels[i];
    }
    return right;
}

int main(int argc, char **argv)
{
    char drawn[] = "/tmp/reel-digits-XXXXXX";
    bool draws = argc < 2;
    if (draws && (!mkdtemp(drawn) || !write_set(drawn, 0, TRAIN) || !write_set(drawn, 2, TEST))) {
        fprintf(stderr, "%s: the digits cannot be written\n", drawn);
        return 1;
    }
    static reel_image_data data;
    static reel_standardisation standardisation;
    reel_batches train = {.images = &data.train, .standardisation = &standardisation, .size = BATCH};
    reel_batches test = {.images = &data.test, .standardisation = &standardisation, .size = BATCH};
    const char *problem = "";
    network network = {.parameters = {0}};
    reel_tape *tape = reel_tape_new_with(.seed = 1);
    if (!reel_mnist_read(&data, draws ? drawn : argv[1], NULL))
        problem = data.error;
    else if (reel_standardise(&standardisation, &data.train) && reel_batches_start(&train) &&
             reel_batches_start(&test)) {
        make_network(&network, tape, reel_image_values(&data.train), data.classes);
        int64_t right = train_and_test(&network, &train, &test, tape), count = data.test.count;
        printf("%lld training images of %d x %d, %d epochs\n", (long long)data.train.count, data.train.height,
               data.train.width, EPOCHS);
        printf("test accuracy: %.3f (%lld/%lld)\n", (double)right / (double)count, (long long)right,
               (long long)count);
        problem = reel_error_message(tape);
    } else
        problem = "too little memory for the batches";
    if (*problem)
        fprintf(stderr, "%s\n", problem);
    int status = *problem != 0;
    reel_parameters_free(&network.parameters);
    reel_tape_free(tape);
    reel_batches_free(&train);
    reel_batches_free(&test);
    reel_image_data_free(&data);
    if (draws)
        remove_files(drawn);
    return status;
}
