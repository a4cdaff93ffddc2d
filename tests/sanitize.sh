#!/usr/bin/env bash
# `make sanitize`: runs the tests that reach our C and C++ code with AddressSanitizer and
# UndefinedBehaviorSanitizer compiled into it. FAISS, libjpeg-turbo and LibTorch are not
# instrumented; writes that they make to our memory are still checked.
#
# CLIPDB_SANITIZERS  the sanitizers, as gcc names them (address,undefined)
set -euo pipefail
cd "$(dirname "$0")/.."

export CLIPDB_SANITIZERS="${CLIPDB_SANITIZERS:-address,undefined}"
runtime=""
case ",$CLIPDB_SANITIZERS," in
    # Rust's main program does not link it first, which it demands.
    *,address,*) runtime="$(gcc -print-file-name=libasan.so)" ;;
esac
# Only the tests get the runtime, not cargo. What libraries keep until the process ends is no leak
# of ours, and Rust's own stack guards are enough.
export CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUNNER="env LD_PRELOAD=$runtime"
export ASAN_OPTIONS="detect_leaks=0:detect_stack_use_after_return=0:${ASAN_OPTIONS:-}"
export UBSAN_OPTIONS="print_stacktrace=1:${UBSAN_OPTIONS:-}"

run() {
    printf '\n\033[1msanitize:\033[0m %s\n' "$*"
    cargo test --release --locked --quiet "$@"
}

run --package clipdb-index --lib
run --package clipdb-index --test index segments
run --package clipdb-embed --lib towers
run --package clipdb-embed --test decode --test hostile_images
