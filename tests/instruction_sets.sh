#!/usr/bin/env bash
# Runs the tests of every model family and of our own kernels as other processors would: LibTorch,
# oneDNN and our kernels are each held below what this one has. What it lacks can't be added:
# the sets above its own are the same run again.
set -euo pipefail
cd "$(dirname "$0")/.."

run() {
    local name="$1"
    shift
    printf '\n\033[1minstruction sets:\033[0m %s\n' "$name"
    env "$@" cargo test --release --locked --quiet --package clipdb-embed --lib --test families --test embeddings
    env "$@" cargo test --release --locked --quiet --package clipdb-index --lib
    env "$@" cargo test --release --locked --quiet --package clipdb-index --test index segments
}

run "AVX2" ATEN_CPU_CAPABILITY=avx2 ONEDNN_MAX_CPU_ISA=AVX2 CLIPDB_MAX_ISA=avx2
run "AVX-512" ATEN_CPU_CAPABILITY=avx512 ONEDNN_MAX_CPU_ISA=AVX512_CORE
run "AVX-512 with BF16" ATEN_CPU_CAPABILITY=avx512 ONEDNN_MAX_CPU_ISA=AVX512_CORE_BF16
run "AVX-512 with FP16" ATEN_CPU_CAPABILITY=avx512 ONEDNN_MAX_CPU_ISA=AVX512_CORE_FP16
run "all that this processor has" CLIPDB_MAX_ISA=all
