#!/usr/bin/env bash
# Compares the vector index of the built binary with FAISS, and with --peers also with other
# databases. Passes its arguments to the program: bench/index.sh --help. The Python packages have
# an environment of their own, which no part of clipdb uses.
set -euo pipefail
cd "$(dirname "$0")/.."

environment="${CLIPDB_CACHE:-$HOME/.cache/clipdb}/bench-venv"
if ! "$environment/bin/python" -c 'import chromadb, faiss, milvus_lite, numpy, pymilvus' 2>/dev/null; then
    python3 -m venv "$environment"
    "$environment/bin/pip" install --quiet --requirement bench/requirements.txt
fi
release="${CARGO_TARGET_DIR:-target}/release"
exec "$environment/bin/python" bench/index_bench.py \
    --binary "${CLIPDB_BINARY:-$release/clipdb}" --keep-alive "$release/keep_alive" "$@"
