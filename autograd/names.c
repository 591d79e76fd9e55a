/* Names: each text is kept once for the life of the tape, so that naming the same things at every step takes
 * memory at the first step alone, and a rewind cannot take a name from a tensor below the mark. */
#include "autograd/tape.h"

#include <string.h>

struct reel_name {
    struct reel_name *next;
    size_t            bytes;                        /* of this whole record                        */
    char              text[];
};

/* FNV-1a, Fowler, Noll and Vo. */
static uint32_t name_hash(const char *text)
{
    uint32_t hash = 2166136261u;
    for (; *text; text++)
        hash = (hash ^ (unsigned char)*text) * 16777619u;
    return hash;
}

const char *reel_intern(reel_tape *tape, const char *text)
{
    struct reel_name **list = &tape->names[name_hash(text) % (sizeof tape->names / sizeof *tape->names)];
    for (struct reel_name *name = *list; name; name = name->next)
        if (!strcmp(name->text, text))
            return name->text;
    size_t bytes = sizeof(struct reel_name) + strlen(text) + 1;
    struct reel_name *name = reel_memory_get(&tape->memory, bytes);
    if (!name)
        return NULL;
    *name = (struct reel_name){.next = *list, .bytes = bytes};
    strcpy(name->text, text);
    *list = name;
    return name->text;
}

void reel_names_free(reel_tape *tape)
{
    for (size_t i = 0; i < sizeof tape->names / sizeof *tape->names; i++)
        for (struct reel_name *name = tape->names[i], *next; name; name = next) {
            next = name->next;
            reel_memory_put(&tape->memory, name, name->bytes);
        }
}
