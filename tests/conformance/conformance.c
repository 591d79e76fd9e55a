/* reel-conformance DIR: runs every .safetensors case in a folder, on every build of the loss's kernels that this CPU
 * can execute. It prints one line for each case that fails, the accuracy table, whose figures are the worst of all
 * builds, and "N passed, N failed" for each; it exits with 0 only if all pass.
 */
#include "tests/conformance/conformance.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int conformance_is_case(const struct dirent *entry)
{
    const char *dot = strrchr(entry->d_name, '.');
    return dot && strcmp(dot, ".safetensors") == 0;
}

static int conformance_by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static bool conformance_passes(const char *folder, const char *file)
{
    conformance_case c;
    if (conformance_open(&c, folder, file)) {
        conformance_verdict verdict = conformance_expect(&c);
        if (verdict.refusals > 0)
            conformance_refuse(&c, &verdict);
        if (verdict.refusals == 0 || verdict.remedy != REMEDY_NONE)
            conformance_answer(&c, verdict.remedy);
    }
    if (c.failures > 0)
        printf("FAIL %s: %s", file, c.failure);
    if (c.failures > 1)
        printf(" (the worst of %d)", c.failures);
    if (c.failures > 0)
        puts("");
    conformance_close(&c);
    return c.failures == 0;
}

static const char *const conformance_level_name[] = {"baseline", "AVX2", "AVX-512"};

/* How many of the files pass. */
static int conformance_pass(const char *folder, struct dirent **entries, int files)
{
    int passed = 0;
    for (int i = 0; i < files; i++)
        passed += conformance_passes(folder, entries[i]->d_name);
    return passed;
}

int main(int count, char **arguments)
{
    struct dirent **entries;
    int files = count == 2 ? scandir(arguments[1], &entries, conformance_is_case, conformance_by_name) : -1;
    int passed[3], levels = (int)reel_cpu_detect() + 1;
    bool all = true;
    if (files <= 0) {
        fprintf(stderr, count == 2 ? "%s holds no .safetensors files\n" : "usage: %s DIR\n",
                arguments[count == 2]);
        return 2;
    }
    for (int level = 0; level < levels; level++) {
        conformance_level = (reel_cpu_level)level;
        passed[level] = conformance_pass(arguments[1], entries, files);
        all = all && passed[level] == files;
    }
    conformance_print_table();
    puts("");
    for (int level = 0; level < levels; level++)
        printf("%d passed, %d failed (%s)\n", passed[level], files - passed[level], conformance_level_name[level]);
    for (int i = 0; i < files; i++)
        free(entries[i]);
    free(entries);
    return !all;
}
