/* The gradient-check lab from inside.
 *
 * What y needs of the xs is copied in f64 to the tape's end (copy.c). There one input is perturbed at a
 * time and the calls that it moves are replayed; differences of y, at several steps and with an error bar
 * (numeric.c), are compared with the gradient. Elements whose rows do not touch each other move together
 * (rows.c). The gradient's own gradient is checked the same way, on a copy of the recorded gradient
 * (level.c). When a derivative is wrong, each call is checked alone (blame.c) and the kind of mistake is
 * guessed (cause.c).
 *
 * All memory comes from the tape's arena and goes back with the rewind at the end. */
#ifndef REEL_AUTOGRAD_LAB_H
#define REEL_AUTOGRAD_LAB_H

#include "autograd/tape.h"
#include "core/random.h"

/* ---- Copies ---------------------------------------------------------------------------------------- */

/* What some outputs need of some inputs, recorded again in f64: the inputs are leaves there, and what does
 * not depend on them is a constant. */
typedef struct reel_lab_copy {
    uint32_t        low;                            /* the original's lowest node                  */
    uint32_t        from, to;                       /* the copy's nodes, right behind the original */
    uint32_t       *twin;                           /* of each node of the original; 0: none       */
    uint32_t       *leaf;                           /* of each input: the leaf that is perturbed   */
    const uint32_t *origin;                         /* of each node of the copy; 0: none           */
    reel_dtype      coarsest;                       /* floating dtype of the original              */
    int             stopped;                        /* outputs of stop_gradient that are held      */
    const struct reel_lab_copy *below;              /* what the original was recorded on: the copy of the
                                                       order before; NULL: the user's tape         */
} reel_lab_copy;

/* Nothing below node `low` is needed. `hold`: outputs of stop_gradient become constants. */
bool reel_lab_copy_make(REEL_PLACE, reel_lab_copy *copy, uint32_t low, reel_tensors outputs,
                        reel_tensors inputs, bool hold);

/* The worst findings, as a heap with the least of them on top until it is closed. */
typedef struct reel_lab_list {
    reel_finding *finding;
    size_t        count, room;
} reel_lab_list;

/* ---- One level: the derivatives of some outputs into some inputs ----------------------------------- */

typedef struct reel_lab_output {
    uint32_t node;
    int64_t  count, offset;                         /* in the list of all outputs' elements        */
    bool     plain;                                 /* contiguous                                  */
    bool     moved;                                 /* by the input at hand                        */
} reel_lab_output;

typedef struct reel_lab_input {
    uint32_t       node;                            /* the leaf in the copy                        */
    int            x;                               /* reel_finding's                              */
    const char    *name;
    reel_shape     shape;
    int64_t        count;
    double        *value;                           /* the leaf's memory, perturbed                */
    const int64_t *place;                           /* where each element lies in it; NULL: in order */
    double        *origin;                          /* what they were                              */
    double        *scale;                           /* of a step: a power of two for each element  */
    const double  *analytic;                        /* the gradient in f64                         */
    const double  *recorded;                        /* ... in the recorded dtype, where that is smaller */
    double        *numeric, *error;                 /* what differences say                        */
    unsigned char *verdict, *doubt;                 /* of each element                             */
    double         largest;                         /* derivative, analytic or numeric             */
    double         reach;                           /* the largest |derivative| times its scale    */
    double         magnitude;                       /* of the values that it moves, the largest    */
    double        *jitter;                          /* how far analytic moves where the inputs move by a
                                                       rounding or two; NULL: not measured         */
    double         rounding, noisiness;             /* of a slope, times its step; and how many times more
                                                       than expected                               */
    int            directions;                      /* 0: each element was looked at               */
    const bool    *moves;                           /* of the copy's nodes: it depends on the input */
    reel_section   section;                         /* the calls that it moves and the outputs need */
    int64_t        blocks;                          /* of rows that do not touch each other        */
    const int64_t *block_offset;                    /* an element's place in each block            */
    const int32_t *block_of;                        /* the block of each output element            */
    bool           row_axis[REEL_MAX_RANK];         /* the axes that the blocks lie along          */
} reel_lab_input;

static inline double *reel_lab_element(const reel_lab_input *input, int64_t e)
{
    return &input->value[input->place ? input->place[e] : e];
}

typedef struct reel_lab {
    reel_tape  *tape;
    const char *file;
    int         line;
    int         order, xs;                          /* the level; how many xs the user gave        */
    double      tolerance;
    double      roundoff;                           /* of the outputs' elements, relative          */
    reel_dtype  grid;                               /* a step lands on numbers of this dtype       */
    int         directions;
    bool        one_by_one, no_blame;
    double      budget;                             /* for one input: where its elements would cost more,
                                                       directions are taken                        */
    reel_random random;
    const double *given;                            /* weights that are not to be random, or NULL  */

    reel_lab_copy    copy;
    bool            *useful;                        /* of the copy's nodes: the outputs need it    */
    reel_section     whole;                         /* all calls that the outputs need             */
    uint64_t        *print;                         /* of the copy's nodes: a hash of the value    */
    reel_lab_input  *input;
    reel_lab_output *output;
    size_t           inputs, outputs;
    int64_t          y_count;
    double          *base, *weight, *room;          /* of the outputs' elements                    */
    reel_tensors     twins, leaves;                 /* the outputs and the inputs in the copy      */
    bool             left_out;                      /* some have the weight 0: they are not finite */
    double           size;                          /* sum |weight base|                           */
    double           natural;                       /* what the sizes of the lower orders would make of it */

    reel_gradcheck_report *report;
    double                 guessed;                 /* severity of what report->cause was guessed from */
    reel_lab_list          worst, all;
} reel_lab;

/* level.c */
/* Checks d<upstream, outputs>/d inputs and, up to `order`, the gradients of that. No node below `low` is
 * needed. */
bool reel_lab_levels(reel_lab *lab, uint32_t low, reel_tensors outputs, reel_tensors inputs, int order);
void *reel_lab_get(const reel_lab *lab, size_t count, size_t size);   /* NULL after an error on the tape */

/* Measures the rounding of the analytic derivatives, once, between two replays. */
bool reel_lab_measure_jitter(reel_lab *lab);

/* setup.c: the copy's inputs and outputs, and the calls between them. `twins`: of the inputs as they were. */
bool reel_lab_set_up(reel_lab *lab, reel_tensors outputs, reel_tensors inputs);
bool reel_lab_moves(const reel_lab *lab, const reel_lab_input *input, uint32_t node);

/* steady.c */
/* Whether two replays give what was recorded, bit for bit. `steady` may be false; the result is false
 * where the tape has an error. */
bool reel_lab_is_steady(reel_lab *lab, bool *steady);
bool reel_lab_is_steady_still(reel_lab *lab, bool *steady);

/* ---- Perturbing ------------------------------------------------------------------------------------ */

/* What moves together: an element in each block, `first` and its likes; or all elements along a direction. */
typedef struct reel_lab_probe {
    reel_lab_input *input;
    int64_t         first;
    int64_t         blocks;                         /* 1: one element, or the direction            */
    const double   *direction;
} reel_lab_probe;

/* What a step up and a step down have done to the outputs of a block. */
typedef struct reel_lab_rise {
    double above, below;                            /* <weight, y(x+h) - y>, <weight, y - y(x-h)>  */
    double up, down;                                /* the steps as they were taken                */
    double size, moved;                             /* sum |weight y| over the block's outputs, and over
                                                       those that have moved                       */
    bool   finite;
} reel_lab_rise;

enum reel_lab_run { REEL_LAB_RAN, REEL_LAB_REFUSED, REEL_LAB_BROKEN };

/* perturb.c */
void reel_lab_restore(const reel_lab_input *input);
/* Replays what the input moves, and gives outputs in lab->room where they differ from the base. */
enum reel_lab_run reel_lab_replay(reel_lab *lab, const reel_lab_input *input);
const double     *reel_lab_output_values(reel_lab *lab, const reel_lab_output *output);
/* `step` is relative to each element's scale; rise has one entry a block. */
enum reel_lab_run reel_lab_rises(reel_lab *lab, const reel_lab_probe *probe, double step,
                                 reel_lab_rise *rise);

/* ---- Deciding -------------------------------------------------------------------------------------- */

typedef struct reel_lab_answer {
    double       numeric, error;
    reel_verdict verdict;
    reel_doubt   doubt;
} reel_lab_answer;

/* numeric.c */
/* From one pair of steps, or from two, the second half the first: whether that is enough to pass. */
bool reel_lab_quick(const reel_lab *lab, const reel_lab_input *input, int64_t element,
                    const reel_lab_rise rise[2], int pairs, reel_lab_answer *answer);
/* With as many steps as it takes. False: the tape has an error. */
bool reel_lab_careful(reel_lab *lab, const reel_lab_probe *probe, double analytic, double slack,
                      reel_lab_answer *answer);

/* rows.c */
bool reel_lab_find_rows(reel_lab *lab, reel_lab_input *input);

/* elements.c: every element of an input, or some directions. */
bool reel_lab_elements(reel_lab *lab, reel_lab_input *input);
bool reel_lab_directions(reel_lab *lab, reel_lab_input *input, int directions);

/* ---- Telling --------------------------------------------------------------------------------------- */

/* findings.c */
void reel_lab_tell(reel_lab *lab, const reel_lab_input *input, int64_t element, double analytic,
                   const reel_lab_answer *answer);
void reel_lab_tell_elements(reel_lab *lab, reel_lab_input *input);
reel_gradcheck_report reel_lab_no_report(void);                     /* of a check that was not made */
void reel_lab_open_report(reel_lab *lab, reel_gradcheck_report *report, reel_finding *elements, size_t room);
void reel_lab_close_report(reel_lab *lab, bool done);

void reel_lab_note(reel_lab *lab, const reel_finding *finding);     /* not counted               */

/* recorded.c: whether `gradient`, recorded from node `first` on, follows its inputs. */
bool reel_lab_is_all_recorded(reel_lab *lab, uint32_t first, const reel_tensor *upstream,
                              const reel_tensor *gradient,
                              bool (*record)(const reel_lab *lab, const reel_tensor *upstream,
                                             reel_tensor *gradient));

/* cause.c: from all elements of an input that was told. */
reel_cause reel_lab_guess(reel_lab *lab, const reel_lab_input *input, reel_clue *clue);

/* axis.c: whether the gradient is right but for an axis that is taken for another. */
bool reel_lab_takes_another_axis(reel_lab *lab, const reel_lab_input *input, reel_clue *clue);

/* blame.c: looks for the calls whose VJP is wrong up to this order. */
bool reel_lab_find_blame(reel_lab *lab, int order);
/* The node on the user's tape that a node of the copy stands for; 0: none. */
uint32_t reel_lab_origin(const reel_lab *lab, uint32_t node);

#endif
