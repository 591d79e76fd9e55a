/* Skinny products of contiguous rows, included by skinny.c for each type of numbers.
 *
 *     C[i, j] = sum_p A[i, p] B[p, j]
 *
 * The sixteen columns of B, whatever n is, lie side by side in a register or a few. So do the sums of each
 * row, to which A[i, p] in all lanes times row p of B is added. B is packed, as many rows of sixteen as stay
 * in the level-1 cache; A streams past them, sixteen rows at a time, while the next are fetched. For few rows
 * of A, B is read where it lies.
 *
 * Rows that are not contiguous, and the last rows where they are fewer than sixteen are first laid out in a
 * tile, but for a row that is alone. Columns beyond n may hold anything: nobody reads their sums. */
#define skinny_real   SKINNY_OF(skinny, SKINNY_REAL)
#define skinny_vector SKINNY_OF(reel_vector, SKINNY_REAL)

#ifndef SKINNY_ROWS_ONCE
#define SKINNY_ROWS_ONCE
enum {
    SKINNY_ROWS = 16,
    SKINNY_FETCH = 16,                              /* terms between two fetches of what is next   */
    SKINNY_STEP = 4                                 /* terms between two moves of the rows' pointers */
};
#endif

/* How many vectors hold sixteen numbers, and of how many rows the sums fit the registers. (Sixteen rows would
 * have too many addresses.) */
enum {
    SKINNY(skinny_vectors) = REEL_SKINNY_MOST * sizeof(skinny_real) / REEL_VECTOR_BYTES,
    SKINNY(skinny_pass) = 8 / SKINNY(skinny_vectors)
};

/* sum[i, j] = the products of a pass of rows of A with rows of B. One loop over rows and vectors, in
 * a function by itself, since else compilers keep sums in memory. */
static __attribute__((noinline)) void
SKINNY(skinny_rows_sum)(int64_t terms, const skinny_real *a, int64_t a_row, const skinny_real *b, int64_t b_row,
                        const skinny_real *next, int64_t next_row, skinny_real *sum)
{
    enum { VECTORS = SKINNY(skinny_vectors), WIDTH = REEL_SKINNY_MOST / VECTORS, ROWS = SKINNY(skinny_pass) };
    skinny_vector total[ROWS * VECTORS] = {{0}};
    const skinny_real *row[ROWS] = {a};
#pragma GCC unroll 8
    for (int i = 1; i < ROWS; i++)
        row[i] = row[i - 1] + a_row;
    for (int64_t p = 0; p < terms;) {
        for (int i = 0; i < ROWS; i++)
            __builtin_prefetch(next + i * next_row + p);
        for (int64_t end = skinny_smaller(p + SKINNY_FETCH, terms); p < end; p += SKINNY_STEP) {
#pragma GCC unroll 4
            for (int q = 0; q < SKINNY_STEP; q++, b += b_row) {
                if (q > 0 && p + q == end)
                    break;
#pragma GCC unroll 16
                for (int t = 0; t < ROWS * VECTORS; t++)
                    total[t] = SKINNY_OF(reel_fma, SKINNY_REAL)(
                        SKINNY_OF(reel_spread, SKINNY_REAL)(row[t / VECTORS][q]),
                        SKINNY_OF(reel_numbers, SKINNY_REAL)(b + t % VECTORS * WIDTH), total[t]);
            }
#pragma GCC unroll 8
            for (int i = 0; i < ROWS; i++) {
                row[i] += SKINNY_STEP;
                REEL_HIDE(row[i]);
            }
        }
    }
    memcpy(sum, total, sizeof total);
}

/* Whether B has sixteen contiguous numbers from row p's first on, be they the next row's. */
static bool SKINNY(skinny_rows_has_sixteen)(const reel_skinny *s, int64_t p)
{
    return s->b_col == 1 && s->b_row > 0 && p * s->b_row <= (s->k - 1) * s->b_row + s->n - REEL_SKINNY_MOST;
}

/* packed[p, j] = B[first + p, j] */
static void SKINNY(skinny_rows_pack)(const reel_skinny *s, int64_t first, int64_t terms, skinny_real *packed)
{
    for (int64_t p = first; p < first + terms; p++, packed += REEL_SKINNY_MOST) {
        const skinny_real *b = (const skinny_real *)s->b + p * s->b_row;
        if (SKINNY(skinny_rows_has_sixteen)(s, p)) {
            memcpy(packed, b, REEL_SKINNY_MOST * sizeof *b);
            continue;
        }
        for (int64_t j = 0; j < REEL_SKINNY_MOST; j++)
            packed[j] = j < s->n ? b[j * s->b_col] : 0;
    }
}

/* tile[r, p] = A[i + r, first + p], and 0 where there is no such row in a pass that has others. */
static REEL_RARE void SKINNY(skinny_rows_lay)(const reel_skinny *s, int64_t i, int64_t first, int64_t terms,
                                              skinny_real *tile)
{
    enum { PASS = SKINNY(skinny_pass) };
    int64_t rows = skinny_smaller(s->m - i, SKINNY_ROWS), in_passes = (rows + PASS - 1) / PASS * PASS;
    for (int64_t r = 0; r < in_passes; r++, tile += SKINNY_DEPTH) {
        const skinny_real *a = (const skinny_real *)s->a + (i + r) * s->a_row + first * s->a_col;
        if (r >= rows)
            memset(tile, 0, (size_t)terms * sizeof *tile);
        else if (s->a_col == 1)
            memcpy(tile, a, (size_t)terms * sizeof *tile);
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

/* C[i ..., :] (+)= the terms from `first` on, of sixteen rows or what is left of them. A row by itself counts
 * as any number of rows. */
static void SKINNY(skinny_rows_some)(const reel_skinny *s, int64_t i, int64_t first, int64_t terms,
                                     const skinny_real *b, int64_t b_row)
{
    _Alignas(64) skinny_real tile[SKINNY_ROWS * SKINNY_DEPTH], sum[SKINNY_ROWS * REEL_SKINNY_MOST];
    bool direct = s->a_col == 1 && (s->m - i >= SKINNY_ROWS || s->m == 1), more = s->m - i > SKINNY_ROWS;
    int64_t rows = skinny_smaller(s->m - i, SKINNY_ROWS), apart = s->m == 1 ? 0 : s->a_row;
    const skinny_real *at = (const skinny_real *)s->a + i * apart + first * s->a_col;
    const skinny_real *next = more ? at + SKINNY_ROWS * apart : at - i * apart + terms * s->a_col;
    const skinny_real *a = direct ? at : tile;
    int64_t a_row = direct ? apart : SKINNY_DEPTH;
    if (!direct)
        SKINNY(skinny_rows_lay)(s, i, first, terms, tile);
    for (int64_t r = 0; r < rows; r += SKINNY(skinny_pass))
        SKINNY(skinny_rows_sum)(terms, a + r * a_row, a_row, b, b_row, next + r * apart, apart,
                                sum + r * REEL_SKINNY_MOST);
    for (int64_t r = 0; r < rows; r++)
        SKINNY(skinny_rows_write)(s, i + r, first > 0, sum + r * REEL_SKINNY_MOST);
}

static void SKINNY(skinny_rows)(const reel_skinny *s)
{
    _Alignas(64) skinny_real packed[SKINNY_DEPTH * REEL_SKINNY_MOST];
    for (int64_t first = 0; first < s->k; first += SKINNY_DEPTH) {
        int64_t terms = skinny_smaller(s->k - first, SKINNY_DEPTH);
        bool in_place = s->m <= SKINNY_ROWS && SKINNY(skinny_rows_has_sixteen)(s, first + terms - 1);
        const skinny_real *b = in_place ? (const skinny_real *)s->b + first * s->b_row : packed;
        if (!in_place)
            SKINNY(skinny_rows_pack)(s, first, terms, packed);
        for (int64_t i = 0; i < s->m; i += SKINNY_ROWS)
            SKINNY(skinny_rows_some)(s, i, first, terms, b, in_place ? s->b_row : REEL_SKINNY_MOST);
    }
}

#undef skinny_real
#undef skinny_vector
