//! Validates the vector index settings of a collection's definition and converts them to those of
//! the index.

use clipdb_index::{BuiltKind, IndexKind, SegmentSize, VectorSettings};
use clipdb_storage::{VectorIndex, VectorIndexKind};

use crate::error::EngineError;

/// The vector index in `GET /collections/{name}`: every setting in effect, and for each kind of
/// vector the kind of index that is built and its segments.
#[derive(Debug, Clone, serde::Serialize)]
pub struct IndexSummary {
    kind: VectorIndexKind,
    m: usize,
    ef_construction: usize,
    ef: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    nlist: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    nprobe: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pq_m: Option<usize>,
    seal_at: usize,
    /// Whether vectors are being sealed, built or merged, or about to be.
    building: bool,
    /// `None` if the indexes are not open and lack documents, like `text`.
    image: Option<KindSummary>,
    text: Option<KindSummary>,
}

#[derive(Debug, Clone, serde::Serialize)]
struct KindSummary {
    /// The kind of index that the collection's `kind` selects for this number of vectors.
    built_as: BuiltKind,
    segments: Vec<SegmentSize>,
}

/// Validates the settings: fails if no index can be built with them.
pub(crate) fn check(index: &VectorIndex, dim: usize) -> Result<(), EngineError> {
    let ranges = [
        ("m", index.m, 2, 128),
        ("ef_construction", index.ef_construction, 8, 4096),
        ("ef", index.ef, 1, 65_536),
        ("nlist", index.nlist, 1, 65_536),
        ("nprobe", index.nprobe, 1, 65_536),
        ("pq_m", index.pq_m, 1, (dim / 2).max(1)),
        ("seal_at", index.seal_at, 16, 1 << 20),
    ];
    for (name, value, least, most) in ranges {
        if let Some(value) = value.filter(|value| !(least..=most).contains(value)) {
            return Err(EngineError::InvalidField(format!(
                "'index.{name}' is {value}; it must be between {least} and {most}"
            )));
        }
    }
    match index.pq_m {
        Some(bytes) if !dim.is_multiple_of(2 * bytes) => Err(EngineError::InvalidField(format!(
            "'index.pq_m' is {bytes}; twice as much must divide the {dim} dimensions"
        ))),
        _ => Ok(()),
    }
}

pub(crate) fn settings(index: &VectorIndex) -> VectorSettings {
    let defaults = VectorSettings::default();
    VectorSettings {
        kind: match index.kind {
            VectorIndexKind::Auto => IndexKind::Auto,
            VectorIndexKind::Flat => IndexKind::Flat,
            VectorIndexKind::Hnsw => IndexKind::Hnsw,
            VectorIndexKind::IvfPq => IndexKind::IvfPq,
            VectorIndexKind::Sq8 => IndexKind::Sq8,
        },
        m: index.m.unwrap_or(defaults.m),
        ef_construction: index.ef_construction.unwrap_or(defaults.ef_construction),
        ef: index.ef.unwrap_or(defaults.ef),
        nlist: index.nlist,
        nprobe: index.nprobe,
        pq_m: index.pq_m,
        seal_at: index.seal_at.unwrap_or(defaults.seal_at),
    }
}

/// Summarises the segments of images and of texts, if they are known.
pub(crate) fn summary(
    requested: &VectorIndex,
    segments: Option<[Vec<SegmentSize>; 2]>,
    building: bool,
) -> IndexSummary {
    let settings = settings(requested);
    let of = |segments: Vec<SegmentSize>| KindSummary {
        built_as: settings.built_as(segments.iter().map(|segment| segment.vectors).sum()),
        segments,
    };
    let (image, text) = match segments {
        Some([images, texts]) => (Some(of(images)), Some(of(texts))),
        None => (None, None),
    };
    IndexSummary {
        kind: requested.kind,
        m: settings.m,
        ef_construction: settings.ef_construction,
        ef: settings.ef,
        nlist: settings.nlist,
        nprobe: settings.nprobe,
        pq_m: settings.pq_m,
        seal_at: settings.seal_at,
        building,
        image,
        text,
    }
}
