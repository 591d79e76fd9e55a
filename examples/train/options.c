/* Options of a program: see options.h. */
#include "train/options.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool option_wrong(const option *option, const char *text, const char *wanted, char *problem)
{
    snprintf(problem, OPTION_PRINTED, "--%s: \"%.100s\" is not %s", option->name, text, wanted);
    return false;
}

static bool option_take_whole(const option *option, int64_t *to, const char *text, char *problem)
{
    char wanted[80];
    snprintf(wanted, sizeof wanted, "a whole number from %.0f to %.0f", option->low, option->high);
    errno = 0;
    long long value = strtoll(text, NULL, 10);
    if (!*text || text[strspn(text, "0123456789")] || errno || value < option->low || value > option->high)
        return option_wrong(option, text, wanted, problem);
    *to = value;
    return true;
}

static bool option_take_number(const option *option, double *to, const char *text, char *problem)
{
    char wanted[80], *end;
    snprintf(wanted, sizeof wanted, "a number from %g to %g", option->low, option->high);
    double value = strtod(text, &end);
    bool plain = *text && !*end && !text[strspn(text, "0123456789+-.eE")];
    if (!plain || !(value >= option->low && value <= option->high))
        return option_wrong(option, text, wanted, problem);
    *to = value;
    return true;
}

static bool option_take_choice(const option *option, int *to, const char *text, char *problem)
{
    char wanted[200] = "";
    for (int i = 0; option->choices[i]; i++) {
        if (strcmp(text, option->choices[i]) == 0) {
            *to = i;
            return true;
        }
        const char *between = i == 0 ? "" : option->choices[i + 1] ? ", " : " or ";
        strcat(strcat(wanted, between), option->choices[i]);
    }
    return option_wrong(option, text, wanted, problem);
}

static bool option_take(const option *option, void *to, const char *text, char *problem)
{
    switch (option->kind) {
    case OPTION_WHOLE:  return option_take_whole(option, to, text, problem);
    case OPTION_NUMBER: return option_take_number(option, to, text, problem);
    case OPTION_CHOICE: return option_take_choice(option, to, text, problem);
    case OPTION_FLAG:   return *(bool *)to = true;
    default:            break;
    }
    const char *wanted = strcmp(option->value, "DIR") == 0 ? "the name of a folder" : "the name of a file";
    *(const char **)to = text;
    return *text || option_wrong(option, text, wanted, problem);
}

static const option *option_find(const option_list lists[2], const char *name, size_t length)
{
    for (int list = 0; list < 2; list++)
        for (size_t i = 0; i < lists[list].count; i++) {
            const option *option = &lists[list].option[i];
            if (strlen(option->name) == length && memcmp(option->name, name, length) == 0)
                return option;
        }
    return NULL;
}

/* Takes one option, and leaves *at at its last word. */
static bool options_take_one(const option_list lists[2], void *to, int argc, char **argv, int *at,
                             char *problem)
{
    const char *argument = argv[*at], *wrong = NULL;
    bool dashes = strncmp(argument, "--", 2) == 0;
    const char *name = argument + (dashes ? 2 : 0), *equals = strchr(name, '=');
    const option *option =
        dashes ? option_find(lists, name, equals ? (size_t)(equals - name) : strlen(name)) : NULL;
    bool flag = option && option->kind == OPTION_FLAG;
    if (!option)
        wrong = "unknown argument; see --help";
    else if (flag && equals)
        wrong = "the option takes no value";
    else if (!flag && !equals && *at + 1 == argc)
        wrong = "the option needs a value";
    if (wrong) {
        snprintf(problem, OPTION_PRINTED, "%.200s: %s", argument, wrong);
        return false;
    }
    const char *value = equals ? equals + 1 : flag ? "" : argv[++*at];
    return option_take(option, (char *)to + option->to, value, problem);
}

bool options_take(const char *program, const option_list lists[2], void *to, int argc, char **argv,
                  const bool *help)
{
    char problem[OPTION_PRINTED];
    for (int at = 1; at < argc && !*help; at++)
        if (!options_take_one(lists, to, argc, argv, &at, problem)) {
            fprintf(stderr, "%s: %s\n", program, problem);
            return false;
        }
    return true;
}

void option_print(const option *option, const void *from, char text[OPTION_PRINTED])
{
    const void *at = (const char *)from + option->to;
    switch (option->kind) {
    case OPTION_WHOLE:  snprintf(text, OPTION_PRINTED, "%lld", (long long)*(const int64_t *)at); break;
    case OPTION_NUMBER: snprintf(text, OPTION_PRINTED, "%.17g", *(const double *)at); break;
    case OPTION_CHOICE: snprintf(text, OPTION_PRINTED, "%s", option->choices[*(const int *)at]); break;
    case OPTION_FLAG:   snprintf(text, OPTION_PRINTED, "%s", *(const bool *)at ? "yes" : "no"); break;
    default:            snprintf(text, OPTION_PRINTED, "%s", *(const char *const *)at); break;
    }
}

static void option_print_help(const option *option, const void *from)
{
    char name[80], value[OPTION_PRINTED];
    snprintf(name, sizeof name, "--%s %s", option->name, option->value ? option->value : "");
    printf("  %-24s %s", name, option->help);
    const void *at = (const char *)from + option->to;
    if (option->kind == OPTION_NUMBER)
        printf(" (default %g)", *(const double *)at);
    else if (option->kind == OPTION_CHOICE || (option->kind == OPTION_WHOLE && *(const int64_t *)at)) {
        option_print(option, from, value);
        printf(" (default %s)", value);
    }
    putchar('\n');
}

void options_print_help(const option_list lists[2], const void *from)
{
    for (int list = 0; list < 2; list++)
        for (size_t i = 0; i < lists[list].count; i++)
            option_print_help(&lists[list].option[i], from);
}
