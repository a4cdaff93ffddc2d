//! A small source of truth with exact search results.

use std::collections::BTreeMap;
use std::path::Path;

use clipdb_index::{
    CollectionIndex, Configuration, Nearest, Opened, OwnedRow, Row, RowId, Scored, VectorKind,
};
use serde_json::{Map, Value, json};

pub const DIM: usize = 8;

/// The documents that storage would have.
#[derive(Debug, Clone, Default)]
pub struct Truth {
    pub rows: BTreeMap<RowId, OwnedRow>,
}

impl Truth {
    pub fn ids(&self) -> Vec<RowId> {
        self.rows.keys().copied().collect()
    }

    /// Applies a write to the index and to itself.
    pub fn write(
        &mut self,
        index: &CollectionIndex,
        remove: &[RowId],
        add: Vec<OwnedRow>,
        sequence: u64,
    ) {
        let rows: Vec<Row<'_>> = add.iter().map(OwnedRow::as_row).collect();
        index.apply(remove, &rows, sequence).unwrap();
        for row in remove {
            self.rows.remove(row);
        }
        self.rows.extend(add.into_iter().map(|row| (row.id, row)));
    }

    pub fn reconcile(&self, index: &CollectionIndex, sequence: u64) -> clipdb_index::Reconciled {
        index
            .reconcile(&self.ids(), sequence, |row| {
                self.rows.get(&row).cloned().ok_or("gone")
            })
            .unwrap()
    }

    pub fn nearest(&self, query: &[f32], kind: VectorKind, limit: usize) -> Vec<Scored> {
        let mut hits: Vec<Scored> = self
            .rows
            .values()
            .flat_map(|row| {
                row.vectors
                    .iter()
                    .map(move |(of, vector)| (row.id, *of, vector))
            })
            .filter(|(_, of, _)| *of == kind)
            .map(|(row, _, vector)| Scored {
                row,
                score: vector.iter().zip(query).map(|(a, b)| a * b).sum(),
                passage: 0,
            })
            .collect();
        hits.sort_by(|a, b| b.score.total_cmp(&a.score).then(a.row.cmp(&b.row)));
        hits.truncate(limit);
        hits
    }

    /// Asserts that the index holds exactly these rows.
    pub fn assert_same(&self, index: &CollectionIndex) {
        assert_eq!(index.vector_rows(), self.ids());
        assert_eq!(index.keyword_rows().unwrap(), self.ids());
        for kind in [VectorKind::Image, VectorKind::Text] {
            for axis in 0..3 {
                let mut query = [0.1; DIM];
                query[axis] = 1.0;
                let expected = self.nearest(&query, kind, 12);
                let found = index
                    .nearest(&query, kind, 12, &Nearest::default())
                    .unwrap();
                assert_eq!(found.len(), expected.len(), "{kind:?}");
                for (found, expected) in found.iter().zip(&expected) {
                    assert!(
                        (found.score - expected.score).abs() < 1e-5,
                        "{found:?} {expected:?}"
                    );
                }
            }
        }
    }
}

pub fn open(dir: &Path) -> (CollectionIndex, Opened) {
    CollectionIndex::open(dir, &Configuration::new(DIM)).unwrap()
}

/// A vector that differs for each row and kind.
pub fn vector(row: u64, kind: VectorKind) -> Vec<f32> {
    let shift = match kind {
        VectorKind::Image => 0.0,
        VectorKind::Text => 0.7,
    };
    (0u8..)
        .take(DIM)
        .map(|at| ((row as f32) * 0.37 + f32::from(at) * 1.3 + shift).sin())
        .collect()
}

pub fn metadata(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(object) => object,
        other => panic!("{other} is no object"),
    }
}

/// A document with a text, and in every third row an image.
pub fn document(row: u64) -> OwnedRow {
    let mut vectors = vec![(VectorKind::Text, vector(row, VectorKind::Text))];
    if row.is_multiple_of(3) {
        vectors.push((VectorKind::Image, vector(row, VectorKind::Image)));
    }
    OwnedRow {
        id: RowId(row),
        document: format!("d{row}"),
        text: Some(format!("document number{row} about word{}", row % 5)),
        metadata: metadata(json!({"code": format!("AB-{row}"), "year": 2000 + row})),
        vectors,
    }
}

/// A document with the same vector as others of its row, for keyword tests.
pub fn written(row: u64, text: &str, fields: Value) -> OwnedRow {
    OwnedRow {
        id: RowId(row),
        document: format!("d{row}"),
        text: (!text.is_empty()).then(|| text.to_owned()),
        metadata: metadata(fields),
        vectors: vec![(VectorKind::Text, vector(row, VectorKind::Text))],
    }
}
