#!/usr/bin/env bash
# Line coverage of crates/ by the tests of the workspace: coverage.sh [PACKAGE...]
#
# Needs llvm-profdata and llvm-cov of LLVM 19 or newer: Debian's package llvm-19 reads what rustc 1.95 writes.
# Writes target/coverage/lines.txt and, per file, target/coverage/html.
set -euo pipefail
cd "$(dirname "$0")/.."

for tool in llvm-profdata llvm-cov; do
    command -v "$tool-19" >/dev/null || { apt-get update -q && apt-get install -q -y llvm-19; }
done

packages=("$@")
if ((${#packages[@]} == 0)); then
    packages=(types commitlog http1 websocket engine sim)
fi
selected=()
for package in "${packages[@]}"; do
    selected+=(-p "$package")
done

out=$PWD/target/coverage
export CARGO_TARGET_DIR=$out/build RUSTFLAGS="-Cinstrument-coverage" LLVM_PROFILE_FILE="$out/raw/%p-%12m.profraw"
rm -rf "$out/raw"
mkdir -p "$out/raw"
cargo test "${selected[@]}" --lib --tests 2>&1 | tee "$out/tests.log" | grep -E '^test result|Running|FAILED|panicked' || true
! grep -q 'FAILED' "$out/tests.log"

objects=()
while read -r binary; do
    objects+=(-object "$binary")
done < <(grep -o "target/coverage/build/[^)]*" "$out/tests.log" | sort -u)
llvm-profdata-19 merge -sparse "$out"/raw/*.profraw -o "$out/all.profdata"
ignored='/(registry|rustc|rustlib)/|/tests?/|/tests\.rs$|/sim/|/src/(sys|shard)/'
llvm-cov-19 report "${objects[@]}" -instr-profile="$out/all.profdata" \
    --ignore-filename-regex="$ignored" 2>/dev/null >"$out/report.txt"
awk '/^-+$/ { next } /^Filename/ || NF > 9 { printf "%-45s %7s lines %7s missed %8s\n", $1, $8, $9, $10 }' \
    "$out/report.txt" | tee "$out/lines.txt"
llvm-cov-19 show "${objects[@]}" -instr-profile="$out/all.profdata" -format=html -output-dir="$out/html" \
    --ignore-filename-regex="$ignored" 2>/dev/null
