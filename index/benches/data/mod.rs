//! Collections that the benches search.

#![allow(dead_code, reason = "each bench uses a part")]

use clipdb_index::{
    CollectionIndex, Configuration, IndexKind, OwnedRow, Row, RowId, VectorKind, VectorSettings,
};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::{Map, Value, json};
use tempfile::TempDir;

pub const DIM: usize = 256;

/// An index of `count` documents in a temporary folder. With `vectors`, each has an image vector,
/// and all of them are in one graph.
pub fn collection(count: u64, vectors: bool) -> (TempDir, CollectionIndex) {
    let folder = TempDir::new().expect("a temporary folder");
    let configuration = Configuration {
        vectors: VectorSettings {
            kind: IndexKind::Hnsw,
            ..VectorSettings::default()
        },
        ..Configuration::new(DIM)
    };
    let (index, _) = CollectionIndex::open(folder.path(), &configuration).expect("an empty folder");
    let mut random = StdRng::seed_from_u64(1);
    let centres: Vec<Vec<f32>> = (0..40)
        .map(|_| near(&mut random, &[0.0; DIM], 1.0))
        .collect();
    for first in (0..count).step_by(5000) {
        let rows: Vec<OwnedRow> = (first..count.min(first + 5000))
            .map(|row| {
                let centre = &centres[row as usize % centres.len()];
                let vector = vectors.then(|| near(&mut random, centre, 0.1));
                document(row, vector)
            })
            .collect();
        let rows: Vec<Row<'_>> = rows.iter().map(OwnedRow::as_row).collect();
        index.apply(&[], &rows, first + 1).expect("a write");
    }
    if vectors {
        index.wait_for_builds();
        index.compact();
        index.wait_for_builds();
    }
    (folder, index)
}

/// Queries near the vectors of [`collection`].
pub fn queries(index: &CollectionIndex) -> Vec<Vec<f32>> {
    let mut random = StdRng::seed_from_u64(2);
    index
        .sample(VectorKind::Image, 50)
        .iter()
        .map(|vector| near(&mut random, vector, 0.03))
        .collect()
}

/// A unit vector near another.
fn near(random: &mut StdRng, centre: &[f32], spread: f32) -> Vec<f32> {
    let moved: Vec<f32> = centre
        .iter()
        .map(|x| x + spread * random.random_range(-1.0..1.0f32))
        .collect();
    let norm = moved.iter().map(|x| x * x).sum::<f32>().sqrt();
    moved.into_iter().map(|x| x / norm).collect()
}

fn document(row: u64, vector: Option<Vec<f32>>) -> OwnedRow {
    // A deterministic pseudorandom number.
    let mixed = row.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20;
    let metadata = json!({
        "serial": row,
        "year": 2000 + mixed % 25,
        "name": format!("name {}", mixed % 1_000_000),
        "tags": [format!("t{}", mixed % 50), format!("t{}", mixed / 7 % 50)],
        "place": {"lat": (mixed % 18_000) as f64 / 100.0 - 90.0, "lon": (mixed / 3 % 36_000) as f64 / 100.0 - 180.0},
    });
    OwnedRow {
        id: RowId(row),
        document: format!("d{row}"),
        text: None,
        metadata: match metadata {
            Value::Object(metadata) => metadata,
            _ => Map::new(),
        },
        vectors: vector
            .map(|vector| (VectorKind::Image, vector))
            .into_iter()
            .collect(),
    }
}
