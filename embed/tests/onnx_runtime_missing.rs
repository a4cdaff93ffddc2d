//! Alone in its process: a library that is loaded stays.

use std::path::{Path, PathBuf};

use clipdb_embed::{DeviceChoice, Encoder, EncoderSettings, ModelSource};

#[test]
fn a_missing_library_says_what_to_do() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("parity/golden/onnx-optimum");
    let settings = EncoderSettings {
        devices: DeviceChoice::Cpu.into(),
        onnx_runtime: Some(PathBuf::from("/nonexistent/libonnxruntime.so")),
        ..EncoderSettings::default()
    };
    let Err(error) = Encoder::load(&ModelSource::folder(&folder).unwrap(), &settings) else {
        panic!("there is no such library");
    };
    let error = error.to_string();
    for part in ["/nonexistent/libonnxruntime.so", "--onnx-runtime"] {
        assert!(error.contains(part), "{error}");
    }
}
