/* Option structs of other versions. */
#include "core/options.h"

#include <string.h>

const void *reel_known_options(void *known, size_t size, const void *given)
{
    size_t has;
    memcpy(&has, given, sizeof has);
    memset(known, 0, size);
    memcpy(known, given, has < size ? has : size);
    return known;
}
