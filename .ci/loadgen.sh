#!/usr/bin/env bash
# The release build under load from outside, for a moment each: kills, then every kind of listener, over TLS too.
#
# `loadgen` tells by its exit code whether all that was acknowledged is there, and whether each listener got
# every event once and in order. Needs `millrace` and `loadgen` in the release folder.
set -euo pipefail
cd "$(dirname "$0")/.."

bin=${CARGO_TARGET_DIR:-target}/release
source .ci/scratch.sh

"$bin/loadgen" verify --server "$bin/millrace" --data "$work/verified" --kill-every 2s --for 10s --rate 2000

# The verifier makes the administrator's password of its server itself; this one is of the server below.
export MILLRACE_ADMIN_PASSWORD=tea-at-five MILLRACE_PASSWORD=tea-at-five
serve_both
for form in websocket sse longpoll; do
    "$bin/loadgen" listen --target "$plain" --user admin --form "$form" --listeners 50 --rate 500 --duration 3s --warmup 1s
done
token=$(curl -s -H 'content-type: application/json' -d '{"username":"admin","password":"tea-at-five"}' \
    "http://$plain/sessions" | sed 's/.*"token":"\([^"]*\)".*/\1/')
tls=(--tls --cacert "$work/cert.pem" --target "$secure" --token "$token")
"$bin/loadgen" append "${tls[@]}" --connections 32 --pipeline 8 --duration 3s --warmup 1s
"$bin/loadgen" listen "${tls[@]}" --listeners 50 --rate 500 --duration 3s --warmup 1s
