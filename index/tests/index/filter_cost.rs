//! The number of comparisons of filtered searches. No time is measured.

use std::sync::Arc;

use clipdb_index::{
    CollectionIndex, Fields, Filter, IndexKind, Nearest, OwnedRow, RowId, RowSet, VectorKind,
};
use serde_json::json;
use tempfile::TempDir;

use crate::segments::{clustered, open, row, settings};
use crate::support::{Truth, metadata};

const ROWS: usize = 40_000;

/// The average cost of queries for ten hits. The unit is a tenth of a code that a traversal compares:
/// a code in a scan is cheaper.
fn spent(index: &CollectionIndex, queries: &[Vec<f32>], how: &Nearest<'_>) -> usize {
    let before = index.compared();
    for query in queries {
        let hits = index.nearest(query, VectorKind::Image, 10, how).unwrap();
        assert_eq!(hits.len(), 10);
    }
    let after = index.compared();
    let walked = after.walked - before.walked;
    let scanned = after.scanned - before.scanned;
    let vectors = after.vectors - before.vectors;
    (10 * walked + 3 * scanned + 25 * vectors) / queries.len()
}

/// The cost of a scan of `rows` vectors by codes.
fn scan(rows: usize) -> usize {
    3 * rows + 25 * 48.min(rows)
}

fn one_graph(dir: &TempDir) -> CollectionIndex {
    let (index, _) = open(dir.path(), 32, settings(IndexKind::Hnsw, 10_000));
    let mut truth = Truth::default();
    for (vectors, first) in clustered(ROWS, 31).chunks(5000).zip((0u64..).step_by(5000)) {
        let rows = vectors
            .iter()
            .zip(first..)
            .map(|(vector, id)| row(id, vec![(VectorKind::Image, vector.clone())]));
        truth.write(&index, &[], rows.collect(), first + 1);
    }
    index.wait_for_builds();
    index.compact();
    index.wait_for_builds();
    assert_eq!(index.segments(VectorKind::Image).len(), 1);
    index
}

/// For any `ef` a filtered search costs not much more than a scan of the matching vectors, and not
/// much more than the search without a filter.
#[test]
fn the_cost_of_a_filter_is_bounded() {
    let dir = TempDir::new().unwrap();
    let index = one_graph(&dir);
    let queries = clustered(30, 32);
    let mut by_ef: Vec<Vec<usize>> = Vec::new();
    for ef in [16, 32, 64, 96, 128, 256, 512] {
        let mut of_ef = Vec::new();
        for every in [1, 2, 5, 10, 20, 100, 1000] {
            let within: RowSet = (0..ROWS as u64)
                .filter(|row| (row / 20) % every == 0)
                .map(RowId)
                .collect();
            let how = Nearest {
                within: (every > 1).then_some(&within),
                ef: Some(ef),
                ..Nearest::default()
            };
            let spent = spent(&index, &queries, &how);
            // A traversal may have been tried before the scan, and a larger `ef` ranks more.
            let most = 2 * scan(within.len()) + 25 * ef / 2;
            assert!(spent <= most, "ef {ef}, one in {every}: {spent}");
            of_ef.push(spent);
        }
        // Fewer rows never cost much more than more rows.
        for two in of_ef.windows(2) {
            assert!(two[1] <= 3 * two[0], "ef {ef}: {of_ef:?}");
        }
        by_ef.push(of_ef);
    }
    for two in by_ef.windows(2) {
        for (narrow, wide) in two[0].iter().zip(&two[1]) {
            assert!(*wide <= 3 * narrow + 1000, "{by_ef:?}");
        }
    }
}

/// A filter that accepts only vectors far from the query is scanned after the traversal found too
/// few.
#[test]
fn an_anticorrelated_filter_costs_few_scans() {
    let dir = TempDir::new().unwrap();
    let index = one_graph(&dir);
    // Row `r` is in cluster `r % 20`, and query `q` in cluster `q`.
    let queries = clustered(20, 33);
    for (query, cluster) in queries.iter().zip(0u64..) {
        let other = (cluster + 7) % 20;
        let within: RowSet = (0..ROWS as u64)
            .filter(|row| row % 20 == other)
            .map(RowId)
            .collect();
        let how = Nearest {
            within: Some(&within),
            ..Nearest::default()
        };
        let spent = spent(&index, std::slice::from_ref(query), &how);
        assert!(spent <= 2 * scan(within.len()) + 500, "{spent}");
        let exact = Nearest { exact: true, ..how };
        let best = index.nearest(query, VectorKind::Image, 10, &exact).unwrap();
        let hits = index.nearest(query, VectorKind::Image, 10, &how).unwrap();
        let right = hits
            .iter()
            .filter(|hit| best.iter().any(|one| one.row == hit.row));
        assert!(right.count() >= 9);
    }
}

/// A filter is evaluated once for each commit.
#[test]
fn the_rows_of_a_filter_are_cached_until_a_write() {
    let dir = TempDir::new().unwrap();
    let (index, _) = open(dir.path(), 32, settings(IndexKind::Auto, 1000));
    let vectors = clustered(300, 34);
    let document = |id: u64| OwnedRow {
        metadata: metadata(json!({"parity": id % 2})),
        ..row(id, vec![(VectorKind::Image, vectors[id as usize].clone())])
    };
    let mut truth = Truth::default();
    truth.write(&index, &[], (0..200).map(document).collect(), 1);
    let odd = Filter::parse(&json!({"parity": 1}), &Fields::default()).unwrap();
    let even = Filter::parse(&json!({"parity": 0}), &Fields::default()).unwrap();
    let first = index.select(&odd).unwrap();
    assert_eq!(
        (first.len(), index.select(&even).unwrap().len()),
        (100, 100)
    );
    assert!(Arc::ptr_eq(&first, &index.select(&odd).unwrap()));
    truth.write(&index, &[RowId(1)], (200..300).map(document).collect(), 2);
    let then = index.select(&odd).unwrap();
    assert_eq!((then.len(), index.select(&even).unwrap().len()), (149, 150));
    assert!(!then.contains(RowId(1)) && then.contains(RowId(299)));
    assert!(Arc::ptr_eq(&then, &index.select(&odd).unwrap()));
}
