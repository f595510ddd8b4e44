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

export MILLRACE_ADMIN_PASSWORD=secret
serve_both
"$work/venv/bin/python" tests/clients/with_requests.py "http://$plain"
"$work/venv/bin/python" tests/clients/with_requests.py "https://localhost:${secure##*:}" "$work/cert.pem"
token=$(curl -sS "http://$plain/sessions" -H 'Content-Type: application/json' -d '{"username": "admin", "password": "secret"}' |
    "$work/venv/bin/python" -c 'import json, sys; print(json.load(sys.stdin)["token"])')
"$work/venv/bin/python" tests/clients/hostile.py "$plain" "$token" --slow 500 --heads 2000 --seconds 15
