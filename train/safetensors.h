/* The .safetensors format (github.com/huggingface/safetensors): 8 bytes little-endian, the length of a
 * JSON header; the header, which may be padded with spaces; then the tensors' bytes, little-endian, last
 * dimension fastest. The header maps each tensor's name to its dtype, its shape and its range of the data,
 * and "__metadata__" to an object of strings. The ranges tile the data: no gap, no overlap, nothing behind
 * them. */
#ifndef REEL_TRAIN_SAFETENSORS_H
#define REEL_TRAIN_SAFETENSORS_H

#include "train/file.h"

#define REEL_SAFETENSORS_METADATA "__metadata__"

enum { REEL_SAFETENSORS_HEADER = 100000000 };       /* the format's own limit on its header        */

/* What a reel_safetensors holds that was read. */
enum { REEL_SAFETENSORS_TEXT, REEL_SAFETENSORS_TENSORS, REEL_SAFETENSORS_TEXTS, REEL_SAFETENSORS_DATA };

const char *reel_safetensors_dtype_name(reel_dtype dtype);          /* NULL: it has no name         */
reel_dtype  reel_safetensors_dtype(const char *name);               /* REEL_NO_DTYPE: Reel has it not */

/* Memory number `which` of the object, grown or made. NULL, with an error, where there is none. */
void *reel_safetensors_resize(reel_safetensors *object, int which, size_t bytes);

/* Takes the header apart, which lies in the object's memory and is changed: strings are decoded in place.
 * Fills in object->tensor and ->text, and checks all but the data's length. */
bool reel_safetensors_header(reel_safetensors *object, const reel_file *file, size_t length);

#endif
