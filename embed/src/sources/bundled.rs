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
    &[]
}
