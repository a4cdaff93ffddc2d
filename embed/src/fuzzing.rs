//! Entry points for the fuzz targets in `fuzz/`, compiled only with `--cfg fuzzing`.

pub use crate::weights::fuzzing::{checkpoint, pickle, safetensors};
