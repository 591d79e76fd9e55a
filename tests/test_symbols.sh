#!/bin/sh
# What the built libraries show of themselves: they export reel_* alone, they cannot end the process or print,
# they have no mutable global state but what is named below, and the shared one, stripped, is not larger than BYTES.
#
#     test_symbols.sh libreel.so libreel.a [BYTES]
#
# SPDX-License-Identifier: MIT
set -eu

if [ $# -lt 2 ] || [ ! -r "$1" ] || [ ! -r "$2" ]; then
    echo "usage: $0 libreel.so libreel.a [BYTES]" >&2
    exit 2
fi
shared=$1
static=$2
failed=0

# complain WHAT LINES: a failure where there are any lines.
complain() {
    if [ -n "$2" ]; then
        printf '%s:\n%s\n' "$1" "$2" >&2
        failed=1
    fi
}

exported=$(nm -D --defined-only "$shared" | awk '{ print $NF }')
complain "exported by $shared" "$(printf '%s\n' "$exported" | grep -v '^reel_' || true)"
complain "external in $static" \
    "$(nm -g --defined-only "$static" 2>/dev/null | awk 'NF == 3 { print $3 }' | grep -v '^reel_' || true)"
if [ "$(printf '%s\n' "$exported" | grep -c '^reel_')" -lt 50 ]; then
    complain "exported by $shared" "hardly anything"
fi

# Also as GNU's checked variants (__printf_chk) and versioned (exit@GLIBC_2.2.5).
ends='abort|exit|_exit|_Exit|quick_exit|__assert_fail|__assert|raise'
prints='v?printf|v?fprintf|puts|putchar|fputs|fwrite|perror'
forbidden="^($ends|$prints)\$"
for library in "$shared" "$static"; do
    case $library in
    *.so*) undefined=$(nm -D -u "$library") ;;
    *) undefined=$(nm -u "$library" 2>/dev/null) ;;
    esac
    complain "undefined in $library" \
        "$(printf '%s\n' "$undefined" | awk 'NF == 2 { print $2 }' | sed 's/@.*//; s/^__\(.*\)_chk$/\1/' |
            sort -u | grep -E "$forbidden" || true)"
done

# Objects in writable sections. Constants that hold pointers lie in .data.rel.ro, which the loader makes
# read-only.
# Allowed: the matrix multiply's once-flag and gate, which the header names.
allowed='^gemm_blis$'
mutable=$(objdump -t "$static" | awk '
    NF >= 5 && $(NF - 2) ~ /^(\.data|\.bss|\.tdata|\.tbss|\*COM\*)/ && $(NF - 2) !~ /^\.data\.rel\.ro/ &&
    $NF !~ /^\./ && $(NF - 1) !~ /^0+$/ { print $NF }' | sed 's/\.[0-9]*$//' | sort -u)
complain "mutable global state in $static" \
    "$(printf '%s\n' "$mutable" | grep -vE "$allowed" | grep . || true)"

if [ $# -gt 2 ]; then
    stripped=$(mktemp "${TMPDIR:-/tmp}/reel-stripped-XXXXXX")
    strip -o "$stripped" "$shared"
    size=$(wc -c <"$stripped")
    rm -f "$stripped"
    [ "$size" -le "$3" ] || complain "$shared, stripped" "$size bytes, and not $3 at most"
fi

exit $failed
