#!/bin/sh
# A short stream gives the same result with one worker, with three, killed and restored by more, and stopped with a
# savepoint that fewer go on from.
# Usage: test_flights.sh PROGRAM DATA
set -eu
program=$1
directory=$(mktemp -d)
trap 'rm -rf "$directory"' EXIT
zstd -dcq "$2" >"$directory/all.csv"
head -n 12001 "$directory/all.csv" >"$directory/input.csv"

run() { # run NAME OPTION...
    name=$1
    shift
    "$program" --quiet --input "$directory/input.csv" --work-dir "$directory/work" --repeat "${FLIGHTS_REPEAT:-6}" \
        --out "$directory/$name.tsv" "$@"
}

run one --workers 1
run three --workers 3
status=0
run killed --checkpoint-dir "$directory/checkpoints" --checkpoint-interval 25 --kill-at 0.9 2>/dev/null || status=$?
[ "$status" -eq 137 ] || { echo "expected SIGKILL, the status is $status"; exit 1; }
[ ! -e "$directory/killed.tsv" ] || { echo "a killed run left a result"; exit 1; }
run killed --checkpoint-dir "$directory/checkpoints" --restore latest --parallelism 3
run stopped --checkpoint-dir "$directory/other" --unaligned --stop-at 0.5 --savepoint-dir "$directory/savepoints"
[ ! -e "$directory/stopped.tsv" ] || { echo "a stopped run left a result"; exit 1; }
rm -r "$directory/other" # A savepoint needs nothing else.
run stopped --parallelism 1 --restore "$(echo "$directory"/savepoints/savepoint-*)"

run first --checkpoint-dir "$directory/first" --checkpoint-interval 25 --kill-at 0.5 2>/dev/null || status=$?
chk=$(echo "$directory"/first/flights/chk-*)
run claimed --checkpoint-dir "$directory/second" --checkpoint-interval 25 --restore "${chk##* }" --claim \
    -D execution.checkpointing.num-retained=1
[ ! -e "${chk##* }" ] || { echo "a claimed checkpoint was not deleted"; exit 1; }

[ "$(grep -vc '^#' "$directory/one.tsv")" -gt 1000 ] || { echo "the result is too short"; exit 1; }
cmp "$directory/one.tsv" "$directory/three.tsv"
cmp "$directory/one.tsv" "$directory/killed.tsv"
cmp "$directory/one.tsv" "$directory/stopped.tsv"
cmp "$directory/one.tsv" "$directory/claimed.tsv"
