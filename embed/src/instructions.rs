//! The instruction sets that kernels may use.

use std::sync::LazyLock;

/// `CLIPDB_MAX_ISA=avx2` disables AVX-512 kernels, to test the code for older processors. LibTorch
/// has `ATEN_CPU_CAPABILITY` and `ONEDNN_MAX_CPU_ISA` for the same purpose.
/// `index/src/vectors/native/instructions.h` reads this variable for the vector index.
const LIMIT: &str = "CLIPDB_MAX_ISA";

/// Whether the environment disables AVX-512 kernels.
pub(crate) fn limited_to_avx2() -> bool {
    std::env::var(LIMIT).is_ok_and(|limit| limit == "avx2")
}

/// Whether oneDNN has f16 convolutions on this processor, which accumulate in f32. A limit in
/// `ONEDNN_MAX_CPU_ISA`, oneDNN's own variable, disables them unless it names these instructions.
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
