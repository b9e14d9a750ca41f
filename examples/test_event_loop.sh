#!/bin/sh
# The coordinator by hand: a checkpoint that is declined, one that expires and is acknowledged too late, a task that fails and goes
# back alone, a crash and the restore after it, a stop with a savepoint and what goes on from that, failures that are not tolerated.
# Usage: test_event_loop.sh PROGRAM
set -eu
program=$1
directory=$(mktemp -d)
trap 'rm -rf "$directory"' EXIT

run() { # run STATUS ARGUMENT...
    wanted=$1
    shift
    status=0
    "$program" "$directory/job" "$@" >"$directory/out" 2>"$directory/errors" || status=$?
    cat "$directory/out" "$directory/errors"
    [ "$status" -eq "$wanted" ] || { echo "the exit status is $status, not $wanted"; exit 1; }
}

says() { # says LINE: as a regular expression.
    grep -Eqx "$1" "$directory/out" || { echo "nothing says: $1"; exit 1; }
}

number() { # number PREFIX: what follows it in the one line that has it.
    sed -n "s/^$1 \([0-9]*\).*/\1/p" "$directory/out"
}

run 137 decline=2 late=3 fail=4 crash=6
says "checkpoint 2 is given up: a task declined"
says "checkpoint 3 is given up: not every task had acknowledged when the timeout passed"
says "task 1 is late: checkpoint 3 had been given up"
says "task 1 fails"
says "checkpoint 4 is given up: a task that had not acknowledged failed"
last=$(sed -n 's/^checkpoint \([0-9]*\) is complete/\1/p' "$directory/out" | tail -n 1)
[ "$last" -ge 6 ]
[ -s "$directory/job/event_loop/chk-$last/_metadata" ] || { echo "checkpoint $last is not there"; exit 1; }

run 0 stop=8
[ "$(number "task 0 goes on from")" -gt 0 ]
says "task [01] has counted to [0-9]+: the sum is right"
says "stopped with the savepoint .*"
ls "$directory/job/event_loop"
[ "$(find "$directory/job/event_loop" -name _metadata | wc -l)" -eq 2 ] || { echo "not two are retained"; exit 1; }
first=$(number "task 0 has counted to")
second=$(number "task 1 has counted to")

rm -r "$directory/job/event_loop" # A savepoint needs nothing else.
run 0 from="$(echo "$directory"/job/savepoint-*)" stop=1
says "task 0 goes on from $first"
says "task 1 goes on from $second"
says "stopped with the savepoint .*"

run 1 tolerate=0 decline="$(($(ls "$directory/job/event_loop" | sed -n 's/^chk-//p' | sort -n | tail -n 1) + 1))"
says "the job fails: a task declined"
run 2 decline=
