#!/usr/bin/env bash
# Recreates the golden files with the reference implementations, in a separate virtual
# environment with pinned versions (torch alone is about 5 GB).
#   ./make.sh             everything under golden/
#   ./make.sh tokens ...  only these; make.py has all names
#   ./make.sh full        full-size checkpoints and every pixel, into the cache
set -euo pipefail
cd "$(dirname "$0")"
cache="${CLIPDB_CACHE:-$HOME/.cache/clipdb}"
environment="$cache/parity-venv"
pins="$(cat requirements.txt requirements-no-deps.txt | sha256sum | cut -c1-16)"
if [ "$(cat "$environment/.pins" 2>/dev/null)" != "$pins" ]; then
    python3 -m venv "$environment"
    "$environment/bin/pip" install --quiet -r requirements.txt
    "$environment/bin/pip" install --quiet --no-deps -r requirements-no-deps.txt
    echo "$pins" > "$environment/.pins"
fi
export CLIPDB_CACHE="$cache" TRANSFORMERS_OFFLINE=1 HF_HUB_OFFLINE=1
if [ "${1:-}" = full ]; then
    exec "$environment/bin/python" full_size.py
fi
exec "$environment/bin/python" make.py "$@"
