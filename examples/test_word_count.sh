#!/bin/sh
# word_count counts, takes a checkpoint, and a second run goes on from it.
# Usage: test_word_count.sh PROGRAM
set -eu
directory=$(mktemp -d)
trap 'rm -rf "$directory"' EXIT

expect() { # expect COUNT WORD FILE
    if ! grep -qx "$1 $2" "$3"; then
        echo "expected \"$1 $2\" in:"
        cat "$3"
        exit 1
    fi
}

"$1" "$directory/state" >"$directory/first"
expect 3 the "$directory/first"
expect 1 stay "$directory/first"

echo "The words stay, and STAY." | "$1" "$directory/state" - >"$directory/second"
expect 4 the "$directory/second"
expect 3 stay "$directory/second"

if "$1" >/dev/null 2>&1; then
    echo "a missing argument was accepted"
    exit 1
fi
