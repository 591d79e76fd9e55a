/* Levels: a kernel's source is built once for each instruction set, with REEL_LEVEL set to its name, which is put
 * behind the names of the functions. Which one runs is chosen when a tape is made (core/cpu.h). */
#ifndef REEL_OPS_KERNELS_LEVELS_H
#define REEL_OPS_KERNELS_LEVELS_H

#ifdef REEL_LEVEL
#define REEL_LEVEL_JOIN_(name, level) name##_##level
#define REEL_LEVEL_JOIN(name, level)  REEL_LEVEL_JOIN_(name, level)
#define REEL_AT_LEVEL(name)           REEL_LEVEL_JOIN(name, REEL_LEVEL)
#endif

#endif
