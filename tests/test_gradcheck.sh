#!/bin/sh
# How reel-gradcheck takes its arguments: what it prints where, and its exit status.
#
#     test_gradcheck.sh PROGRAM
set -u

program=$1
work=$(mktemp -d "${TMPDIR:-/tmp}/reel-test-XXXXXX") || exit 1
trap 'rm -rf "$work"' EXIT
failures=0

# gives STATUS STREAM PATTERN ARGUMENT...: the stream, out or err, has the pattern, and the other has nothing
gives() {
    wanted=$1 stream=$2 pattern=$3
    shift 3
    "$program" "$@" >"$work/out" 2>"$work/err"
    status=$?
    other=out
    [ "$stream" = out ] && other=err
    if [ "$status" -ne "$wanted" ] || ! grep -Eq -e "$pattern" "$work/$stream" || [ -s "$work/$other" ]; then
        echo "FAILED: $*: exit status $status"
        sed 's/^/    | /' "$work/out" "$work/err"
        failures=$((failures + 1))
    fi
}

gives 0 out '^usage: reel-gradcheck' --help
gives 0 out '^usage: reel-gradcheck' exp --help
gives 2 err 'unknown option --sorted$' --sorted
gives 2 err 'needs a number$' exp --order
gives 2 err 'must be 1 to 4, not 5$' --order 5
gives 2 err 'must be 1 to 4, not 2x$' --order 2x exp
gives 2 err 'no op has the name exb$' exp exb
gives 2 err '^usage: reel-gradcheck' --sorted
gives 0 out '^1 ops, 0 at fault$' exp exp
gives 0 out '^2 ops, 0 at fault$' --order 1 exp tanh
gives 0 out '^PASS: ' --verbose exp

[ "$failures" -eq 0 ] && echo 'all good'
exit "$((failures > 0))"
