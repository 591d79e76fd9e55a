/* What printing and drawing share. Nothing here fails because of a failed tape: that is when one looks. */
#ifndef REEL_AUTOGRAD_LOOK_H
#define REEL_AUTOGRAD_LOOK_H

#include "autograd/tape.h"

/* print.c */
void reel_text_array(reel_text *text, const reel_array *array);     /* as NumPy prints it          */

/* Appends to a text. It is called twice, to learn the length and to keep the text. */
typedef void (*reel_maker)(reel_text *text, const void *context);

/* Makes a text in the tape's scratch memory, or an error on the tape where there is not enough. */
bool reel_tape_make(REEL_PLACE, reel_tape *tape, const char *what, reel_maker make, const void *context,
                    reel_text *text);

/* The same, written to standard output. */
bool reel_tape_print(REEL_PLACE, reel_tape *tape, const char *what, reel_maker make, const void *context);

/* look_values.c: what is known of a node, in the few words that fit into a table. */

/* A number with at most so many significant digits, whatever its dtype. */
void reel_text_rounded(reel_text *text, double x, int digits);

/* "0.25", "-1.5 .. 2", "0 .. 1, 3 nan", "not computed": the elements of a value, if it has one. */
void reel_text_range(reel_text *text, const reel_tape *tape, uint32_t node);

/* What the last sweep found for a node; nothing can be found where no variable reaches. */
enum reel_gradient_news {
    REEL_GRADIENT_IMPOSSIBLE, REEL_GRADIENT_UNKNOWN, REEL_GRADIENT_NONE_ARRIVED, REEL_GRADIENT_KNOWN
};
enum reel_gradient_news reel_known_gradient(const reel_tape *tape, uint32_t node, uint32_t *gradient);

/* NULL where the value of a node can be read; else why not, in a few words. */
const char *reel_value_missing(const reel_node *node);

/* "variable", "constant", the op's name, or "op:1" for its second output. */
void reel_text_origin(reel_text *text, const reel_node *node);

/* "file.c:12", the file cut at its front where it is long. */
void reel_text_place(reel_text *text, const char *file, int line);

/* Whether a node stands in a table or a drawing of a section. */
bool reel_section_shows(reel_section section, uint32_t node);

/* A whole tape as a section. */
reel_section reel_tape_whole(reel_tape *tape);

#endif
