#!/usr/bin/env bash
# Runs the tests of every model family and of our own kernels with the instruction sets of other
# processors: limits LibTorch, oneDNN and our kernels to each set below this processor's own.
# A set that this processor lacks is reported as skipped.
set -euo pipefail
cd "$(dirname "$0")/.."

skipped=()
# run NAME FLAG VARIABLE=VALUE...; FLAG is the set's name in /proc/cpuinfo, or - for none.
run() {
    local name="$1" flag="$2"
    shift 2
    if [ "$flag" != - ] && ! grep -qw "$flag" /proc/cpuinfo; then
        skipped+=("$name")
        return
    fi
    printf '\n\033[1minstruction sets:\033[0m %s\n' "$name"
    env "$@" cargo test --release --locked --quiet --package clipdb-embed --lib --test families --test embeddings
    env "$@" cargo test --release --locked --quiet --package clipdb-index --lib
    env "$@" cargo test --release --locked --quiet --package clipdb-index --test index segments
}

run "AVX2" avx2 ATEN_CPU_CAPABILITY=avx2 ONEDNN_MAX_CPU_ISA=AVX2 CLIPDB_MAX_ISA=avx2
run "AVX-512" avx512_vnni ATEN_CPU_CAPABILITY=avx512 ONEDNN_MAX_CPU_ISA=AVX512_CORE
run "AVX-512 with BF16" avx512_bf16 ATEN_CPU_CAPABILITY=avx512 ONEDNN_MAX_CPU_ISA=AVX512_CORE_BF16
run "AVX-512 with FP16" avx512_fp16 ATEN_CPU_CAPABILITY=avx512 ONEDNN_MAX_CPU_ISA=AVX512_CORE_FP16
run "all that this processor has" - CLIPDB_MAX_ISA=all

if [ "${#skipped[@]}" -gt 0 ]; then
    printf '\ninstruction sets: skipped %d that this processor lacks:\n' "${#skipped[@]}"
    printf '  %s\n' "${skipped[@]}"
else
    printf '\ninstruction sets: skipped none\n'
fi
