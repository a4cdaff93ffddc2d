//! Models that are part of the binary, so that it works anywhere without a network.

use super::files::StaticFiles;

/// A model in the binary.
#[derive(Debug)]
pub struct BundledModel {
    pub name: &'static str,
    pub about: &'static str,
    pub(super) files: fn() -> StaticFiles,
}

/// The first is the default model.
#[must_use]
pub fn bundled_models() -> &'static [BundledModel] {
    &BUNDLED
}

static BUNDLED: [BundledModel; 1] = [BundledModel {
    name: "clipdb-mini",
    about: "MiniLM-L6 and EfficientNet-Lite2 in one space: 384 dimensions, English, Apache-2.0",
    files: clipdb_models::clipdb_mini,
}];
