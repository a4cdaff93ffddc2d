#!/usr/bin/env bash
# Searches a folder of images by words: run.sh [FOLDER [WORDS…]]. CLIPDB_SERVER names a server
# other than port 8080 of this machine.
set -euo pipefail
root="$(cd "$(dirname "$0")/../.." && pwd)"
clipdb="$(cd "$root" && realpath -m "${CARGO_TARGET_DIR:-target}")/release/clipdb"
[ -x "$clipdb" ] || { echo "$clipdb is missing: run 'make build'." >&2; exit 1; }

folder="${1:-$("$root/examples/emoji/fetch.sh")/pictures}"
shift || true
words="${*:-a happy potato}"

"$clipdb" ingest "$folder" --collection pictures --skip-existing
printf '\n"%s"\n' "$words"
"$clipdb" search "$words" --collection pictures
