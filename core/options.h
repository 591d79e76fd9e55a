/* Option structs, which begin with their size: a caller may have been compiled with an older or a newer reel.h. */
#ifndef REEL_CORE_OPTIONS_H
#define REEL_CORE_OPTIONS_H

#include <stddef.h>

/* Fills in `known`, an option struct of `size` bytes as this version of the library has it, from the caller's: members
 * that an older caller does not have are 0, and those of a newer one that we do not have are passed over. Returns
 * `known`. */
const void *reel_known_options(void *known, size_t size, const void *given);

#endif
