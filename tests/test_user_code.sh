#!/bin/sh
# What compiles in a user's file: every public macro, without a warning, under each compiler and standard at hand; and
# what must not compile: positional arguments where names are asked for, and unknown names.
#
#     test_user_code.sh SOURCE
set -u

source=$1
work=$(mktemp -d "${TMPDIR:-/tmp}/reel-user-XXXXXX") || exit 1
trap 'rm -rf "$work"' EXIT
failures=0

cat >"$work/good.c" <<'PROGRAM'
#include <reel.h>
#include <reel_train.h>

reel_tensor use(reel_tape *tape, reel_tensor labels, reel_tensor logits, reel_tensor classes, float *memory);

reel_tensor use(reel_tape *tape, reel_tensor labels, reel_tensor logits, reel_tensor classes, float *memory)
{
    reel_tensor gradient[2], count;
    reel_tensor a = reel_softmax_cross_entropy_with_logits(.labels = labels, .logits = logits);
    reel_tensor b = reel_softmax_cross_entropy_with_logits(.labels = labels, .logits = logits, .axis = 0, .name = "b");
    reel_tensor c = reel_softmax_cross_entropy_with_logits_v1(.labels = labels, .logits = logits, .dim = 1);
    reel_tensor d = reel_softmax_cross_entropy_with_logits_v2(.labels = labels, .logits = logits, .axis = 1);
    reel_tensor e = reel_sparse_softmax_cross_entropy_with_logits(.labels = classes, .logits = logits, .counted = &count,
                                                                  .ignore_index = -1, .reduction = REEL_REDUCTION_MEAN);
    reel_loss_and_backprop f = reel_raw_softmax_cross_entropy_with_logits(.features = logits, .labels = labels);
    reel_loss_and_backprop g = reel_raw_sparse_softmax_cross_entropy_with_logits(.features = logits, .labels = classes);
    reel_tensor nested = reel_softmax_cross_entropy_with_logits(
        .labels = reel_softmax(labels, -1), .logits = reel_sum(reel_add(a, b), .axes = REEL_AXES(0), .keepdims = true));
    reel_tensor reduced = reel_mean(reel_max(reel_min(reel_prod(a, .axes = REEL_AXES(0)), .keepdims = true)));
    reel_tensor spread = reel_add(reel_logsumexp(a, .axes = REEL_AXES(-1)), reel_var(a, .correction = 1));
    reel_tensor framed = reel_layer_norm(reel_pad(a, .before = {1, 1}, .after = {1}, .value = 2), .dims = 2, .weight = b);
    reel_tensor images = reel_conv2d(a, b, .bias = c, .stride = {2, 2}, .padding = {1, 1});
    reel_tensor pooled = reel_max_pool2d(reel_avg_pool2d(images, .kernel = {2, 2}), .kernel = {2, 2}, .stride = {1, 1});
    reel_tensor other = reel_add(reel_mean_squared_error(a, b), reel_huber(a, b, .reduction = REEL_REDUCTION_SUM));
    reel_binary_cross_entropy_with_logits(a, b, .reduction = REEL_REDUCTION_MEAN);
    reel_sum_at("mine.c", 7, REEL_OPTIONS(reel_reduce_options, .x = other, .axes = REEL_AXES(0)));
    reel_gradcheck(reduced, REEL_TENSORS(spread, framed, pooled), .order = 2);
    reel_tape_free(reel_tape_new_with(.threads = 2));
    reel_wrap(tape, .dtype = REEL_F32, .shape = REEL_SHAPE(2, 3), .data = memory);
    reel_variable(tape, REEL_SHAPE(), REEL_F16_VALUES(1));
    reel_gradient(a, REEL_TENSORS(logits, labels), gradient);
    reel_gradient(a, REEL_TENSORS(logits), gradient, .upstream = b, .final = true);
    reel_rmsprop(.parameters = REEL_TENSORS(logits), .gradients = REEL_TENSORS(gradient[0]), .alpha = .9);
    reel_adam(.parameters = REEL_TENSORS(logits), .gradients = REEL_TENSORS(gradient[0]), .beta2 = .99);
    reel_adamw(.parameters = REEL_TENSORS(logits), .gradients = REEL_TENSORS(gradient[0]), .weight_decay = .1);
    reel_sgd(.parameters = REEL_TENSORS(logits), .gradients = REEL_TENSORS(gradient[0]), .learning_rate = c);
    return reel_add(reel_add(d, e), reel_add(f.loss, reel_add(g.backprop, nested)));
}
PROGRAM

# refused NAME CALL: a call that must not compile
refused() {
    sed "s|reel_tensor a = .*|reel_tensor a = $2;|" "$work/good.c" >"$work/bad.c"
    for compiler in $compilers; do
        if "$compiler" -I"$source/include" -c "$work/bad.c" -o "$work/bad.o" 2>/dev/null; then
            echo "FAILED: $compiler compiles $1"
            failures=$((failures + 1))
        fi
    done
}

compilers=
for compiler in gcc clang; do
    command -v "$compiler" >/dev/null && compilers="$compilers $compiler"
done
for compiler in $compilers; do
    for standard in c11 c17 c2x gnu11 gnu17; do
        "$compiler" -std=$standard -O1 -Wall -Wextra -Wpedantic -Werror -I"$source/include" -c "$work/good.c" \
            -o "$work/good.o" 2>"$work/errors" || {
            echo "FAILED: $compiler -std=$standard"
            head -n 20 "$work/errors"
            failures=$((failures + 1))
        }
    done
done
refused 'positional labels' 'reel_softmax_cross_entropy_with_logits(labels, logits)'
refused 'an unknown name' 'reel_softmax_cross_entropy_with_logits(.labels = labels, .logit = logits)'
refused 'a dim in v2 proper' 'reel_softmax_cross_entropy_with_logits(.labels = labels, .logits = logits, .dim = 0)'
refused 'a positional string' 'reel_softmax_cross_entropy_with_logits_v1("name", .labels = labels, .logits = logits)'
refused 'a positional axis' 'reel_sparse_softmax_cross_entropy_with_logits(1, .labels = classes, .logits = logits)'
refused 'a positional axis in a sum' 'reel_sum(logits, REEL_AXES(0))'
refused 'a positional delta' 'reel_huber(logits, labels, 1.5)'
refused 'a positional bias' 'reel_conv2d(logits, labels, classes)'
refused 'positional features' 'reel_raw_softmax_cross_entropy_with_logits(logits, labels).loss'

[ "$failures" -eq 0 ] && echo "all good with$compilers"
exit "$((failures > 0))"
