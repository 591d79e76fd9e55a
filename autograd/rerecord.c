/* Recording a section once more in f64. Every floating leaf that it reads is copied, promoted, as it is now;
 * then the same ops are applied to the copies, in order. So rounding can be told from a wrong formula. */
#include "autograd/arithmetic.h"
#include "autograd/section.h"
#include "core/dtype.h"
#include "core/shape.h"

#include <stdlib.h>
#include <string.h>

/* While it runs, a node whose `sweep` is the number of this search has its twin in `gradient`. */
struct rerecord {
    reel_section   section;
    const char    *file;
    int            line;
    uint32_t       writes;                          /* the mark, in `reader`, of leaves that it writes */
    uint32_t       outside_count;
    struct outside {
        struct outside *next;
        uint32_t        node;
    } *outside;
};

static bool has_twin(const struct rerecord *r, uint32_t id)
{
    return reel_node_at(r->section.tape, id)->sweep == r->section.tape->sweep;
}

static void set_twin(const struct rerecord *r, uint32_t id, uint32_t twin)
{
    reel_tape *tape = r->section.tape;
    reel_node *node = reel_node_at(tape, id);
    node->sweep = tape->sweep;
    node->gradient = reel_node_at(tape, twin);
    node->gradient->name = node->name;
}

/* Strides of an array without gaps whose dimensions lie in memory in the order that `like` gives. */
static void strides_in_order(int rank, const int64_t *size, const int64_t *like, int64_t *strides)
{
    bool done[REEL_MAX_RANK] = {false};
    int64_t stride = 1;
    for (int round = 0; round < rank; round++) {
        int next = -1;
        for (int i = rank - 1; i >= 0; i--)
            if (!done[i] && (next < 0 || llabs(like[i]) < llabs(like[next])))
                next = i;
        done[next] = true;
        strides[next] = stride;
        stride *= size[next] ? size[next] : 1;
    }
}

reel_tensor reel_leaf_like(REEL_PLACE, reel_tape *tape, const reel_node *node, reel_dtype dtype, bool variable,
                           const char *what)
{
    reel_shape shape = reel_make_shape(node->rank, node->shape);
    reel_tensor leaf = reel_leaf_new(file, line, tape, dtype, &shape, variable, what);
    if (!leaf.node)
        return leaf;
    reel_node *copy = reel_node_at(tape, leaf.node);
    if (!reel_is_contiguous(node->rank, node->shape, node->strides)) {
        int64_t *strides = reel_tape_get(tape, node->rank * sizeof *strides);
        if (!strides) {
            reel_tape_out_of_memory(tape, file, line, what, node->rank * sizeof *strides);
            return (reel_tensor){tape, 0, 0};
        }
        strides_in_order(node->rank, node->shape, node->strides, strides);
        copy->strides = strides;
        if (!reel_is_contiguous(copy->rank, copy->shape, strides))
            copy->flags &= (uint16_t)~REEL_NODE_CONTIGUOUS;
    }
    const int64_t *strides[] = {node->strides, copy->strides};
    size_t from_size = reel_dtype_size(node->dtype), to_size = reel_dtype_size(dtype);
    const char *from = reel_node_data(node);
    reel_walk walk;
    for (reel_walk_start(&walk, node->rank, node->shape, 2, strides); walk.more; reel_walk_next(&walk))
        reel_convert_strided(dtype, (char *)copy->data + walk.offset[1] * (int64_t)to_size, walk.step[1],
                             (reel_dtype)node->dtype, from + walk.offset[0] * (int64_t)from_size, walk.step[0],
                             walk.length);
    return leaf;
}

/* A leaf with the node's value, in f64 where it is floating. */
static bool copy_value(const struct rerecord *r, uint32_t id)
{
    reel_tape *tape = r->section.tape;
    const reel_node *node = reel_node_at(tape, id);
    reel_dtype dtype = reel_dtype_is_float(node->dtype) ? REEL_F64 : (reel_dtype)node->dtype;
    reel_tensor copy = reel_leaf_like(node->file, node->line, tape, node, dtype, node->flags & REEL_NODE_VARIABLE,
                                      "section_in_f64");
    if (!copy.node)
        return false;
    set_twin(r, id, copy.node);
    return true;
}

/* A value from outside is needed: copied once. */
static bool bring_in(struct rerecord *r, uint32_t id)
{
    reel_tape *tape = r->section.tape;
    if (has_twin(r, id))
        return true;
    struct outside *entry = reel_tape_get(tape, sizeof *entry);
    if (!entry)
        return reel_tape_out_of_memory(tape, r->file, r->line, "section_in_f64", sizeof *entry);
    const reel_node *node = reel_node_at(tape, id);
    if (node->base != node && node->base->reader == r->writes)
        return reel_tape_fail(tape, r->file, r->line, "section_in_f64",
                              "the section writes a leaf and reads %s, a view of it made outside, at %s:%d: make the "
                              "view inside", reel_describe(reel_handle(tape, id)).text, node->file, node->line);
    *entry = (struct outside){r->outside, id};
    r->outside = entry;
    r->outside_count++;
    return reel_usable(r->file, r->line, "section_in_f64", reel_handle(tape, id)) && copy_value(r, id);
}

static const void *promoted_attributes(const struct rerecord *r, const reel_node *node)
{
    if (!node->op->promote || !node->op->attributes)
        return node->attributes;
    void *copy = reel_tape_get(r->section.tape, node->op->attributes);
    if (!copy) {
        reel_tape_out_of_memory(r->section.tape, r->file, r->line, "section_in_f64", node->op->attributes);
        return NULL;
    }
    memcpy(copy, node->attributes, node->op->attributes);
    node->op->promote(copy);
    return copy;
}

static bool apply_again(struct rerecord *r, uint32_t head)
{
    reel_tape *tape = r->section.tape;
    const reel_node *node = reel_node_at(tape, head);
    const uint32_t *input = reel_node_inputs(node);
    reel_tensor outputs[8];
    reel_tensor *inputs = reel_tape_get(tape, node->inputs * sizeof *inputs);
    if (!inputs)
        return reel_tape_out_of_memory(tape, r->file, r->line, "section_in_f64", node->inputs * sizeof *inputs);
    for (uint32_t i = 0; i < node->inputs; i++) {
        if (!bring_in(r, input[i]))
            return false;
        inputs[i] = reel_handle_to(tape, reel_node_at(tape, input[i])->gradient);
    }
    const void *attributes = promoted_attributes(r, node);
    if (node->op->attributes && !attributes)
        return false;
    if (node->op->flags & REEL_OP_IN_SWEEP)         /* the sweep could write over the first; here it may be wanted */
        outputs[0] = reel_accumulate_apart(node->file, node->line, inputs, node->inputs);
    else
        reel_apply_at(node->file, node->line, node->op, reel_tensors_of(inputs, node->inputs), attributes, outputs,
                      node->outputs);
    if (reel_failed(tape))
        return false;
    for (int i = 0; i < node->outputs; i++)
        set_twin(r, head + (uint32_t)i, outputs[i].node);
    return true;
}

static void mark_written_leaves(struct rerecord *r)
{
    reel_tape *tape = r->section.tape;
    r->writes = ++tape->searches;
    for (uint32_t id = r->section.from; id < r->section.to; id++) {
        const reel_node *node = reel_node_at(tape, id);
        const uint32_t *input = reel_node_inputs(node);
        for (uint32_t i = 0; node->op && node->op->writes && i < node->inputs; i++)
            if (node->op->writes(node->attributes, (int)i))
                reel_node_at(tape, input[i])->base->reader = r->writes;
    }
}

static bool record_again(struct rerecord *r)
{
    for (uint32_t id = r->section.from; id < r->section.to; id++) {
        const reel_node *node = reel_node_at(r->section.tape, id);
        if (node->flags & REEL_NODE_NOTE || node->output)
            continue;
        if (node->op ? !apply_again(r, id) : !copy_value(r, id))
            return false;
    }
    return true;
}

static reel_twins *twins_of(const struct rerecord *r)
{
    reel_tape *tape = r->section.tape;
    uint32_t inside = r->section.to - r->section.from;
    reel_twins *twins = reel_tape_get(tape, sizeof *twins);
    uint32_t *list = reel_tape_get(tape, (inside + 2 * r->outside_count + 1) * sizeof *list);
    if (!twins || !list) {
        reel_tape_out_of_memory(tape, r->file, r->line, "section_in_f64", sizeof *twins + inside * sizeof *list);
        return NULL;
    }
    *twins = (reel_twins){r->section.from, r->section.to, list, r->outside_count, list + inside};
    for (uint32_t i = 0; i < inside; i++)
        list[i] = has_twin(r, r->section.from + i) ? reel_node_at(tape, r->section.from + i)->gradient->id : 0;
    uint32_t *pair = list + inside;
    for (const struct outside *entry = r->outside; entry; entry = entry->next, pair += 2) {
        pair[0] = entry->node;
        pair[1] = reel_node_at(tape, entry->node)->gradient->id;
    }
    return twins;
}

reel_section reel_section_in_f64_at(REEL_PLACE, reel_section section)
{
    reel_tape *tape = section.tape;
    reel_section failed = {.tape = tape};
    if (reel_failed(tape) || !reel_section_usable(file, line, section, "section_in_f64"))
        return failed;
    uint32_t nodes = tape->nodes;
    reel_block *block = tape->arena.current;
    size_t used = reel_arena_used(&tape->arena);
    struct rerecord r = {.section = section, .file = file, .line = line};
    mark_written_leaves(&r);
    tape->sweep++;
    reel_twins *twins = record_again(&r) ? twins_of(&r) : NULL;
    if (twins) {
        reel_section_note note = {.twins = twins};
        reel_section copy = reel_section_with_note(file, line, tape, nodes, tape->nodes, &note, "section_in_f64");
        if (copy.anchor)
            return copy;
    }
    tape->nodes = nodes;
    reel_arena_rewind(&tape->arena, block, used);
    return failed;
}

reel_tensor reel_counterpart_at(REEL_PLACE, reel_section in_f64, reel_tensor original)
{
    reel_tape *tape = in_f64.tape;
    reel_tensor failed = {tape, 0, 0};
    if (reel_failed(tape) || !reel_section_usable(file, line, in_f64, "counterpart"))
        return failed;
    const reel_section_note *note = reel_section_details(in_f64);
    const reel_twins *twins = note ? note->twins : NULL;
    uint32_t twin = 0, id = original.node;
    if (twins && reel_on_tape(tape, original)) {
        if (id >= twins->from && id < twins->to)
            twin = twins->inside[id - twins->from];
        for (uint32_t i = 0; i < twins->outside_count && !twin; i++)
            if (twins->outside[2 * i] == id)
                twin = twins->outside[2 * i + 1];
    }
    if (!twin) {
        reel_tape_fail(tape, file, line, "counterpart", "%s has no twin in this section", reel_describe(original).text);
        return failed;
    }
    return reel_handle(tape, twin);
}
