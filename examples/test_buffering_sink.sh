#!/bin/sh
# What a killed job wrote and what its restored one wrote is every record exactly once, aligned and unaligned, with more sinks and
# with fewer; at least once, none is lost. Retention is the configuration's, and what cannot be is refused.
# Usage: test_buffering_sink.sh PROGRAM
set -eu
program=$1
directory=$(mktemp -d)
trap 'rm -rf "$directory"' EXIT
count=40000
awk "BEGIN { for (i = 0; i < $count; i++) print \"record \" i }" | LC_ALL=C sort >"$directory/expected"

fail() {
    echo "$*"
    exit 1
}

run() { # run NAME OPTION...
    name=$1
    shift
    "$program" --out "$directory/$name" --checkpoint-dir "$directory/$name-checkpoints" --count "$count" \
        -D execution.checkpointing.interval=20ms -D execution.checkpointing.min-pause=5ms "$@" >"$directory/$name.log"
}

# A loaded machine may kill the job before its first checkpoint: then there is nothing to restore, and the scenario is repeated.
killed() { # killed NAME OPTION...
    status=0
    run "$@" --rate 100000 --kill-at 20000 2>/dev/null || status=$?
    [ "$status" -eq 137 ] || fail "$1: expected SIGKILL, the status is $status"
    find "$directory/$1-checkpoints" -name _metadata | grep -q .
}

# Runs a scenario until it has shown what it is there to show: it fails hard on a wrong result, and answers 1 when the chance did
# not come (nothing in the state, no barrier that overtook, no checkpoint before the kill).
repeated() { # repeated NAME
    for attempt in 1 2 3 4 5 6 7 8; do
        if "scenario_$1"; then
            return 0
        fi
        echo "$1: attempt $attempt showed nothing"
        rm -rf "$directory/$1" "$directory/$1-checkpoints"
    done
    fail "$1: no attempt showed what it is there to show"
}

result() { # result NAME
    cat "$directory/$1"/part-*.txt | LC_ALL=C sort
}

run plain
result plain | cmp - "$directory/expected"
for line in "interval             20 ms" "mode                 exactly once" "min pause            5 ms" \
    "timeout              60000 ms" "max concurrent       1" "externalized         RETAIN_ON_CANCELLATION" \
    "unaligned            no"; do
    grep -qx "$line" "$directory/plain.log" || fail "the settings lack: $line"
done

# Twice killed, with two sinks, five, then one.
scenario_aligned() {
    killed aligned || return 1
    killed aligned --restore latest --parallelism 5 --rate 50000 --kill-at 30000 || return 1
    run aligned --restore latest --parallelism 1 || fail "aligned: the restored job failed"
    grep -q "^restored  .*/chk-" "$directory/aligned.log" || fail "nothing was restored"
    result aligned | cmp - "$directory/expected" || fail "aligned: the result differs"
    [ "$(find "$directory/aligned-checkpoints" -name _metadata | wc -l)" -eq 0 ] || fail "a finished job kept checkpoints"
    grep -Eq "^out of state +[1-9]" "$directory/aligned.log"
}
repeated aligned

scenario_unaligned() {
    killed unaligned --parallelism 3 -D execution.checkpointing.unaligned.enabled=true || return 1
    run unaligned --restore latest --rate 200000 -D execution.checkpointing.unaligned.enabled=true ||
        fail "unaligned: the restored job failed"
    result unaligned | cmp - "$directory/expected" || fail "unaligned: the result differs"
    grep -Eq "^overtaken +[1-9]" "$directory/unaligned.log"
}
repeated unaligned

scenario_twice() {
    killed twice --threshold 10 -D execution.checkpointing.mode=AT_LEAST_ONCE || return 1
    run twice --restore latest --threshold 10 -D execution.checkpointing.mode=AT_LEAST_ONCE || fail "twice: the restored job failed"
    result twice | uniq | cmp - "$directory/expected" || fail "twice: a record was lost"
    [ "$(result twice | wc -l)" -gt "$count" ]
}
repeated twice

# The lines of a file; its end is no line's end.
printf 'b\n\na\nlast' >"$directory/lines"
"$program" --quiet --out "$directory/file" --checkpoint-dir "$directory/file-checkpoints" --input "$directory/lines"
[ "$(result file | tr '\n' ,)" = ",a,b,last," ] || fail "the lines of a file came out wrong"

# Cancelled, checkpoints stay or go as the configuration says.
cancelled() { # cancelled NAME RETENTION
    "$program" --out "$directory/$1" --checkpoint-dir "$directory/$1-checkpoints" --count 100000000 --rate 10000 \
        -D execution.checkpointing.interval=20ms -D execution.checkpointing.min-pause=0 \
        -D "execution.checkpointing.externalized-checkpoint-retention=$2" >"$directory/$1.log" &
    pid=$!
    waited=0
    until find "$directory/$1-checkpoints" -name _metadata 2>/dev/null | grep -q .; do
        waited=$((waited + 1))
        [ "$waited" -lt 3000 ] || fail "no checkpoint was taken"
        kill -0 "$pid"
    done
    kill -TERM "$pid"
    status=0
    wait "$pid" || status=$?
    [ "$status" -eq 130 ] || fail "expected 130 of a cancelled job, the status is $status"
}
cancelled kept RETAIN_ON_CANCELLATION
find "$directory/kept-checkpoints" -name _metadata | grep -q . || fail "the checkpoints were to be kept"
cancelled deleted DELETE_ON_CANCELLATION
[ "$(find "$directory/deleted-checkpoints" -name _metadata | wc -l)" -eq 0 ] || fail "the checkpoints were to be deleted"

# Refused.
refused() { # refused STATUS WORDS OPTION...
    expected=$1
    words=$2
    shift 2
    status=0
    "$program" "$@" >"$directory/refused.log" 2>&1 || status=$?
    [ "$status" -eq "$expected" ] || fail "$*: expected $expected, the status is $status"
    grep -q -- "$words" "$directory/refused.log" || fail "$*: the message lacks: $words"
}
set -- --out "$directory/refused" --checkpoint-dir "$directory/refused-checkpoints"
refused 2 "--out" --checkpoint-dir "$directory/x"
refused 2 "--paralelism" "$@" --paralelism 2
refused 2 "--threshold" "$@" --threshold 0
refused 1 "unaligned" "$@" -D execution.checkpointing.unaligned.enabled=true \
    -D execution.checkpointing.max-concurrent-checkpoints=2
refused 1 "execution.checkpointing.interval" "$@" -D execution.checkpointing.interval=often
refused 1 "refused-checkpoints" "$@" --restore latest
refused 1 "no-such-file" "$@" --input "$directory/no-such-file"
