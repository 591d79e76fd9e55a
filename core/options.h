/* Option structs, which begin with their size: a caller may have been compiled with an older reel.h or with a
 * newer one.
 *
 * A member that is added comes last, and begins no sooner than the older struct ended, padding included: an
 * older caller's padding is not 0. (Behind a bool at the end, an array that fills the padding comes first.) */
#ifndef REEL_CORE_OPTIONS_H
#define REEL_CORE_OPTIONS_H

#include <stddef.h>

/* Fills in `known`, an option struct of `size` bytes as this version of the library has it, from the
 * caller's: members that an older caller does not have are 0, and those of a newer one that we do not have
 * are passed over. NULL and a size of 0 come from a caller that has none of them. Returns `known`. */
const void *reel_known_options(void *known, size_t size, const void *given);

#endif
