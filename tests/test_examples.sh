#!/bin/sh
# Runs the smaller examples and looks at what they print.
#
#     test_examples.sh FOLDER_OF_THE_PROGRAMS FOLDER_OF_THEIR_SOURCES
set -u

folder=$1
source=$2
work=$(mktemp -d "${TMPDIR:-/tmp}/reel-test-XXXXXX") || exit 1
trap 'rm -rf "$work"' EXIT
failures=0

fail() {
    echo "FAILED: $*"
    sed 's/^/    | /' "$work/out" "$work/err"
    failures=$((failures + 1))
}

# example NAME ARGUMENT...: it succeeds and says nothing on standard error
example() {
    "$folder/$@" >"$work/out" 2>"$work/err" || fail "$1: exit status $?"
    [ ! -s "$work/err" ] || fail "$1: something on standard error"
}

# prints LINE...: there are these lines, in this order, and no others
prints() {
    printf '%s\n' "$@" | cmp -s - "$work/out" || fail 'not the lines wanted'
}

# between FIRST LAST: these lines
between() {
    sed -n "$1,$2p" "$work/out"
}

# has PATTERN
has() {
    grep -Eq -e "$1" "$work/out" || fail "nothing like: $1"
}

example 01_worked_example
prints '[0.16984601 0.8247449]' \
    '[[-0.15620527   0.1141952    0.042010065]' ' [ 0.006573263  0.17555876  -0.18213202]]' \
    '[[0.16984601 2.169846   3.169846]' ' [5.024745   0.02474489 4.024745]]'

example 02_v1_and_v2
between 2 4 >"$work/v1"
between 8 10 | cmp -s - "$work/v1" || fail 'v1 and v2 differ in the loss or in the gradient into the student'
between 5 6 | tr -d '\n' | grep -qx '\[\[0\. 0\. 0\.\] \[0\. 0\. 0\.\]\]' ||
    fail 'v1 has a gradient into the teacher'
between 11 12 | grep -q '[1-9]' || fail 'v2 has no gradient into the teacher'
has '^why v1 gives the teacher none: .*stop_gradient'

example 03_record_and_replay
has '^step 200   loss 0\.0000000   line \+2\.0000 t -1\.0000   [0-9]+ allocator calls$'
[ "$(sed 's/.* \([0-9]* allocator calls\)/\1/' "$work/out" | sort -u | wc -l)" -eq 1 ] ||
    fail 'a replay allocates'

example 04_custom_op
has '^PASS: of 15 derivatives 15 agree with differences of y, 0 cannot be told, 0 are wrong$'

example 05_jvp_and_hvp
has '^H t and the Hessian times t differ by less than 1e-15$'

example 06_hidden_layer_with_adam
has '^step 300   loss 0\.00[0-9]*   accuracy 1\.000$'

example 07_hessian_vector_product
has '^arrived at \(1, 1\) within 1e-9$'

example 10_linear_regression
has '^w = 2\.0[0-9] -(3\.0|2\.9)[0-9], b = 0\.[45][0-9]; '
has '^the gradient is below 1e-12'

example 11_xor
[ "$(sed -n 's/^\([01] xor [01] = [01]\) .*/\1/p' "$work/out" | tr '\n' ,)" = \
    '0 xor 0 = 0,0 xor 1 = 1,1 xor 0 = 1,1 xor 1 = 0,' ] || fail 'not exclusive or'

example 12_logistic_csv
has '^accuracy: (0\.9[5-9][0-9]|1\.000) \([0-9]+/150\)$'
printf 'x;y\n' >"$work/other.csv"
"$folder/12_logistic_csv" "$work/other.csv" >"$work/out" 2>"$work/err" && fail 'success with a table of nothing'
printf 'size,kind\r\n1,"small, or so"\r\n2,"small, or so"\r\n9,large\r\n8,large' >"$work/sizes.csv"
example 12_logistic_csv "$work/sizes.csv"
has '^4 rows of 1 numbers, and a kind out of 2$'
has '^accuracy: 1\.000 \(4/4\)$'

example 13_digits_mlp
has '^test accuracy: (0\.9[5-9][0-9]|1\.000) \([0-9]+/500\)$'

# The networks for small images, on drawn ones: a few steps are enough to see that they learn, save and go on.
for name in 14_cifar_mlp 15_cifar_conv; do
    example "$name" --epochs 1 --steps 60 --threads 2 --save "$work/$name.straight"
    has '^test accuracy: (0\.1[5-9]|0\.[2-9]).*/2000\)$'
    example "$name" --epochs 1 --steps 7 --threads 1 --save "$work/$name.stopped"
    example "$name" --epochs 1 --steps 60 --threads 1 --save "$work/$name.stopped" --resume
    cmp -s "$work/$name.straight" "$work/$name.stopped" || fail "$name: other bits when resumed"
    example "$name" --load "$work/$name.stopped"
done

example 16_mutual_learning
has '^teaching each other, v1: .*gradient into the teacher 0\.0000$'
has '^teaching each other, v2: .*gradient into the teacher (0\.0*[1-9]|[1-9])'
[ "$(sed -n 's/^[^:]*: *\([0-9.]*\) %.*/\1/p' "$work/out" | sort -c -n 2>&1)" = '' ] || fail 'they teach each other nothing'

# The index names every example that there is.
for program in "$source"/*.c "$source"/lab/*.c; do
    name=$(basename "$program")
    grep -q '^int main(' "$program" || continue
    grep -q "$name" "$source/README.md" || { : >"$work/out"; : >"$work/err"; fail "examples/README.md lacks $name"; }
done

# The experiments of the gradient lab, each with its picture.
for name in v_curve surviving_digits v1_against_v2 newton; do
    example "$name" "$work/$name.svg"
    grep -q '</svg>' "$work/$name.svg" || fail "$name: no whole picture"
done

# The lab finds each of the five mistakes, names it, and finds none where there is none.
example find_the_bug "$work/find_the_bug.svg"
[ "$(grep -c '^FAIL: ' "$work/out")" -eq 5 ] || fail 'not five mistakes found'
has '^PASS: of 33 derivatives 33 agree'
for mistake in 'the sign is wrong' 'a mean and a sum.* a division by 6 is missing' \
    'softmax - labels, where S . softmax - labels is right' \
    'a softmax is taken along the wrong axis: axis 0, where axis 1 is right' \
    'a path is missing'
do
    [ "$(grep -Ec "^    mistake: .*$mistake" "$work/out")" -eq 1 ] || fail "not named once: $mistake"
done
example find_the_bug axis "$work/find_the_bug.svg"
[ "$(grep -c '^  FAIL .* ratio ' "$work/out")" -eq 15 ] || fail 'not the whole report'

[ "$failures" -eq 0 ] && echo 'all good'
exit "$((failures > 0))"
