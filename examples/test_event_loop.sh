#!/bin/sh
# The coordinator by hand: a checkpoint that is declined, a task that fails and goes back alone, a crash and the restore after it, a
# stop with a savepoint and what goes on from that, failures that are not tolerated, a stop that has to be asked for again, one
# that is asked for many times, a checkpoint that expires and is acknowledged too late.
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

run 137 decline=2 fail=4 crash=6
says "checkpoint 2 is given up: a task declined"
says "task 1 fails"
says "checkpoint 4 is given up: a task that had not acknowledged failed"
sed '1,/^task 1 fails$/d' "$directory/out" >"$directory/after" # Task 1 goes back to checkpoint 3, alone.
grep -Eqx "task 1 goes on from [0-9]+" "$directory/after" || { echo "task 1 does not go on"; exit 1; }
if grep "^task 0 goes on" "$directory/after"; then
    echo "task 0 goes back as well"
    exit 1
fi
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

rm -r "$directory/job" # The task fails at the savepoint to stop with, unless a periodic checkpoint was faster.
run 0 fail=3 stop=2
says "task 1 fails"
says "stopped with the savepoint .*"

rm -r "$directory/job" # The savepoint to stop with is late, unless a periodic checkpoint was faster: more signals do not end it.
: >"$directory/out" # What the last one said is not to be taken for this one's.
"$program" "$directory/job" stop=1 late=2 timeout=2000 tolerate=1000000 >"$directory/out" 2>"$directory/errors" &
pid=$!
until grep -q "checkpoint .* is complete" "$directory/out"; do
    kill -0 "$pid" || break
    sleep 0.1
done
until grep -q "^stopped with" "$directory/out"; do
    kill -TERM "$pid" || break
    sleep 0.1
done
status=0
wait "$pid" || status=$?
cat "$directory/out" "$directory/errors"
[ "$status" -eq 0 ] || { echo "the exit status is $status, not 0"; exit 1; }
if grep "^savepoint .* is given up" "$directory/out" | grep -v "not every task had acknowledged when the timeout passed"; then
    echo "a further signal is not ignored"
    exit 1
fi

rm -r "$directory/job" # Whatever else expires meanwhile is tolerated.
run 137 late=1 timeout=500 tolerate=1000000 crash=1
late=$(number "task 1 is late: checkpoint" | head -n 1)
says "task 1 is late: checkpoint $late had been given up"
says "checkpoint $late is given up: not every task had acknowledged when the timeout passed"
run 2 decline=
