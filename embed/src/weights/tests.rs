//! A checkpoint by `torch.save` has the same tensors as its safetensors file; a corrupt one is an
//! error.

use std::path::{Path, PathBuf};

use super::*;
use crate::sources::OPEN_CLIP_WEIGHTS;

const PICKLE: &str = "open_clip_pytorch_model.bin";

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("parity/golden")
        .join(name)
}

fn open(folder: &Path) -> Result<Weights, EmbedError> {
    let files = ModelFiles::Folder(folder.to_owned());
    Weights::open(&files, &OPEN_CLIP_WEIGHTS, Device::Cpu, Kind::Float)
}

#[test]
fn a_checkpoint_has_the_tensors_of_the_safetensors_file() {
    let pickled = open(&golden("pickle")).unwrap();
    let safe = open(&golden("open-clip-vit-l-14")).unwrap();
    assert!(safe.shards[0].tensors.len() > 50);
    for (name, location) in &safe.shards[0].tensors {
        let shape: Vec<i64> = location.shape.iter().map(|&side| side as i64).collect();
        let same = pickled.get(name, &shape).unwrap() == safe.get(name, &shape).unwrap();
        assert!(same, "{name}");
    }
}

#[test]
fn views_and_parameters_are_read_and_transposed_tensors_are_rejected() {
    let weights = open(&golden("pickle")).unwrap();
    let part = weights.get("part", &[2, 3]).unwrap();
    assert_eq!(
        Vec::<f32>::try_from(part.view(-1)).unwrap(),
        [4.0, 5.0, 6.0, 7.0, 8.0, 9.0]
    );
    assert!(weights.get("parameter", &[3]).is_ok());
    let error = weights.get("turned", &[24, 32]).unwrap_err().to_string();
    assert!(error.contains("contiguous"), "{error}");
    let missing = weights.get("counter", &[]).unwrap_err().to_string();
    assert!(missing.contains("it is missing"), "{missing}");
}

#[test]
fn a_corrupt_checkpoint_is_an_error() {
    let complete = std::fs::read(golden("pickle").join(PICKLE)).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let attempt = |bytes: &[u8]| {
        std::fs::write(folder.path().join(PICKLE), bytes).unwrap();
        open(folder.path())
    };
    for length in [0, 1, 21, 22, 1000, complete.len() / 2, complete.len() - 1] {
        let error = attempt(&complete[..length]).err().unwrap().to_string();
        assert!(error.contains(PICKLE), "{error}");
    }
    // The pickle is at the start, the directory at the end.
    let ends = (0..2000).chain(complete.len() - 2000..complete.len());
    for place in ends.step_by(7) {
        let mut corrupt = complete.clone();
        corrupt[place] ^= 0xff;
        // A result or an error, but no panic.
        let _ = attempt(&corrupt).map(|weights| weights.get("part", &[2, 3]).is_ok());
    }
}
