//! A commit of tantivy: the payload that is stored with it, and its files.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use tantivy::index::SegmentComponent;
use tantivy::{SegmentMeta, TantivyError};

use crate::error::IndexError;
use crate::saved_state::Reason;

/// Stored with each commit; increased whenever the schema or the analysis changes.
const FORMAT: u32 = 6;

/// Stored with each commit.
#[derive(Serialize, Deserialize)]
struct Payload {
    format: u32,
    sequence: u64,
}

/// The payload of the commit of the write of this sequence.
pub(super) fn payload(sequence: u64) -> Result<String, IndexError> {
    let payload = Payload {
        format: FORMAT,
        sequence,
    };
    serde_json::to_string(&payload)
        .map_err(|error| TantivyError::InternalError(error.to_string()))
        .map_err(IndexError::tantivy("describe a commit"))
}

/// The sequence in the payload of a commit.
pub(super) fn sequence(payload: Option<&str>) -> Result<u64, Reason> {
    let payload: Payload = payload
        .and_then(|payload| serde_json::from_str(payload).ok())
        .ok_or_else(|| Reason::Format("a commit without a sequence".to_owned()))?;
    if payload.format != FORMAT {
        return Err(Reason::Format(format!(
            "format {}, expected {FORMAT}",
            payload.format
        )));
    }
    Ok(payload.sequence)
}

/// The files that a segment must have.
pub(super) fn files_of(segment: &SegmentMeta) -> Vec<PathBuf> {
    SegmentComponent::iterator()
        .filter(|component| **component != SegmentComponent::Delete || segment.has_deletes())
        .map(|component| segment.relative_path(*component))
        .collect()
}
