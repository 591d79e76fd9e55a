#!/bin/sh
# The public headers, each alone, as every C from C11 on and every C++ from C++11 on has them: no warning. And a C++
# program that uses them, in each C++.
#
#     test_headers.sh SOURCE LIBRARY...
#
# SPDX-License-Identifier: MIT
set -eu

source=$1
shift
place=$(mktemp -d "${TMPDIR:-/tmp}/reel-headers-XXXXXX")
trap 'rm -rf "$place"' EXIT
strict="-Wall -Wextra -Wpedantic -Werror -I$source/include"
expected='[0.16984601 0.8247449]'

# alone COMPILER STANDARD LANGUAGE
alone() {
    for header in reel.h reel_train.h; do
        echo "#include <$header>" >"$place/alone"
        "$1" -std="$2" $strict -fsyntax-only -x "$3" "$place/alone" || {
            echo "$header with $1 -std=$2" >&2
            exit 1
        }
    done
}

for compiler in gcc clang; do
    command -v $compiler >/dev/null || continue
    for standard in c11 c17 c2x; do
        alone $compiler $standard c
    done
done
for compiler in g++ clang++; do
    command -v $compiler >/dev/null || continue
    for standard in c++11 c++14 c++17 c++20; do
        alone $compiler $standard c++
        $compiler -std=$standard $strict "$source/tests/headers.cpp" "$@" -o "$place/program"
        printed=$("$place/program" | head -n 1)
        if [ "$printed" != "$expected" ]; then
            echo "$compiler -std=$standard: $printed" >&2
            exit 1
        fi
    done
    echo "$compiler is content"
done
