#!/usr/bin/env bash
# Pictures by words: run.sh [FOLDER [WORDS…]]. CLIPDB_SERVER names a server
# that is not on this machine's port 8080.
set -euo pipefail
root="$(cd "$(dirname "$0")/../.." && pwd)"
clipdb="$(cd "$root" && realpath -m "${CARGO_TARGET_DIR:-target}")/release/clipdb"
[ -x "$clipdb" ] || { echo "there is no $clipdb yet: 'make build' makes it." >&2; exit 1; }

folder="${1:-$("$root/examples/emoji/fetch.sh")/pictures}"
shift || true
words="${*:-a happy potato}"

"$clipdb" ingest "$folder" --collection pictures --skip-existing
printf '\n"%s"\n' "$words"
"$clipdb" search "$words" --collection pictures
