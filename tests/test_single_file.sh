#!/bin/sh
# reel.c as people use it: copied somewhere with its headers, compiled without a warning by each compiler at hand, in
# C and from C++, and run.
#
#     test_single_file.sh SOURCE DIST
#
# SPDX-License-Identifier: MIT
set -eu

source=$1
dist=$2
place=$(mktemp -d "${TMPDIR:-/tmp}/reel-single-XXXXXX")
trap 'rm -rf "$place"' EXIT
cp "$dist/reel.c" "$dist/reel.h" "$dist/reel_train.h" "$place"
cp "$source/examples/01_worked_example.c" "$place/program.c"
cp -R "$source/examples/cifar10_linear.c" "$source/examples/train" "$place"
cp "$source/tests/headers.cpp" "$place/program.cpp"
cd "$place"

strict='-Wall -Wextra -Wpedantic -Werror'
expected='[0.16984601 0.8247449]'

# same NAME EXPECTED GOT
same() {
    if [ "$2" != "$3" ]; then
        printf '%s: expected\n%s\nand got\n%s\n' "$1" "$2" "$3" >&2
        exit 1
    fi
}

accuracy=
for compilers in 'gcc g++' 'clang clang++'; do
    c=${compilers% *}
    cpp=${compilers#* }
    if ! command -v "$c" >/dev/null; then
        echo "$c is not installed"
        continue
    fi
    for standard in c11 gnu11 c17 gnu17; do
        "$c" -std=$standard $strict -fsyntax-only reel.c
    done
    "$c" -I. -O2 program.c reel.c -o program -lm -lpthread
    same "$c" "$expected" "$(./program | head -n 1)"

    "$c" -O2 $strict -c reel.c -o reel.o
    "$c" -I. -O2 $strict cifar10_linear.c train/*.c reel.o -o cifar10_linear -lm -lpthread
    trained=$(./cifar10_linear --epochs 2 | grep '^test accuracy')
    same "$c, trained" "${accuracy:=$trained}" "$trained"

    if command -v "$cpp" >/dev/null; then
        "$cpp" -std=c++11 $strict -I. -O2 program.cpp reel.o -o program_cpp -lm -lpthread
        same "$cpp" "$expected" "$(./program_cpp | head -n 1)"
    fi
    echo "$c: reel.o takes $(size reel.o | awk 'NR == 2 { print $4 }') bytes; $trained"
done
echo "reel.c has $(wc -l <reel.c) lines, $(($(wc -c <reel.c) / 1024)) KB"
