#!/usr/bin/env bash
# Runs every test, from fast to slow: format and lints, the crates' own tests, the end-to-end
# tests of the real binary, the page in a browser, the API against its description.
#
# The run ends with a list of the tests that cannot run on this machine. A missing browser is a
# failure unless CLIPDB_SKIP_PAGE_TESTS=1.
set -euo pipefail
cd "$(dirname "$0")/.."

step() { printf '\n\033[1mtest:\033[0m %s\n' "$*"; }

# Each skipped test appends "REASON: BINARY TEST" to this file (tests/skip, tests/page/suite.mjs).
CLIPDB_SKIPPED_TESTS="$(mktemp)"
export CLIPDB_SKIPPED_TESTS
summarise() {
    local status=$?
    if [ "$status" = 0 ]; then step "all tests that ran passed"; else step "FAILED"; fi
    if [ -s "$CLIPDB_SKIPPED_TESTS" ]; then
        echo "test: skipped on this machine: $(wc -l <"$CLIPDB_SKIPPED_TESTS") (a test, or a part of one)"
        sort "$CLIPDB_SKIPPED_TESTS" | sed 's/^/test:   /'
    else
        echo "test: skipped on this machine: none"
    fi
    rm -f "$CLIPDB_SKIPPED_TESTS"
}
trap summarise EXIT

step "formatting and lints"
./lint.sh quick

step "building the binary and every test"
# One command for all, so that each dependency is compiled once with one set of features.
cargo build --release --locked --workspace --all-targets
export CLIPDB_BINARY="${CARGO_TARGET_DIR:-$PWD/target}/release/clipdb"

step "crates and end to end"
# The server sets the same variable for a GPU.
export NVIDIA_TF32_OVERRIDE=0
cargo test --release --locked --workspace

# Ubuntu has Chromium only as a snap, which does not run here: these tests are then listed as skipped.
if [ -z "${CLIPDB_BROWSER:-}" ] && ! command -v chromium >/dev/null && grep -q '^ID=ubuntu' /etc/os-release; then
    export CLIPDB_SKIP_PAGE_TESTS=1
fi
step "the page in a browser"
(cd tests/page && npm test --silent)

step "the API and its description"
./tests/api_check.sh
