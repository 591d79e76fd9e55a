/* Files. */
#ifndef REEL_CORE_IO_H
#define REEL_CORE_IO_H

#include <reel.h>

/* A table that is smaller than its first version is none. */
enum { REEL_IO_LEAST = offsetof(reel_io, create) };

#endif
