//! A separate process, because a loaded library stays loaded.

use std::path::{Path, PathBuf};

use clipdb_embed::{DeviceChoice, Encoder, EncoderSettings, ModelSource};

#[test]
fn a_missing_library_has_advice() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("parity/golden/onnx-optimum");
    let settings = EncoderSettings {
        devices: DeviceChoice::Cpu.into(),
        onnx_runtime: Some(PathBuf::from("/nonexistent/libonnxruntime.so")),
        ..EncoderSettings::default()
    };
    let Err(error) = Encoder::load(&ModelSource::folder(&folder).unwrap(), &settings) else {
        panic!("the library does not exist");
    };
    let error = error.to_string();
    for part in ["/nonexistent/libonnxruntime.so", "--onnx-runtime"] {
        assert!(error.contains(part), "{error}");
    }
}
