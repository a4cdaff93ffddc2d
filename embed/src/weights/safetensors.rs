//! The header of a safetensors file.

use safetensors::tensor::Metadata;

use super::{Place, Places};
use crate::EmbedError;
use crate::sources::ModelFile;

/// The format's own limit for a header.
const MAX_HEADER: u64 = 100_000_000;

pub(super) fn places(file: &ModelFile) -> Result<Places, EmbedError> {
    let refuse = |reason: String| EmbedError::file(file.name(), reason);
    if file.len() < 8 {
        return Err(refuse("it is too short for a safetensors file".to_owned()));
    }
    let mut length = [0; 8];
    length.copy_from_slice(&file.read(0, 8)?);
    let length = u64::from_le_bytes(length);
    if length > MAX_HEADER || length > file.len() - 8 {
        return Err(refuse(
            "it is truncated, or no safetensors file (its header is longer than itself)".to_owned(),
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
            "it has {} bytes where its header promises {expected}",
            file.len()
        )));
    }
    let places = metadata.tensors().into_iter().map(|(name, info)| {
        let (start, end) = info.data_offsets;
        let place = Place {
            dtype: info.dtype,
            shape: info.shape.clone(),
            start: data_start + start as u64,
            length: end - start,
            in_order: true,
        };
        (name, place)
    });
    Ok(places.collect())
}
