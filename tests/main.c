/* reel-tests [SUITE]: runs one suite, or all of them.
 *
 * SPDX-License-Identifier: MIT
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAIN_SUITES(X) X(core) X(gemm) X(joint) X(tape) X(errors) X(table) X(train) X(data) X(cross_entropy) X(golden) X(derivatives) X(look) X(lab) X(files) X(optimisers) X(traps) X(levels) X(records) X(resume) X(skinny) X(sweep) X(versions)

#define MAIN_DECLARE(name) Suite *reel_suite_##name(void);
MAIN_SUITES(MAIN_DECLARE)

static const struct main_suite {
    const char *name;
    Suite *(*make)(void);
} main_suites[] = {
#define MAIN_ENTRY(name) {#name, reel_suite_##name},
    MAIN_SUITES(MAIN_ENTRY)
};

int main(int argc, char **argv)
{
    SRunner *runner = srunner_create(NULL);
    int chosen = 0;
    for (size_t i = 0; i < sizeof main_suites / sizeof main_suites[0]; i++)
        if (argc < 2 || strcmp(argv[1], main_suites[i].name) == 0) {
            srunner_add_suite(runner, main_suites[i].make());
            chosen++;
        }
    if (!chosen)
        fprintf(stderr, "%s: there is no suite \"%s\"\n", argv[0], argv[1]);
    else
        srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return chosen && !failed ? EXIT_SUCCESS : chosen ? EXIT_FAILURE : 2;
}
