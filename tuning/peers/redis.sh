#!/usr/bin/env bash
# Redis as a peer of Millrace: Debian's package, loopback only, every write flushed before it is answered.
#
#   redis.sh install               from Debian; its service is not started
#   redis.sh start PORT [CORES]    prints: ready 127.0.0.1:PORT pid=N durability=...
#   redis.sh stop PORT             stops what `start` started on this port, and removes its files
#
# Files are in $PEERS_DIR (default: target/peers), so that they lie on the disk that is measured.
set -euo pipefail

durability="appendonly yes, appendfsync always: one flush for each turn of its loop, before the answers"
usage() { sed -n '2,8s/^# \{0,1\}//p' "$0" >&2; exit 2; }
fail() { echo "redis.sh: $*" >&2; exit 1; }
verb=${1:-} port=${2:-}
home=${PEERS_DIR:-target/peers}/redis-$port

install() {
    # Runlevel 1: the package's scripts leave the service alone.
    RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends redis-server
    redis-server --version
}

start() {
    command -v redis-server >/dev/null || fail "redis-server is not there: run '$0 install'"
    [[ ! -e $home/pid ]] || fail "already started on $port: run '$0 stop $port'"
    rm -rf "$home" && mkdir -p "$home"
    local pin=()
    [[ -z ${1:-} ]] || pin=(taskset -c "$1")
    "${pin[@]}" redis-server --port "$port" --bind 127.0.0.1 --dir "$(realpath "$home")" --save "" \
        --appendonly yes --appendfsync always --auto-aof-rewrite-percentage 0 --protected-mode yes \
        >"$home/log" 2>&1 &
    echo $! >"$home/pid"
    for _ in $(seq 100); do
        # Its own client asks: a port that is open is not yet a server that answers.
        if [[ $(redis-cli -p "$port" ping 2>/dev/null) == PONG ]]; then
            echo "ready 127.0.0.1:$port pid=$(cat "$home/pid") durability=$durability"
            return
        fi
        sleep 0.1
    done
    tail -n 5 "$home/log" >&2
    stop
    fail "no answer on port $port in 10 s"
}

stop() {
    [[ -e $home/pid ]] || fail "nothing was started on port $port"
    local pid
    pid=$(cat "$home/pid")
    kill "$pid" 2>/dev/null || true
    for _ in $(seq 100); do
        kill -0 "$pid" 2>/dev/null || break
        sleep 0.1
    done
    kill -9 "$pid" 2>/dev/null || true
    rm -rf "$home"
}

case $verb in
install) install ;;
start) [[ $port =~ ^[0-9]+$ ]] || usage; start "${3:-}" ;;
stop) [[ $port =~ ^[0-9]+$ ]] || usage; stop ;;
*) usage ;;
esac
