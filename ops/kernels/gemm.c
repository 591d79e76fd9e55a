/* Matrix products: micro-kernels, BLIS's or where it is not there our own (micro.h), under loops of our own.
 *
 *     C = A B  or  C += A B
 *
 * The algorithm is Goto and van de Geijn's (Anatomy of High-Performance Matrix Multiplication, 2008). A
 * block of A, to stay in the level-2 cache, and a sliver of B, for the level-1 cache, are copied into the
 * order in which the micro-kernel reads them; it adds their product to a tile of C held in registers.
 *
 * Why not BLIS's whole products: bli_sgemm_ex() allocates, even on one thread. It takes a workspace from a
 * pool that grows with the number of products in flight, and libgomp a team for every product; both end
 * the process where memory is short. Here a product allocates nothing, waits for nobody and leaves nothing
 * half done for a fork() to find. The copies take any strides, negative and zero ones too.
 *
 * Bits. Element (i, j) is a sum over p in ascending order, started afresh every `depth` terms and then
 * added to C, whichever tile it falls into and whichever operand counts as the left one. So neither the
 * layout of A, B and C, nor a cut through C, nor the number of threads shows in a result.
 */
#include "ops/kernels/gemm.h"
#include "core/cpu.h"
#include "ops/kernels/micro.h"

#include <stdalign.h>
#include <stddef.h>
#include <string.h>

#ifndef REEL_WITHOUT_BLIS
#include <blis.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#endif

enum {
    GEMM_DEPTH = 256,                               /* terms of a sum between two additions to C   */
    GEMM_LEFT_BYTES = 256 << 10,                    /* the packed block of A                       */
    GEMM_RIGHT_BYTES = 32 << 10,                    /* the packed sliver of B                      */
    GEMM_SLACK = 512                                /* micro-kernels load a step beyond the last   */
};

/* Where a product works; on the caller's stack. */
typedef struct gemm_workspace {
    alignas(64) unsigned char left[GEMM_LEFT_BYTES + GEMM_SLACK];
    alignas(64) unsigned char right[GEMM_RIGHT_BYTES + GEMM_SLACK];
} gemm_workspace;

/* Element (i, j) is at data + (i * row + j * col) * size. */
typedef struct gemm_matrix {
    const unsigned char *data;
    int64_t row, col;
} gemm_matrix;

typedef struct gemm_target {
    unsigned char *data;
    int64_t row, col;
} gemm_target;

/* A micro-kernel: c[rows, cols] (+)= left[depth, left_width]^T right[depth, right_width]. */
typedef struct gemm_kernel gemm_kernel;
struct gemm_kernel {
    size_t  size;                                   /* of an element                               */
    int64_t rows, cols;                             /* of a tile                                   */
    int64_t left_width, right_width;                /* of packed slivers: rows and cols, or padded */
    bool    writes_rows;                            /* it is faster where rows of C are contiguous */
    void   *code, *context;                         /* BLIS's                                      */
    reel_cpu_level    cpu;
    const reel_micro *micro;                        /* our own, for the CPU                        */
    void  (*tile)(const gemm_kernel *kernel, int64_t m, int64_t n, int64_t k, const void *left,
                  const void *right, bool add, void *c, int64_t c_row, int64_t c_col);
    void  (*pack)(void *packed, int64_t width, int64_t lines, int64_t depth, const void *source,
                  int64_t line, int64_t step);
};

/* Sixteen bytes, which the baseline of every 64-bit machine moves at once. */
typedef float  gemm_vector_f32 __attribute__((vector_size(16), aligned(sizeof(float)), may_alias));
typedef double gemm_vector_f64 __attribute__((vector_size(16), aligned(sizeof(double)), may_alias));
enum { GEMM_LANES_F32 = 4, GEMM_LANES_F64 = 2 };

/* to[p, i] = from[i, p], 4 x 4. */
static inline void gemm_transpose_f32(float *to, int64_t width, const float *from, int64_t line)
{
    gemm_vector_f32 a = *(const gemm_vector_f32 *)from, b = *(const gemm_vector_f32 *)(from + line);
    gemm_vector_f32 c = *(const gemm_vector_f32 *)(from + 2 * line);
    gemm_vector_f32 d = *(const gemm_vector_f32 *)(from + 3 * line);
    gemm_vector_f32 ab_low = __builtin_shufflevector(a, b, 0, 4, 1, 5);
    gemm_vector_f32 cd_low = __builtin_shufflevector(c, d, 0, 4, 1, 5);
    gemm_vector_f32 ab_high = __builtin_shufflevector(a, b, 2, 6, 3, 7);
    gemm_vector_f32 cd_high = __builtin_shufflevector(c, d, 2, 6, 3, 7);
    *(gemm_vector_f32 *)to = __builtin_shufflevector(ab_low, cd_low, 0, 1, 4, 5);
    *(gemm_vector_f32 *)(to + width) = __builtin_shufflevector(ab_low, cd_low, 2, 3, 6, 7);
    *(gemm_vector_f32 *)(to + 2 * width) = __builtin_shufflevector(ab_high, cd_high, 0, 1, 4, 5);
    *(gemm_vector_f32 *)(to + 3 * width) = __builtin_shufflevector(ab_high, cd_high, 2, 3, 6, 7);
}

/* to[p, i] = from[i, p], 2 x 2. */
static inline void gemm_transpose_f64(double *to, int64_t width, const double *from, int64_t line)
{
    gemm_vector_f64 a = *(const gemm_vector_f64 *)from, b = *(const gemm_vector_f64 *)(from + line);
    *(gemm_vector_f64 *)to = __builtin_shufflevector(a, b, 0, 2);
    *(gemm_vector_f64 *)(to + width) = __builtin_shufflevector(a, b, 1, 3);
}

/* packed[p, i] = source[i * line + p * step] for `lines` lines i, and zeros up to `width`: by vectors where
 * the lines lie side by side (line = 1), by small transpositions where each is contiguous (step = 1), and
 * one by one what is left. */
#define GEMM_PACK(name, real, vector, lanes, transpose)                                              \
    static void name(void *packed, int64_t width, int64_t lines, int64_t depth, const void *source,  \
                     int64_t line, int64_t step)                                                     \
    {                                                                                                \
        real *to = packed;                                                                           \
        const real *from = source;                                                                   \
        int64_t whole = line == 1 || step == 1 ? lines - lines % lanes : 0;                          \
        int64_t square = line != 1 ? depth - depth % lanes : depth;                                  \
        if (lines < width)                                                                           \
            memset(to, 0, (size_t)(width * depth) * sizeof *to);                                     \
        if (line == 1)                                                                               \
            for (int64_t p = 0; p < depth; p++)                                                      \
                for (int64_t i = 0; i < whole; i += lanes)                                           \
                    *(vector *)(to + p * width + i) = *(const vector *)(from + p * step + i);        \
        else                                                                                         \
            for (int64_t i = 0; i < whole; i += lanes)                                               \
                for (int64_t p = 0; p < square; p += lanes)                                          \
                    transpose(to + p * width + i, width, from + i * line + p, line);                 \
        for (int64_t i = 0; i < lines; i++)                                                          \
            for (int64_t p = i < whole ? square : 0; p < depth; p++)                                 \
                to[p * width + i] = from[i * line + p * step];                                       \
    }

GEMM_PACK(gemm_pack_f32, float, gemm_vector_f32, GEMM_LANES_F32, gemm_transpose_f32)
GEMM_PACK(gemm_pack_f64, double, gemm_vector_f64, GEMM_LANES_F64, gemm_transpose_f64)

#ifdef REEL_WITHOUT_BLIS

/* Tiles that are not whole, or have no contiguous rows in C, are computed aside. */
#define GEMM_TILE(name, real)                                                                        \
    static void name(const gemm_kernel *kernel, int64_t m, int64_t n, int64_t k, const void *left,   \
                     const void *right, bool add, void *target, int64_t c_row, int64_t c_col)        \
    {                                                                                                \
        const reel_micro *micro = kernel->micro;                                                     \
        alignas(64) real sum[REEL_MICRO_BYTES / sizeof(real)];                                       \
        if (m == micro->rows && n == micro->cols && c_col == 1) {                                    \
            micro->run(k, left, right, add, target, c_row);                                          \
            return;                                                                                  \
        }                                                                                            \
        micro->run(k, left, right, false, sum, micro->cols);                                         \
        for (int64_t i = 0; i < m; i++)                                                              \
            for (int64_t j = 0; j < n; j++) {                                                        \
                real *c = (real *)target + i * c_row + j * c_col, total = sum[i * micro->cols + j];  \
                *c = add ? *c + total : total;                                                       \
            }                                                                                        \
    }

GEMM_TILE(gemm_tile_f32, float)
GEMM_TILE(gemm_tile_f64, double)

bool reel_gemm_ready(void)
{
    return true;
}

/* Of f32 and of f64; where there is but one level, it is the baseline's. */
static const reel_micro *gemm_micros(reel_cpu_level cpu)
{
#ifdef __x86_64__
    static const reel_micro *const micros[] = {[REEL_CPU_BASELINE] = reel_micros_baseline,
                                               [REEL_CPU_AVX2] = reel_micros_avx2,
                                               [REEL_CPU_AVX512] = reel_micros_avx512};
    return micros[cpu];
#else
    (void)cpu;
    return reel_micros_baseline;
#endif
}

static void gemm_tile_of(gemm_kernel *kernel)
{
    const reel_micro *micro = &gemm_micros(kernel->cpu)[kernel->size == sizeof(double)];
    kernel->micro = micro;
    kernel->rows = kernel->left_width = micro->rows;
    kernel->cols = kernel->right_width = micro->cols;
    kernel->writes_rows = true;
}

#else

/* It may prefetch what comes next; naming the same slivers again is never wrong. */
#define GEMM_TILE(name, real, function)                                                              \
    static void name(const gemm_kernel *kernel, int64_t m, int64_t n, int64_t k, const void *left,   \
                     const void *right, bool add, void *c, int64_t c_row, int64_t c_col)             \
    {                                                                                                \
        real *a = (real *)left, *b = (real *)right, one = 1, beta = add;                             \
        auxinfo_t next = {.a_next = a, .b_next = b};                                                 \
        (__extension__(function)kernel->code)(m, n, k, &one, a, b, &beta, c, c_row, c_col, &next,    \
                                              kernel->context);                                      \
    }

GEMM_TILE(gemm_tile_f32, float, sgemm_ukr_ft)
GEMM_TILE(gemm_tile_f64, double, dgemm_ukr_ft)

/* All the mutable state there is. The mutex is held during the set-up and, by the handlers, across a fork():
 * a child is born before the set-up or after it, never in the middle of one that nobody would finish. */
static struct {
    atomic_bool     ready;
    pthread_once_t  handlers;
    pthread_mutex_t setting_up;
} gemm_blis = {.handlers = PTHREAD_ONCE_INIT, .setting_up = PTHREAD_MUTEX_INITIALIZER};

static void gemm_lock(void)
{
    pthread_mutex_lock(&gemm_blis.setting_up);
}

static void gemm_unlock(void)
{
    pthread_mutex_unlock(&gemm_blis.setting_up);
}

/* Without memory for the handlers a fork() in the very milliseconds of the set-up would go unguarded. */
static void gemm_guard_forks(void)
{
    (void)pthread_atfork(gemm_lock, gemm_unlock, gemm_unlock);
}

/* The kernels for this CPU as a value for BLIS_ARCH_TYPE, or -1 to leave the choice to BLIS. BLIS 0.9 goes
 * by the model and knows none younger than itself: it takes its generic kernels on a Zen 5 and its AVX2
 * ones on a Sapphire Rapids. The kernels themselves need only the features. */
static int gemm_architecture(void)
{
#if defined(__x86_64__) && defined(BLIS_CONFIG_SKX) && defined(BLIS_CONFIG_HASWELL)
    const int architecture[] = {[REEL_CPU_BASELINE] = -1, [REEL_CPU_AVX2] = BLIS_ARCH_HASWELL,
                                [REEL_CPU_AVX512] = BLIS_ARCH_SKX};
    return architecture[reel_cpu_detect()];
#else
    return -1;
#endif
}

/* BLIS reads the variable once, when it starts, and has no other way to be told. */
static bool gemm_choose_architecture(void)
{
    int architecture = gemm_architecture();
    if (architecture < 0)
        return true;
    const char digits[] = {(char)('0' + architecture / 10), (char)('0' + architecture % 10), '\0'};
    return setenv("BLIS_ARCH_TYPE", digits, 0) == 0;
}

/* BLIS aborts where its start cannot have memory (some 340 pieces, 70 KB in all), so that much and more is
 * asked for and given back first. This is the one place that calls malloc(), since it is from malloc() that
 * BLIS is about to take. */
static bool gemm_has_memory(void)
{
    void *volatile probe = malloc(2 << 20);         /* volatile: else the compiler drops the pair  */
    free(probe);
    return probe != NULL;
}

static bool gemm_set_up(void)
{
    if (atomic_load_explicit(&gemm_blis.ready, memory_order_relaxed))
        return true;
    if (!gemm_has_memory() || !gemm_choose_architecture())
        return false;
    bli_init();
    atomic_store_explicit(&gemm_blis.ready, true, memory_order_release);
    return true;
}

bool reel_gemm_ready(void)
{
    if (atomic_load_explicit(&gemm_blis.ready, memory_order_acquire))
        return true;
    pthread_once(&gemm_blis.handlers, gemm_guard_forks);
    gemm_lock();
    bool ready = gemm_set_up();
    gemm_unlock();
    return ready;
}

static void gemm_tile_of(gemm_kernel *kernel)
{
    cntx_t *context = bli_gks_query_nat_cntx();
    num_t dtype = kernel->size == sizeof(float) ? BLIS_FLOAT : BLIS_DOUBLE;
    kernel->context = context;
    kernel->code = bli_cntx_get_l3_nat_ukr_dt(dtype, BLIS_GEMM_UKR, context);
    kernel->rows = bli_cntx_get_blksz_def_dt(dtype, BLIS_MR, context);
    kernel->cols = bli_cntx_get_blksz_def_dt(dtype, BLIS_NR, context);
    kernel->left_width = bli_cntx_get_blksz_max_dt(dtype, BLIS_MR, context);
    kernel->right_width = bli_cntx_get_blksz_max_dt(dtype, BLIS_NR, context);
    kernel->writes_rows = bli_cntx_l3_nat_ukr_prefers_rows_dt(dtype, BLIS_GEMM_UKR, context);
}

#endif

static int64_t gemm_smaller(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t gemm_tiles(const gemm_kernel *kernel, int64_t m, int64_t n)
{
    return ((m + kernel->rows - 1) / kernel->rows) * ((n + kernel->cols - 1) / kernel->cols);
}

/* c[m, n] (+)= a[m, k] b[k, n] for a block of A that fits the workspace. */
static void gemm_block(const gemm_kernel *kernel, gemm_workspace *work, int64_t m, int64_t n, int64_t k,
                       gemm_matrix a, gemm_matrix b, bool add, gemm_target c)
{
    const int64_t size = (int64_t)kernel->size, sliver = kernel->left_width * k * size;
    unsigned char *left = work->left;
    for (int64_t i = 0; i < m; i += kernel->rows, left += sliver)
        kernel->pack(left, kernel->left_width, gemm_smaller(m - i, kernel->rows), k,
                     a.data + i * a.row * size, a.row, a.col);
    for (int64_t j = 0; j < n; j += kernel->cols) {
        int64_t cols = gemm_smaller(n - j, kernel->cols);
        kernel->pack(work->right, kernel->right_width, cols, k, b.data + j * b.col * size, b.col, b.row);
        left = work->left;
        for (int64_t i = 0; i < m; i += kernel->rows, left += sliver)
            kernel->tile(kernel, gemm_smaller(m - i, kernel->rows), cols, k, left, work->right, add,
                         c.data + (i * c.row + j * c.col) * size, c.row, c.col);
    }
}

/* All blocks of A; a depth at a time, so that sums are cut at the same terms whatever m and n are. */
static void gemm_blocks(const gemm_kernel *kernel, int64_t m, int64_t n, int64_t k, gemm_matrix a,
                        gemm_matrix b, bool add, gemm_target c)
{
    gemm_workspace work;
    const int64_t size = (int64_t)kernel->size;
    int64_t depth = gemm_smaller(GEMM_DEPTH, GEMM_RIGHT_BYTES / (kernel->right_width * size));
    depth = gemm_smaller(depth, GEMM_LEFT_BYTES / (kernel->left_width * size));
    int64_t height = GEMM_LEFT_BYTES / (depth * kernel->left_width * size) * kernel->rows;
    for (int64_t p = 0; p < k; p += depth)
        for (int64_t i = 0; i < m; i += height) {
            gemm_matrix block = {a.data + (i * a.row + p * a.col) * size, a.row, a.col};
            gemm_matrix below = {b.data + p * b.row * size, b.row, b.col};
            gemm_target strip = {c.data + i * c.row * size, c.row, c.col};
            gemm_block(kernel, &work, gemm_smaller(m - i, height), n, gemm_smaller(k - p, depth), block,
                       below, add || p > 0, strip);
        }
}

/* Whether to compute C^T = B^T A^T: the micro-kernel then meets C in the layout that it writes fastest,
 * unless that costs many more tiles (a tile of 32 x 12 holds ten columns well and ten rows badly). */
static bool gemm_transposes(const gemm_kernel *kernel, int64_t m, int64_t n, gemm_target c)
{
    int64_t straight = gemm_tiles(kernel, m, n), transposed = gemm_tiles(kernel, n, m);
    bool fits = kernel->writes_rows == (c.col <= c.row);
    return fits ? straight > transposed + transposed / 4 : transposed <= straight + straight / 4;
}

static void gemm_clear(int64_t m, int64_t n, size_t size, gemm_target c)
{
    for (int64_t i = 0; i < m; i++)
        for (int64_t j = 0; j < n; j++)
            memset(c.data + (i * c.row + j * c.col) * (int64_t)size, 0, size);
}

static bool gemm_product(gemm_kernel kernel, int64_t m, int64_t n, int64_t k, gemm_matrix a, gemm_matrix b,
                         bool add, gemm_target c)
{
    if (m <= 0 || n <= 0 || (k <= 0 && add))
        return true;
    if (k <= 0) {
        gemm_clear(m, n, kernel.size, c);
        return true;
    }
    if (!reel_gemm_ready())
        return false;
    gemm_tile_of(&kernel);
    if (gemm_transposes(&kernel, m, n, c))
        gemm_blocks(&kernel, n, m, k, (gemm_matrix){b.data, b.col, b.row},
                    (gemm_matrix){a.data, a.col, a.row}, add, (gemm_target){c.data, c.col, c.row});
    else
        gemm_blocks(&kernel, m, n, k, a, b, add, c);
    return true;
}

bool reel_gemm_f32(reel_cpu_level cpu, int64_t m, int64_t n, int64_t k, const float *a, int64_t a_row,
                   int64_t a_col, const float *b, int64_t b_row, int64_t b_col, float beta, float *c,
                   int64_t c_row, int64_t c_col)
{
    gemm_kernel kernel = {.size = sizeof *c, .cpu = cpu, .tile = gemm_tile_f32, .pack = gemm_pack_f32};
    return gemm_product(kernel, m, n, k, (gemm_matrix){(const void *)a, a_row, a_col},
                        (gemm_matrix){(const void *)b, b_row, b_col}, beta != 0,
                        (gemm_target){(void *)c, c_row, c_col});
}

bool reel_gemm_f64(reel_cpu_level cpu, int64_t m, int64_t n, int64_t k, const double *a, int64_t a_row,
                   int64_t a_col, const double *b, int64_t b_row, int64_t b_col, double beta, double *c,
                   int64_t c_row, int64_t c_col)
{
    gemm_kernel kernel = {.size = sizeof *c, .cpu = cpu, .tile = gemm_tile_f64, .pack = gemm_pack_f64};
    return gemm_product(kernel, m, n, k, (gemm_matrix){(const void *)a, a_row, a_col},
                        (gemm_matrix){(const void *)b, b_row, b_col}, beta != 0,
                        (gemm_target){(void *)c, c_row, c_col});
}
