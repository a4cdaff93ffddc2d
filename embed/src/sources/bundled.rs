//! Models that are part of the binary, so that it works without a network.

use super::files::StaticFiles;

/// A model that is part of the binary.
#[derive(Debug)]
pub struct BundledModel {
    /// The name to load it by.
    pub name: &'static str,
    /// Dimensions of an embedding.
    pub dim: usize,
    /// SPDX identifier.
    pub license: &'static str,
    /// One line for users.
    pub about: &'static str,
    pub(super) files: fn() -> StaticFiles,
}

impl BundledModel {
    /// Its share of the binary, in bytes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        (self.files)()
            .iter()
            .map(|file| file.bytes().len() as u64)
            .sum()
    }
}

/// The bundled models. The first is the default model.
#[must_use]
pub fn bundled_models() -> &'static [BundledModel] {
    &BUNDLED
}

static BUNDLED: [BundledModel; 2] = [
    BundledModel {
        name: "clipdb-multilingual",
        dim: 576,
        license: "Apache-2.0 AND MIT",
        about: "E5, USE and EfficientNet-Lite2 in one space, a hundred languages",
        files: clipdb_models::clipdb_multilingual,
    },
    BundledModel {
        name: "clipdb-mini",
        dim: 384,
        license: "Apache-2.0",
        about: "MiniLM-L6 and EfficientNet-Lite2 in one space, English",
        files: clipdb_models::clipdb_mini,
    },
];
