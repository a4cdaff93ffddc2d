#!/usr/bin/env bash
# `make lint`: everything about the code that can be checked without running it, the fast checks
# first. Tools that are missing are installed into the cache folder at a pinned version. A check
# that cannot run here is named at the end; with LINT_STRICT=1 it is an error, as on a hosted CI.
set -euo pipefail
cd "$(dirname "$0")"

cargo_deny=0.20.2
cargo_machete=0.9.2
typos=1.52.0
tools="${CLIPDB_CACHE:-$HOME/.cache/clipdb}/tools"
export PATH="$tools/bin:$tools/python/bin:$PATH"
unchecked=()

step() { printf '\033[1mlint:\033[0m %s\n' "$*"; }

# Runs a command that installs TOOL, unless it is there in this version.
have() {
    local tool="$1" version="$2"
    shift 2
    [ ! -e "$tools/.$tool-$version" ] || return 0
    step "installing $tool $version into $tools"
    mkdir -p "$tools"
    "$@" >"$tools/install.log" 2>&1 && touch "$tools/.$tool-$version" && return 0
    unchecked+=("$tool $version could not be installed: $(tail -n 1 "$tools/install.log")")
    return 1
}

have_cargo_tool() {
    have "$1" "$2" env CARGO_TARGET_DIR="$tools/build" cargo install --locked --root "$tools" "$1@$2" || return 1
    rm -rf "$tools/build"
}

have_typos() {
    have typos "$typos" env PIP_ROOT_USER_ACTION=ignore \
        python3 -m pip install --quiet --upgrade --no-deps --target "$tools/python" "typos==$typos"
}

clippy() {
    step "clippy"
    cargo clippy --release --locked --workspace --all-targets -- -D warnings
}

step "formatting"
cargo fmt --all --check
cargo fmt --manifest-path fuzz/Cargo.toml --check

# The part that `make test` runs: nothing is installed, and clippy compiles what the tests need anyway.
if [ "${1:-}" = quick ]; then
    clippy
    exit
fi

if have_typos; then
    step "spelling"
    typos
fi

if have_cargo_tool cargo-machete "$cargo_machete"; then
    step "unused dependencies"
    cargo machete >"$tools/machete.log" 2>&1 || { cat "$tools/machete.log" >&2; exit 1; }
fi

if have_cargo_tool cargo-deny "$cargo_deny"; then
    step "licences, sources and duplicate versions of dependencies"
    cargo deny --log-level error check --hide-inclusion-graph licenses bans sources
    step "advisories"
    if cargo deny --log-level off fetch db >/dev/null 2>&1; then
        cargo deny --log-level error check --hide-inclusion-graph advisories
    else
        unchecked+=("advisories: the database (https://github.com/rustsec/advisory-db) could not be fetched")
    fi
fi

clippy

step "documentation"
RUSTDOCFLAGS="-D warnings" cargo doc --release --locked --workspace --no-deps

for reason in "${unchecked[@]}"; do
    printf 'lint: not checked: %s\n' "$reason" >&2
done
[ ${#unchecked[@]} -eq 0 ] || [ "${LINT_STRICT:-0}" != 1 ]
