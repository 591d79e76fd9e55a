/* The softmax cross-entropy ops and their VJPs. With U the upstream gradient times the row's weight (over W
 * for a mean), p = softmax(z), A = d y' / d y = w (1 - e), and <a> = sum p a:
 *
 *     loss             l  = U sum y' (-log p)         dz = gradient(u), dy = label_gradient(u)
 *     gradient         g  = U (S p - y')              along v: dz = second, dy = mixed, du = directional
 *     directional      d  = U sum v (S p - y')        dz = second, dy = mixed, dv = gradient
 *     label_gradient   a  = U A (-log p)              along t, t being a direction for the labels:
 *                                                     dz = gradient, du = loss, both at labels t
 *     mixed            b  = U A (<v> - v)             along t: dz = second, dv = gradient, du = directional,
 *                                                     all at labels t
 *     second           h  = U S p (v - <v>)           along t: dv = second along t,
 *                                                     dz = h (t - <t>) - p sum h t,
 *                                                     dy = A sum h t / S, du = sum h t / u
 *
 * In TENSORFLOW semantics S is 1 in the derivatives and not a function of y; so mixed is -U A v there, and
 * the derivatives of that have S = 0. */
#include "ops/cross_entropy.h"
#include "autograd/joint.h"
#include "core/shape.h"
#include "ops/op.h"

/* What one of these ops is applied to. */
struct loss_parts {
    reel_tensor        logits, labels, upstream, direction, class_weights, row_weights;
    reel_cross_entropy attributes;
};

static reel_tensor loss_input(const reel_call *call, int input)
{
    return input < 0 ? REEL_NONE : call->input[input];
}

static struct loss_parts loss_parts_of(const reel_call *call)
{
    const reel_cross_entropy *attributes = call->attributes;
    reel_xent_inputs in = reel_xent_inputs_of(attributes);
    return (struct loss_parts){
        loss_input(call, in.logits),    loss_input(call, in.labels),        loss_input(call, in.upstream),
        loss_input(call, in.direction), loss_input(call, in.class_weights), loss_input(call, in.row_weights),
        *attributes};
}

/* The same op with a direction for the labels in place of the labels. */
static struct loss_parts loss_at_labels(struct loss_parts parts, reel_tensor labels)
{
    parts.labels = labels;
    parts.attributes.linear = true;
    parts.attributes.validate = false;
    return parts;
}

static reel_shape loss_shape(const struct loss_parts *parts)
{
    reel_shape z = reel_shape_of(parts->logits), y = reel_shape_of(parts->labels);
    reel_array logits = {.dtype = reel_dtype_of(parts->logits), .rank = z.rank, .shape = z.size};
    reel_array labels = {.dtype = reel_dtype_of(parts->labels), .rank = y.rank, .shape = y.size};
    return reel_xent_shape_of(&parts->attributes, &logits, &labels).shape;
}

static reel_tensor loss_record(const reel_op *op, enum reel_xent_quantity quantity, struct loss_parts parts)
{
    reel_tensor input[6], output;
    parts.attributes.quantity = quantity;
    reel_xent_inputs in = reel_xent_inputs_of(&parts.attributes);
    input[in.logits] = parts.logits;
    input[in.labels] = parts.labels;
    if (in.upstream >= 0)
        input[in.upstream] = parts.upstream;
    if (in.direction >= 0)
        input[in.direction] = parts.direction;
    if (in.class_weights >= 0)
        input[in.class_weights] = parts.class_weights;
    if (in.row_weights >= 0)
        input[in.row_weights] = parts.row_weights;
    reel_apply(op, reel_tensors_of(input, (size_t)in.count), &parts.attributes, &output, 1);
    return output;
}

static reel_tensor loss_cast_like(reel_tensor x, reel_tensor like)
{
    return reel_dtype_of(x) == reel_dtype_of(like) ? x : reel_cast(x, reel_dtype_of(like));
}

/* A result of one number a class as the gradient of `target`: summed over the dimensions along which that was
 * stretched, in f64, and rounded once. */
static reel_tensor loss_into(reel_tensor target, const reel_op *op, enum reel_xent_quantity quantity,
                             struct loss_parts parts)
{
    if (reel_failed(target.tape))
        return REEL_NONE;
    reel_shape whole = loss_shape(&parts), wanted = reel_shape_of(target);
    bool stretched = !reel_same_sizes(whole.rank, whole.size, wanted.rank, wanted.size);
    parts.attributes.wide = stretched || reel_dtype_of(target) != reel_dtype_of(parts.logits);
    reel_tensor result = loss_record(op, quantity, parts);
    return loss_cast_like(stretched ? reel_sum_like(result, target) : result, target);
}

/* A result of one number a row, or of one for all. */
static reel_tensor loss_into_upstream(reel_tensor target, const reel_op *op, enum reel_xent_quantity quantity,
                                      struct loss_parts parts)
{
    parts.attributes.wide = reel_dtype_of(target) != reel_dtype_of(parts.logits);
    return loss_record(op, quantity, parts);
}

#define LOSS_GRADIENT       &reel_op_softmax_cross_entropy_gradient, REEL_XENT_GRADIENT
#define LOSS_LABEL_GRADIENT &reel_op_softmax_cross_entropy_label_gradient, REEL_XENT_LABEL_GRADIENT
#define LOSS_DIRECTIONAL    &reel_op_softmax_cross_entropy_directional, REEL_XENT_DIRECTIONAL
#define LOSS_SECOND         &reel_op_softmax_cross_entropy_second, REEL_XENT_SECOND
#define LOSS_MIXED          &reel_op_softmax_cross_entropy_mixed, REEL_XENT_MIXED
#define LOSS_LOSS           &reel_op_softmax_cross_entropy_with_logits, REEL_XENT_LOSS

/* ---- First order ------------------------------------------------------------------------------- */

/* Whether the gradient was recorded as one call, in the loss's own dtype, and the loss is no product with a row's weight. */
static bool loss_can_be_joined(const reel_call *call, reel_tensor gradient, const reel_op *op)
{
    const reel_cross_entropy *attributes = call->attributes;
    return gradient.tape && !reel_failed(gradient.tape) && !attributes->row_weights &&
           reel_node_at(gradient.tape, gradient.node)->op == op && reel_dtype_of(gradient) == reel_dtype_of(call->output[0]);
}

/* A replay computes the loss with its gradients, in one go: in f32 with both, else with one of them. */
static void loss_join(const reel_call *call, const reel_tensor dx[])
{
    const reel_cross_entropy *attributes = call->attributes;
    bool in_f32 = reel_dtype_of(call->output[0]) == REEL_F32 && !attributes->class_weights && attributes->label_smoothing == 0;
    bool logits = loss_can_be_joined(call, dx[0], &reel_op_softmax_cross_entropy_gradient);
    bool labels = loss_can_be_joined(call, dx[1], &reel_op_softmax_cross_entropy_label_gradient);
    if (labels && logits && in_f32 && reel_join(dx[0], dx[1]))
        reel_join(call->output[0], dx[1]);
    else if (logits || labels)
        reel_join(call->output[0], logits ? dx[0] : dx[1]);
}

static void loss_vjp(const reel_call *call, const reel_tensor dy[], reel_tensor dx[], const bool wanted[])
{
    struct loss_parts parts = loss_parts_of(call);
    parts.upstream = dy[0];
    if (wanted[0])
        dx[0] = loss_into(parts.logits, LOSS_GRADIENT, parts);
    if (wanted[1])
        dx[1] = loss_into(parts.labels, LOSS_LABEL_GRADIENT, parts);
    loss_join(call, dx);
}

/* Of two contributions, either of which may be none. */
static reel_tensor loss_sum(reel_tensor a, reel_tensor b)
{
    return !a.tape ? b : !b.tape ? a : reel_add(a, b);
}

static void loss_raw_vjp(const reel_call *call, const reel_tensor dy[], reel_tensor dx[], const bool wanted[])
{
    struct loss_parts of_loss = loss_parts_of(call), of_backprop = of_loss;
    bool loss = dy[0].tape, backprop = dy[1].tape;
    of_loss.upstream = dy[0];
    of_backprop.direction = dy[1];
    if (backprop)
        of_backprop.upstream = reel_ones_like(call->output[0]);
    if (wanted[0])
        dx[0] = loss_sum(loss ? loss_into(of_loss.logits, LOSS_GRADIENT, of_loss) : REEL_NONE,
                         backprop ? loss_into(of_loss.logits, LOSS_SECOND, of_backprop) : REEL_NONE);
    if (wanted[1])
        dx[1] = loss_sum(loss ? loss_into(of_loss.labels, LOSS_LABEL_GRADIENT, of_loss) : REEL_NONE,
                         backprop ? loss_into(of_loss.labels, LOSS_MIXED, of_backprop) : REEL_NONE);
}

/* ---- Second order ------------------------------------------------------------------------------ */

static void loss_gradient_vjp(const reel_call *call, const reel_tensor dy[], reel_tensor dx[],
                              const bool wanted[])
{
    struct loss_parts parts = loss_parts_of(call);
    parts.direction = dy[0];
    if (wanted[0] && parts.attributes.sum != REEL_XENT_ZERO)
        dx[0] = loss_into(parts.logits, LOSS_SECOND, parts);
    if (wanted[1])
        dx[1] = loss_into(parts.labels, LOSS_MIXED, parts);
    if (wanted[2])
        dx[2] = loss_into_upstream(parts.upstream, LOSS_DIRECTIONAL, parts);
}

static void loss_directional_vjp(const reel_call *call, const reel_tensor dy[], reel_tensor dx[],
                                 const bool wanted[])
{
    struct loss_parts parts = loss_parts_of(call);
    parts.upstream = dy[0];
    if (wanted[0] && parts.attributes.sum != REEL_XENT_ZERO)
        dx[0] = loss_into(parts.logits, LOSS_SECOND, parts);
    if (wanted[1])
        dx[1] = loss_into(parts.labels, LOSS_MIXED, parts);
    if (wanted[2])
        dx[2] = loss_into(parts.direction, LOSS_GRADIENT, parts);
}

static void loss_label_gradient_vjp(const reel_call *call, const reel_tensor dy[], reel_tensor dx[],
                                    const bool wanted[])
{
    struct loss_parts parts = loss_at_labels(loss_parts_of(call), dy[0]);
    parts.attributes.sum = REEL_XENT_SUM;
    if (wanted[0])
        dx[0] = loss_into(parts.logits, LOSS_GRADIENT, parts);
    if (wanted[2])
        dx[2] = loss_into_upstream(parts.upstream, LOSS_LOSS, parts);
}

/* ---- Third order ------------------------------------------------------------------------------- */

static void loss_mixed_vjp(const reel_call *call, const reel_tensor dy[], reel_tensor dx[],
                           const bool wanted[])
{
    struct loss_parts parts = loss_at_labels(loss_parts_of(call), dy[0]);
    if (parts.attributes.sum != REEL_XENT_SUM)
        parts.attributes.sum = REEL_XENT_ZERO;
    if (wanted[0] && parts.attributes.sum != REEL_XENT_ZERO)
        dx[0] = loss_into(parts.logits, LOSS_SECOND, parts);
    if (wanted[2])
        dx[2] = loss_into_upstream(parts.upstream, LOSS_DIRECTIONAL, parts);
    if (wanted[3])
        dx[3] = loss_into(parts.direction, LOSS_GRADIENT, parts);
}

static reel_tensor loss_sum_classes(const struct loss_parts *parts, reel_tensor x)
{
    return reel_sum(x, .axes = REEL_AXES(parts->attributes.axis), .keepdims = true);
}

static reel_tensor loss_down_to(reel_tensor x, reel_tensor target)
{
    return loss_cast_like(reel_sum_like(x, target), target);
}

/* h (t - <t>) - p sum h t */
static reel_tensor loss_third_into_logits(const struct loss_parts *parts, reel_tensor h, reel_tensor t)
{
    reel_tensor z = reel_broadcast(loss_cast_like(parts->logits, t), reel_shape_of(t));
    reel_tensor p = reel_softmax(z, parts->attributes.axis);
    reel_tensor mean = loss_sum_classes(parts, reel_mul(p, t)), ht = loss_sum_classes(parts, reel_mul(h, t));
    reel_tensor dz = reel_sub(reel_mul(h, reel_sub(t, mean)), reel_mul(p, ht));
    return loss_down_to(dz, parts->logits);
}

/* A sum h t / S */
static reel_tensor loss_third_into_labels(struct loss_parts parts, reel_tensor t)
{
    parts.attributes.sum = REEL_XENT_ONE;
    reel_tensor ht = loss_sum_classes(&parts, reel_mul(loss_record(LOSS_SECOND, parts), t));
    ht = reel_affine(ht, 1 - parts.attributes.label_smoothing, 0);
    if (parts.attributes.class_weights) {
        reel_shape shape = {.rank = -parts.attributes.axis, .size = {reel_count(parts.class_weights)}};
        for (int i = 1; i < shape.rank; i++)
            shape.size[i] = 1;
        ht = reel_mul(ht, reel_reshape(loss_cast_like(parts.class_weights, ht), shape));
    }
    return loss_down_to(reel_broadcast(ht, reel_shape_of(t)), parts.labels);
}

/* sum h t / u */
static reel_tensor loss_third_into_upstream(struct loss_parts parts, reel_tensor t)
{
    reel_tensor u = parts.upstream;
    parts.upstream = reel_ones_like(u);
    reel_tensor ht = reel_mul(loss_record(LOSS_SECOND, parts), t);
    bool rows = parts.attributes.reduction == REEL_REDUCTION_NONE;
    return loss_cast_like(rows ? reel_sum(ht, .axes = REEL_AXES(parts.attributes.axis)) : reel_sum(ht), u);
}

static void loss_second_vjp(const reel_call *call, const reel_tensor dy[], reel_tensor dx[],
                            const bool wanted[])
{
    struct loss_parts parts = loss_parts_of(call);
    reel_tensor t = dy[0], v = parts.direction;
    if (wanted[0])
        dx[0] = loss_third_into_logits(&parts, call->output[0], t);
    if (wanted[1] && parts.attributes.sum == REEL_XENT_SUM)
        dx[1] = loss_third_into_labels(parts, t);
    if (wanted[2])
        dx[2] = loss_third_into_upstream(parts, t);
    parts.direction = t;
    if (wanted[3])
        dx[3] = loss_into(v, LOSS_SECOND, parts);
}

/* ---- The ops ----------------------------------------------------------------------------------- */

#define LOSS_OP(NAME, INPUTS, OUTPUTS, FLAGS, VJP, FORMULA, SAMPLES, COUNT, EXAMPLE)                 \
    const reel_op reel_op_##NAME = {                                                                 \
        .size = sizeof(reel_op), .name = #NAME, .inputs = INPUTS, .outputs = OUTPUTS,                \
        .attributes = sizeof(reel_cross_entropy), .flags = FLAGS, .shape = reel_xent_shape_rule,     \
        .forward = reel_xent_forward, .vjp = VJP, .formula = FORMULA,                                \
        .example = EXAMPLE, REEL_TRUTH(reel_xent_reference), REEL_COUNTED_SAMPLES(SAMPLES, COUNT),   \
    }

LOSS_OP(softmax_cross_entropy_with_logits, REEL_ANY, 1, REEL_OUTPUT_UNREAD, loss_vjp,
        "loss = sum y (-log p), p = softmax(z); dz = u (S p - y), dy = u (-log p)", reel_xent_loss_samples,
        REEL_XENT_LOSS_SAMPLES,
        "reel_softmax_cross_entropy_with_logits(.labels = b, .logits = a)");

LOSS_OP(sparse_softmax_cross_entropy_with_logits, REEL_ANY, 1, REEL_OUTPUT_UNREAD, loss_vjp,
        "loss = -log p_label, p = softmax(z); dz = u (p - onehot(label))", reel_xent_sparse_samples,
        REEL_XENT_SPARSE_SAMPLES,
        "reel_sparse_softmax_cross_entropy_with_logits(.labels = b, .logits = a)");

LOSS_OP(raw_softmax_cross_entropy_with_logits, 2, 2, 0, loss_raw_vjp,
        "loss = sum y (-log p), backprop = p - y (EXACT: S p - y)", reel_xent_raw_samples,
        REEL_XENT_RAW_SAMPLES,
        "reel_raw_softmax_cross_entropy_with_logits(.features = a, .labels = b)");

LOSS_OP(raw_sparse_softmax_cross_entropy_with_logits, 2, 2, 0, loss_raw_vjp,
        "loss = -log p_label, backprop = p - onehot(label)", reel_xent_raw_sparse_samples,
        REEL_XENT_RAW_SPARSE_SAMPLES,
        "reel_raw_sparse_softmax_cross_entropy_with_logits(.features = a, .labels = b)");

LOSS_OP(softmax_cross_entropy_gradient, REEL_ANY, 1, REEL_OUTPUT_UNREAD, loss_gradient_vjp,
        "g = u (S p - y); along v: dz = u S p (v - sum p v), dy = u (sum p v - v), du = sum v (S p - y)",
        reel_xent_gradient_samples, REEL_XENT_GRADIENT_SAMPLES, NULL);

LOSS_OP(softmax_cross_entropy_label_gradient, REEL_ANY, 1, REEL_OUTPUT_UNREAD, loss_label_gradient_vjp,
        "a = u (-log p); along t: dz = u (p sum t - t), du = sum t (-log p)",
        reel_xent_label_gradient_samples, REEL_XENT_LABEL_GRADIENT_SAMPLES, NULL);

LOSS_OP(softmax_cross_entropy_directional, REEL_ANY, 1, REEL_OUTPUT_UNREAD, loss_directional_vjp,
        "d = sum v (S p - y); dz = u S p (v - sum p v), dy = u (sum p v - v), dv = u (S p - y)",
        reel_xent_directional_samples, REEL_XENT_DIRECTIONAL_SAMPLES, NULL);

LOSS_OP(softmax_cross_entropy_second, REEL_ANY, 1, 0, loss_second_vjp,
        "h = u S p (v - sum p v); along t: dz = h (t - sum p t) - p sum h t, dy = sum h t / S, "
        "du = sum h t / u, dv = u S p (t - sum p t)",
        reel_xent_second_samples, REEL_XENT_SECOND_SAMPLES, NULL);

LOSS_OP(softmax_cross_entropy_mixed, REEL_ANY, 1, REEL_OUTPUT_UNREAD, loss_mixed_vjp,
        "b = u (sum p v - v); along t: dz = u p sum t (v - sum p v), du = sum t (sum p v - v), dv = u (p sum "
        "t - t)",
        reel_xent_mixed_samples, REEL_XENT_MIXED_SAMPLES, NULL);
