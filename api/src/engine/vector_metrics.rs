//! What the vectors' segments and their builds come to, for `GET /metrics`: read when asked,
//! since the figures live in each collection's index.

use std::collections::BTreeMap;
use std::fmt::Write;

use clipdb_index::{Builds, CollectionIndex, SegmentSize, VectorKind};

use super::Engine;
use super::model_metrics::label;

/// The segments of a collection that are alike.
#[derive(Default)]
struct Segments {
    count: usize,
    vectors: usize,
    removed: usize,
    memory_bytes: usize,
    disk_bytes: u64,
}

struct SegmentGauge {
    name: &'static str,
    help: &'static str,
    value: fn(&Segments) -> f64,
}

const SEGMENT_GAUGES: [SegmentGauge; 5] = [
    SegmentGauge {
        name: "clipdb_vector_segments",
        help: "Segments of vectors, by how they are searched and where they lie",
        value: |segments| segments.count as f64,
    },
    SegmentGauge {
        name: "clipdb_vectors",
        help: "Vectors that can be found",
        value: |segments| segments.vectors as f64,
    },
    SegmentGauge {
        name: "clipdb_vectors_removed",
        help: "Removed vectors that still take room",
        value: |segments| segments.removed as f64,
    },
    SegmentGauge {
        name: "clipdb_vector_memory_bytes",
        help: "Bytes of vectors in memory, apart from what is mapped",
        value: |segments| segments.memory_bytes as f64,
    },
    SegmentGauge {
        name: "clipdb_vector_disk_bytes",
        help: "Bytes of the segments' files",
        value: |segments| segments.disk_bytes as f64,
    },
];

struct BuildMetric {
    name: &'static str,
    kind: &'static str,
    help: &'static str,
    value: fn(&Builds) -> f64,
}

const BUILD_METRICS: [BuildMetric; 3] = [
    BuildMetric {
        name: "clipdb_vector_builds_under_way",
        kind: "gauge",
        help: "Segments that are being built; one at a time in the whole process",
        value: |builds| f64::from(u8::from(builds.under_way)),
    },
    BuildMetric {
        name: "clipdb_vector_builds_total",
        kind: "counter",
        help: "Builds of segments that ended since the collection was opened",
        value: |builds| builds.ended as f64,
    },
    BuildMetric {
        name: "clipdb_vector_build_seconds_total",
        kind: "counter",
        help: "Time spent building segments since the collection was opened",
        value: |builds| builds.spent.as_secs_f64(),
    },
];

impl Engine {
    /// In Prometheus' text format, by collection.
    pub fn vector_metrics(&self) -> String {
        let collections: Vec<_> = self
            .collections
            .read()
            .iter()
            .filter_map(|(name, served)| {
                let collection = served.open().ok()?;
                Some((label(name.as_str()), collection.index.clone()))
            })
            .collect();
        let segments: Vec<(String, Segments)> = collections
            .iter()
            .flat_map(|(name, index)| segments(name, index))
            .collect();
        let mut text = String::new();
        for SegmentGauge { name, help, value } in SEGMENT_GAUGES {
            // Writing to a String can't fail.
            let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} gauge");
            for (labels, segments) in &segments {
                let _ = writeln!(text, "{name}{{{labels}}} {}", value(segments));
            }
        }
        for BuildMetric {
            name,
            kind,
            help,
            value,
        } in BUILD_METRICS
        {
            let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
            for (collection, index) in &collections {
                let value = value(&index.builds());
                let _ = writeln!(text, "{name}{{collection=\"{collection}\"}} {value}");
            }
        }
        text
    }
}

/// A collection's segments by their labels.
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
            let labels = format!(
                "collection=\"{collection}\",vectors=\"{of}\",index=\"{kind}\",state=\"{state}\""
            );
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
