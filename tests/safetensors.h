/* Reading .safetensors files, for tests: the golden cases come in this format.
 *
 * The format (github.com/huggingface/safetensors): 8 bytes little-endian, the length of a JSON header; the
 * header; then the tensors' bytes, little-endian, last dimension fastest. The header maps each tensor's name
 * to its dtype, shape and byte range, and "__metadata__" to an object of strings.
 *
 * The reader is strict: the byte ranges must tile the data without a gap or an overlap and fit their shapes,
 * no name may come twice, and nothing may follow the header's closing brace but spaces.
 */
#ifndef REEL_TESTS_SAFETENSORS_H
#define REEL_TESTS_SAFETENSORS_H

#include <reel.h>

typedef struct reel_golden_tensor {
    char      *name;
    reel_dtype dtype;
    reel_shape shape;
    int64_t    count;                               /* elements                                    */
    size_t     begin, end;                          /* bytes in the file's data                    */
    void      *data;                                /* a copy, aligned for its dtype               */
} reel_golden_tensor;

typedef struct reel_golden_text {
    char *key, *value;
} reel_golden_text;

typedef struct reel_golden {
    reel_golden_tensor *tensor;
    size_t              tensors;
    reel_golden_text   *text;                       /* the metadata                                */
    size_t              texts;
} reel_golden;

enum { REEL_GOLDEN_WHY = 160 };

/* A file, or `bytes` of one in memory. NULL on failure, with the reason in `why`. */
reel_golden *reel_golden_read(const char *path, char why[REEL_GOLDEN_WHY]);
reel_golden *reel_golden_parse(const unsigned char *file, size_t bytes, char why[REEL_GOLDEN_WHY]);
void         reel_golden_free(reel_golden *golden);

/* The tensor of that name, or NULL; the metadata under that key, or "". */
const reel_golden_tensor *reel_golden_find(const reel_golden *golden, const char *name);
const char               *reel_golden_metadata(const reel_golden *golden, const char *key);

/* Element i as a double: exact for all dtypes but large i64. */
double reel_golden_element(const reel_golden_tensor *tensor, int64_t i);

#endif
