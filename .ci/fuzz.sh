#!/usr/bin/env bash
# Fuzzes every target for some seconds, from the golden files and seeds on: fuzz.sh [SECONDS] [TARGET...]
#
# Without a sanitizer, so that the stable compiler will do: the cores have no `unsafe`, and what is looked
# for are panics, failed laws and endless loops. docs/testing.md has the long runs with a sanitizer.
set -euo pipefail
cd "$(dirname "$0")/.."

seconds=${1:-20}
shift || true
targets=("$@")
if ((${#targets[@]} == 0)); then
    targets=(http1 websocket record journal segment marks recovery config token keys)
fi

cargo fuzz build -s none
for target in "${targets[@]}"; do
    corpus=fuzz/corpus/$target
    seeds=fuzz/seeds/$target
    [[ -d $seeds ]] || seeds=crates/commitlog/tests/golden
    mkdir -p "$corpus"
    log=$corpus.log
    if ! cargo fuzz run -s none "$target" "$corpus" "$seeds" -- \
        -max_total_time="$seconds" -rss_limit_mb=2048 -timeout=10 -print_final_stats=1 >"$log" 2>&1; then
        tail -n 60 "$log"
        echo "fuzzing $target failed; the input is in fuzz/artifacts/$target"
        exit 1
    fi
    printf '%-10s %s\n' "$target" "$(grep DONE "$log" | tr -s '\t ' ' ')"
done
