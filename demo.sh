#!/usr/bin/env bash
# `make demo`: loads a server with examples. Starts a server unless one is running, sends it emoji
# and the sentences of a novel, and runs a few searches. Safe to repeat: documents that exist are
# not sent again.
#
# CLIPDB_LISTEN   the server's address (127.0.0.1:8080)
# CLIPDB_DATA     data folder of a server started here (./data)
# CLIPDB_NOVEL    the plain text of a novel (5,700 sentences take minutes), instead of the 255
#                 sentences in examples/novel
set -euo pipefail
cd "$(dirname "$0")"

clipdb="${CARGO_TARGET_DIR:-target}/release/clipdb"
listen="${CLIPDB_LISTEN:-127.0.0.1:8080}"
data="${CLIPDB_DATA:-./data}"
cache="${CLIPDB_CACHE:-$HOME/.cache/clipdb}"
novel="${CLIPDB_NOVEL:-}"
export CLIPDB_SERVER="http://$listen"

say() { printf '\n\033[1mdemo:\033[0m %s\n' "$*"; }
fail() { printf 'demo: %s\n' "$*" >&2; exit 1; }

is_listening() { (exec 3<>"/dev/tcp/${listen%:*}/${listen##*:}") 2>/dev/null; }

start_server() {
    local log="$cache/demo-server.log"
    mkdir -p "$cache"
    # In its own session, so the server outlives this script and its terminal.
    setsid "$clipdb" serve --data "$data" --listen "$listen" >"$log" 2>&1 </dev/null &
    server=$!
    until is_listening; do
        kill -0 "$server" 2>/dev/null || fail "the server did not start: $(tail -n 5 "$log")"
        sleep 0.2
    done
    say "started a server on $listen with the data folder $data (log: $log)"
}

sentence_file() {
    if [ -z "$novel" ]; then
        printf 'examples/novel/excerpt.txt'
        return
    fi
    [ -r "$novel" ] || fail "cannot read '$novel', which CLIPDB_NOVEL names."
    mkdir -p "$cache/novel"
    examples/novel/sentences.py "$novel" >"$cache/novel/$(basename "$novel")"
    printf '%s' "$cache/novel/$(basename "$novel")"
}

show() {
    local word line='$ clipdb'
    for word in "$@"; do
        [[ $word != *' '* ]] || word="\"$word\""
        line+=" $word"
    done
    printf '\n\033[1m%s\033[0m\n' "$line"
    "$clipdb" "$@"
}

[ -x "$clipdb" ] || fail "$clipdb is missing: run 'make demo', which builds it."
server=
emoji="$(examples/emoji/fetch.sh)"
sentences="$(sentence_file)"
is_listening || start_server

say "sending emoji (drawings, with their names as metadata) and the sentences of a novel"
"$clipdb" ingest --skip-existing "$emoji/emoji.ndjson"
"$clipdb" ingest --skip-existing --id-prefix novel "$sentences"

say "images and sentences by words"
show search "a happy potato" --limit 5
show search "something to drink" --limit 5
show search "bad weather" --limit 5
show search "people dancing" --limit 5
show search "sick in bed" --limit 5
say "the same word, by keywords only and by meaning only"
show search "rain" --mode keyword --limit 3
show search "rain" --mode vector --limit 3
say "in other languages"
show search "Regenschirm" --limit 3
show search "小狗" --limit 3
show search "eine Tasse Kaffee" --limit 3
say "by letters that nothing matches, and in a script that the model does not read"
show search "qwzrt xvbnk" --limit 5
show search "གདུགས" --limit 5
say "by an image: a drawing of grapes"
show search --image "$emoji/pictures/grapes.png" --limit 5

say "try your own words at http://$listen/ or with: $clipdb search \"WORDS\""
if [ -n "$server" ]; then say "the server keeps running; stop it with: kill $server"; fi
