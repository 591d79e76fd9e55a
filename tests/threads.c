/* Whatever has to do with threads, in a program of its own that does not fork (so that it can run under
 * the thread sanitizer): tapes side by side, the same bits on any number of threads, and a long chain on
 * a small stack.
 *
 * SPDX-License-Identifier: MIT
 */
#include "tests/net.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#if defined(__has_feature)
#if __has_feature(thread_sanitizer) || __has_feature(address_sanitizer) || __has_feature(memory_sanitizer)
#define THREADS_SANITIZED 1
#endif
#elif defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define THREADS_SANITIZED 1
#endif

/* Sanitized frames are several times as large, and the sanitizer keeps things of its own on the stack. */
#ifdef THREADS_SANITIZED
enum { THREADS_STACK = 2 << 20, THREADS_CHAIN = 100000 };
#else
enum { THREADS_STACK = 64 << 10, THREADS_CHAIN = 1000000 };
#endif

enum { THREADS_TAPES = 4, THREADS_STEPS = 25 };


/* ---- Tapes side by side -------------------------------------------------------------------------- */

typedef struct threads_trainer {
    pthread_t thread;
    int       seed, threads;
    bool      done;
    test_net  net;
    float     numbers[NET_NUMBERS];
} threads_trainer;

/* Half of the steps recorded and rewound, the other half replayed. */
static void *threads_train(void *context)
{
    threads_trainer *t = context;
    reel_tape *tape = reel_tape_new_with(.threads = t->threads);
    test_net_make(&t->net, tape, (uint64_t)t->seed);
    reel_mark mark = reel_tape_mark(tape);
    for (int step = 0; step < THREADS_STEPS; step++) {
        reel_tape_rewind(tape, mark);
        test_net_aim(&t->net, step);
        test_net_step(&t->net);
    }
    reel_section section = reel_tape_section(mark, reel_tape_mark(tape));
    for (int step = 0; step < THREADS_STEPS; step++) {
        test_net_aim(&t->net, step);
        reel_tape_replay(section);
    }
    t->done = test_net_read(&t->net, t->numbers) && !reel_failed(tape);
    reel_tape_free(tape);
    return NULL;
}

static void threads_start(threads_trainer trainer[], int threads, bool together)
{
    for (int i = 0; i < THREADS_TAPES; i++) {
        trainer[i].seed = i;
        trainer[i].threads = threads;
        if (!together)
            threads_train(&trainer[i]);
        else
            ck_assert_int_eq(pthread_create(&trainer[i].thread, NULL, threads_train, &trainer[i]), 0);
    }
    for (int i = 0; i < THREADS_TAPES && together; i++)
        ck_assert_int_eq(pthread_join(trainer[i].thread, NULL), 0);
    for (int i = 0; i < THREADS_TAPES; i++)
        ck_assert(trainer[i].done);
}

START_TEST(threads_four_tapes)
{
    static threads_trainer alone[THREADS_TAPES], together[THREADS_TAPES];
    threads_start(alone, 1, false);
    threads_start(together, _i, true);
    for (int i = 0; i < THREADS_TAPES; i++) {
        ck_assert_mem_eq(alone[i].numbers, together[i].numbers, sizeof alone[i].numbers);
        if (i > 0)
            ck_assert_mem_ne(alone[i].numbers, alone[0].numbers, sizeof alone[i].numbers);
    }
}
END_TEST


/* ---- The same bits on any number of threads ------------------------------------------------------ */

typedef struct threads_digests {
    int      count;
    uint64_t digest[64];
} threads_digests;

/* FNV-1a over the bytes of x. */
static void threads_digest(threads_digests *d, reel_tensor x)
{
    size_t bytes = (size_t)reel_count(x) * reel_dtype_size(reel_dtype_of(x));
    unsigned char *copy = malloc(bytes + 1);
    ck_assert_msg(copy && reel_read(x, copy, bytes), "%s", reel_error_message(x.tape));
    uint64_t hash = 0xcbf29ce484222325;
    for (size_t i = 0; i < bytes; i++)
        hash = (hash ^ copy[i]) * 0x100000001b3;
    free(copy);
    ck_assert_int_lt(d->count, 64);
    d->digest[d->count++] = hash;
}

static void threads_digest_gradient(threads_digests *d, reel_tensor y, reel_tensor a, reel_tensor b)
{
    reel_tensor gradient[2];
    threads_digest(d, y);
    ck_assert_msg(reel_gradient(y, REEL_TENSORS(a, b), gradient), "%s", reel_error_message(y.tape));
    threads_digest(d, gradient[0]);
    threads_digest(d, gradient[1]);
}

/* Each op on enough elements to be split, with rows that do not divide evenly. */
static void threads_large_ops(threads_digests *d, reel_tape *tape, reel_dtype dtype)
{
    reel_tensor a = reel_random_normal(tape, REEL_SHAPE(403, 257), dtype, 0, 1);
    reel_tensor b = reel_random_normal(tape, REEL_SHAPE(257, 301), dtype, 0, .1);
    reel_tensor row = reel_random_uniform(tape, REEL_SHAPE(301), dtype, .5, 2);
    reel_tensor z = reel_matmul(a, b);
    threads_digest_gradient(d, z, a, b);
    threads_digest_gradient(d, reel_matmul(reel_transpose(b), reel_transpose(a)), a, b);
    reel_tensor bytes = reel_cast(reel_random_uniform(tape, REEL_SHAPE(403, 2000), dtype, 0, 255), REEL_U8);
    reel_tensor narrow = reel_random_normal(tape, REEL_SHAPE(2000, 10), dtype, 0, .1);
    reel_tensor wide = reel_random_normal(tape, REEL_SHAPE(2000, 515), dtype, 0, .1);
    threads_digest(d, reel_matmul(bytes, narrow));
    threads_digest(d, reel_matmul(bytes, wide));
    threads_digest(d, reel_matmul(reel_random_normal(tape, REEL_SHAPE(1, 2000), dtype, 0, 1), wide));
    threads_digest_gradient(d, reel_div(reel_tanh(reel_add(z, row)), reel_exp(row)), b, row);
    threads_digest_gradient(d, reel_maximum(reel_relu(z), reel_broadcast(row, reel_shape_of(z))), a, row);
    for (int axis = 0; axis <= 1; axis++) {
        threads_digest_gradient(d, reel_sum(reel_mul(z, z), .axes = REEL_AXES(axis)), a, b);
        threads_digest_gradient(d, reel_max(z, .axes = REEL_AXES(axis)), a, b);
        threads_digest_gradient(d, reel_mul(reel_softmax(z, axis), row), b, row);
        threads_digest_gradient(d, reel_mul(reel_log_softmax(z, axis), row), b, row);
        threads_digest_gradient(d, reel_logsumexp(reel_mul(z, row), .axes = REEL_AXES(axis)), b, row);
        reel_tensor labels = reel_broadcast(reel_softmax(row, 0), reel_shape_of(z));
        threads_digest_gradient(d, reel_softmax_cross_entropy_with_logits(.labels = labels, .logits = z,
                                                                          .axis = axis), b, row);
    }
    threads_digest_gradient(d, reel_mean(reel_mul(reel_transpose(z), reel_log(reel_exp(reel_transpose(z))))),
                            a, b);
}

START_TEST(threads_same_bits)
{
    const reel_dtype dtypes[] = {REEL_F32, REEL_F64, REEL_F16, REEL_BF16};
    static threads_digests digests[4];
    for (int threads = 1; threads <= 4; threads++) {
        reel_tape *tape = reel_tape_new_with(.threads = threads, .seed = 9);
        digests[threads - 1].count = 0;
        ck_assert_int_eq(reel_tape_threads(tape), threads);
        threads_large_ops(&digests[threads - 1], tape, dtypes[_i]);
        reel_tape_free(tape);
    }
    for (int threads = 2; threads <= 4; threads++)
        for (int i = 0; i < digests[0].count; i++)
            ck_assert_msg(digests[threads - 1].digest[i] == digests[0].digest[i],
                          "%s, %d threads: result %d differs", reel_dtype_name(dtypes[_i]), threads, i);
}
END_TEST


/* ---- A long chain on a small stack --------------------------------------------------------------- */

typedef struct threads_chain {
    double          value, slope;
    reel_statistics statistics;
    char            message[200];
} threads_chain;

/* x -> c x + .5, so often that recursion over the nodes would need a stack of many megabytes. */
static void *threads_run_chain(void *context)
{
    threads_chain *chain = context;
    reel_tape *tape = reel_tape_new();
    reel_tensor x = reel_variable(tape, REEL_SHAPE(), REEL_F64_VALUES(1)), y = x, gradient;
    for (int i = 0; i < THREADS_CHAIN; i++)
        y = reel_affine(y, i % 2 ? .5 : 2, .5);
    reel_gradient(y, REEL_TENSORS(x), &gradient);
    chain->value = reel_item(y);
    chain->slope = reel_item(gradient);
    chain->statistics = reel_tape_statistics(tape);
    strncpy(chain->message, reel_error_message(tape), sizeof chain->message - 1);
    reel_tape_free(tape);
    return NULL;
}

START_TEST(threads_long_chain)
{
    pthread_attr_t attributes;
    pthread_t thread;
    threads_chain chain = {0};
    ck_assert_int_eq(pthread_attr_init(&attributes), 0);
    ck_assert_int_eq(pthread_attr_setstacksize(&attributes, THREADS_STACK), 0);
    ck_assert_int_eq(pthread_create(&thread, &attributes, threads_run_chain, &chain), 0);
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    pthread_attr_destroy(&attributes);
    ck_assert_str_eq(chain.message, "");
    ck_assert_double_eq(chain.slope, 1);
    ck_assert_double_eq(chain.value, 1 + .75 * (THREADS_CHAIN / 2));
    ck_assert_uint_ge(chain.statistics.nodes, 2 * THREADS_CHAIN);
    ck_assert_uint_lt(chain.statistics.bytes_peak, 1 << 30);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("threads");
    TCase *c = tcase_create("threads");
    tcase_add_loop_test(c, threads_four_tapes, 1, 3);
    tcase_add_loop_test(c, threads_same_bits, 0, 4);
    tcase_add_test(c, threads_long_chain);
    suite_add_tcase(suite, c);
    SRunner *runner = srunner_create(suite);
    srunner_set_fork_status(runner, CK_NOFORK);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
