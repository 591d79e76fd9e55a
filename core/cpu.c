/* CPU features, by CPUID and XGETBV.
 *
 * An instruction set can be used where the CPU has it and the operating system saves its registers when it
 * switches threads. Intel, "Software Developer's Manual", volume 1, sections 13.2, 14.3 and 15.2.
 * We ask ourselves: the compiler's __builtin_cpu_supports() would bring its own table of writable data.
 */
#include "core/cpu.h"

#if defined(__x86_64__) || defined(__i386__)

#include <cpuid.h>
#include <stdbool.h>

enum {
    CPU_XMM_YMM     = 0x06,                         /* bits of XCR0: registers that are saved      */
    CPU_XMM_YMM_ZMM = 0xe6                          /* ... opmask, ZMM0-15 and ZMM16-31 among them */
};

static unsigned cpu_saved_registers(void)
{
    unsigned low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return low;
}

static bool cpu_has(unsigned value, unsigned wanted)
{
    return (value & wanted) == wanted;
}

reel_cpu_level reel_cpu_detect(void)
{
    const unsigned avx = bit_OSXSAVE | bit_AVX | bit_FMA | bit_F16C;
    const unsigned avx512 = bit_AVX512F | bit_AVX512DQ | bit_AVX512BW | bit_AVX512VL;
    unsigned a, b, c, d;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !cpu_has(c, avx))
        return REEL_CPU_BASELINE;
    unsigned saved = cpu_saved_registers();
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || !cpu_has(b, bit_AVX2) || !cpu_has(saved, CPU_XMM_YMM))
        return REEL_CPU_BASELINE;
    return cpu_has(b, avx512) && cpu_has(saved, CPU_XMM_YMM_ZMM) ? REEL_CPU_AVX512 : REEL_CPU_AVX2;
}

#else

reel_cpu_level reel_cpu_detect(void)
{
    return REEL_CPU_BASELINE;
}

#endif
