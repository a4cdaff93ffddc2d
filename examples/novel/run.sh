#!/usr/bin/env bash
# Sentences by picture: run.sh [TEXT [PICTURE…]]. CLIPDB_SERVER names a server
# that is not on this machine's port 8080.
set -euo pipefail
root="$(cd "$(dirname "$0")/../.." && pwd)"
clipdb="$(cd "$root" && realpath -m "${CARGO_TARGET_DIR:-target}")/release/clipdb"
[ -x "$clipdb" ] || { echo "there is no $clipdb yet: 'make build' makes it." >&2; exit 1; }

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
for picture in "$@"; do
    printf '\n%s\n' "$(basename "$picture")"
    "$clipdb" search --image "$picture" --collection novel --limit 5
done
