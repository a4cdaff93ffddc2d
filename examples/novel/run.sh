#!/usr/bin/env bash
# Searches the sentences of a text by an image: run.sh [TEXT [IMAGE…]]. CLIPDB_SERVER names a
# server other than port 8080 of this machine.
set -euo pipefail
root="$(cd "$(dirname "$0")/../.." && pwd)"
clipdb="$(cd "$root" && realpath -m "${CARGO_TARGET_DIR:-target}")/release/clipdb"
[ -x "$clipdb" ] || { echo "$clipdb is missing: run 'make build'." >&2; exit 1; }

sentences="$root/examples/novel/excerpt.txt"
if [ $# -gt 0 ]; then
    folder="$(mktemp -d)"
    trap 'rm -rf "$folder"' EXIT
    mkdir "$folder/novel"
    sentences="$folder/novel/$(basename "$1")"
    "$root/examples/novel/sentences.py" "$1" >"$sentences"
    shift
fi
"$clipdb" ingest "$sentences" --id-prefix novel --collection novel --skip-existing

if [ $# -eq 0 ]; then
    drawings="$("$root/examples/emoji/fetch.sh")/pictures"
    set -- "$drawings"/{horse,cloud-with-rain,grapes}.png
fi
for image in "$@"; do
    printf '\n%s\n' "$(basename "$image")"
    "$clipdb" search --image "$image" --collection novel --limit 5
done
