//! Fingerprints of the golden models. A collection stores the fingerprint of its model and
//! rejects vectors of another, so a changed fingerprint orphans existing collections.
#![allow(clippy::unwrap_used)] // clippy.toml allows it only inside of tests

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clipdb_embed::{DeviceChoice, Encoder, EncoderSettings, ModelSource};

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("parity/golden")
}

/// The location that `setup.sh test` installs ONNX Runtime to.
fn onnx_runtime() -> PathBuf {
    let cache = std::env::var_os("CLIPDB_CACHE").map_or_else(
        || Path::new(&std::env::var_os("HOME").unwrap()).join(".cache/clipdb"),
        PathBuf::from,
    );
    cache.join("onnxruntime/libonnxruntime.so")
}

fn fingerprint(folder: &Path) -> String {
    let settings = EncoderSettings {
        devices: DeviceChoice::Cpu.into(),
        threads: 1,
        onnx_runtime: Some(onnx_runtime()),
        ..EncoderSettings::default()
    };
    let source = ModelSource::folder(folder).unwrap();
    let encoder = Encoder::load(&source, &settings).unwrap();
    let card = encoder.card();
    format!("{} {}", card.fingerprint, card.parameters)
}

/// `fingerprints.json` maps a golden folder to its fingerprint and its number of parameters.
#[test]
fn fingerprints_and_parameter_counts_do_not_change() {
    let expected = std::fs::read(golden().join("fingerprints.json")).unwrap();
    let expected: BTreeMap<String, String> = serde_json::from_slice(&expected).unwrap();
    let found: BTreeMap<String, String> = expected
        .keys()
        .map(|folder| (folder.clone(), fingerprint(&golden().join(folder))))
        .collect();
    assert!(
        found == expected,
        "{}",
        serde_json::to_string_pretty(&found).unwrap()
    );
}
