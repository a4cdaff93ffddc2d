#!/usr/bin/env bash
# Checks the server against its description: schemathesis generates valid and invalid requests from
# /openapi.json and compares the responses with the description. Time (SECONDS_MOST) and requests
# are limited; the same seed generates the same requests. One check is excluded: a snapshot outlives
# its collection and a cancelled task its DELETE by design, which `use_after_free` reports.
# PHASES=examples,coverage,fuzzing,stateful also generates random requests. It sometimes mistakes a
# valid one for invalid, if it changed the branch of a `oneOf` that the request does not use.
set -euo pipefail
cd "$(dirname "$0")/.."

binary="${CLIPDB_BINARY:-${CARGO_TARGET_DIR:-$PWD/target}/release/clipdb}"
cache="${CLIPDB_CACHE:-$HOME/.cache/clipdb}"
seconds_most="${SECONDS_MOST:-120}"
examples="${EXAMPLES:-10}"
seed="${SEED:-7}"
pins=tests/api_check/requirements.txt
venv="$cache/api-check-venv"

if ! cmp -s "$pins" "$venv/.pins"; then
    python3 -m venv --clear "$venv"
    "$venv/bin/python" -m pip install --quiet --requirement "$pins"
    cp "$pins" "$venv/.pins"
fi

data="$(mktemp -d)"
: >"$data/stdout"
server=""
finish() {
    [ -z "$server" ] || kill "$server" 2>/dev/null || true
    [ -z "$server" ] || wait "$server" 2>/dev/null || true
    rm -rf "$data"
}
trap finish EXIT

env -i PATH="$PATH" HOME="$HOME" "$binary" serve --data "$data/data" --listen 127.0.0.1:0 --device cpu \
    >"$data/stdout" 2>"$data/stderr" &
server=$!
base=""
for _ in $(seq 600); do
    base="$(awk '$1 == "address" { print $2 }' "$data/stdout")"
    [ -z "$base" ] || break
    kill -0 "$server" 2>/dev/null || { cat "$data/stderr" >&2; exit 1; }
    sleep 0.1
done
[ -n "$base" ] || { echo "api-check: the server did not become ready" >&2; exit 1; }

# Most requests need the default collection with a document.
"$venv/bin/python" - "$base" <<'PYTHON'
import sys, urllib.request
body = b'{"id": "a", "text": "a ferry at nine"}'
urllib.request.urlopen(urllib.request.Request(sys.argv[1] + "/documents", body, {"content-type": "application/json"}))
PYTHON

cd tests/api_check
SCHEMATHESIS_HOOKS=hooks NO_PROXY='*' PYTHONPATH=. PYTHONDONTWRITEBYTECODE=1 timeout --foreground "$((seconds_most + 60))" \
    "$venv/bin/schemathesis" run "$base/openapi.json" --url "$base" --checks all --exclude-checks use_after_free \
    --phases "${PHASES:-examples,coverage}" --max-examples "$examples" --max-time "$seconds_most" --seed "$seed" \
    --request-timeout 60 --suppress-health-check all --warnings off --continue-on-failure "$@"
