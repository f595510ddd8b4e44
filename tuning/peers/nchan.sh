#!/usr/bin/env bash
# nginx with nchan as a peer of Millrace: Debian's packages, loopback only. It keeps events in memory.
#
#   nchan.sh install               from Debian; its service is not started
#   nchan.sh start PORT [CORES]    prints: ready 127.0.0.1:PORT pid=N pid=N durability=...
#   nchan.sh stop PORT             stops what `start` started on this port, and removes its files
#
# One worker for each core that is named, otherwise one. Files are in $PEERS_DIR (default: target/peers).
set -euo pipefail

durability="none: events are kept in memory"
usage() { sed -n '2,8s/^# \{0,1\}//p' "$0" >&2; exit 2; }
fail() { echo "nchan.sh: $*" >&2; exit 1; }
verb=${1:-} port=${2:-}
home=${PEERS_DIR:-target/peers}/nchan-$port
module=/usr/lib/nginx/modules/ngx_nchan_module.so

install() {
    # Runlevel 1: the package's scripts leave the service alone.
    RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
        nginx libnginx-mod-nchan
    nginx -v
}

# Counts the cores of 0,2-3.
count_cores() {
    local count=0 part first last
    for part in ${1//,/ }; do
        first=${part%-*} last=${part#*-}
        count=$((count + last - first + 1))
    done
    echo "$count"
}

configure() {
    local user=
    [[ $(id -u) != 0 ]] || user="user root;"
    cat <<CONF
load_module $module;
$user
daemon off;
worker_processes $1;
worker_rlimit_nofile 100000;
pid $root/nginx.pid;
error_log $root/error.log;
events { worker_connections 50000; }
http {
    access_log off;
    client_body_temp_path $root/body;
    proxy_temp_path $root/proxy;
    fastcgi_temp_path $root/fastcgi;
    uwsgi_temp_path $root/uwsgi;
    scgi_temp_path $root/scgi;
    client_max_body_size 0;
    client_body_buffer_size 256k;
    keepalive_requests 1000000000;
    keepalive_timeout 1h;
    tcp_nodelay on;
    nchan_max_reserved_memory 512M;
    server {
        listen 127.0.0.1:$port backlog=4096;
        location = /pub {
            nchan_publisher;
            nchan_channel_id \$arg_id;
            nchan_message_buffer_length 10000;
            nchan_message_timeout 10m;
        }
        location = /sub {
            nchan_subscriber websocket eventsource longpoll;
            nchan_channel_id \$arg_id;
            nchan_subscriber_first_message newest;
        }
    }
}
CONF
}

start() {
    command -v nginx >/dev/null && [[ -e $module ]] || fail "nginx or nchan is not there: run '$0 install'"
    [[ ! -e $home/pid ]] || fail "already started on $port: run '$0 stop $port'"
    rm -rf "$home" && mkdir -p "$home"
    local root pin=() workers=1 pid
    root=$(realpath "$home")
    if [[ -n ${1:-} ]]; then
        pin=(taskset -c "$1")
        workers=$(count_cores "$1")
    fi
    configure "$workers" >"$home/nginx.conf"
    "${pin[@]}" nginx -e "$root/error.log" -p "$root" -c "$root/nginx.conf" >"$home/log" 2>&1 &
    pid=$!
    echo "$pid" >"$home/pid"
    for _ in $(seq 100); do
        if (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
            local all
            all=$(printf ' pid=%s' "$pid" $(cat "/proc/$pid/task/$pid/children"))
            echo "ready 127.0.0.1:$port$all durability=$durability"
            return
        fi
        sleep 0.1
    done
    cat "$home/log" "$home/error.log" >&2 || true
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
