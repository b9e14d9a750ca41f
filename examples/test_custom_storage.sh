#!/bin/sh
# A checkpoint in two storages is restored when either of them is lost.
# Usage: test_custom_storage.sh PROGRAM
set -eu
directory=$(mktemp -d)
trap 'rm -rf "$directory"' EXIT

for lost in one two; do
    "$1" "$directory/$lost" "$lost" >"$directory/output"
    grep -q "has lost [1-9]" "$directory/output"
    grep -qx "restored 1000 keys that sum up to 3000" "$directory/output"
    [ -z "$(find "$directory/$lost/$lost" -type f ! -path '*/.tarn-*')" ]
done
