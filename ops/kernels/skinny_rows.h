/* Skinny products of contiguous rows, included by skinny.c for each pair of types.
 *
 *     C[i, j] = sum_p A[i, p] B[p, j]
 *
 * The sixteen columns of B, whatever n is, lie side by side in a register or a few. So do the sums of each
 * row, to which A[i, p] in all lanes times row p of B is added. B is packed, as many rows of sixteen as stay
 * in the level-1 cache; A streams past them, sixteen rows at a time, while the next are fetched.
 *
 * Bytes, rows that are not contiguous, and the last rows where they are fewer than sixteen are first laid out
 * in a tile. Columns of the pack beyond n may hold anything: nobody reads their sums. */
#define skinny_real   SKINNY_OF(skinny, SKINNY_REAL)
#define skinny_source SKINNY_OF(skinny, SKINNY_SOURCE)
#define skinny_vector SKINNY_OF(reel_vector, SKINNY_REAL)

#ifndef SKINNY_ROWS_ONCE
#define SKINNY_ROWS_ONCE
enum { SKINNY_ROWS = 16, SKINNY_FETCH = 16 };       /* terms between two fetches of what is next   */
#endif

/* How many vectors hold sixteen numbers, and of how many rows the sums fit the registers. Sixteen rows have
 * too many addresses, unless they lie in a tile. */
enum {
    SKINNY(skinny_vectors) = REEL_SKINNY_MOST * sizeof(skinny_real) / REEL_VECTOR_BYTES,
    SKINNY(skinny_bytes) = sizeof(skinny_source) < sizeof(skinny_real),
    SKINNY(skinny_pass) = (SKINNY_VECTORS == 1 && SKINNY(skinny_bytes) ? 16 : 8) / SKINNY(skinny_vectors)
};

/* sum[i, j] = the products of a pass of rows of A with the packed rows of B. One loop over rows and vectors, in
 * a function by itself, since else compilers keep sums in memory. */
static __attribute__((noinline)) void
SKINNY(skinny_rows_sum)(int64_t terms, const skinny_real *a, int64_t a_row, const skinny_real *packed,
                        const skinny_source *next, int64_t next_row, skinny_real *sum)
{
    enum { VECTORS = SKINNY(skinny_vectors), WIDTH = REEL_SKINNY_MOST / VECTORS, ROWS = SKINNY(skinny_pass) };
    skinny_vector total[ROWS * VECTORS] = {{0}};
    for (int64_t p = 0; p < terms;) {
        for (int i = 0; i < ROWS; i++)
            __builtin_prefetch(next + i * next_row + p);
        for (int64_t end = skinny_smaller(p + SKINNY_FETCH, terms); p < end; p++, packed += REEL_SKINNY_MOST)
#pragma GCC unroll 16
            for (int t = 0; t < ROWS * VECTORS; t++)
                total[t] = SKINNY_OF(reel_fma, SKINNY_REAL)(
                    SKINNY_OF(reel_spread, SKINNY_REAL)(a[t / VECTORS * a_row + p]),
                    SKINNY_OF(reel_numbers, SKINNY_REAL)(packed + t % VECTORS * WIDTH), total[t]);
    }
    memcpy(sum, total, sizeof total);
}

/* packed[p, j] = B[first + p, j]. Where B's rows are contiguous, sixteen numbers are copied at once as long
 * as they lie inside of B. */
static void SKINNY(skinny_rows_pack)(const reel_skinny *s, int64_t first, int64_t terms, skinny_real *packed)
{
    int64_t last = (s->k - 1) * s->b_row + s->n - REEL_SKINNY_MOST;
    for (int64_t p = first; p < first + terms; p++, packed += REEL_SKINNY_MOST) {
        const skinny_real *b = (const skinny_real *)s->b + p * s->b_row;
        if (s->b_col == 1 && s->b_row > 0 && p * s->b_row <= last) {
            memcpy(packed, b, REEL_SKINNY_MOST * sizeof *b);
            continue;
        }
        for (int64_t j = 0; j < REEL_SKINNY_MOST; j++)
            packed[j] = j < s->n ? b[j * s->b_col] : 0;
    }
}

/* tile[p] = a[p], a vector at a time. */
static void SKINNY(skinny_rows_widen)(const skinny_source *a, int64_t terms, skinny_real *tile)
{
    enum { WIDTH = sizeof(skinny_vector) / sizeof(skinny_real) };
    int64_t p = 0;
    for (; p + WIDTH <= terms; p += WIDTH)
        SKINNY_OF(reel_put, SKINNY_REAL)(tile + p, SKINNY_LOAD(a + p));
    for (; p < terms; p++)
        tile[p] = a[p];
}

/* tile[r, p] = A[i + r, first + p], and 0 where there is no such row in a pass that has others. */
static void SKINNY(skinny_rows_lay)(const reel_skinny *s, int64_t i, int64_t first, int64_t terms,
                                    skinny_real *tile)
{
    enum { PASS = SKINNY(skinny_pass) };
    int64_t rows = skinny_smaller(s->m - i, SKINNY_ROWS), in_passes = (rows + PASS - 1) / PASS * PASS;
    for (int64_t r = 0; r < in_passes; r++, tile += SKINNY_DEPTH) {
        const skinny_source *a = (const skinny_source *)s->a + (i + r) * s->a_row + first * s->a_col;
        if (r >= rows)
            memset(tile, 0, (size_t)terms * sizeof *tile);
        else if (s->a_col == 1)
            SKINNY(skinny_rows_widen)(a, terms, tile);
        else
            for (int64_t p = 0; p < terms; p++)
                tile[p] = a[p * s->a_col];
    }
}

/* C[i, :] (+)= sum */
static void SKINNY(skinny_rows_write)(const reel_skinny *s, int64_t i, bool add, const skinny_real *restrict sum)
{
    skinny_real *restrict c = (skinny_real *)s->c + i * s->c_row;
    if (add && s->c_col == 1)
#pragma omp simd
        for (int64_t j = 0; j < s->n; j++)
            c[j] += sum[j];
    else if (s->c_col == 1)
        memcpy(c, sum, (size_t)s->n * sizeof *c);
    else
        for (int64_t j = 0; j < s->n; j++)
            c[j * s->c_col] = add ? c[j * s->c_col] + sum[j] : sum[j];
}

/* C[i ..., :] (+)= the terms from `first` on, of sixteen rows or what is left of them. */
static void SKINNY(skinny_rows_some)(const reel_skinny *s, int64_t i, int64_t first, int64_t terms,
                                     const skinny_real *packed)
{
    _Alignas(64) skinny_real tile[SKINNY_ROWS * SKINNY_DEPTH], sum[SKINNY_ROWS * REEL_SKINNY_MOST];
    bool direct = !SKINNY(skinny_bytes) && s->a_col == 1 && s->m - i >= SKINNY_ROWS;
    bool more = s->m - i > SKINNY_ROWS;
    int64_t rows = skinny_smaller(s->m - i, SKINNY_ROWS);
    const skinny_source *at = (const skinny_source *)s->a + i * s->a_row + first * s->a_col;
    const skinny_source *next = more ? at + SKINNY_ROWS * s->a_row : at - i * s->a_row + terms * s->a_col;
    const skinny_real *a = direct ? (const void *)at : tile;
    int64_t a_row = direct ? s->a_row : SKINNY_DEPTH;
    if (!direct)
        SKINNY(skinny_rows_lay)(s, i, first, terms, tile);
    for (int64_t r = 0; r < rows; r += SKINNY(skinny_pass))
        SKINNY(skinny_rows_sum)(terms, a + r * a_row, a_row, packed, next + r * s->a_row, s->a_row,
                                sum + r * REEL_SKINNY_MOST);
    for (int64_t r = 0; r < rows; r++)
        SKINNY(skinny_rows_write)(s, i + r, first > 0, sum + r * REEL_SKINNY_MOST);
}

static void SKINNY(skinny_rows)(const reel_skinny *s)
{
    _Alignas(64) skinny_real packed[SKINNY_DEPTH * REEL_SKINNY_MOST];
    for (int64_t first = 0; first < s->k; first += SKINNY_DEPTH) {
        int64_t terms = skinny_smaller(s->k - first, SKINNY_DEPTH);
        SKINNY(skinny_rows_pack)(s, first, terms, packed);
        for (int64_t i = 0; i < s->m; i += SKINNY_ROWS)
            SKINNY(skinny_rows_some)(s, i, first, terms, packed);
    }
}

#undef skinny_real
#undef skinny_source
#undef skinny_vector
