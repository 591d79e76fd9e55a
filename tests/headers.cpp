// From C++: lists, the loss with its arguments by name, gradients; in C++20 named arguments in braces too.
#include <reel.h>
#include <reel_train.h>

#include <cstdio>

static reel_tensor loss_of(reel_tensor labels, reel_tensor logits)
{
    reel_cross_entropy_v2 arguments = reel_cross_entropy_v2_defaults();
    arguments.labels = labels;
    arguments.logits = logits;
    return reel_softmax_cross_entropy_with_logits_at(REEL_HERE, &arguments);
}

int main()
{
    reel_tape_options options = reel_tape_options_defaults();
    reel_tape *tape = reel_tape_new_options(&options);
    reel_tensor logits = reel_variable(tape, REEL_SHAPE(2, 3), REEL_F32_VALUES(4, 2, 1, 0, 5, 1));
    reel_tensor labels = reel_variable(tape, REEL_SHAPE(2, 3), REEL_F32_VALUES(1, 0, 0, 0, .8f, .2f));
    reel_tensor loss = loss_of(labels, logits);

    reel_tensor gradient[2];
    reel_vjp(loss, REEL_NONE, REEL_TENSORS(logits, labels), gradient);
#if __cplusplus >= 202002L
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"
    reel_tensor total = reel_sum(loss, .axes = REEL_AXES(0), .keepdims = true);
    reel_gradient_at(REEL_HERE,
                     REEL_OPTIONS(reel_gradient_options, .y = total, .xs = REEL_TENSORS(logits, labels),
                                  .gradients = gradient));
#endif

    reel_print(loss);
    reel_print(gradient[0]);
    reel_print(gradient[1]);
    bool failed = reel_failed(tape);
    if (failed)
        std::fprintf(stderr, "%s\n", reel_error_message(tape));
    reel_tape_free(tape);
    return failed;
}
