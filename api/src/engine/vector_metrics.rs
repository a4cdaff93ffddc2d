//! What the vectors' segments and their builds come to, for `GET /metrics`: read when asked,
//! since the figures live in each collection's index.

use std::collections::BTreeMap;

use clipdb_index::{Builds, CollectionIndex, SegmentSize, VectorKind};

use super::Engine;
use super::metric::Value::{Counter, Gauge};
use super::metric::{Metric, label};

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

impl Engine {
    /// In Prometheus' text format, by collection.
    pub fn vector_metrics(&self) -> String {
        let indexes: Vec<_> = self
            .collections
            .read()
            .iter()
            .filter_map(|(name, served)| {
                let labels = format!("collection=\"{}\"", label(name.as_str()));
                // What is not open has nothing in memory and builds nothing.
                Some((labels, served.open().ok()?.open_index()?))
            })
            .collect();
        let segments: Vec<(String, Segments)> = indexes
            .iter()
            .flat_map(|(labels, index)| segments(labels, index))
            .collect();
        let builds: Vec<(&str, Builds)> = indexes
            .iter()
            .map(|(labels, index)| (labels.as_str(), index.builds()))
            .collect();
        let mut text = String::new();
        for metric in SEGMENT_METRICS {
            let of = segments.iter();
            metric.write(&mut text, of.map(|(labels, one)| (labels.as_str(), one)));
        }
        for metric in BUILD_METRICS {
            metric.write(&mut text, builds.iter().map(|(labels, one)| (*labels, one)));
        }
        text
    }
}

/// A collection's segments by their labels, after `collection`, its own.
fn segments(collection: &str, index: &CollectionIndex) -> BTreeMap<String, Segments> {
    let mut alike: BTreeMap<String, Segments> = BTreeMap::new();
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
            let labels =
                format!("{collection},vectors=\"{of}\",index=\"{kind}\",state=\"{state}\"");
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
