//! Checkpoints by `torch.save`: a ZIP file with the data and with a pickle that describes the
//! tensors.

use safetensors::tensor::Dtype;

use super::{TensorLocation, TensorLocations, archive, pickle};
use crate::EmbedError;
use crate::sources::ModelFile;

/// The path of the pickle after the archive's root folder.
const PICKLE: &str = "/data.pkl";
/// Larger than any checkpoint's pickle, which has some hundred bytes per tensor.
const MAX_PICKLE: u64 = 64 << 20;

/// Reads the locations of all tensors.
pub(super) fn locations(file: &ModelFile) -> Result<TensorLocations, EmbedError> {
    let refuse = |reason: String| EmbedError::file(file.name(), reason);
    let entries = archive::entries(file)?;
    let (name, span) = entries
        .iter()
        .find(|(name, _)| name.ends_with(PICKLE))
        .ok_or_else(|| refuse("it has no data.pkl, so torch.save did not write it".to_owned()))?;
    if span.length > MAX_PICKLE {
        return Err(refuse(
            "its data.pkl is larger than any checkpoint's".to_owned(),
        ));
    }
    let root = name.trim_end_matches(PICKLE);
    if let Some(order) = entries.get(&format!("{root}/byteorder"))
        && *file.read(order.start, order.length.min(16) as usize)? != *b"little"
    {
        return Err(refuse("its data is big-endian".to_owned()));
    }
    let code = file.read(span.start, span.length as usize)?;
    let mut locations = TensorLocations::new();
    for (name, stored) in pickle::tensors(&code).map_err(refuse)? {
        // Other types (counters, positions) are never requested.
        let Some(dtype) = dtype(&stored.storage) else {
            continue;
        };
        let data = entries.get(&format!("{root}/data/{}", stored.key));
        let location = data.and_then(|data| locate(dtype, &stored, *data));
        let location =
            location.ok_or_else(|| refuse(format!("it ends before the data of '{name}'")))?;
        locations.insert(name, location);
    }
    Ok(locations)
}

fn dtype(storage: &str) -> Option<Dtype> {
    match storage {
        "FloatStorage" => Some(Dtype::F32),
        "HalfStorage" => Some(Dtype::F16),
        "BFloat16Storage" => Some(Dtype::BF16),
        _ => None,
    }
}

/// `None` if the tensor exceeds the stored data.
fn locate(dtype: Dtype, stored: &pickle::Stored, data: archive::Span) -> Option<TensorLocation> {
    let size = dtype.bitsize() / 8;
    let count = stored
        .shape
        .iter()
        .try_fold(1_usize, |count, side| count.checked_mul(*side))?;
    let (length, offset) = (count.checked_mul(size)?, stored.offset.checked_mul(size)?);
    if length.checked_add(offset)? as u64 > data.length {
        return None;
    }
    Some(TensorLocation {
        dtype,
        is_contiguous: is_contiguous(&stored.shape, &stored.stride),
        shape: stored.shape.clone(),
        start: data.start + offset as u64,
        length,
    })
}

/// Whether the elements are in row-major order without gaps.
fn is_contiguous(shape: &[usize], stride: &[usize]) -> bool {
    let mut expected = 1_usize;
    shape.len() == stride.len()
        && shape.iter().zip(stride).rev().all(|(side, stride)| {
            let fits = *side == 1 || *stride == expected;
            expected = expected.saturating_mul(*side);
            fits
        })
}
