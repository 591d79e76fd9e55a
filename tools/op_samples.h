/* An op's samples on a tape: what the lab's programs try every op of the table on. */
#ifndef REEL_TOOLS_OP_SAMPLES_H
#define REEL_TOOLS_OP_SAMPLES_H

#include <reel.h>

enum { OP_SAMPLE_OUTPUTS = 8 };

typedef struct op_sample {
    const reel_op     *op;
    const reel_sample *sample;
    int                inputs;
    reel_tensor        input[REEL_SAMPLE_INPUTS];
    reel_tensor        x[REEL_SAMPLE_INPUTS];       /* those that gradients go into                */
    int                xs;
    void              *memory[REEL_SAMPLE_INPUTS];  /* of wrapped inputs                           */
} op_sample;

/* Draws the inputs, in the layouts that the sample asks for; those without a dtype of their own get
 * `dtype`. False where the tape failed. To be freed in any case, after the tape's last use of it. */
bool op_sample_make(op_sample *made, reel_tape *tape, const reel_op *op, int sample, reel_dtype dtype);
void op_sample_free(op_sample *made);

/* Whether there is a gradient to check: an op that has one, floating inputs, a sample that works and is not
 * empty. */
bool op_sample_has_gradient(const reel_op *op, int sample);

/* Applies an op with the sample's attributes: the op itself, or one that stands in for it. Sets `output`
 * to the floating outputs; returns their number, 0 on failure. */
int op_sample_apply(const op_sample *made, const reel_op *op, const reel_tensor input[],
                    reel_tensor output[]);

#endif
