//! Checkpoints as `torch.save` writes them: a ZIP file of numbers and of a pickle that
//! says which are whose.

use safetensors::tensor::Dtype;

use super::{Place, Places, archive, pickle};
use crate::EmbedError;
use crate::sources::ModelFile;

/// Where the pickle lies, behind the archive's own name.
const PICKLE: &str = "/data.pkl";
/// Descriptions are some hundred bytes a tensor.
const MAX_PICKLE: u64 = 64 << 20;

pub(super) fn places(file: &ModelFile) -> Result<Places, EmbedError> {
    let refuse = |reason: String| EmbedError::file(file.name(), reason);
    let entries = archive::entries(file)?;
    let (name, span) = entries
        .iter()
        .find(|(name, _)| name.ends_with(PICKLE))
        .ok_or_else(|| refuse("it has no data.pkl: it is none of torch.save's".to_owned()))?;
    if span.length > MAX_PICKLE {
        return Err(refuse(
            "its data.pkl is larger than any checkpoint's".to_owned(),
        ));
    }
    let root = name.trim_end_matches(PICKLE);
    if let Some(order) = entries.get(&format!("{root}/byteorder"))
        && *file.read(order.start, order.length.min(16) as usize)? != *b"little"
    {
        return Err(refuse(
            "its numbers begin with their largest byte".to_owned(),
        ));
    }
    let code = file.read(span.start, span.length as usize)?;
    let mut places = Places::new();
    for (name, stored) in pickle::tensors(&code).map_err(refuse)? {
        // What else a state dictionary holds (counters, positions) is never asked for.
        let Some(dtype) = dtype(&stored.storage) else {
            continue;
        };
        let data = entries.get(&format!("{root}/data/{}", stored.key));
        let place = data.and_then(|data| place(dtype, &stored, *data));
        let place =
            place.ok_or_else(|| refuse(format!("it ends before the numbers of '{name}'")))?;
        places.insert(name, place);
    }
    Ok(places)
}

fn dtype(storage: &str) -> Option<Dtype> {
    match storage {
        "FloatStorage" => Some(Dtype::F32),
        "HalfStorage" => Some(Dtype::F16),
        "BFloat16Storage" => Some(Dtype::BF16),
        _ => None,
    }
}

/// None when the tensor does not fit into what is stored.
fn place(dtype: Dtype, stored: &pickle::Stored, data: archive::Span) -> Option<Place> {
    let size = dtype.bitsize() / 8;
    let count = stored
        .shape
        .iter()
        .try_fold(1_usize, |count, side| count.checked_mul(*side))?;
    let (length, offset) = (count.checked_mul(size)?, stored.offset.checked_mul(size)?);
    if length.checked_add(offset)? as u64 > data.length {
        return None;
    }
    Some(Place {
        dtype,
        in_order: is_in_order(&stored.shape, &stored.stride),
        shape: stored.shape.clone(),
        start: data.start + offset as u64,
        length,
    })
}

/// Whether numbers lie as they are counted: the last side fastest.
fn is_in_order(shape: &[usize], stride: &[usize]) -> bool {
    let mut expected = 1_usize;
    shape.len() == stride.len()
        && shape.iter().zip(stride).rev().all(|(side, stride)| {
            let fits = *side == 1 || *stride == expected;
            expected = expected.saturating_mul(*side);
            fits
        })
}
