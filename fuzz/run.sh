#!/usr/bin/env bash
# `make fuzz`: builds the fuzz targets with coverage counters and AddressSanitizer, and runs each
# for SECONDS. The sanitizer flags are unstable, and RUSTC_BOOTSTRAP lets the stable compiler take
# them: no nightly toolchain and no cargo-fuzz are needed.
#
# SECONDS_EACH  how long each target runs (60)
# TARGETS       the targets to run (all of them)
# CORPUS        the folder for new inputs (fuzz/corpus, ignored by git)
set -euo pipefail
cd "$(dirname "$0")/.."

seconds="${SECONDS_EACH:-60}"
corpus="${CORPUS:-fuzz/corpus}"
triple=x86_64-unknown-linux-gnu
target_dir="${CARGO_TARGET_DIR:-target}/fuzz"
mapfile -t all < <(ls fuzz/targets | sed -n 's/\.rs$//p')
read -r -a targets <<<"${TARGETS:-${all[*]}}"

# The flags that cargo-fuzz passes. They join the flags of .cargo/config.toml instead of replacing them.
flags='"-Cpasses=sancov-module", "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters", "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares", "-Zsanitizer=address", "--cfg", "fuzzing"'

printf 'fuzz: building (the first time takes about half an hour on 2 cores)\n'
RUSTC_BOOTSTRAP=1 cargo build --release --manifest-path fuzz/Cargo.toml \
    --target "$triple" --target-dir "$target_dir" --config "build.rustflags=[$(tr -d '\n' <<<"$flags")]"

# LibTorch and OpenBLAS keep what they allocate at startup.
export ASAN_OPTIONS="detect_leaks=0:${ASAN_OPTIONS:-}"
failed=()
for target in "${targets[@]}"; do
    printf '\n\033[1mfuzz:\033[0m %s for %s s\n' "$target" "$seconds"
    mkdir -p "$corpus/$target" fuzz/artifacts
    limits=(-max_total_time="$seconds" -timeout=60 -rss_limit_mb=4096 -artifact_prefix="fuzz/artifacts/$target-")
    "$target_dir/$triple/release/$target" "${limits[@]}" -print_final_stats=1 \
        "$corpus/$target" "fuzz/seeds/$target" || failed+=("$target")
done
[ ${#failed[@]} -eq 0 ] || {
    printf 'fuzz: these targets failed: %s. Their inputs are in fuzz/artifacts.\n' "${failed[*]}" >&2
    exit 1
}
