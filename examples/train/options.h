/* Options of a program, as a table: --name value, --name=value, or --name for those that take none. A member
 * of the program's struct holds each one's value, and the value that it has at the start is the default. */
#ifndef REEL_EXAMPLES_OPTIONS_H
#define REEL_EXAMPLES_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum option_kind {
    OPTION_FLAG,                                    /* bool                                        */
    OPTION_TEXT,                                    /* const char *: a path                        */
    OPTION_WHOLE,                                   /* int64_t                                     */
    OPTION_NUMBER,                                  /* double                                      */
    OPTION_CHOICE                                   /* int, counted in `choices`                   */
} option_kind;

typedef struct option {
    const char *name, *value;                       /* value: what the help calls it               */
    option_kind kind;
    size_t      to;                                 /* where the member is in the struct           */
    double      low, high;                          /* of whole and other numbers                  */
    bool        kept;                               /* a resumed training must have the same       */
    const char *help;
    const char *choices[5];                         /* the last one is followed by NULL            */
} option;

typedef struct option_list {
    const option *option;
    size_t        count;
} option_list;

enum { OPTION_PRINTED = 512 };

/* Takes the arguments into `to`. False, with a line on standard error, for one that is wrong. Stops behind
 * the flag `help`. */
bool options_take(const char *program, const option_list lists[2], void *to, int argc, char **argv,
                  const bool *help);

/* A line for each option. */
void options_print_help(const option_list lists[2], const void *from);

/* An option's value as text. */
void option_print(const option *option, const void *from, char text[OPTION_PRINTED]);

#endif
