#!/bin/sh
# Compiles and runs every C snippet of the README and the docs, and compares what it prints with the ```text block
# that follows it; one that prints must have such a block. A snippet without main() is the body of one: it gets a
# tape called `tape`, and must not fail it. One that begins with "/* FOLDER/FILE.c:" is a file of the library, and is
# only compiled, as the library is.
#
#     test_snippets.sh SOURCE BUILD [COMPILER...]
set -eu

source=$1
build=$2
shift 2
[ $# -gt 0 ] || set -- cc
work=$(mktemp -d "${TMPDIR:-/tmp}/reel-snippets-XXXXXX")
trap 'rm -rf "$work"' EXIT

# Cuts NAME.c and NAME.text files out of the pages: NAME is the page's and the block's number.
for page in "$source"/README.md "$source"/CONTRIBUTING.md "$source"/docs/*.md; do
    [ -f "$page" ] || continue
    awk -v stem="$work/$(basename "$page" .md)" '
        /^```c$/            { block++; out = sprintf("%s-%02d.c", stem, block); last = out; next }
        /^```text$/ && last { out = last; sub(/\.c$/, ".text", out); printf "" > out; next }
        /^```/              { if (out == "") last = ""; out = ""; next }
        out != ""           { print > out; next }
    ' "$page"
done

failed=0
count=0
for snippet in "$work"/*.c; do
    [ -f "$snippet" ] || continue
    count=$((count + 1))
    name=$(basename "$snippet" .c)
    if head -n 1 "$snippet" | grep -q '^/\* [a-z]*/[a-z_0-9]*\.c:'; then
        "$@" -std=gnu11 -Wall -Wextra -Werror -fopenmp-simd -I"$source/include" -I"$source" -c "$snippet" -o "$work/file.o" || {
            echo "FAILED to compile: $name"
            failed=1
        }
        continue
    fi
    if ! grep -q 'int main(' "$snippet"; then
        { printf '#include <reel.h>\n#include <reel_train.h>\n#include <math.h>\n#include <stdio.h>\n#include <stdlib.h>\n'
          printf 'int main(void)\n{\nreel_tape *tape = reel_tape_new();\n#line 1 "%s"\n' "$name"
          cat "$snippet"
          printf 'if (reel_failed(tape)) fprintf(stderr, "%%s\\n", reel_error_message(tape));\n'
          printf 'int failed = reel_failed(tape);\nreel_tape_free(tape);\nreturn failed;\n}\n'
        } >"$work/whole" && mv "$work/whole" "$snippet"
    fi
    if ! "$@" -std=gnu11 -Wall -Wextra -Werror -Wno-unused-variable -Wno-unused-but-set-variable \
        -I"$source/include" "$snippet" -o "$work/program" -L"$build" -Wl,-rpath,"$build" -lreel_train -lreel -lm \
        2>"$work/errors"; then
        echo "FAILED to compile: $name"
        cat "$work/errors"
        failed=1
    elif ! (cd "$work" && ./program >"$work/out" 2>"$work/errors"); then
        echo "FAILED to run: $name"
        cat "$work/errors"
        failed=1
    elif [ -f "$work/$name.text" ] && ! diff -u "$work/$name.text" "$work/out"; then
        echo "FAILED: $name prints something else"
        failed=1
    elif [ -s "$work/out" ] && [ ! -f "$work/$name.text" ]; then
        echo "FAILED: $name prints something that its page does not show"
        failed=1
    fi
done
echo "$count snippets"
exit $failed
