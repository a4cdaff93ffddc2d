//! The ONNX Runtime library, loaded once per process.

use std::path::{Path, PathBuf};

use ort::environment::Environment;
use parking_lot::Mutex;

use crate::EmbedError;

/// The name for the system's library search.
const SYSTEM_LIBRARY: &str = "libonnxruntime.so";

static ENVIRONMENT: Mutex<Option<Environment>> = Mutex::new(None);

/// Loads the library at `configured`, or the system's. A loaded library stays loaded, and later calls
/// return it.
///
/// # Errors
/// [`EmbedError::OnnxRuntime`] if it is missing or too old.
pub(super) fn environment(configured: Option<&Path>) -> Result<Environment, EmbedError> {
    let mut loaded = ENVIRONMENT.lock();
    if let Some(environment) = &*loaded {
        return Ok(environment.clone());
    }
    let library = configured.map_or_else(|| PathBuf::from(SYSTEM_LIBRARY), Path::to_path_buf);
    let refuse = |reason: String| EmbedError::OnnxRuntime {
        library: library.clone(),
        reason,
    };
    let environment = ort::init_from(&library)
        .map_err(|error| refuse(error.to_string()))?
        .with_name("clipdb")
        .with_telemetry(false)
        .build()
        .map_err(|error| refuse(error.to_string()))?;
    tracing::info!(library = %library.display(), "ONNX Runtime loaded");
    Ok(loaded.insert(environment).clone())
}
