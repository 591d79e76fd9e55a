#!/bin/sh
# Runs suites under valgrind's memcheck: no error and no leak.
#
#     test_valgrind.sh PROGRAM SUITE...
set -eu

program=$1
shift
log=$(mktemp)
trap 'rm -f "$log"' EXIT
failed=0
for suite in "$@"; do
    if CK_FORK=no CK_DEFAULT_TIMEOUT=0 valgrind -q --error-exitcode=9 --leak-check=full \
        --errors-for-leak-kinds=definite "$program" "$suite" >"$log" 2>&1; then
        tail -n 1 "$log"
    else
        echo "FAILED under valgrind: $suite"
        tail -n 60 "$log"
        failed=1
    fi
done
exit $failed
