//! The segments of vectors and their builds, which live in each collection's index.

use std::collections::BTreeMap;

use clipdb_index::{Builds, CollectionIndex, SegmentSize, VectorKind};
use clipdb_storage::CollectionName;
use prometheus::core::Desc;
use prometheus::proto::MetricFamily;

use crate::collection::slot::CollectionSlot;
use crate::metrics::metric::Value::{Counter, Gauge};
use crate::metrics::metric::{Labels, Metric, describe};

/// The segments of a collection that are alike.
#[derive(Default)]
struct Segments {
    count: usize,
    vectors: usize,
    removed: usize,
    memory_bytes: usize,
    disk_bytes: u64,
}

const SEGMENT_METRICS: [Metric<Segments>; 5] = [
    Metric {
        name: "clipdb_vector_segments",
        help: "Segments of vectors, by how they are searched and where they lie",
        value: Gauge(|segments| segments.count as f64),
    },
    Metric {
        name: "clipdb_vectors",
        help: "Vectors that can be found",
        value: Gauge(|segments| segments.vectors as f64),
    },
    Metric {
        name: "clipdb_vectors_removed",
        help: "Removed vectors that still take room",
        value: Gauge(|segments| segments.removed as f64),
    },
    Metric {
        name: "clipdb_vector_memory_bytes",
        help: "Bytes of vectors in memory, apart from what is mapped",
        value: Gauge(|segments| segments.memory_bytes as f64),
    },
    Metric {
        name: "clipdb_vector_disk_bytes",
        help: "Bytes of the segments' files",
        value: Gauge(|segments| segments.disk_bytes as f64),
    },
];

const BUILD_METRICS: [Metric<Builds>; 3] = [
    Metric {
        name: "clipdb_vector_builds_under_way",
        help: "Segments that are being built; one at a time in the whole process",
        value: Gauge(|builds| f64::from(u8::from(builds.in_progress))),
    },
    Metric {
        name: "clipdb_vector_builds_total",
        help: "Builds of segments that ended since the collection was opened",
        value: Counter(|builds| builds.ended as f64),
    },
    Metric {
        name: "clipdb_vector_build_seconds_total",
        help: "Time spent building segments since the collection was opened",
        value: Counter(|builds| builds.spent.as_secs_f64()),
    },
];

pub(crate) fn descriptions() -> Result<Vec<Desc>, prometheus::Error> {
    let mut descriptions = describe(&SEGMENT_METRICS)?;
    descriptions.append(&mut describe(&BUILD_METRICS)?);
    Ok(descriptions)
}

/// A sample for each collection whose indexes are open: the others hold nothing in memory and
/// build nothing.
pub(crate) fn read(collections: &BTreeMap<CollectionName, CollectionSlot>) -> Vec<MetricFamily> {
    let mut segments: Vec<(Labels, Segments)> = Vec::new();
    let mut builds: Vec<(Labels, Builds)> = Vec::new();
    for (name, slot) in collections {
        let index = slot.open().ok().and_then(|open| open.open_index());
        if let Some(index) = index {
            let labels = vec![("collection", name.to_string())];
            segments.extend(segments_of(&labels, &index));
            builds.push((labels, index.builds()));
        }
    }
    let segments = || segments.iter().map(|(labels, one)| (labels, one));
    let builds = || builds.iter().map(|(labels, one)| (labels, one));
    let of_segments = SEGMENT_METRICS
        .iter()
        .map(|metric| metric.family(segments()));
    let of_builds = BUILD_METRICS.iter().map(|metric| metric.family(builds()));
    of_segments.chain(of_builds).collect()
}

/// A collection's segments by their labels.
fn segments_of(collection: &Labels, index: &CollectionIndex) -> BTreeMap<Labels, Segments> {
    let mut alike: BTreeMap<Labels, Segments> = BTreeMap::new();
    for (of, kind) in [("image", VectorKind::Image), ("text", VectorKind::Text)] {
        for segment in index.segments(kind) {
            let SegmentSize {
                kind,
                vectors,
                removed,
                stored,
                disk_bytes,
                memory_bytes,
            } = segment;
            let state = if stored { "stored" } else { "growing" };
            let mut labels = collection.clone();
            labels.extend([
                ("vectors", of.to_owned()),
                ("index", kind.to_string()),
                ("state", state.to_owned()),
            ]);
            let segments = alike.entry(labels).or_default();
            segments.count += 1;
            segments.vectors += vectors;
            segments.removed += removed;
            segments.memory_bytes += memory_bytes;
            segments.disk_bytes += disk_bytes;
        }
    }
    alike
}
