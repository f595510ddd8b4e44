#!/usr/bin/env bash
# Executes the README as written: every `$ command` of its console blocks, in order, from the root of the
# repository, and compares what it prints with what the README shows.
#
# In shown output, `…` stands for anything on the rest of the line or up to what follows, and a line that is
# only `…` for any number of lines. A command that contains ` serve ` runs until the end. `cargo test` is
# executed by its own step of .ci/run; here it is only demanded that the README names it.
set -euo pipefail
cd "$(dirname "$0")/.."

readme=${1:-README.md}
source .ci/scratch.sh

if [[ -e millrace-data ]]; then
    echo "millrace-data is in the way: the README is tried with a new directory"
    exit 1
fi

# Splits the console blocks into NNN.command and NNN.shown.
awk -v work="$work" '
    /^```console/ { inside = 1; next }
    /^```/        { inside = 0; next }
    !inside       { next }
    /^\$ /        { count++; name = sprintf("%s/%03d", work, count)
                    print substr($0, 3) > (name ".command"); printf "" > (name ".shown"); open = 1; next }
    /^> / && open { print substr($0, 3) >> (name ".command"); next }
                  { print >> (name ".shown"); open = 0 }
' "$readme"

# A pattern of what was shown: everything is meant as it stands but `…`.
pattern_of() {
    sed -e '/^…$/{s//(.*\\n)*/;b}' -e 's/[][\.*^$(){}?+|/]/\\&/g' -e 's/…/[^\\n]*/g' -e 's/$/\\n/' "$1" | tr -d '\n'
}

matches() { # SHOWN PRINTED
    WANTED="^$(pattern_of "$1")\$" perl -0777 -e '
        my $text = <STDIN>; $text //= ""; $text .= "\n" if length $text && $text !~ /\n\z/;
        $text =~ s/\r\n/\n/g; exit($text =~ /$ENV{WANTED}/ ? 0 : 1);' <"$2"
}

complain() {
    echo "the README shows something else for: $(cat "$1.command")"
    echo "--- shown"
    cat "$1.shown"
    echo "--- printed"
    cat "$1.printed"
    exit 1
}

count=0 tested=0
for command in "$work"/*.command; do
    one=${command%.command}
    text=$(cat "$command")
    count=$((count + 1))
    echo "\$ $text"
    case $text in
    "cargo test "*)
        tested=1
        continue
        ;;
    *" serve "*)
        bash -c "exec $text" >"$one.printed" 2>"$one.errors" </dev/null &
        server=$!
        for _ in $(seq 600); do
            if matches "$one.shown" "$one.printed"; then
                break
            fi
            kill -0 "$server" 2>/dev/null || break
            sleep 0.5
        done
        matches "$one.shown" "$one.printed" || {
            cat "$one.errors"
            complain "$one"
        }
        ;;
    *)
        bash -c "$text" >"$one.printed" 2>"$one.errors" </dev/null || true
        matches "$one.shown" "$one.printed" || {
            cat "$one.errors"
            complain "$one"
        }
        ;;
    esac
done

if ((tested == 0 || count < 8)) || [[ -z $server ]]; then
    echo "the README names no test command, no server, or hardly any commands ($count)"
    exit 1
fi

kill -TERM "$server"
wait "$server" && status=0 || status=$?
server=
if ((status != 0)); then
    echo "the server ended with status $status"
    exit 1
fi
rm -rf millrace-data
echo "$count commands of the README do what it says"
