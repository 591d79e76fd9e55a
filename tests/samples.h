/* An op's sample made flesh: inputs in memory with the layout it asks for, recorded on a tape, and what the
 * op's reference says of them.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef REEL_TESTS_SAMPLES_H
#define REEL_TESTS_SAMPLES_H

#include "tests/harness.h"

enum { TEST_OUTPUTS = 4 };

/* Arrays of doubles, last dimension fastest: what a reference reads and fills in. */
typedef struct test_arrays {
    int                  count;
    reel_reference_array of[TEST_OUTPUTS];
} test_arrays;

void test_arrays_make(test_arrays *arrays, int count, const reel_shape shape[]);
void test_arrays_free(test_arrays *arrays);

/* Memory for one tensor that is wrapped. The gaps between its elements hold NaN. */
typedef struct test_buffer {
    reel_dtype dtype;
    reel_shape shape;
    int64_t    strides[REEL_MAX_RANK];
    void      *first;                               /* where element 0 lies in `memory`            */
    void      *memory, *original;                   /* ... and a copy to compare and restore from  */
    size_t     bytes;
} test_buffer;

/* One op on one sample in one dtype. */
typedef struct test_case {
    const reel_op     *op;
    const reel_sample *sample;
    const void        *attributes;
    void              *promoted;                    /* where the attributes are a promoted copy    */
    reel_dtype         dtype;
    char               label[160];                  /* "tanh, sample 2 (extreme), f32"             */
    int                inputs;
    int                outputs;                     /* the op's own, then the inputs that it writes */
    test_buffer        in[REEL_SAMPLE_INPUTS];
    test_buffer        direction[REEL_SAMPLE_INPUTS];   /* random, of the inputs' shapes           */
    test_buffer        upstream[TEST_OUTPUTS];          /* random, of the outputs' shapes          */
    test_arrays        stored;                      /* the inputs' values                          */
    reel_shape         out_shape[TEST_OUTPUTS];
    reel_dtype         out_dtype[TEST_OUTPUTS];
} test_case;

/* Whether the sample leaves a dtype open, so that it stands for one case each floating dtype. */
bool test_sample_varies(const reel_op *op, const reel_sample *sample);

/* Lays out a sample's inputs; no more than that can be done with one that is to fail. */
void test_case_lay(test_case *c, const reel_op *op, int sample, reel_dtype dtype);

/* Lays it out and tries it once, to learn the outputs' shapes. Complains where that fails, unless it is a
 * clean refusal of a half dtype. The case is to be closed whatever comes of it. */
bool test_case_open(test_case *c, const reel_op *op, int sample, reel_dtype dtype, test_report *report);
void test_case_close(test_case *c);

/* Other values of the same ranges; the same for the same seed. */
void test_case_fill(test_case *c, uint64_t seed);

/* The same stored values in contiguous f64, with the attributes promoted. */
void test_case_promote(test_case *twin, const test_case *c);

/* Puts back what the memory held; whether an input that the op does not write has changed. */
void test_case_restore(test_case *c);
bool test_case_unchanged(const test_case *c, int input);

bool test_case_writes(const test_case *c, int input);

/* Whether gradients into this input are to be checked at all. */
bool test_case_wants(const test_case *c, int input);
bool test_case_has_gradient(const test_case *c);

/* The coarsest floating dtype among its inputs and outputs. */
reel_dtype test_case_coarsest(const test_case *c);

/* Wraps the inputs on a tape; records the op, and sets `out` to its outputs and the leaves that it wrote. */
reel_tensor test_wrap(reel_tape *tape, const test_buffer *buffer, bool variable);
void        test_case_wrap(const test_case *c, reel_tape *tape, reel_tensor in[]);
bool        test_case_apply(const test_case *c, const reel_tensor in[], reel_tensor out[]);

/* Records the gradient of <upstream, outputs> into the inputs that want one; REEL_NONE for the others. */
bool test_case_gradient(const test_case *c, const reel_tensor in[], const reel_tensor out[],
                        const reel_tensor upstream[], reel_tensor gradient[]);

/* The reference at `in`, into `out`. */
void test_case_reference(const test_case *c, const test_arrays *in, test_arrays *out);
void test_case_outputs(const test_case *c, test_arrays *out);      /* ... which this makes          */

/* Element i of a buffer, in the order of its indices whatever its layout. */
void *test_element(const test_buffer *buffer, int64_t i);

/* A buffer's values in that order, or a tensor's, as doubles, to be freed. NULL (and a complaint) where a
 * tensor cannot be read. */
double *test_buffer_values(const test_buffer *buffer);
double *test_values(reel_tensor x, test_report *report);

#endif
