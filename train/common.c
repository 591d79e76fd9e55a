/* What the files of the training kit share: memory and messages. */
#include "train/train.h"

#include <stdarg.h>
#include <stdio.h>

void *reel_train_resize(reel_allocator allocator, void *user, void *pointer, size_t old_bytes, size_t bytes)
{
    return (allocator ? allocator : reel_standard_allocator)(user, pointer, old_bytes, bytes);
}

void reel_train_release(reel_allocator allocator, void *user, void *pointer, size_t bytes)
{
    if (pointer)
        (allocator ? allocator : reel_standard_allocator)(user, pointer, bytes, 0);
}

bool reel_train_fail(char error[REEL_TRAIN_MESSAGE], const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(error, REEL_TRAIN_MESSAGE, format, arguments);
    va_end(arguments);
    return false;
}
