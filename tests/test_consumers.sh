#!/bin/sh
# Projects that use the library, each in one of the ways in which it is found: pkg-config and CMake in an installation
# that lies somewhere else than it was made for, shared and static, with the training kit and without; and as a subproject of
# Meson's. They build and run.
#
#     test_consumers.sh SOURCE BUILD
#
# SPDX-License-Identifier: MIT
set -eu

source=$1
build=$2
place=$(mktemp -d "${TMPDIR:-/tmp}/reel-consumers-XXXXXX")
trap 'rm -rf "$place"' EXIT

# quietly COMMAND...: shows what it prints only if it fails
quietly() {
    "$@" >"$place/log" 2>&1 || {
        cat "$place/log" >&2
        exit 1
    }
}

# runs PROGRAM
runs() {
    case $1 in
    *with_train*) expected='loss 0.695 at first, 0.001 after 500 steps' ;;
    *) expected='[0.16984601 0.8247449]' ;;
    esac
    printed=$(LD_LIBRARY_PATH=$libraries "$1" | head -n 1)
    if [ "$printed" != "$expected" ]; then
        echo "$1 printed: $printed" >&2
        exit 1
    fi
    echo "$1" | sed "s|$place/||"
}

quietly meson install -C "$build" --no-rebuild --destdir "$place/root"
libraries=$(dirname "$(find "$place/root" -name libreel.a)")
prefix=$(dirname "$(dirname "$(find "$place/root" -name reel.h)")")

cp -R "$source/tests/consumers/pkg-config" "$place"
(
    PKG_CONFIG_PATH=$libraries/pkgconfig
    PKG_CONFIG_SYSROOT_DIR=$place/root
    export PKG_CONFIG_PATH PKG_CONFIG_SYSROOT_DIR
    quietly make -C "$place/pkg-config" PROGRAM="$source/examples/01_worked_example.c" \
        TRAINING_PROGRAM="$source/examples/11_xor.c"
)
quietly cmake -S "$source/tests/consumers/cmake" -B "$place/cmake" -DCMAKE_PREFIX_PATH="$prefix"
quietly cmake --build "$place/cmake"
if cmake -S "$source/tests/consumers/cmake" -B "$place/later" -DCMAKE_PREFIX_PATH="$prefix" -DWANTED=99 2>/dev/null \
    >/dev/null; then
    echo "CMake accepts this version for version 99" >&2
    exit 1
fi
# loads PROGRAM: the libraries of ours, and libpng, that it asks for
loads() {
    objdump -p "$1" | sed -n 's/^ *NEEDED *lib\(reel[a-z_]*\|png\).*/\1/p' | sort | tr '\n' ' '
}

for way in pkg-config cmake; do
    runs "$place/$way/with_reel"
    runs "$place/$way/with_train"
    loaded="$(loads "$place/$way/with_reel"), $(loads "$place/$way/with_train")"
    if [ "$loaded" != 'reel , reel reel_train ' ] || loads "$place/$way/with_static" | grep . ||
        loads "$place/$way/with_train_static" | grep reel; then
        echo "$way: shared and static are not what they say: $loaded" >&2
        exit 1
    fi
done
mv "$prefix" "$place/moved"                         # a static program needs nothing of it
for way in pkg-config cmake; do
    runs "$place/$way/with_static"
    runs "$place/$way/with_train_static"
done

cp -R "$source/tests/consumers/meson" "$place"
cp "$source/examples/01_worked_example.c" "$place/meson/program.c"
cp "$source/examples/11_xor.c" "$place/meson/training_program.c"
mkdir "$place/meson/subprojects" "$place/meson/subprojects/reel"
for part in LICENSE meson.build meson_options.txt include core autograd ops train dist; do
    cp -R "$source/$part" "$place/meson/subprojects/reel"
done
for kind in shared static; do
    quietly meson setup "$place/meson/$kind" "$place/meson" -Dreel=$kind
    for program in with_reel with_train; do
        quietly meson compile -C "$place/meson/$kind" $program
        runs "$place/meson/$kind/$program"
    done
done
