#!/usr/bin/env bash
# One child of an AWS Batch array job: its shard of a sweep, with results in S3.
#
# SCENARIO, SEEDS and SHARDS come with the job, RESULTS (s3://bucket/prefix) too; AWS_BATCH_JOB_ARRAY_INDEX is set by Batch.
# An attempt that follows an interrupted one takes over its results, and goes on where it was.
# The exit code is that of `sim sweep`.
set -euo pipefail

index="${AWS_BATCH_JOB_ARRAY_INDEX:-0}"
folder="${WORK:-/tmp}/shard-$index"
target="${RESULTS:?}/shard-$index"

mkdir -p "$folder"
aws s3 sync --only-show-errors "$target" "$folder"

sim sweep "${SCENARIO:?}" --seeds "${SEEDS:?}" --shard "$index/${SHARDS:?}" --out "$folder" &
sweep=$!
# Batch sends SIGTERM and waits 30 s (2 min before the end of Spot capacity): what had ended by then is uploaded.
trap 'kill "$sweep" 2> /dev/null || true' TERM

# Results are uploaded as they come, so that a machine that is taken away costs a minute of work.
while kill -0 "$sweep" 2> /dev/null; do
    for _ in $(seq "${UPLOAD_EVERY_S:-60}"); do
        kill -0 "$sweep" 2> /dev/null || break
        sleep 1
    done
    aws s3 sync --only-show-errors --exclude '*.partial-*' "$folder" "$target"
done

code=0
wait "$sweep" || code=$?
aws s3 sync --only-show-errors --exclude '*.partial-*' "$folder" "$target"
exit "$code"
