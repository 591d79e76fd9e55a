#!/bin/sh
# Option structs can grow. They are the structs whose names end in _options and those with the sentinel of
# named arguments. Each begins with its size, goes by pointer, has its defaults for C++ and is tried in other
# versions.
#
#     test_options.sh SOURCE
#
# SPDX-License-Identifier: MIT
set -u

source=$1
place=$(mktemp -d "${TMPDIR:-/tmp}/reel-options-XXXXXX") || exit 1
trap 'rm -rf "$place"' EXIT
failures=0

fail() {
    echo "FAILED: $*"
    failures=$((failures + 1))
}

# options_of HEADER: the names of its option structs
options_of() {
    awk '/^typedef struct reel_/ { name = $3; wanted = name ~ /_options$/ }
         /named_arguments_only_/ { wanted = 1 }
         /^} reel_/ { if (wanted) print name; wanted = 0 }' "$1"
}

# can_grow HEADER: each begins with its size, none goes by value, no macro makes one without REEL_OPTIONS()
can_grow() {
    for name in $(options_of "$1"); do
        size="!offsetof($name, size) && _Generic((($name *)0)->size, size_t: 1, default: 0)"
        echo "_Static_assert($size, \"$name begins with its size\");"
    done >"$place/sizes.c"
    ${CC:-cc} -I"$source/include" -include "$1" -fsyntax-only "$place/sizes.c" || return 1
    for name in $(options_of "$1"); do
        grep -nE "[(,] *(const )?$name +[a-z]" "$1" && return 1
    done
    ! grep -nE '\((const )?reel_[a-z0-9_]+\) *\{ *\.' "$1"
}

for header in reel reel_train; do
    can_grow "$source/include/$header.h" || fail "$header.h has option structs that cannot grow"
    for name in $(options_of "$source/include/$header.h"); do
        grep -q "REEL_DEFAULTS_($name," "$source/include/$header.h" || fail "$name has no defaults for C++"
        grep -qw "$name" "$source/tests/test_versions.c" || fail "$name is not tried in other versions"
    done
done
[ "$(options_of "$source/include/reel.h" | wc -l)" -ge 20 ] || fail 'hardly any option structs are found'

# refused WHAT HEADER_TEXT: what cannot grow is found
refused() {
    printf '#include <reel.h>\n%s\n' "$2" >"$place/bad.h"
    can_grow "$place/bad.h" >/dev/null 2>&1 && fail "$1 passes"
}
refused 'a struct without a size' 'typedef struct reel_bad_options {
    int axis;
} reel_bad_options;'
refused 'named arguments without a size in front' 'typedef struct reel_bad {
    reel_tensor x;
    struct reel_use_named_arguments *named_arguments_only_;
    size_t size;
} reel_bad;'
refused 'a struct by value' 'typedef struct reel_bad_options {
    size_t size;
} reel_bad_options;
REEL_API void reel_bad_at(REEL_PLACE, reel_bad_options options);'
refused 'a struct made by hand' '#define reel_bad(...) reel_bad_at(&(const reel_bad){.x = __VA_ARGS__})'

[ "$failures" -eq 0 ] && echo 'all good'
exit "$((failures > 0))"
