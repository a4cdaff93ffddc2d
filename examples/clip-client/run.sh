#!/usr/bin/env bash
# Runs both searches and the profile with CLIP-as-service's client: run.sh [FOLDER [WORDS…]].
# The first run installs the client into the cache folder.
set -euo pipefail
root="$(cd "$(dirname "$0")/../.." && pwd)"
pins="$root/tests/clip_client/requirements.txt"
venv="${CLIPDB_CACHE:-$HOME/.cache/clipdb}/clip-client-venv"
python="$venv/bin/python"
if ! cmp -s "$pins" "$venv/.pins"; then
    python3 -m venv --clear "$venv"
    "$python" -m pip install --quiet --requirement "$pins"
    cp "$pins" "$venv/.pins"
fi
drawings="$("$root/examples/emoji/fetch.sh")/pictures"

folder="${1:-$drawings}"
shift || true
"$python" "$root/examples/clip-client/search.py" pictures "$folder" "$@"
"$python" "$root/examples/clip-client/search.py" sentences "$root/examples/novel/excerpt.txt" \
    "$drawings"/{horse,cloud-with-rain,grapes}.png
"$python" "$root/examples/clip-client/search.py" profile
