#!/usr/bin/env bash
# Creates the drawings of the benchmarks in the cache folder, unless they exist: downloads the sets
# and renders them with the scripts of the model recipe.
set -euo pipefail
cd "$(dirname "$0")/.."

cache="${CLIPDB_CACHE:-$HOME/.cache/clipdb}"
if [ -e "$cache/drawings/drawings.ndjson" ]; then exit 0; fi
python="$cache/reference-venv/bin/python"
[ -x "$python" ] && "$python" -c 'import resvg_py' 2>/dev/null || models/setup.sh
[ -d "$cache/model/npm/node_modules/@iconify-json/openmoji" ] || "$python" models/fetch.py
"$python" tests/drawings.py
