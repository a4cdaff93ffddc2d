#!/usr/bin/env bash
# Installs the build dependencies: system packages, LibTorch (from the Python wheel, with CUDA's
# libraries if there is an NVIDIA driver) and `.cargo/config.toml`, which points cargo at LibTorch.
# Safe to repeat; needs root only if a package is missing. `./setup.sh onnx` adds ONNX Runtime, for
# models that are graphs; `./setup.sh cuda` adds CUDA's libraries even without a driver;
# `./setup.sh test` adds ONNX Runtime and the dependencies of the page's and the clients' tests.
set -euo pipefail
cd "$(dirname "$0")"

cache="${CLIPDB_CACHE:-$HOME/.cache/clipdb}"
torch_version=2.11.0
libtorch="$cache/libtorch-$torch_version"
rust_minimum=92
onnx_runtime_version=1.32.0
onnx_runtime="$cache/onnxruntime"

say() { printf '\033[1msetup:\033[0m %s\n' "$*"; }
fail() { printf 'setup: %s\n' "$*" >&2; exit 1; }

check_rust() {
    command -v cargo >/dev/null ||
        fail "no Rust toolchain found: install one (1.$rust_minimum or newer) from https://rustup.rs, then run this again."
    local version minor
    version="$(rustc --version | cut -d' ' -f2)"
    minor="$(cut -d. -f2 <<<"$version")"
    [ "$minor" -ge "$rust_minimum" ] ||
        fail "rustc $version is too old: clipdb needs 1.$rust_minimum or newer ('rustup update')."
}

install_packages() {
    local wanted=(g++ make cmake nasm pkg-config libopenblas-dev python3 ca-certificates) missing=() package
    local fetched=true
    [ -e "$libtorch/.complete" ] || fetched=false
    ! wants_cuda "${1:-}" || [ -e "$libtorch/.cuda" ] || fetched=false
    $fetched || python3 -m pip --version >/dev/null 2>&1 || missing+=(python3-pip)
    if [ "${1:-}" = test ]; then
        command -v node >/dev/null || missing+=(nodejs)
        command -v npm >/dev/null || missing+=(npm)
        # The unmodified clients of other systems run in virtual environments.
        python3 -c 'import ensurepip, venv' 2>/dev/null || missing+=(python3-venv)
        # Ubuntu's chromium package is a snap, which does not run headless as root.
        command -v chromium >/dev/null || grep -q '^ID=ubuntu' /etc/os-release || missing+=(chromium)
    fi
    for package in "${wanted[@]}"; do
        dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    local as_root=()
    if [ "$(id -u)" != 0 ]; then
        command -v sudo >/dev/null ||
            fail "these packages are missing, and installing them needs root: ${missing[*]}. Run 'apt-get install ${missing[*]}' as root."
        as_root=(sudo)
    fi
    say "installing ${missing[*]}"
    "${as_root[@]}" apt-get update -qq || fail "'apt-get update' failed, and these packages are missing: ${missing[*]}."
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null ||
        fail "apt-get could not install ${missing[*]}."
}

# The wheel's layout stays unchanged: libtorch_cpu.so finds libcudart and libcupti, which it needs
# even on a CPU, by its RPATH in nvidia/cu13/lib.
fetch_libtorch() {
    [ -e "$libtorch/.complete" ] && return 0
    say "downloading LibTorch $torch_version (0.55 GB) into $cache"
    mkdir -p "$cache"
    local staging
    staging="$(mktemp -d "$cache/libtorch.XXXXXX")"
    PIP_ROOT_USER_ACTION=ignore python3 -m pip install --quiet --no-deps --target "$staging" \
        "torch==$torch_version" nvidia-cuda-runtime==13.0.96 nvidia-cuda-cupti==13.0.85 ||
        { rm -rf "$staging"; fail "pip could not download torch $torch_version: LibTorch is missing."; }
    # torch-sys links CUDA if it finds libtorch_cuda.so: give it a folder without that library.
    mkdir -p "$staging/link/lib"
    local library
    for library in libtorch_cpu.so libc10.so libtorch.so libgomp.so.1; do
        ln -s "../../torch/lib/$library" "$staging/link/lib/$library"
    done
    touch "$staging/.complete"
    rm -rf "$libtorch"
    mv "$staging" "$libtorch"
}

wants_cuda() { [ "${1:-}" = cuda ] || [ -e /dev/nvidiactl ] || [ -e /usr/lib/wsl/lib/libcuda.so.1 ]; }

# The dependencies of torch's own wheel: libtorch_cuda.so finds them by its RPATH, in nvidia/*/lib.
# Fails if they cannot be downloaded; the caller decides whether that matters.
fetch_cuda() {
    [ -e "$libtorch/.cuda" ] && return 0
    say "downloading CUDA's libraries for LibTorch (1.6 GB) into $cache"
    local staging
    staging="$(mktemp -d "$cache/cuda.XXXXXX")"
    # Hard links take no space, if the file system supports them.
    if PIP_ROOT_USER_ACTION=ignore python3 -m pip install --quiet --target "$staging" \
        "cuda-toolkit[cublas,cufft,cufile,curand,cusolver,cusparse,nvjitlink,nvrtc]==13.0.2" \
        nvidia-cudnn-cu13==9.19.0.56 nvidia-cusparselt-cu13==0.8.0 \
        nvidia-nccl-cu13==2.28.9 nvidia-nvshmem-cu13==3.4.5 &&
        { cp -al "$staging/nvidia/." "$libtorch/nvidia/" 2>/dev/null ||
            cp -a "$staging/nvidia/." "$libtorch/nvidia/"; }; then
        touch "$libtorch/.cuda"
    fi
    rm -rf "$staging"
    [ -e "$libtorch/.cuda" ]
}

# The server looks for `onnxruntime/libonnxruntime.so` in the cache folder.
fetch_onnx_runtime() {
    [ -e "$onnx_runtime/$onnx_runtime_version" ] && return 0
    say "downloading ONNX Runtime $onnx_runtime_version (28 MB) into $cache"
    local staging
    staging="$(mktemp -d "$cache/onnxruntime.XXXXXX")"
    PIP_ROOT_USER_ACTION=ignore python3 -m pip install --quiet --no-deps --target "$staging" \
        "onnxruntime==$onnx_runtime_version" ||
        { rm -rf "$staging"; fail "pip could not download onnxruntime $onnx_runtime_version."; }
    ln -s "onnxruntime/capi/libonnxruntime.so.$onnx_runtime_version" "$staging/libonnxruntime.so"
    touch "$staging/$onnx_runtime_version"
    rm -rf "$onnx_runtime"
    mv "$staging" "$onnx_runtime"
}

# Git ignores this file, since its paths are those of this machine. It makes plain `cargo build`
# work, and a binary that is moved still finds LibTorch.
write_cargo_config() {
    local flags=""
    if grep -qw avx2 /proc/cpuinfo && grep -qw f16c /proc/cpuinfo; then
        flags="-mavx2 -mfma -mf16c -mpopcnt" # FAISS compiles its AVX2 kernels only with these flags
    fi
    mkdir -p .cargo
    local config
    config="$(cat <<CONFIG
# Written by setup.sh.
[env]
LIBTORCH = "$libtorch/link"
LIBTORCH_INCLUDE = "$libtorch/torch"
LIBTORCH_LIB = "$libtorch/link"
LIBTORCH_CXX11_ABI = "1"
CXXFLAGS = "$flags"

[build]
rustflags = ["-C", "link-arg=-Wl,-rpath,$libtorch/torch/lib"]
CONFIG
)"
    [ "$(cat .cargo/config.toml 2>/dev/null)" = "$config" ] || printf '%s\n' "$config" > .cargo/config.toml
}

install_page_test_tools() {
    [ -d tests/page/node_modules/playwright-core ] && return 0
    say "installing playwright-core for the page's tests"
    (cd tests/page && npm ci --silent --no-audit --no-fund) || fail "npm could not install playwright-core."
}

check_rust
install_packages "${1:-}"
fetch_libtorch
if wants_cuda "${1:-}" && ! fetch_cuda; then
    [ "${1:-}" != cuda ] || fail "pip could not download CUDA's libraries."
    say "pip could not download CUDA's libraries: models run on the CPU until './setup.sh cuda' succeeds"
fi
write_cargo_config
case "${1:-}" in
    onnx) fetch_onnx_runtime ;;
    test) fetch_onnx_runtime; install_page_test_tools ;;
esac
