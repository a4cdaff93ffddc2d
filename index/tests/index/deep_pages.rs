//! A vector search returns one list: the list for a smaller limit is a prefix of the list for a larger
//! one, and the complete list has every row once.

use std::collections::BTreeSet;

use clipdb_index::{
    CollectionIndex, IndexKind, Nearest, OwnedRow, RowId, RowSet, Scored, VectorKind,
};
use tempfile::TempDir;

use crate::segments::{clustered, open, row, settings};
use crate::support::Truth;

const ROWS: u64 = 9_000;

/// Limits around each depth at which the source of the list changes.
const LIMITS: [usize; 22] = [
    1, 2, 9, 10, 11, 15, 16, 17, 31, 32, 33, 64, 100, 127, 128, 129, 400, 1000, 1023, 1024, 1025,
    4500,
];

fn filled(kind: IndexKind, dir: &TempDir, vectors: &[Vec<f32>], each: usize) -> CollectionIndex {
    let (index, _) = open(dir.path(), vectors[0].len(), settings(kind, 3500));
    let mut truth = Truth::default();
    let rows: Vec<OwnedRow> = vectors
        .chunks(each)
        .zip(0..)
        .map(|(vectors, id)| {
            let vectors = vectors
                .iter()
                .map(|vector| (VectorKind::Image, vector.clone()));
            row(id, vectors.collect())
        })
        .collect();
    for (chunk, sequence) in rows.chunks(700).zip(1..) {
        truth.write(&index, &[], chunk.to_vec(), sequence);
    }
    index.wait_for_builds();
    let gone: Vec<RowId> = (0..rows.len() as u64).step_by(13).map(RowId).collect();
    truth.write(&index, &gone, vec![], 1_000);
    index
}

fn nearest(index: &CollectionIndex, query: &[f32], limit: usize, how: &Nearest<'_>) -> Vec<Scored> {
    index.nearest(query, VectorKind::Image, limit, how).unwrap()
}

/// `all` are all matching rows.
fn assert_one_list(
    index: &CollectionIndex,
    query: &[f32],
    how: &Nearest<'_>,
    all: &BTreeSet<RowId>,
    what: &str,
) {
    let whole = nearest(index, query, all.len() + 100, how);
    let rows: BTreeSet<RowId> = whole.iter().map(|hit| hit.row).collect();
    assert_eq!(whole.len(), rows.len(), "{what}: a row twice");
    assert_eq!(&rows, all, "{what}");
    for limit in LIMITS {
        let hits = nearest(index, query, limit, how);
        assert_eq!(hits, whole[..limit.min(whole.len())], "{what}: {limit}");
    }
}

fn live(rows: u64) -> BTreeSet<RowId> {
    (0..rows).filter(|row| row % 13 != 0).map(RowId).collect()
}

#[test]
fn a_smaller_limit_returns_a_prefix() {
    let vectors = clustered(ROWS as usize, 21);
    let queries = clustered(3, 22);
    for kind in [
        IndexKind::Hnsw,
        IndexKind::Sq8,
        IndexKind::IvfPq,
        IndexKind::Flat,
    ] {
        let dir = TempDir::new().unwrap();
        let index = filled(kind, &dir, &vectors, 1);
        assert!(index.segments(VectorKind::Image).len() > 1, "{kind:?}");
        let live = live(ROWS);
        let filters: [Option<RowSet>; 6] = [
            None,
            Some((0..ROWS).filter(|row| row % 2 == 0).map(RowId).collect()),
            Some((0..ROWS).filter(|row| row % 10 == 3).map(RowId).collect()),
            Some((0..ROWS).filter(|row| row % 100 == 7).map(RowId).collect()),
            // Clusters, most of which are far from the query.
            Some((0..ROWS).filter(|row| row % 20 < 3).map(RowId).collect()),
            Some((4_000..4_020).map(RowId).collect()),
        ];
        for (query, within) in queries.iter().cycle().zip(&filters) {
            let all: BTreeSet<RowId> = live
                .iter()
                .copied()
                .filter(|row| within.as_ref().is_none_or(|rows| rows.contains(*row)))
                .collect();
            for (ef, nprobe) in [(None, None), (Some(1), Some(1)), (Some(300), Some(40))] {
                let how = Nearest {
                    within: within.as_ref(),
                    ef,
                    nprobe,
                    ..Nearest::default()
                };
                let what = format!("{kind:?}, ef {ef:?}, {} rows", all.len());
                assert_one_list(&index, query, &how, &all, &what);
            }
            let exact = Nearest {
                within: within.as_ref(),
                exact: true,
                ..Nearest::default()
            };
            assert_one_list(&index, query, &exact, &all, &format!("{kind:?}, exact"));
        }
    }
}

#[test]
fn rows_with_several_passages_are_one_list_too() {
    let vectors = clustered(ROWS as usize, 23);
    let query = &clustered(1, 24)[0];
    for kind in [IndexKind::Hnsw, IndexKind::IvfPq] {
        let dir = TempDir::new().unwrap();
        let index = filled(kind, &dir, &vectors, 4);
        let all = live(ROWS / 4);
        for exact in [false, true] {
            let how = Nearest {
                exact,
                ..Nearest::default()
            };
            assert_one_list(&index, query, &how, &all, &format!("{kind:?}"));
        }
    }
}

/// Copies of one image have equal scores and are ordered by row, at every depth and in every segment.
#[test]
fn equal_vectors_are_ordered_by_row() {
    let kinds = clustered(3, 25);
    let vectors: Vec<Vec<f32>> = (0..ROWS as usize)
        .map(|row| kinds[row % 3].clone())
        .collect();
    for kind in [IndexKind::Flat, IndexKind::Hnsw, IndexKind::IvfPq] {
        let dir = TempDir::new().unwrap();
        let index = filled(kind, &dir, &vectors, 1);
        for exact in [false, true] {
            let how = Nearest {
                exact,
                ..Nearest::default()
            };
            assert_one_list(&index, &kinds[1], &how, &live(ROWS), &format!("{kind:?}"));
            if exact || kind == IndexKind::Flat {
                let hits = nearest(&index, &kinds[1], 500, &how);
                let best: Vec<RowId> = hits.iter().map(|hit| hit.row).collect();
                let first = live(ROWS).into_iter().filter(|row| row.0 % 3 == 1);
                assert_eq!(best, first.take(500).collect::<Vec<_>>(), "{kind:?}");
            }
        }
    }
}

/// Deep pages match the exact order, too.
#[test]
fn deep_pages_match_the_exact_order() {
    let vectors = clustered(ROWS as usize, 26);
    for (kind, least) in [
        (IndexKind::Hnsw, 90),
        (IndexKind::Sq8, 90),
        // Codes of four bytes each.
        (IndexKind::IvfPq, 80),
    ] {
        let dir = TempDir::new().unwrap();
        let index = filled(kind, &dir, &vectors, 1);
        for query in clustered(5, 27) {
            for depth in [100, 500, 1000, 3000] {
                let exact = Nearest {
                    exact: true,
                    ..Nearest::default()
                };
                let best: BTreeSet<RowId> = nearest(&index, &query, depth, &exact)
                    .iter()
                    .map(|hit| hit.row)
                    .collect();
                let found = nearest(&index, &query, depth, &Nearest::default());
                let right = found.iter().filter(|hit| best.contains(&hit.row)).count();
                assert!(right * 100 >= depth * least, "{kind:?}, {depth}: {right}");
            }
        }
    }
}
