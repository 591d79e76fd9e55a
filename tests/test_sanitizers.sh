#!/bin/sh
# Builds the library and its tests once more under a sanitizer, in a folder of its own, and runs what is named:
# suites of reel-tests, or whole programs.
#
#     test_sanitizers.sh SOURCE SANITIZER PROGRAM[:SUITE]...      such as: . address,undefined reel-tests:tape
set -eu

source=$1
sanitizer=$2
shift 2
work=$(mktemp -d "${TMPDIR:-/tmp}/reel-sanitize-XXXXXX")
trap 'rm -rf "$work"' EXIT

meson setup "$work/build" "$source" --buildtype=debugoptimized -Db_sanitize="$sanitizer" -Db_lundef=false \
    -Ddefault_library=static -Dwerror=true >"$work/log" 2>&1 || { cat "$work/log"; exit 1; }
programs=$(printf '%s\n' "$@" | sed 's/:.*//; s,^,tests/,' | sort -u)
# shellcheck disable=SC2086
ninja -C "$work/build" $programs >"$work/log" 2>&1 || { cat "$work/log"; exit 1; }

export ASAN_OPTIONS=detect_stack_use_after_return=1:strict_string_checks=1
export UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1
export TSAN_OPTIONS=halt_on_error=1
# Without a fork for each check the leak sanitizer runs once a suite. The tape's suite counts calls from nought, so it forks.
failed=0
for job in "$@"; do
    program=${job%%:*}
    suite=${job#"$program"}
    case $suite in :tape) CK_FORK=yes ;; *) CK_FORK=no ;; esac
    export CK_FORK
    if "$work/build/tests/$program" ${suite#:} >"$work/log" 2>&1; then
        tail -n 1 "$work/log"
    else
        echo "FAILED under $sanitizer: $job"
        tail -n 60 "$work/log"
        failed=1
    fi
done
exit $failed
