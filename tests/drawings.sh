#!/usr/bin/env bash
# Makes the drawings that the benchmarks ingest, in the cache folder, once: fetches
# the sets and draws them with the model recipe's own scripts.
set -euo pipefail
cd "$(dirname "$0")/.."

cache="${CLIPDB_CACHE:-$HOME/.cache/clipdb}"
if [ -e "$cache/drawings/drawings.ndjson" ]; then exit 0; fi
python="$cache/reference-venv/bin/python"
[ -x "$python" ] && "$python" -c 'import resvg_py' 2>/dev/null || models/setup.sh
[ -d "$cache/model/npm/node_modules/@iconify-json/openmoji" ] || "$python" models/fetch.py
"$python" tests/drawings.py
