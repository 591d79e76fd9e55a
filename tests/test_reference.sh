#!/bin/sh
# The reference is made of the header and of the op table, and of nothing else: every public declaration has a
# comment, every op says what it is, and docs/ops.md is what reel-ops prints.
#
#     test_reference.sh SOURCE REEL_OPS
set -u

source=$1
reel_ops=$2
work=$(mktemp -d "${TMPDIR:-/tmp}/reel-reference-XXXXXX") || exit 1
trap 'rm -rf "$work"' EXIT
failures=0

fail() {
    echo "FAILED: $*"
    failures=$((failures + 1))
}

for header in reel reel_train; do
    awk -f "$source/tools/reference.awk" "$source/include/$header.h" "$source/include/$header.h" >"$work/page" ||
        fail "include/$header.h"
    grep -q '</html>' "$work/page" || fail "no whole page of $header.h"
done

# A declaration that nobody has explained is found.
printf '/* ---- One ---- */\n\nREEL_API int reel_bare(void);\n' >"$work/bare.h"
awk -f "$source/tools/reference.awk" "$work/bare.h" "$work/bare.h" >/dev/null 2>"$work/said" &&
    fail 'a header without a comment passes'
grep -q 'bare.h:3: a public declaration without a comment' "$work/said" || fail 'the line is not named'

"$reel_ops" "$source/include/reel.h" >"$work/ops.md" || fail 'an op says too little of itself'
diff -u "$source/docs/ops.md" "$work/ops.md" ||
    fail 'docs/ops.md is out of date: build/tools/reel-ops include/reel.h > docs/ops.md'

# Links between the pages lead somewhere.
for page in "$source"/*.md "$source"/docs/*.md "$source"/examples/*.md; do
    [ -f "$page" ] || continue
    grep -o '](\([^)#]*\)' "$page" | sed 's/^](//' | grep -v '^http' | sort -u | while read -r link; do
        [ -z "$link" ] || [ -e "$(dirname "$page")/$link" ] || echo "$(basename "$page"): $link"
    done
done >"$work/broken"
[ ! -s "$work/broken" ] || fail "broken links: $(cat "$work/broken")"

[ "$failures" -eq 0 ] && echo 'all good'
exit "$((failures > 0))"
