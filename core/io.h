/* Files. */
#ifndef REEL_CORE_IO_H
#define REEL_CORE_IO_H

#include <reel.h>

/* A table with the standard functions where the given one (or NULL) has none. */
reel_io reel_io_complete(const reel_io *io);

#endif
