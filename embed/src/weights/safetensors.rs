//! The header of a safetensors file.

use safetensors::tensor::Metadata;

use super::{TensorLocation, TensorLocations};
use crate::EmbedError;
use crate::sources::ModelFile;

/// The format's limit on the size of a header.
const MAX_HEADER: u64 = 100_000_000;

/// Reads the locations of all tensors.
pub(super) fn locations(file: &ModelFile) -> Result<TensorLocations, EmbedError> {
    let refuse = |reason: String| EmbedError::file(file.name(), reason);
    if file.len() < 8 {
        return Err(refuse(
            "it is too short to be a safetensors file".to_owned(),
        ));
    }
    let mut length = [0; 8];
    length.copy_from_slice(&file.read(0, 8)?);
    let length = u64::from_le_bytes(length);
    if length > MAX_HEADER || length > file.len() - 8 {
        return Err(refuse(
            "it is truncated, or not a safetensors file (its header is longer than the file)"
                .to_owned(),
        ));
    }
    // At most MAX_HEADER, so it fits.
    let header = file.read(8, length as usize)?;
    let metadata: Metadata = serde_json::from_slice(&header)
        .map_err(|error| refuse(format!("its header cannot be read: {error}")))?;
    let data_start = 8 + length;
    let expected = data_start + metadata.data_len() as u64;
    if expected != file.len() {
        return Err(refuse(format!(
            "it has {} bytes, but its header promises {expected}",
            file.len()
        )));
    }
    let locations = metadata.tensors().into_iter().map(|(name, info)| {
        let (start, end) = info.data_offsets;
        let location = TensorLocation {
            dtype: info.dtype,
            shape: info.shape.clone(),
            start: data_start + start as u64,
            length: end - start,
            is_contiguous: true,
        };
        (name, location)
    });
    Ok(locations.collect())
}
