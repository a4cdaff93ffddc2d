//! The readers of weights, for the fuzz targets.

use std::path::Path;

use super::{checkpoint, pickle, safetensors};
use crate::EmbedError;
use crate::sources::ModelFiles;

/// Reads the pickle of a checkpoint and returns how many tensors it describes.
pub fn pickle(code: &[u8]) -> usize {
    pickle::tensors(code).map_or(0, |tensors| tensors.len())
}

/// Reads the locations of the tensors of `name`, a file that `torch.save` wrote.
///
/// # Errors
/// The file is not such a file.
pub fn checkpoint(folder: &Path, name: &str) -> Result<usize, EmbedError> {
    let file = ModelFiles::Folder(folder.to_owned()).open(name)?;
    checkpoint::locations(&file).map(|locations| locations.len())
}

/// Reads the locations of the tensors of `name`, a safetensors file.
///
/// # Errors
/// The file is not such a file.
pub fn safetensors(folder: &Path, name: &str) -> Result<usize, EmbedError> {
    let file = ModelFiles::Folder(folder.to_owned()).open(name)?;
    safetensors::locations(&file).map(|locations| locations.len())
}
