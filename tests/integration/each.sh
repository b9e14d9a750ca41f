#!/usr/bin/env bash
# Runs some commands, one after the other, as a service that takes long to start is wanted by several.
#
# Usage: each.sh COMMAND... -- COMMAND... [-- COMMAND...]...
set -euo pipefail
command=()
for word in "$@" --; do
    if [ "$word" != -- ]; then
        command+=("$word")
    elif [ ${#command[@]} -gt 0 ]; then
        printf '== %s, at %d s\n' "${command[*]##*/}" "$SECONDS"
        "${command[@]}"
        command=()
    fi
done
printf '== done at %d s\n' "$SECONDS"
