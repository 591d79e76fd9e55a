/* Skinny products of contiguous columns, included by skinny.c for each pair of types.
 *
 *     C[i, j] = sum_p A[i, p] B[p, j]
 *
 * With images as the rows of X and a gradient G, X' G is one: two vectors of pixels of image p, times each of
 * the ten numbers of row p of G, in twenty registers of sums. The sums are transposed into C at the end.
 * A level with fewer registers takes one vector. Terms are added in ascending p, whatever the level. */
#define skinny_real   SKINNY_OF(skinny, SKINNY_REAL)
#define skinny_source SKINNY_OF(skinny, SKINNY_SOURCE)
#define skinny_vector SKINNY_OF(reel_vector, SKINNY_REAL)
#define skinny_fma    SKINNY_OF(reel_fma, SKINNY_REAL)

#ifndef SKINNY_COLUMNS_ONCE
#define SKINNY_COLUMNS_ONCE
enum {
    SKINNY_COLUMNS = 10,
    SKINNY_COLUMNS_VECTORS = SKINNY_VECTORS == 1 ? 2 : 1,
    SKINNY_COLUMNS_BYTES = SKINNY_COLUMNS_VECTORS * REEL_VECTOR_BYTES
};
#endif

/* sum[j, i] = the products of `terms` columns of A, `step` apart, a tile high. */
static void SKINNY(skinny_columns_tile)(int64_t terms, const skinny_source *a, int64_t step,
                                        const skinny_real *b, skinny_real *tile)
{
    enum { WIDTH = sizeof(skinny_vector) / sizeof(skinny_real) };
    skinny_vector sum[SKINNY_COLUMNS][SKINNY_COLUMNS_VECTORS] = {{{0}}};
    for (int64_t p = 0; p < terms; p++, a += step, b += SKINNY_COLUMNS) {
        skinny_vector x[SKINNY_COLUMNS_VECTORS];
#pragma GCC unroll 2
        for (int v = 0; v < SKINNY_COLUMNS_VECTORS; v++) {
            x[v] = SKINNY_LOAD(a + v * WIDTH);
            __builtin_prefetch(a + (SKINNY_COLUMNS_VECTORS + v) * WIDTH, 0, 2);     /* the next tile's */
        }
#pragma GCC unroll 10
        for (int j = 0; j < SKINNY_COLUMNS; j++) {
            skinny_vector y = SKINNY_OF(reel_spread, SKINNY_REAL)(b[j]);
#pragma GCC unroll 2
            for (int v = 0; v < SKINNY_COLUMNS_VECTORS; v++)
                sum[j][v] = skinny_fma(x[v], y, sum[j][v]);
        }
    }
    memcpy(tile, sum, sizeof sum);
}

/* packed[p, j] = B[first + p, j], and 0 beyond the last column. */
static void SKINNY(skinny_columns_pack)(const reel_skinny *s, int64_t first, int64_t terms, int64_t j,
                                        skinny_real *packed)
{
    int64_t columns = skinny_smaller(s->n - j, SKINNY_COLUMNS);
    for (int64_t p = first; p < first + terms; p++) {
        const skinny_real *b = (const skinny_real *)s->b + p * s->b_row + j * s->b_col;
        for (int64_t q = 0; q < SKINNY_COLUMNS; q++)
            *packed++ = q < columns ? b[q * s->b_col] : 0;
    }
}

/* C[i, j] (+)= tile[j, i], `rows` of a tile. */
static void SKINNY(skinny_columns_write)(const reel_skinny *s, int64_t i, int64_t j, int64_t rows, bool add,
                                         const skinny_real *tile)
{
    enum { HEIGHT = SKINNY_COLUMNS_BYTES / sizeof(skinny_real) };
    skinny_real *c = (skinny_real *)s->c + i * s->c_row + j * s->c_col;
    int64_t columns = skinny_smaller(s->n - j, SKINNY_COLUMNS);
    if (!add && s->c_col == 1) {
        SKINNY_OF(skinny_transpose, SKINNY_REAL)(c, s->c_row, tile, HEIGHT, columns, rows);
        return;
    }
    for (int64_t q = 0; q < columns; q++)
        for (int64_t r = 0; r < rows; r++) {
            skinny_real *to = c + r * s->c_row + q * s->c_col, total = tile[q * HEIGHT + r];
            *to = add ? *to + total : total;
        }
}

/* The last rows are copied into a tile of their own, filled up with zeros. */
static REEL_RARE void SKINNY(skinny_columns_end)(const skinny_source *a, int64_t step, int64_t rows, int64_t terms,
                                                 const skinny_real *packed, skinny_real *tile)
{
    enum { HEIGHT = SKINNY_COLUMNS_BYTES / sizeof(skinny_real) };
    skinny_source copy[SKINNY_DEPTH][HEIGHT];
    memset(copy, 0, (size_t)terms * sizeof *copy);
    for (int64_t p = 0; p < terms; p++)
        memcpy(copy[p], a + p * step, (size_t)rows * sizeof *a);
    SKINNY(skinny_columns_tile)(terms, copy[0], HEIGHT, packed, tile);
}

static void SKINNY(skinny_columns)(const reel_skinny *s)
{
    enum { HEIGHT = SKINNY_COLUMNS_BYTES / sizeof(skinny_real) };
    _Alignas(64) skinny_real packed[SKINNY_DEPTH * SKINNY_COLUMNS], tile[SKINNY_COLUMNS * HEIGHT];
    for (int64_t j = 0; j < s->n; j += SKINNY_COLUMNS)
        for (int64_t first = 0; first < s->k; first += SKINNY_DEPTH) {
            int64_t terms = skinny_smaller(s->k - first, SKINNY_DEPTH);
            const skinny_source *a = (const skinny_source *)s->a + first * s->a_col;
            SKINNY(skinny_columns_pack)(s, first, terms, j, packed);
            for (int64_t i = 0; i < s->m; i += HEIGHT) {
                int64_t rows = skinny_smaller(s->m - i, HEIGHT);
                if (rows == HEIGHT)
                    SKINNY(skinny_columns_tile)(terms, a + i, s->a_col, packed, tile);
                else
                    SKINNY(skinny_columns_end)(a + i, s->a_col, rows, terms, packed, tile);
                SKINNY(skinny_columns_write)(s, i, j, rows, first > 0, tile);
            }
        }
}

#undef skinny_real
#undef skinny_source
#undef skinny_vector
#undef skinny_fma
