/* Levels: a kernel's source is built once for each instruction set, with REEL_LEVEL set to its name, which is put
 * behind the names of the functions. Which one runs is chosen when a tape is made (core/cpu.h).
 *
 * In the single file all levels are one translation unit (dist/amalgamate.py), where the compiler does not tell what
 * it may use: so what differs between levels hangs on REEL_VECTOR_BYTES, not on macros such as __AVX2__. */
#ifndef REEL_OPS_KERNELS_LEVELS_H
#define REEL_OPS_KERNELS_LEVELS_H

#define REEL_LEVEL_JOIN_(name, level) name##_##level
#define REEL_LEVEL_JOIN(name, level)  REEL_LEVEL_JOIN_(name, level)
#define REEL_AT_LEVEL(name)           REEL_LEVEL_JOIN(name, REEL_LEVEL)

/* Bytes of the widest vector; the last of a file that belongs to no level. */
#define REEL_BYTES_baseline   16
#define REEL_BYTES_avx2       32
#define REEL_BYTES_avx512     64
#define REEL_BYTES_REEL_LEVEL 16

#endif
