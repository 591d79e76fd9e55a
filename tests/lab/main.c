/* reel-lab-trials [--verbose] [mutations] [networks [N]] [needle] [kinks] [time]: what the lab must show;
 * all of it where nothing is named. Exit status 0 if it does.
 *
 * SPDX-License-Identifier: MIT
 */
#include "tests/lab/trials.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool main_is_named(int argc, char **argv, const char *trial)
{
    bool any = false;
    for (int i = 1; i < argc; i++) {
        any |= argv[i][0] != '-';
        if (!strcmp(argv[i], trial))
            return true;
    }
    return !any;
}

int main(int argc, char **argv)
{
    bool verbose = argc > 1 && !strcmp(argv[1], "--verbose"), good = true;
    int networks = 1000;
    for (int i = 1; i + 1 < argc; i++)
        if (!strcmp(argv[i], "networks") && atoi(argv[i + 1]) > 0)
            networks = atoi(argv[i + 1]);
    if (main_is_named(argc, argv, "kinks"))
        good &= lab_trial_kinks();
    if (main_is_named(argc, argv, "mutations"))
        good &= lab_trial_mutations(verbose);
    if (main_is_named(argc, argv, "needle"))
        good &= lab_trial_needle(200);
    if (main_is_named(argc, argv, "networks"))
        good &= lab_trial_networks(networks, verbose);
    if (main_is_named(argc, argv, "time"))
        good &= lab_trial_time();
    printf("%s\n", good ? "the lab shows what it must" : "the lab does not show what it must");
    return good ? EXIT_SUCCESS : EXIT_FAILURE;
}
