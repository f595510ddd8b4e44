#!/usr/bin/env bash
# Clients that know nothing of this repository, against the release build: Python's `requests` over HTTP and HTTPS, by a
# script written from the API pages alone; and hostile clients beside an honest one. Needs `millrace` in the release
# folder; installs what it misses into a scratch folder.
set -euo pipefail
cd "$(dirname "$0")/.."

bin=${CARGO_TARGET_DIR:-target}/release
source .ci/scratch.sh

python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check requests

"$bin/millrace" dev-cert --out "$work" > /dev/null
MILLRACE_ADMIN_PASSWORD=secret "$bin/millrace" serve --http 127.0.0.1:0 --https 127.0.0.1:0 \
    --tls-cert "$work/cert.pem" --tls-key "$work/key.pem" --data "$work/served" > "$work/ready" &
server=$!
for _ in $(seq 100); do
    grep -q ready "$work/ready" && break
    sleep 0.1
done
plain=$(sed -n 's#.*ready: \(http://[0-9.:]*\).*#\1#p' "$work/ready")
port=$(sed -n 's#.* https://[0-9.]*:\([0-9]*\).*#\1#p' "$work/ready")
"$work/venv/bin/python" tests/clients/with_requests.py "$plain"
"$work/venv/bin/python" tests/clients/with_requests.py "https://localhost:$port" "$work/cert.pem"
token=$(curl -sS "$plain/sessions" -H 'Content-Type: application/json' -d '{"username": "admin", "password": "secret"}' |
    "$work/venv/bin/python" -c 'import json, sys; print(json.load(sys.stdin)["token"])')
"$work/venv/bin/python" tests/clients/hostile.py "${plain#http://}" "$token" --slow 500 --heads 2000 --seconds 15
