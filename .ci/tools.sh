#!/usr/bin/env bash
# Installs what the other steps need and the machine does not have. What is there already is left alone.
set -euo pipefail

# Debian's packages, by the command that is looked for.
wanted=()
command -v c++ >/dev/null || wanted+=(g++)
command -v curl >/dev/null || wanted+=(curl)
python3 -c 'import venv, ensurepip' 2>/dev/null || wanted+=(python3 python3-venv)
if ((${#wanted[@]} > 0)); then
    sudo=
    if ((EUID != 0)); then
        sudo=sudo
    fi
    $sudo apt-get update -q
    $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "${wanted[@]}"
fi

# Without optimization they build in a third of the time and are fast enough.
command -v cargo-deny >/dev/null || cargo install cargo-deny --version 0.20.2 --locked --debug --quiet
command -v cargo-fuzz >/dev/null || cargo install cargo-fuzz --version 0.13.2 --locked --debug --quiet

rustc --version
cargo deny --version
cargo fuzz --version
