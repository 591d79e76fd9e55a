/* Skinny products: the kernels for each type of numbers. See skinny.h. */
#include "ops/kernels/skinny.h"
#include "ops/kernels/lanes_f32.h"

#include <string.h>

#ifdef __OPTIMIZE_SIZE__
const reel_skinny_kernel reel_skinny_product = NULL;
#else

#define SKINNY_JOIN_(name, real, source) name##_##real##_##source
#define SKINNY_JOIN(name, real, source)  SKINNY_JOIN_(name, real, source)
#define SKINNY(name)                     SKINNY_JOIN(name, SKINNY_REAL, SKINNY_SOURCE)
#define SKINNY_OF_(name, real)           name##real
#define SKINNY_OF(name, real)            SKINNY_OF_(name##_, real)

/* Vectors in 64 bytes: 1 with thirty-two registers, 2 or 4 with sixteen. And the terms of a sum between two
 * additions to C, as in gemm.c. */
enum { SKINNY_VECTORS = 64 / REEL_VECTOR_BYTES, SKINNY_DEPTH = 256 };

typedef float skinny_f32;
typedef double skinny_f64;
typedef uint8_t skinny_u8;

static inline int64_t skinny_smaller(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

#include "ops/kernels/skinny_bytes.h"

#define SKINNY_REAL      f32
#define SKINNY_SOURCE    f32
#define SKINNY_LOAD      reel_numbers_f32
#include "ops/kernels/skinny_transpose.h"
#include "ops/kernels/skinny_rows.h"
#include "ops/kernels/skinny_columns.h"
#undef SKINNY_SOURCE
#undef SKINNY_LOAD
#define SKINNY_SOURCE    u8
#define SKINNY_LOAD      reel_load_bytes_f32
#include "ops/kernels/skinny_columns.h"
#undef SKINNY_REAL
#undef SKINNY_SOURCE
#undef SKINNY_LOAD
#define SKINNY_REAL      f64
#define SKINNY_SOURCE    f64
#define SKINNY_LOAD      reel_numbers_f64
#include "ops/kernels/skinny_transpose.h"
#include "ops/kernels/skinny_rows.h"
#include "ops/kernels/skinny_columns.h"

static void skinny_product(const reel_skinny *p)
{
    bool rows = p->a_row != 1;
    if (p->bytes)
        (rows ? skinny_bytes : skinny_columns_f32_u8)(p);
    else if (p->wide)
        (rows ? skinny_rows_f64_f64 : skinny_columns_f64_f64)(p);
    else
        (rows ? skinny_rows_f32_f32 : skinny_columns_f32_f32)(p);
}

const reel_skinny_kernel reel_skinny_product = skinny_product;

#endif
