//! Models that are part of the binary, so that it works anywhere without a network.

use super::files::StaticFiles;

/// A model in the binary.
#[derive(Debug)]
pub struct BundledModel {
    pub name: &'static str,
    pub about: &'static str,
    pub(super) files: StaticFiles,
}

/// The first is the default model.
#[must_use]
pub fn bundled_models() -> &'static [BundledModel] {
    &BUNDLED
}

macro_rules! files {
    ($folder:literal: $($name:literal),+) => {
        &[$(($name, include_bytes!(concat!("../../../models/", $folder, "/", $name)))),+]
    };
}

// The files stand in this one static: named apart, the binary would hold them twice.
static BUNDLED: [BundledModel; 1] = [BundledModel {
    name: "clipdb-mini",
    about: "MiniLM-L6 and EfficientNet-Lite2 in one space: 384 dimensions, English, Apache-2.0",
    files: files!("clipdb-mini":
        "config.json",
        "preprocessor_config.json",
        "tokenizer.json",
        "model.safetensors.index.json",
        "text.safetensors",
        "image.safetensors",
        "projection.safetensors"
    ),
}];
