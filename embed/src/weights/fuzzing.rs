//! The readers of weights, for the fuzz targets.

use std::path::Path;

use super::{checkpoint, pickle, safetensors};
use crate::EmbedError;
use crate::sources::ModelFiles;

/// Reads the pickle of a checkpoint and returns how many tensors it describes.
pub fn pickle(code: &[u8]) -> usize {
    pickle::tensors(code).map_or(0, |tensors| tensors.len())
}

/// Reads where the tensors of `name` are, a file that `torch.save` wrote.
///
/// # Errors
/// The file is not such a file.
pub fn checkpoint(folder: &Path, name: &str) -> Result<usize, EmbedError> {
    let file = ModelFiles::Folder(folder.to_owned()).open(name)?;
    checkpoint::places(&file).map(|places| places.len())
}

/// Reads where the tensors of `name` are, a safetensors file.
///
/// # Errors
/// The file is not such a file.
pub fn safetensors(folder: &Path, name: &str) -> Result<usize, EmbedError> {
    let file = ModelFiles::Folder(folder.to_owned()).open(name)?;
    safetensors::places(&file).map(|places| places.len())
}
