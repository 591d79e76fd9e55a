/* ops/kernels/gemm.c as it is where BLIS is not there, beside the library's. */
#ifndef REEL_WITHOUT_BLIS
#define REEL_WITHOUT_BLIS
#endif
#define reel_gemm_ready own_gemm_ready
#define reel_gemm_f32   own_gemm_f32
#define reel_gemm_f64   own_gemm_f64
#include "ops/kernels/gemm.c"
