# To be sourced: a folder `$work` for what a script leaves behind, and a server `$server`, the id of a process,
# that ends with it. Wants the folder of the release build in `$bin`.
work=$(mktemp -d)
server=
finish() {
    if [[ -n $server ]]; then
        kill -TERM "$server" 2>/dev/null || true
        wait "$server" 2>/dev/null || true
    fi
    rm -rf "$work"
}
trap finish EXIT

# serve_both: starts the release build over HTTP and over HTTPS with `$work/cert.pem`, on ports that are free; sets
# `$plain` and `$secure`, HOST:PORT each. The administrator's password is that of the environment.
serve_both() {
    "$bin/millrace" dev-cert --out "$work" > /dev/null
    "$bin/millrace" serve --http 127.0.0.1:0 --https 127.0.0.1:0 --tls-cert "$work/cert.pem" \
        --tls-key "$work/key.pem" --data "$work/served" > "$work/ready" &
    server=$!
    for _ in $(seq 100); do
        grep -q ready "$work/ready" && break
        sleep 0.1
    done
    plain=$(sed -n 's#.*ready: http://\([0-9.:]*\).*#\1#p' "$work/ready")
    secure=$(sed -n 's#.* https://\([0-9.:]*\).*#\1#p' "$work/ready")
}
