#!/usr/bin/env bash
# Measures ingest and search of the built binary on this machine and prints tables. Passes its
# arguments to the program: tests/bench.sh --help.
set -euo pipefail
cd "$(dirname "$0")/.."

tests/drawings.sh
cargo build --release --locked --quiet --workspace --bin bench --bin clipdb
built="${CARGO_TARGET_DIR:-$PWD/target}/release"
export CLIPDB_BINARY="${CLIPDB_BINARY:-$built/clipdb}"
exec "$built/bench" "$@"
