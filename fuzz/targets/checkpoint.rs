//! A file of weights: the ZIP archive that `torch.save` writes, or safetensors. The first byte
//! chooses.
#![no_main]

use std::sync::LazyLock;

use tempfile::TempDir;

static FOLDER: LazyLock<TempDir> = LazyLock::new(clipdb_fuzz::folder);

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Some((choice, bytes)) = data.split_first() else {
        return;
    };
    let folder = FOLDER.path();
    std::fs::write(folder.join("weights"), bytes).expect("room in memory");
    let _ = if choice & 1 == 0 {
        clipdb_embed::fuzzing::checkpoint(folder, "weights")
    } else {
        clipdb_embed::fuzzing::safetensors(folder, "weights")
    };
});
