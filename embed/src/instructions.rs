//! Which of the processor's instructions are used.

use std::sync::LazyLock;

/// `CLIPDB_MAX_ISA=avx2` keeps kernels of this process from AVX-512, to test on one machine what
/// runs on another. LibTorch has `ATEN_CPU_CAPABILITY` and `ONEDNN_MAX_CPU_ISA` for the same.
/// `index/src/vectors/native/instructions.h` reads it for the vector index.
const LIMIT: &str = "CLIPDB_MAX_ISA";

/// Whether the environment asks for AVX2 kernels where AVX-512 would run.
pub(crate) fn limited_to_avx2() -> bool {
    std::env::var(LIMIT).is_ok_and(|limit| limit == "avx2")
}

/// Whether oneDNN convolves in f16 here, with sums in f32. `ONEDNN_MAX_CPU_ISA`, oneDNN's own
/// limit, is taken for one below these instructions unless it names them.
pub(crate) fn has_f16() -> bool {
    static HAS_F16: LazyLock<bool> = LazyLock::new(|| {
        let allowed = std::env::var("ONEDNN_MAX_CPU_ISA").map_or(true, |limit| {
            ["DEFAULT", "FP16", "AMX"]
                .iter()
                .any(|named| limit.contains(named))
        });
        allowed && processor_has_f16()
    });
    *HAS_F16
}

#[cfg(target_arch = "x86_64")]
fn processor_has_f16() -> bool {
    is_x86_feature_detected!("avx512fp16")
}

#[cfg(not(target_arch = "x86_64"))]
fn processor_has_f16() -> bool {
    false
}
