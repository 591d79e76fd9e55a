/* Threads: the fork-join pool.
 *
 * A worker is handed its piece by raising its `posted` number under the pool's mutex, and only workers with
 * a piece are woken. It counts itself off `pending` when done; the last one wakes the caller. Both sides
 * first spin for a few microseconds, reading one atomic number, since a run often follows a run closely.
 *
 * Memory order: the piece is written before `posted` is raised (release) and read after that was seen
 * (acquire); what the work wrote comes before the decrement of `pending`, which the caller sees.
 */
#include "core/threads.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <unistd.h>

enum { POOL_SPINS = 1000 };

typedef struct pool_worker {
    struct reel_pool *pool;
    pthread_t         thread;
    pthread_cond_t    wake;
    atomic_uint       posted;                       /* how many pieces it has been handed          */
    int64_t           begin, end;                   /* its piece                                   */
} pool_worker;

struct reel_pool {
    pthread_mutex_t mutex;
    pthread_cond_t  done;
    pid_t           process;                        /* whose threads the workers are               */
    int             workers;
    atomic_bool     running;
    atomic_int      pending;                        /* workers that are not done yet               */
    void          (*work)(void *context, int64_t begin, int64_t end);   /* NULL: end the thread    */
    void           *context;
    pool_worker     worker[];
};

static int pool_clamp(int threads)
{
    return threads < 1 ? 1 : threads > REEL_MAX_THREADS ? REEL_MAX_THREADS : threads;
}

size_t reel_pool_bytes(int threads)
{
    return sizeof(reel_pool) + (size_t)(pool_clamp(threads) - 1) * sizeof(pool_worker);
}

static inline void pool_pause(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#endif
}


/* ---- The workers ------------------------------------------------------------------------------- */

static void pool_wait_for_piece(pool_worker *worker, unsigned seen)
{
    for (int i = 0; i < POOL_SPINS; i++) {
        if (atomic_load_explicit(&worker->posted, memory_order_acquire) != seen)
            return;
        pool_pause();
    }
    pthread_mutex_lock(&worker->pool->mutex);
    while (atomic_load_explicit(&worker->posted, memory_order_relaxed) == seen)
        pthread_cond_wait(&worker->wake, &worker->pool->mutex);
    pthread_mutex_unlock(&worker->pool->mutex);
}

static void pool_count_off(reel_pool *pool)
{
    if (atomic_fetch_sub_explicit(&pool->pending, 1, memory_order_acq_rel) != 1)
        return;
    pthread_mutex_lock(&pool->mutex);
    pthread_cond_signal(&pool->done);
    pthread_mutex_unlock(&pool->mutex);
}

static void *pool_worker_main(void *argument)
{
    pool_worker *worker = argument;
    reel_pool *pool = worker->pool;
    for (unsigned seen = 0;; seen++) {
        pool_wait_for_piece(worker, seen);
        if (pool->work == NULL)
            return NULL;
        pool->work(pool->context, worker->begin, worker->end);
        pool_count_off(pool);
    }
}


/* ---- Starting and stopping --------------------------------------------------------------------- */

static bool pool_start_worker(reel_pool *pool, pool_worker *worker)
{
    worker->pool = pool;
    worker->begin = worker->end = 0;
    atomic_init(&worker->posted, 0);
    if (pthread_cond_init(&worker->wake, NULL) != 0)
        return false;
    if (pthread_create(&worker->thread, NULL, pool_worker_main, worker) == 0)
        return true;
    pthread_cond_destroy(&worker->wake);
    return false;
}

/* A thread inherits the signal mask of the one that starts it. */
static void pool_start_workers(reel_pool *pool, int count)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    while (pool->workers < count && pool_start_worker(pool, &pool->worker[pool->workers]))
        pool->workers++;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

bool reel_pool_start(reel_pool *pool, int threads)
{
    pool->process = getpid();
    pool->workers = 0;
    pool->work = NULL;
    pool->context = NULL;
    atomic_init(&pool->running, false);
    atomic_init(&pool->pending, 0);
    if (pthread_mutex_init(&pool->mutex, NULL) != 0)
        return false;
    if (pthread_cond_init(&pool->done, NULL) != 0) {
        pthread_mutex_destroy(&pool->mutex);
        return false;
    }
    pool_start_workers(pool, pool_clamp(threads) - 1);
    return true;
}

int reel_pool_threads(const reel_pool *pool)
{
    return pool == NULL || pool->process != getpid() ? 1 : pool->workers + 1;
}

static void pool_post(pool_worker *worker)
{
    atomic_fetch_add_explicit(&worker->posted, 1, memory_order_release);
    pthread_cond_signal(&worker->wake);
}

void reel_pool_stop(reel_pool *pool)
{
    if (pool == NULL || pool->process != getpid())
        return;
    pthread_mutex_lock(&pool->mutex);
    pool->work = NULL;
    for (int i = 0; i < pool->workers; i++)
        pool_post(&pool->worker[i]);
    pthread_mutex_unlock(&pool->mutex);
    for (int i = 0; i < pool->workers; i++) {
        pthread_join(pool->worker[i].thread, NULL);
        pthread_cond_destroy(&pool->worker[i].wake);
    }
    pthread_cond_destroy(&pool->done);
    pthread_mutex_destroy(&pool->mutex);
}


/* ---- Running ------------------------------------------------------------------------------------ */

/* Small work is not for threads: it need not even ask the system which process this is. */
static int64_t pool_pieces(const reel_pool *pool, int64_t count, int64_t grain)
{
    int64_t most = count / (grain < 1 ? 1 : grain);
    if (most < 2)
        return 1;
    int64_t threads = reel_pool_threads(pool);
    return most < threads ? most : threads;
}

/* Piece i of n begins at floor(count / n) i, and at one more for each earlier piece that is longer by one. */
static int64_t pool_piece_begin(int64_t count, int64_t pieces, int64_t i)
{
    int64_t longer = count % pieces;
    return count / pieces * i + (i < longer ? i : longer);
}

static void pool_hand_out(reel_pool *pool, int64_t count, int64_t pieces)
{
    pthread_mutex_lock(&pool->mutex);
    for (int64_t i = 1; i < pieces; i++) {
        pool_worker *worker = &pool->worker[i - 1];
        worker->begin = pool_piece_begin(count, pieces, i);
        worker->end = pool_piece_begin(count, pieces, i + 1);
        pool_post(worker);
    }
    pthread_mutex_unlock(&pool->mutex);
}

static void pool_wait_for_all(reel_pool *pool)
{
    for (int i = 0; i < POOL_SPINS; i++) {
        if (atomic_load_explicit(&pool->pending, memory_order_acquire) == 0)
            return;
        pool_pause();
    }
    pthread_mutex_lock(&pool->mutex);
    while (atomic_load_explicit(&pool->pending, memory_order_acquire) != 0)
        pthread_cond_wait(&pool->done, &pool->mutex);
    pthread_mutex_unlock(&pool->mutex);
}

void reel_pool_run(reel_pool *pool, int64_t count, int64_t grain,
                   void (*work)(void *context, int64_t begin, int64_t end), void *context)
{
    if (count <= 0)
        return;
    int64_t pieces = pool_pieces(pool, count, grain);
    if (pieces == 1 || atomic_exchange_explicit(&pool->running, true, memory_order_acquire)) {
        work(context, 0, count);
        return;
    }
    pool->work = work;
    pool->context = context;
    atomic_store_explicit(&pool->pending, (int)pieces - 1, memory_order_relaxed);
    pool_hand_out(pool, count, pieces);
    work(context, 0, pool_piece_begin(count, pieces, 1));
    pool_wait_for_all(pool);
    atomic_store_explicit(&pool->running, false, memory_order_release);
}
