/* What a terminal can do: asked of the system and of the environment. */
#include "train/train.h"

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { TERMINAL_COLUMNS = 80, TERMINAL_MOST = 10000 };

static const char *terminal_variable(const char *name)
{
    const char *value = getenv(name);
    return value ? value : "";
}

/* Its window's width, or 0. */
static int terminal_window(int file)
{
    struct winsize window;
    return ioctl(file, TIOCGWINSZ, &window) == 0 && window.ws_col <= TERMINAL_MOST ? window.ws_col : 0;
}

/* The first of the three that is set decides, as POSIX has it. The locale itself may be another. */
static bool terminal_has_utf8(void)
{
    static const char *const names[] = {"LC_ALL", "LC_CTYPE", "LANG"};
    const char *value = "";
    for (int i = 0; i < 3 && !*value; i++)
        value = terminal_variable(names[i]);
    return strstr(value, "UTF-8") || strstr(value, "utf8") || strstr(value, "utf-8");
}

/* A dumb terminal can neither go back in a line nor clear it. */
reel_terminal reel_terminal_of(int file)
{
    const char *kind = terminal_variable("TERM");
    if (!isatty(file) || !*kind || strcmp(kind, "dumb") == 0)
        return (reel_terminal){0};
    long columns = strtol(terminal_variable("COLUMNS"), NULL, 10);
    bool fixed = columns > 0 && columns <= TERMINAL_MOST;
    reel_terminal terminal = {.columns = fixed ? (int)columns : TERMINAL_COLUMNS, .window = !fixed,
                              .file = file, .utf8 = terminal_has_utf8(),
                              .colour = !*terminal_variable("NO_COLOR")};
    reel_terminal_follow(&terminal);
    return terminal;
}

void reel_terminal_follow(reel_terminal *terminal)
{
    int columns = terminal->window ? terminal_window(terminal->file) : 0;
    if (columns > 0)
        terminal->columns = columns;
}
