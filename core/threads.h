/* Threads: a fork-join pool in the caller's memory.
 *
 * A run splits [0, count) into equal contiguous pieces, one a thread, and returns when all are done. The
 * caller works on the first piece itself. Which piece runs where never depends on timing; results that do
 * not depend on where the pieces are cut have the same bits for any number of threads.
 *
 * A pool is run by one thread at a time, the one that owns its tape. Between runs the workers spin for a
 * moment and then sleep. They have all signals blocked. After reel_pool_start() nothing is allocated.
 */
#ifndef REEL_CORE_THREADS_H
#define REEL_CORE_THREADS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { REEL_MAX_THREADS = 256 };

typedef struct reel_pool reel_pool;

/* Bytes of a pool for `threads` threads, the caller's included; the memory must be aligned to 16 bytes
 * and stay until reel_pool_stop(). `threads` is clamped to 1 ... REEL_MAX_THREADS, here and below. */
size_t reel_pool_bytes(int threads);

/* Starts threads - 1 workers, or as many of them as the system grants. False, with nothing to stop, where
 * not even the pool's locks could be made. */
bool reel_pool_start(reel_pool *pool, int threads);

/* How many threads there are, the caller's included: 1 for NULL, and in a forked child, which has none of
 * its parent's workers. */
int reel_pool_threads(const reel_pool *pool);

/* Runs work(context, begin, end) over [0, count) in at most as many pieces as there are threads, each of at
 * least `grain` items. One piece only is run where there is one thread, in a forked child, and in a run
 * from inside the work of another one. Nothing is called where count is not positive. */
void reel_pool_run(reel_pool *pool, int64_t count, int64_t grain,
                   void (*work)(void *context, int64_t begin, int64_t end), void *context);

/* Ends the workers; the memory is the caller's again. Does nothing for NULL and in a forked child. */
void reel_pool_stop(reel_pool *pool);

#endif
