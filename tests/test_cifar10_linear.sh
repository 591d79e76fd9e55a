#!/bin/sh
# The main job's command line: exit statuses, what it prints where, that the result depends neither on the
# number of threads nor on how the labels are given, that a stopped training goes on with the same bits, and
# that a path which cannot be written is found before the training.
#
#     test_cifar10_linear.sh PROGRAM
set -u

program=$1
work=$(mktemp -d "${TMPDIR:-/tmp}/reel-test-XXXXXX") || exit 1
trap 'rm -rf "$work"' EXIT
failures=0

fail() {
    echo "FAILED: $*"
    sed 's/^/    | /' "$work/out" "$work/err" | head -n 20
    failures=$((failures + 1))
}

# run STATUS ARGUMENT...
run() {
    wanted=$1
    shift
    "$program" "$@" >"$work/out" 2>"$work/err"
    got=$?
    [ "$got" -eq "$wanted" ] || fail "exit status $got, not $wanted: $*"
}

# refuses MESSAGE ARGUMENT...: exit status 2, nothing on standard output, that one line on standard error
refuses() {
    message=$1
    shift
    run 2 "$@"
    [ ! -s "$work/out" ] || fail "something on standard output: $*"
    echo "cifar10_linear: $message" | cmp -s - "$work/err" || fail "not the message wanted: $message"
}

whole='is not a whole number from'
refuses '--epoch: unknown argument; see --help' --epoch 3
refuses 'here: unknown argument; see --help' here
refuses '-h: unknown argument; see --help' -h
refuses ': unknown argument; see --help' ''
refuses '--epochs: the option needs a value' --quiet --epochs
refuses '--quiet=yes: the option takes no value' --quiet=yes
refuses "--epochs: \"\" $whole 1 to 100000" --epochs=
refuses "--epochs: \"0\" $whole 1 to 100000" --epochs 0
refuses "--epochs: \"-3\" $whole 1 to 100000" --epochs -3
refuses "--epochs: \"3x\" $whole 1 to 100000" --epochs 3x
refuses "--epochs: \" 3\" $whole 1 to 100000" --epochs ' 3'
refuses "--epochs: \"1e3\" $whole 1 to 100000" --epochs 1e3
refuses "--epochs: \"99999999999999999999\" $whole 1 to 100000" --epochs 99999999999999999999
refuses "--batch: \"0\" $whole 1 to 1000000" --batch 0
refuses "--seed: \"0x10\" $whole 0 to 9007199254740992" --seed 0x10
refuses "--threads: \"257\" $whole 1 to 256" --threads 257
refuses '--lr: "nan" is not a number from 1e-09 to 1000' --lr nan
refuses '--lr: "inf" is not a number from 1e-09 to 1000' --lr inf
refuses '--lr: "0" is not a number from 1e-09 to 1000' --lr 0
refuses '--lr: "0x1p-3" is not a number from 1e-09 to 1000' --lr 0x1p-3
refuses '--lr: "1,5" is not a number from 1e-09 to 1000' --lr 1,5
refuses '--momentum: "1" is not a number from 0 to 0.9999' --momentum 1
refuses '--weight-decay: "-1" is not a number from 0 to 1000' --weight-decay -1
refuses '--labels: "dense" is not sparse or onehot' --labels dense
refuses '--version: "3" is not v1 or v2' --version 3
refuses '--schedule: "linear" is not constant, step, cosine or one-cycle' --schedule linear
refuses '--save: "" is not the name of a file' --save=
refuses '--resume: --save has to name the file to go on from' --resume
refuses '--load: --save is for a training, and there is none' --load a --save b
refuses '--data: "" is not the name of a folder' --data ''

run 0 --help
grep -q -e '--weight-decay X' "$work/out" || fail 'no help on standard output'
[ ! -s "$work/err" ] || fail 'help on standard error'

run 1 --data "$work/nowhere"
[ ! -s "$work/out" ] || fail 'something on standard output for a folder that is not there'
echo "cifar10_linear: $work/nowhere/data_batch_1.bin: cannot be opened: no such file or folder" | cmp -s - "$work/err" ||
    fail 'not the message wanted for a folder that is not there'

run 1 --epochs 2 --lr 1000 --weight-decay 1000
grep -q '^cifar10_linear: the loss is not finite in epoch [12]; try a smaller --lr$' "$work/err" ||
    fail 'no message for a loss that diverges'

if [ -e /dev/full ]; then
    "$program" --quiet --epochs 1 >/dev/full 2>"$work/err"
    [ $? -eq 1 ] || fail 'success although standard output is full'
    : >"$work/out"
    grep -q 'standard output cannot be written' "$work/err" || fail 'no message for a full standard output'
fi

# A folder of files: six of one record, all zeros.
mkdir "$work/data"
for file in data_batch_1 data_batch_2 data_batch_3 data_batch_4 data_batch_5 test_batch; do
    head -c 3073 /dev/zero >"$work/data/$file.bin"
done
printf '%s\n' zero one two three four five six seven eight nine >"$work/data/batches.meta.txt"
run 0 --data "$work/data" --batch 3 --quiet
echo 'test accuracy: 1.000 (1/1)' | cmp -s - "$work/out" ||
    fail 'not the last line wanted for a folder of files'

# curve FILE ARGUMENT...: the losses and accuracies of two epochs and the last line
curve() {
    to=$work/$1
    shift
    run 0 --epochs 2 "$@"
    sed -n 's/^epoch .*loss \([0-9.]*\)   accuracy \([0-9.]*\) .*/\1 \2/p; $p' "$work/out" >"$to"
    [ "$(wc -l <"$to")" -eq 3 ] || fail "not two epochs and a last line: $*"
}

curve one --threads 1
curve two --threads 2
curve three --threads=3 --version=v1
cmp -s "$work/one" "$work/two" || fail 'one and two threads differ'
cmp -s "$work/one" "$work/three" || fail 'one and three threads differ'
tail -n 1 "$work/one" >"$work/one.last"
tail -n 1 "$work/one" | grep -Eq '^test accuracy: 0\.[0-9]{3} \([0-9]+/2000\)$' ||
    fail 'not the last line wanted'
run 0 --epochs 2 --quiet
tail -n 1 "$work/one" | cmp -s - "$work/out" || fail 'with --quiet, not the last line alone'
[ ! -s "$work/err" ] || fail 'something on standard error of a good run'

curve other_seed --seed 2
cmp -s "$work/one" "$work/other_seed" && fail 'two seeds give the same curve'
for version in v1 v2; do
    curve "$version" --labels onehot --version "$version"
    paste "$work/one" "$work/$version" | head -n 2 |
        awk '{ d = $1 - $3; if (d > 1e-5 || d < -1e-5) exit 1 }' || fail "sparse and onehot $version differ"
done


for schedule in constant step one-cycle; do
    curve "$schedule" --schedule "$schedule"
    cmp -s "$work/one" "$work/$schedule" && fail "the schedules cosine and $schedule give the same curve"
done

# A training of two epochs, 158 steps, straight through; and stopped in its first epoch, on the epoch's edge
# and in its second, then gone on with. Checkpoints hold weights, velocities, sums and the place.
set -- --epochs 2 --schedule one-cycle
run 0 "$@" --save "$work/straight" --log "$work/straight.csv"
tail -n 1 "$work/out" >"$work/straight.last"
[ "$(sed -n 1p "$work/straight.csv")" = epoch,loss,accuracy,learning_rate ] || fail 'not the columns wanted'
[ "$(wc -l <"$work/straight.csv")" -eq 3 ] || fail 'not two rows in the log'
for step in 1 33 79 101 158; do
    rm -f "$work/stopped" "$work/stopped.csv"
    run 0 "$@" --save "$work/stopped" --log "$work/stopped.csv" --steps "$step" --threads 1
    [ "$step" -eq 158 ] || ! cmp -s "$work/straight" "$work/stopped" || fail "not stopped after $step steps"
    run 0 "$@" --save "$work/stopped" --log "$work/stopped.csv" --resume
    cmp -s "$work/straight" "$work/stopped" || fail "other bits when resumed after $step steps"
    cmp -s "$work/straight.csv" "$work/stopped.csv" || fail "another log when resumed after $step steps"
    tail -n 1 "$work/out" | cmp -s - "$work/straight.last" || fail "another result after $step steps"
done

# What was saved is tested as it is, with its own standardisation.
run 0 --load "$work/straight" --quiet
cmp -s "$work/out" "$work/straight.last" || fail 'a model that was loaded has another accuracy'

# says MESSAGE ARGUMENT...: exit status 1, nothing on standard output, that one line on standard error
says() {
    message=$1
    shift
    run 1 "$@"
    [ ! -s "$work/out" ] || fail "something on standard output: $*"
    echo "cifar10_linear: $message" | cmp -s - "$work/err" || fail "not the message wanted: $message"
}

cut="$work/cut"
head -c 1000 "$work/straight" >"$cut"
missing='cannot be opened: no such file or folder'
says "$work/none: $missing" --load "$work/none"
says "$work/none: $missing" --save "$work/none" --resume
says "$work/straight: it began with --epochs 2, not 3" --epochs 3 --schedule one-cycle --save "$work/straight" --resume
says "$work/straight: it began with --schedule one-cycle, not cosine" --epochs 2 --save "$work/straight" --resume
run 1 --load "$cut"
grep -q "^cifar10_linear: $cut: " "$work/err" || fail 'no message for a file that was cut'

# unwritable PATH ARGUMENT...: the path is refused before the data is even looked at
unwritable() {
    path=$1
    shift
    run 1 --data "$work/nowhere" "$@"
    [ ! -s "$work/out" ] || fail "something on standard output: $*"
    grep -q "^cifar10_linear: $path: " "$work/err" || fail "no message that names $path"
    [ "$(wc -l <"$work/err")" -eq 1 ] || fail "not one line: $*"
}
: >"$work/file"
unwritable "$work/none/model" --save "$work/none/model"
unwritable "$work/data" --save "$work/data"
unwritable "$work/none/log" --log "$work/none/log"
unwritable "$work/file/log" --log "$work/file/log"
unwritable "$work/none/deep" --pictures "$work/none/deep"
unwritable "$work/file/loss.svg" --pictures "$work/file"
mkdir -p "$work/taken/confusion.svg"
if [ "$(id -u)" -ne 0 ]; then
    chmod a-w "$work/data"
    unwritable "$work/data/model" --save "$work/data/model"
    chmod u+w "$work/data"
fi

# An interrupt ends the training after a step, and nothing is lost.
"$program" --epochs 100000 --save "$work/interrupted" >"$work/out" 2>"$work/err" &
until [ -e "$work/interrupted" ]; do sleep 0.1; done
kill -INT $!
wait $!
[ $? -eq 1 ] || fail 'success although it was interrupted'
grep -q '^cifar10_linear: interrupted in epoch [0-9]*; --resume goes on$' "$work/err" || fail 'no word of the interrupt'
run 0 --load "$work/interrupted" --quiet

if ! "$program" --epochs 1 --steps 1 --pictures "$work/pictures" >"$work/out" 2>"$work/err"; then
    # Without libpng, and found before the training.
    [ ! -s "$work/out" ] && grep -q libpng "$work/err" || fail 'the pictures cannot be drawn'
    rm -rf "$work/pictures"
fi
if [ -d "$work/pictures" ]; then
    for name in loss accuracy confusion mistakes templates; do
        grep -q '</svg>' "$work/pictures/$name.svg" || fail "$name.svg is no whole picture"
    done
    [ "$(head -c 4 "$work/pictures/templates.png" | tail -c 3)" = PNG ] || fail 'templates.png is no PNG file'
    [ "$(ls "$work/pictures" | wc -l)" -eq 6 ] || fail 'not six pictures'
fi
unwritable "$work/taken/confusion.svg" --pictures "$work/taken"

# On a terminal there is a bar, and every epoch leaves its line.
if ! script -qec true /dev/null >/dev/null 2>&1 </dev/null; then
    echo 'no pseudo-terminal here: the bar on one is left out' >&2
else
    TERM=xterm COLUMNS=100 script -qec "'$program' --epochs 2" /dev/null >"$work/out" 2>"$work/err" </dev/null
    grep -q 'step  *[0-9]*/79' "$work/out" || fail 'no bar on a terminal'
    [ "$(tr '\r' '\n' <"$work/out" | grep -c '^epoch [12]/2  loss .* accuracy')" -ge 2 ] || fail 'no line for each epoch'
    tr -d '\r' <"$work/out" | tail -n 1 | cmp -s - "$work/one.last" || fail 'another result on a terminal'
fi

[ "$failures" -eq 0 ] && echo 'all good'
exit "$((failures > 0))"
