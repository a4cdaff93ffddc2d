//! Models that are part of the binary, so that it works anywhere without a network.

use super::files::StaticFiles;

/// A model in the binary.
#[derive(Debug)]
pub struct BundledModel {
    pub name: &'static str,
    pub dim: usize,
    pub license: &'static str,
    pub about: &'static str,
    pub(super) files: fn() -> StaticFiles,
}

impl BundledModel {
    /// What it takes of the binary.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        (self.files)()
            .iter()
            .map(|(_, file)| file.len() as u64)
            .sum()
    }
}

/// The first is the default model.
#[must_use]
pub fn bundled_models() -> &'static [BundledModel] {
    &BUNDLED
}

static BUNDLED: [BundledModel; 1] = [BundledModel {
    name: "clipdb-mini",
    dim: 384,
    license: "Apache-2.0",
    about: "MiniLM-L6 and EfficientNet-Lite2 in one space, English",
    files: clipdb_models::clipdb_mini,
}];
