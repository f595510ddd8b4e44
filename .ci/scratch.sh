# To be sourced: a folder `$work` for what a script leaves behind, and a server `$server`, the id of a process,
# that ends with it.
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
