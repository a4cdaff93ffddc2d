#!/usr/bin/env bash
# `make demo`: a server with something in it. Starts one unless one answers,
# sends it a set of emoji and the sentences of a novel, and asks the tour's
# questions. Safe to repeat: what is there already is not sent again.
#
# CLIPDB_LISTEN   where the server is, or is started (127.0.0.1:8080)
# CLIPDB_DATA     data folder of a server started here (./data)
# CLIPDB_NOVEL    the plain text of a novel (5,700 sentences take minutes) instead of
#                 the 255 sentences in examples/novel
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

answers() { (exec 3<>"/dev/tcp/${listen%:*}/${listen##*:}") 2>/dev/null; }

start_server() {
    local log="$cache/demo-server.log"
    mkdir -p "$cache"
    # A session of its own: the server outlives this script and its terminal.
    setsid "$clipdb" serve --data "$data" --listen "$listen" >"$log" 2>&1 </dev/null &
    server=$!
    until answers; do
        kill -0 "$server" 2>/dev/null || fail "the server did not start: $(tail -n 5 "$log")"
        sleep 0.2
    done
    say "started a server on $listen over the data folder $data (its log: $log)"
}

shelf() {
    if [ -z "$novel" ]; then
        printf 'examples/novel/excerpt.txt'
        return
    fi
    [ -r "$novel" ] || fail "CLIPDB_NOVEL names '$novel', which cannot be read."
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

[ -x "$clipdb" ] || fail "there is no $clipdb yet: 'make demo' builds it first."
server=
emoji="$(examples/emoji/fetch.sh)"
sentences="$(shelf)"
answers || start_server

say "sending emoji (their drawings, with names as metadata) and a novel's sentences"
"$clipdb" ingest --skip-existing "$emoji/emoji.ndjson"
"$clipdb" ingest --skip-existing --id-prefix novel "$sentences"

say "pictures and sentences by words"
show search "a happy potato" --limit 5
show search "something to drink" --limit 5
show search "bad weather" --limit 5
show search "people dancing" --limit 5
show search "sick in bed" --limit 5
say "the same words, as keywords only and by meaning only"
show search "rain" --mode keyword --limit 3
show search "rain" --mode vector --limit 3
say "by a picture: a drawing of grapes"
show search --image "$emoji/pictures/grapes.png" --limit 5

say "try your own words on http://$listen/ or with: $clipdb search \"WORDS\""
if [ -n "$server" ]; then say "the server goes on running; to stop it: kill $server"; fi
