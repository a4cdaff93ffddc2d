#!/usr/bin/env bash
# Every test, in the order from fast to slow: format and lints, each crate's own,
# then end to end against the real binary, then the page in a browser.
set -euo pipefail
cd "$(dirname "$0")/.."

step() { printf '\n\033[1mtest:\033[0m %s\n' "$*"; }

step "formatting and lints"
make --no-print-directory lint

step "building the binary and every test"
# One command for all, so that each dependency is compiled once with one set of features.
cargo build --release --locked --workspace --all-targets
export CLIPDB_BINARY="${CARGO_TARGET_DIR:-$PWD/target}/release/clipdb"

step "crates and end to end"
# As the server runs on a GPU, where there is one.
export NVIDIA_TF32_OVERRIDE=0
cargo test --release --locked --workspace

step "the page in a browser"
if command -v chromium >/dev/null; then
    (cd tests/page && npm test --silent)
else
    echo "test: there is no chromium here (Ubuntu has it only as a snap): the page's tests did not run" >&2
fi

step "the API and its description"
./tests/api_check.sh
