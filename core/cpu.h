/* CPU features: which of the builds of a kernel this CPU, and its operating system, can run. */
#ifndef REEL_CORE_CPU_H
#define REEL_CORE_CPU_H

/* In ascending order: a level includes those before it. */
typedef enum reel_cpu_level {
    REEL_CPU_BASELINE,                              /* what the compiler assumes                   */
    REEL_CPU_AVX2,                                  /* AVX2, FMA and F16C                          */
    REEL_CPU_AVX512                                 /* AVX-512 F, DQ, BW and VL                    */
} reel_cpu_level;

/* Asks the CPU each time (about a tenth of a microsecond; far more in a virtual machine that traps the
 * instruction): keep the answer. */
reel_cpu_level reel_cpu_detect(void);

#endif
