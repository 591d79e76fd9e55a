/* What the files of the training kit share: memory and messages. */
#include "train/train.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

static void *common_allocator(void *user, void *pointer, size_t old_size, size_t new_size)
{
    (void)user;
    (void)old_size;
    if (new_size > 0)
        return realloc(pointer, new_size);
    free(pointer);
    return NULL;
}

void *reel_train_resize(reel_allocator allocator, void *user, void *pointer, size_t old_bytes, size_t bytes)
{
    return (allocator ? allocator : common_allocator)(user, pointer, old_bytes, bytes);
}

void reel_train_release(reel_allocator allocator, void *user, void *pointer, size_t bytes)
{
    if (pointer)
        (allocator ? allocator : common_allocator)(user, pointer, bytes, 0);
}

bool reel_train_fail(char error[REEL_TRAIN_MESSAGE], const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(error, REEL_TRAIN_MESSAGE, format, arguments);
    va_end(arguments);
    return false;
}
