#!/bin/sh
# Installs a build into an empty directory and uses it from there as a stranger would: a program outside the
# tree, compiled through reel.pc, as C and as C++, with the shared and with the static library.
#
#     test_install.sh BUILD_DIRECTORY [MESON]
#
# SPDX-License-Identifier: MIT
set -eu

if [ $# -lt 1 ] || [ ! -d "$1" ]; then
    echo "usage: $0 BUILD_DIRECTORY [MESON]" >&2
    exit 2
fi
build=$1
meson=${2:-meson}
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT

"$meson" install -C "$build" --no-rebuild --destdir "$place/root" >"$place/log" 2>&1 || {
    cat "$place/log" >&2
    exit 1
}

pc=$(find "$place/root" -name reel.pc)
libraries=$(dirname "$(find "$place/root" -name libreel.a)")
PKG_CONFIG_PATH=$(dirname "$pc")
PKG_CONFIG_SYSROOT_DIR=$place/root
export PKG_CONFIG_PATH PKG_CONFIG_SYSROOT_DIR

cat >"$place/stranger.c" <<'PROGRAM'
#include <reel.h>
#include <stdio.h>

int main(void)
{
    reel_tape *tape = reel_tape_new();
    reel_tensor x = reel_variable(tape, REEL_SHAPE(2, 2), REEL_F64_VALUES(1, 2, 3, 4)), gradient;
    reel_gradient(reel_sum(reel_matmul(x, x)), REEL_TENSORS(x), &gradient);
    reel_print(gradient);
    int failed = reel_failed(tape);
    if (failed)
        fprintf(stderr, "%s\n", reel_error_message(tape));
    reel_tape_free(tape);
    return failed;
}
PROGRAM

cat >"$place/stranger.cpp" <<'PROGRAM'
#include <reel.h>
#include <cstdio>

int main()
{
    reel_tape_options options = reel_tape_options_defaults();
    reel_tape *tape = reel_tape_new_options(&options);
    const double value[] = {1, 2, 3, 4};
    const int64_t size[] = {2, 2};
    reel_values values = reel_values_of(REEL_F64, value, 4);
    reel_tensor x = reel_variable_at(REEL_HERE, tape, reel_make_shape(2, size), values), gradient;
    reel_reduce_options sum = reel_reduce_options_defaults();
    sum.x = reel_matmul(x, x);
    reel_gradient_options wanted = reel_gradient_options_defaults();
    wanted.y = reel_sum_at(REEL_HERE, &sum);
    wanted.xs = reel_tensors_of(&x, 1);
    wanted.gradients = &gradient;
    bool done = reel_gradient_at(REEL_HERE, &wanted) && reel_print(gradient);
    reel_tape_free(tape);
    return done ? 0 : 1;
}
PROGRAM

expected='[[ 7. 11.]
 [ 9. 13.]]'

# check NAME: runs the program and compares what it prints.
check() {
    printed=$(LD_LIBRARY_PATH=$libraries "$place/$1")
    if [ "$printed" != "$expected" ]; then
        printf '%s printed:\n%s\n' "$1" "$printed" >&2
        exit 1
    fi
}

flags=$(pkg-config --cflags reel)
shared=$(pkg-config --libs reel)
static=$(pkg-config --static --libs reel)
warnings='-Wall -Wextra -Wpedantic -Werror'

# shellcheck disable=SC2086
{
    ${CC:-cc} -std=c11 $warnings $flags "$place/stranger.c" -o "$place/in_c" $shared
    check in_c
    ${CXX:-c++} -std=c++11 $warnings $flags "$place/stranger.cpp" -o "$place/in_cpp" $shared
    check in_cpp
    rm -f "$libraries"/libreel.so*
    ${CC:-cc} -std=c11 $warnings $flags "$place/stranger.c" -o "$place/in_c_static" $static
    check in_c_static
}
echo "installed, compiled and run: C, C++, static"
