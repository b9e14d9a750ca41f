#!/usr/bin/env bash
# The flights job with its checkpoints behind a network: killed, restored, and compared to a run
# that nobody disturbed.
#
# Usage: flights.sh FLIGHTS TARN DATA      after with_s3proxy.sh or with_hdfs.sh
set -euo pipefail
flights=$1
tarn=$2
data=$3
if [ -n "${TARN_WEBHDFS:-}" ]; then
    address=webhdfs://$TARN_WEBHDFS/flights-$$
else
    address=s3://tarn-test/flights-$$
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
zstd -dqc "$data" 2>/dev/null | head -n 120001 >"$work/in.csv" || true
"$tarn" storage check --write "$address"
run() { timeout 200 "$flights" --input "$work/in.csv" --work-dir "$work/work" --quiet --repeat 2 "$@"; }
has_complete() { "$tarn" checkpoint list "$address/flights" --json 2>/dev/null | grep -q '"complete"'; }

status=0
run --checkpoint-dir "$address" --checkpoint-interval 50 --kill-at 0.8 --out "$work/none" || status=$?
[ "$status" -eq 137 ] || { echo "the job was not killed: exit status $status"; exit 1; }
"$tarn" checkpoint list "$address/flights"
has_complete || { echo "there is no complete checkpoint"; exit 1; }
run --checkpoint-interval 0 --out "$work/expected"
run --checkpoint-dir "$address" --checkpoint-interval 300 --restore latest --out "$work/restored"
cmp "$work/expected" "$work/restored"
[ -s "$work/expected" ]
"$tarn" checkpoint verify "$address/flights"
echo "the restored job has the same result, $(wc -l <"$work/expected") lines"
