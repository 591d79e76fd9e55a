/* Random cases of the cross-entropy family for the property tests: what is drawn, how it is laid out in
 * memory, and what Reel answers.
 */
#ifndef REEL_TESTS_PROPERTY_CASES_H
#define REEL_TESTS_PROPERTY_CASES_H

#include "tests/cross_entropy_reference.h"

typedef enum property_call {
    PROPERTY_V2, PROPERTY_DIM, PROPERTY_V1, PROPERTY_SPARSE, PROPERTY_RAW, PROPERTY_RAW_SPARSE, PROPERTY_CALLS
} property_call;

typedef enum property_layout {
    PROPERTY_CONTIGUOUS, PROPERTY_PERMUTED, PROPERTY_EVERY_OTHER, PROPERTY_REVERSED, PROPERTY_STRETCHED,
    PROPERTY_PADDED, PROPERTY_LAYOUTS
} property_layout;

/* How a tensor of a certain shape lies in memory; nothing but `order` matters to a permuted one, and
 * nothing but `axis` to the others. */
typedef struct property_placing {
    property_layout layout;
    int             axis;
    int             order[REEL_MAX_RANK];
} property_placing;

/* Numbers are doubles that the dtype can hold, last dimension fastest. */
typedef struct property_case {
    property_call    call;
    reel_dtype       dtype, index_dtype;
    reel_semantics   semantics;
    reel_truth_arguments ask;                       /* shapes, axis, options and numbers           */
    reel_shape       both, rows;                    /* the broadcast shape; without the class axis */
    property_placing logits_placing, labels_placing;
    bool             broadcast;                     /* logits or labels are stretched              */
    bool             validate;                      /* dense labels, which are valid               */
} property_case;

typedef struct property_answer {
    double *loss, *backprop, *grad_logits, *grad_labels, *hvp_logits, *hvp_labels;
    double  counted;
    char    failure[256];                           /* the message; "" where all went well         */
} property_answer;

/* A stream of random numbers (Steele, Lea and Flood's SplitMix64). */
typedef struct property_random {
    uint64_t state;
} property_random;

uint64_t property_bits(property_random *random);
int64_t  property_below(property_random *random, int64_t end);
bool     property_chance(property_random *random, double probability);
double   property_between(property_random *random, double low, double high);

void property_draw(property_random *random, property_case *c);
void property_case_free(property_case *c);

void property_answer_of(const property_case *c, property_answer *answer);
void property_answer_free(property_answer *answer);

/* A line that says what the case is. */
void property_describe(const property_case *c, char text[512]);

#endif
