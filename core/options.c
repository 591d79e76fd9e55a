/* Option structs of other versions. */
#include "core/options.h"

#include <string.h>

const void *reel_known_options(void *known, size_t size, const void *given)
{
    size_t has = 0;
    if (given)
        memcpy(&has, given, sizeof has);
    size_t both = has < size ? has : size;
    if (both > 0)
        memcpy(known, given, both);
    memset((char *)known + both, 0, size - both);
    return known;
}
