/* linear_epoch: 390 steps of a linear softmax classifier over 50,000 images of 3,072 numbers, batch 128 in order,
 * sparse labels, bias, mean loss, SGD 0.01 with momentum 0.9. linear_epoch_u8: the same with the images in memory
 * as bytes, standardised on the way. mlp_step: one step of 3072-256-10 with ReLU. */
#include "bench/bench.h"

#include <stdlib.h>

enum { LINEAR_F32, LINEAR_U8, LINEAR_MLP };
enum { LINEAR_IMAGES = 50000, LINEAR_INPUTS = 3072, LINEAR_CLASSES = 10, LINEAR_BATCH = 128, LINEAR_HIDDEN = 256 };

struct linear_job {
    void       (*record)(struct bench_job *job);    /* first: see bench_tape_job()                 */
    int          kind;
    void        *images;                            /* f32 or u8                                   */
    int32_t     *labels;
    reel_tensor  batch, batch_labels, rate;
    reel_tensor  mean;                              /* of the bytes                                */
    reel_tensor  parameter[4], velocity[4];
    size_t       parameters;
};

static reel_tensor layer(reel_tensor x, reel_tensor w, reel_tensor b)
{
    return reel_add(reel_matmul(x, w), b);
}

/* Bytes that count as numbers of mean 0 and deviation 1, about: (x - 120) / 64 w + b = (x w - 120 w) / 64 + b,
 * where `mean` is a row of 120. The bytes themselves are never widened in memory. */
static reel_tensor standardised_layer(reel_tensor bytes, reel_tensor mean, reel_tensor w, reel_tensor b)
{
    return reel_add(reel_affine(reel_sub(reel_matmul(bytes, w), reel_matmul(mean, w)), 1 / 64., 0), b);
}

static void record_step(struct bench_job *job)
{
    const struct linear_job *l = job->data;
    const reel_tensor *p = l->parameter;
    reel_tensor gradients[4], x = l->batch;
    reel_tensor logits = l->kind == LINEAR_MLP  ? layer(reel_relu(layer(x, p[0], p[1])), p[2], p[3])
                         : l->kind == LINEAR_U8 ? standardised_layer(x, l->mean, p[0], p[1])
                                                : layer(x, p[0], p[1]);
    reel_tensor loss = reel_sparse_softmax_cross_entropy_with_logits(.labels = l->batch_labels, .logits = logits,
                                                                     .reduction = REEL_REDUCTION_MEAN);
    reel_gradient(loss, reel_tensors_of(p, l->parameters), gradients, .final = true);
    reel_sgd(.parameters = reel_tensors_of(p, l->parameters), .gradients = reel_tensors_of(gradients, l->parameters),
             .velocities = reel_tensors_of(l->velocity, l->parameters), .learning_rate = l->rate, .momentum = .9);
}

static void step_epoch(struct bench_job *job)
{
    struct linear_job *l = job->data;
    size_t bytes = l->kind == LINEAR_U8 ? 1 : sizeof(float);
    for (int64_t first = 0; first + LINEAR_BATCH <= LINEAR_IMAGES; first += LINEAR_BATCH) {
        reel_point(l->batch, (char *)l->images + (size_t)first * LINEAR_INPUTS * bytes);
        reel_point(l->batch_labels, l->labels + first);
        if (job->replay) {
            reel_tape_replay(job->section);
        } else {
            record_step(job);
            reel_tape_rewind(job->tape, job->mark);
        }
    }
}

static bool make_images(struct linear_job *l, int64_t count)
{
    uint64_t state = 5;
    size_t numbers = (size_t)count * LINEAR_INPUTS;
    l->images = bench_memory(numbers * (l->kind == LINEAR_U8 ? 1 : sizeof(float)));
    l->labels = malloc((size_t)count * sizeof *l->labels);
    if (!l->images || !l->labels)
        return false;
    for (size_t i = 0; i < numbers; i++)
        if (l->kind == LINEAR_U8)
            ((uint8_t *)l->images)[i] = (uint8_t)((bench_random(&state) + 1) * 127.5);
        else
            ((float *)l->images)[i] = (float)bench_random(&state);
    for (int64_t i = 0; i < count; i++)
        l->labels[i] = (int32_t)((bench_random(&state) + 1) * LINEAR_CLASSES / 2);
    return true;
}

static void add_parameter(reel_tape *tape, struct linear_job *l, reel_shape shape)
{
    double deviation = shape.rank == 2 ? .01 : 0;
    l->parameter[l->parameters] = reel_random_normal(tape, shape, REEL_F32, 0, deviation);
    l->velocity[l->parameters++] = reel_variable(tape, shape, reel_fill(REEL_F32, 0));
}

static void free_images(struct bench_job *job)
{
    struct linear_job *l = job->data;
    free(l->images);
    free(l->labels);
}

static bool start_linear(const struct bench_run *run, const struct bench_workload *w, struct bench_job *job)
{
    struct linear_job *l = job->data = calloc(1, sizeof *l);
    reel_tape *tape = job->tape = reel_tape_new_with(.threads = run->threads);
    if (!l || !tape)
        return false;
    job->stop = free_images;
    l->kind = w->kind;
    if (!make_images(l, w->kind == LINEAR_MLP ? LINEAR_BATCH : LINEAR_IMAGES))
        return false;
    l->batch = reel_wrap(tape, .dtype = w->kind == LINEAR_U8 ? REEL_U8 : REEL_F32,
                         .shape = REEL_SHAPE(LINEAR_BATCH, LINEAR_INPUTS), .data = l->images);
    l->batch_labels = reel_wrap(tape, .dtype = REEL_I32, .shape = REEL_SHAPE(LINEAR_BATCH), .data = l->labels);
    l->mean = reel_constant(tape, REEL_SHAPE(1, LINEAR_INPUTS), reel_fill(REEL_F32, 120));
    l->rate = reel_constant(tape, REEL_SHAPE(), REEL_F64_VALUES(.01));
    int hidden = w->kind == LINEAR_MLP ? LINEAR_HIDDEN : LINEAR_CLASSES;
    add_parameter(tape, l, REEL_SHAPE(LINEAR_INPUTS, hidden));
    add_parameter(tape, l, REEL_SHAPE(hidden));
    if (w->kind == LINEAR_MLP) {
        add_parameter(tape, l, REEL_SHAPE(LINEAR_HIDDEN, LINEAR_CLASSES));
        add_parameter(tape, l, REEL_SHAPE(LINEAR_CLASSES));
    }
    if (!bench_tape_job(run, job, record_step))
        return false;
    job->replay = run->replay;
    if (w->kind != LINEAR_MLP)
        job->step = step_epoch;
    return true;
}

const struct bench_workload bench_linear_workloads[] = {
    {"linear_epoch", BENCH_BOTH, start_linear, 0, 0, LINEAR_F32},
    {"linear_epoch_u8", BENCH_BOTH, start_linear, 0, 0, LINEAR_U8},
    {"mlp_step", BENCH_BOTH, start_linear, 0, 0, LINEAR_MLP},
    {0},
};
