//! The cost of filters in vector searches, by selectivity and `ef`:
//! `filter_cost [VECTORS] [FOLDER] [DIMENSIONS] [SPREAD]`.
//!
//! Unit vectors in clusters (practically uniform with a spread of 100) in one graph, and filters that
//! are independent of the vectors. Prints the recall of ten hits, the median milliseconds of a search
//! without and with the evaluation of the filter, and the number of comparisons.

use std::path::PathBuf;
use std::time::Instant;

use clipdb_index::{
    CollectionIndex, Configuration, Fields, Filter, IndexKind, Nearest, OwnedRow, Row, RowId,
    RowSet, VectorKind, VectorSettings,
};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::{Map, Value, json};

const QUERIES: usize = 100;
const HITS: usize = 11;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let count: usize = arguments.next().map_or(Ok(200_000), |text| text.parse())?;
    let kept = arguments.next().map(PathBuf::from);
    let dim: usize = arguments.next().map_or(Ok(512), |text| text.parse())?;
    let spread: f32 = arguments.next().map_or(Ok(0.6), |text| text.parse())?;
    let folder = kept.clone().unwrap_or_else(|| {
        std::env::temp_dir().join(format!("filter-cost-{}", std::process::id()))
    });
    let configuration = Configuration {
        vectors: VectorSettings {
            kind: IndexKind::Hnsw,
            ..VectorSettings::default()
        },
        ..Configuration::new(dim)
    };
    let (index, _) = CollectionIndex::open(&folder, &configuration)?;
    let mut random = StdRng::seed_from_u64(1);
    let centres: Vec<Vec<f32>> = (0..(count / 500).max(8))
        .map(|_| around(&mut random, 1.0, &vec![0.0; dim]))
        .collect();
    let mut random = StdRng::seed_from_u64(2);
    let mut queries = Vec::new();
    let before = index.documents();
    for first in (0..count).step_by(5_000) {
        let last = count.min(first + 5_000);
        let rows: Vec<OwnedRow> = (first..last)
            .map(|row| {
                let centre = &centres[random.random_range(0..centres.len())];
                let vector = around(&mut random, spread, centre);
                if row % (count / QUERIES).max(1) == 0 {
                    queries.push(around(&mut random, 0.3, &vector));
                }
                document(row as u64, vector)
            })
            .collect();
        if last > before {
            let borrowed: Vec<Row<'_>> = rows.iter().map(OwnedRow::as_row).collect();
            index.apply(&[], &borrowed, last as u64)?;
        }
    }
    index.wait_for_builds();
    index.compact();
    index.wait_for_builds();
    index.save()?;
    println!("{:?}\n", index.segments(VectorKind::Image));
    println!(
        "| accepted | ef | recall@10 | search ms | with the filter ms | codes walked | codes scanned | full vectors |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- | --- |");
    for permille in [1000, 500, 200, 100, 50, 10, 1] {
        let filter = Filter::parse(&json!({"permille": {"$lt": permille}}), &Fields::default())?;
        let all = permille == 1000;
        let rows = index.select(&filter)?;
        let within: Option<&RowSet> = if all { None } else { Some(&rows) };
        let truth = queries
            .iter()
            .map(|query| {
                let how = Nearest {
                    within,
                    exact: true,
                    ..Nearest::default()
                };
                Ok(rows_of(&index, query, 10, &how)?)
            })
            .collect::<Result<Vec<_>, Box<dyn std::error::Error>>>()?;
        for ef in [16, 32, 64, 96, 128, 256, 512] {
            let how = Nearest {
                within,
                ef: Some(ef),
                ..Nearest::default()
            };
            let before = compared(&index);
            let mut found = 0;
            for (query, best) in queries.iter().zip(&truth) {
                let hits = rows_of(&index, query, HITS, &how)?;
                found += hits[..10.min(hits.len())]
                    .iter()
                    .filter(|row| best.contains(row))
                    .count();
            }
            let after = compared(&index);
            let searches = median(&queries, |query| {
                rows_of(&index, query, HITS, &how)?;
                Ok(())
            })?;
            let with_filter = median(&queries, |query| {
                let rows = index.select(&filter)?;
                let within: Option<&RowSet> = if all { None } else { Some(&rows) };
                rows_of(&index, query, HITS, &Nearest { within, ..how })?;
                Ok(())
            })?;
            let wanted: usize = truth.iter().map(Vec::len).sum();
            let spent = [0, 1, 2].map(|kind| (after[kind] - before[kind]) / queries.len());
            println!(
                "| {permille} ‰ | {ef} | {:.4} | {searches:.3} | {with_filter:.3} | {} | {} | {} |",
                found as f64 / wanted as f64,
                spent[0],
                spent[1],
                spent[2],
            );
        }
    }
    if kept.is_none() {
        std::fs::remove_dir_all(&folder)?;
    }
    Ok(())
}

fn compared(index: &CollectionIndex) -> [usize; 3] {
    let compared = index.compared();
    [compared.walked, compared.scanned, compared.vectors]
}

fn rows_of(
    index: &CollectionIndex,
    query: &[f32],
    limit: usize,
    how: &Nearest<'_>,
) -> Result<Vec<RowId>, clipdb_index::IndexError> {
    let hits = index.nearest(query, VectorKind::Image, limit, how)?;
    Ok(hits.into_iter().map(|hit| hit.row).collect())
}

/// A unit vector around another, with noise of this length.
fn around(random: &mut StdRng, noise: f32, centre: &[f32]) -> Vec<f32> {
    let each = noise / (centre.len() as f32).sqrt();
    let moved: Vec<f32> = centre
        .iter()
        // The sum of four uniform numbers is approximately normal.
        .map(|x| {
            let sum: f32 = (0..4).map(|_| random.random_range(-1.0..1.0f32)).sum();
            x + each * sum * 0.866
        })
        .collect();
    let length = moved.iter().map(|x| x * x).sum::<f32>().sqrt();
    moved.into_iter().map(|x| x / length).collect()
}

fn document(row: u64, vector: Vec<f32>) -> OwnedRow {
    // A deterministic pseudorandom number.
    let mixed = row.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20;
    OwnedRow {
        id: RowId(row),
        document: format!("d{row}"),
        text: None,
        metadata: match json!({"permille": mixed % 1000}) {
            Value::Object(metadata) => metadata,
            _ => Map::new(),
        },
        vectors: vec![(VectorKind::Image, vector)],
    }
}

/// The median of the milliseconds of the queries.
fn median(
    queries: &[Vec<f32>],
    ask: impl Fn(&[f32]) -> Result<(), Box<dyn std::error::Error>>,
) -> Result<f64, Box<dyn std::error::Error>> {
    let mut times = Vec::new();
    for _ in 0..3 {
        for query in queries {
            let clock = Instant::now();
            ask(query)?;
            times.push(clock.elapsed().as_secs_f64() * 1e3);
        }
    }
    times.sort_by(f64::total_cmp);
    Ok(times[times.len() / 2])
}
