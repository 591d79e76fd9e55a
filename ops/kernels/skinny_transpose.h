/* to[j, i] = from[i, j], included by skinny.c for each type of numbers: small squares at a time, and one by one
 * what is left. */
#define skinny_real SKINNY_OF(skinny, SKINNY_REAL)

#ifndef SKINNY_TRANSPOSE_ONCE
#define SKINNY_TRANSPOSE_ONCE
typedef float  skinny_quad_f32 __attribute__((vector_size(16)));
typedef double skinny_quad_f64 __attribute__((vector_size(16)));

static inline void skinny_square_f32(float *to, int64_t to_row, const float *from, int64_t from_row)
{
    skinny_quad_f32 x[4], low[2], high[2];
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++)
        memcpy(&x[i], from + i * from_row, sizeof *x);
#pragma GCC unroll 2
    for (int i = 0; i < 2; i++) {
        low[i] = __builtin_shufflevector(x[2 * i], x[2 * i + 1], 0, 4, 1, 5);
        high[i] = __builtin_shufflevector(x[2 * i], x[2 * i + 1], 2, 6, 3, 7);
    }
    x[0] = __builtin_shufflevector(low[0], low[1], 0, 1, 4, 5);
    x[1] = __builtin_shufflevector(low[0], low[1], 2, 3, 6, 7);
    x[2] = __builtin_shufflevector(high[0], high[1], 0, 1, 4, 5);
    x[3] = __builtin_shufflevector(high[0], high[1], 2, 3, 6, 7);
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++)
        memcpy(to + i * to_row, &x[i], sizeof *x);
}

static inline void skinny_square_f64(double *to, int64_t to_row, const double *from, int64_t from_row)
{
    skinny_quad_f64 x[2], y[2];
#pragma GCC unroll 2
    for (int i = 0; i < 2; i++)
        memcpy(&x[i], from + i * from_row, sizeof *x);
    y[0] = __builtin_shufflevector(x[0], x[1], 0, 2);
    y[1] = __builtin_shufflevector(x[0], x[1], 1, 3);
#pragma GCC unroll 2
    for (int i = 0; i < 2; i++)
        memcpy(to + i * to_row, &y[i], sizeof *y);
}
#endif

static inline void SKINNY_OF(skinny_transpose, SKINNY_REAL)(skinny_real *to, int64_t to_row,
                                                            const skinny_real *from, int64_t from_row,
                                                            int64_t rows, int64_t cols)
{
    enum { SIDE = 16 / sizeof(skinny_real) };
    int64_t square_rows = rows - rows % SIDE, square_cols = cols - cols % SIDE;
    for (int64_t i = 0; i < square_rows; i += SIDE)
        for (int64_t j = 0; j < square_cols; j += SIDE)
            SKINNY_OF(skinny_square, SKINNY_REAL)(to + j * to_row + i, to_row, from + i * from_row + j,
                                                  from_row);
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = i < square_rows ? square_cols : 0; j < cols; j++)
            to[j * to_row + i] = from[i * from_row + j];
}

#undef skinny_real
