//! Segments of vectors: writes, builds, merges, filters, corruption and reopening.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use clipdb_index::{
    BuiltKind, CollectionIndex, Configuration, IndexKind, Nearest, OwnedRow, RowId, RowSet, Scored,
    State, VectorKind, VectorSettings,
};
use proptest::prelude::*;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tempfile::TempDir;

use crate::support::{DIM, Truth, document, metadata};

const WIDE: usize = 32;

pub fn settings(kind: IndexKind, seal_at: usize) -> VectorSettings {
    VectorSettings {
        kind,
        seal_at,
        ..VectorSettings::default()
    }
}

pub fn open(dir: &Path, dim: usize, settings: VectorSettings) -> (CollectionIndex, State) {
    let configuration = Configuration {
        vectors: settings,
        ..Configuration::new(dim)
    };
    let (index, opened) = CollectionIndex::open(dir, &configuration).unwrap();
    (index, opened.vectors)
}

/// Deterministic unit vectors around a few centres.
pub fn clustered(count: usize, seed: u64) -> Vec<Vec<f32>> {
    let mut of_centres = StdRng::seed_from_u64(1);
    let centres: Vec<_> = (0..20)
        .map(|_| point(&mut of_centres, 1.0, &[0.0; WIDE]))
        .collect();
    let mut random = StdRng::seed_from_u64(seed);
    (0..count)
        .map(|at| point(&mut random, 0.35, &centres[at % centres.len()]))
        .collect()
}

/// A unit vector near another.
fn point(random: &mut StdRng, spread: f32, around: &[f32]) -> Vec<f32> {
    let moved: Vec<f32> = around
        .iter()
        .map(|x| x + spread * random.random_range(-1.0..1.0f32))
        .collect();
    let norm = moved.iter().map(|x| x * x).sum::<f32>().sqrt();
    moved.iter().map(|x| x / norm).collect()
}

pub fn row(id: u64, vectors: Vec<(VectorKind, Vec<f32>)>) -> OwnedRow {
    OwnedRow {
        id: RowId(id),
        document: format!("d{id}"),
        text: None,
        metadata: metadata(serde_json::json!({})),
        vectors,
    }
}

fn add(truth: &mut Truth, index: &CollectionIndex, from: u64, vectors: &[Vec<f32>], batch: usize) {
    let mut next = from;
    for chunk in vectors.chunks(batch) {
        let rows: Vec<OwnedRow> = chunk
            .iter()
            .zip(next..)
            .map(|(vector, id)| row(id, vec![(VectorKind::Image, vector.clone())]))
            .collect();
        next += chunk.len() as u64;
        truth.write(index, &[], rows, next);
    }
}

fn rows(hits: &[Scored]) -> Vec<RowId> {
    hits.iter().map(|hit| hit.row).collect()
}

/// Recall of ten hits, for queries from the distribution of the vectors.
fn recall(index: &CollectionIndex, truth: &Truth, within: Option<&RowSet>) -> f64 {
    let queries = clustered(40, 77);
    let mut found = 0;
    let mut wanted = 0;
    for query in &queries {
        let all = truth.nearest(query, VectorKind::Image, usize::MAX);
        let best: Vec<RowId> = rows(&all)
            .into_iter()
            .filter(|row| within.is_none_or(|rows| rows.contains(*row)))
            .take(10)
            .collect();
        let how = Nearest {
            within,
            ..Nearest::default()
        };
        let hits = index.nearest(query, VectorKind::Image, 10, &how).unwrap();
        assert_eq!(hits.len(), best.len());
        assert!(hits.windows(2).all(|two| two[0].score >= two[1].score));
        for hit in &hits {
            assert!(within.is_none_or(|rows| rows.contains(hit.row)));
            let truth = all.iter().find(|one| one.row == hit.row).unwrap();
            assert!((truth.score - hit.score).abs() < 1e-5, "{truth:?} {hit:?}");
        }
        wanted += best.len();
        found += rows(&hits).iter().filter(|row| best.contains(row)).count();
        let exact = Nearest { exact: true, ..how };
        let hits = index.nearest(query, VectorKind::Image, 10, &exact).unwrap();
        assert_eq!(rows(&hits), best);
    }
    f64::from(found as u32) / f64::from(wanted as u32)
}

/// The life cycle of each kind.
#[test]
fn each_kind_is_built_found_and_opened_again() {
    for (kind, built, least) in [
        (IndexKind::Flat, BuiltKind::Flat, 1.0),
        (IndexKind::Hnsw, BuiltKind::Hnsw, 0.97),
        (IndexKind::Sq8, BuiltKind::Sq8, 0.97),
        (IndexKind::IvfPq, BuiltKind::IvfPq, 0.9),
        (IndexKind::Auto, BuiltKind::Flat, 1.0),
    ] {
        let dir = TempDir::new().unwrap();
        let settings = settings(kind, 4000);
        let (index, _) = open(dir.path(), WIDE, settings);
        let mut truth = Truth::default();
        add(&mut truth, &index, 0, &clustered(12_500, 5), 700);
        index.wait_for_builds();
        index.compact();
        index.wait_for_builds();
        let segments = index.segments(VectorKind::Image);
        assert_eq!(segments.len(), 1, "{kind:?}: {segments:?}");
        assert_eq!((segments[0].kind, segments[0].vectors), (built, 12_500));
        let reached = recall(&index, &truth, None);
        assert!(reached >= least, "{kind:?}: {reached}");

        // Removals are effective immediately and after reopening, and a merge drops the vectors.
        let gone: Vec<RowId> = (0..12_500).step_by(3).map(RowId).collect();
        truth.write(&index, &gone, vec![], 50_000);
        let reached = recall(&index, &truth, None);
        assert!(reached >= least, "{kind:?} with removals: {reached}");
        index.save().unwrap();
        drop(index);
        let (index, state) = open(dir.path(), WIDE, settings);
        assert_eq!(state, State::Loaded { sequence: 50_000 });
        assert_eq!(index.vector_rows(), truth.ids());
        assert_eq!(index.verify().unwrap(), Vec::<String>::new());
        assert!(recall(&index, &truth, None) >= least);
        index.compact();
        index.wait_for_builds();
        let segments = index.segments(VectorKind::Image);
        assert_eq!(segments.len(), 1, "{segments:?}");
        assert_eq!(segments[0].removed, 0);
        assert_eq!(index.vector_rows(), truth.ids());
        assert!(recall(&index, &truth, None) >= least);
    }
}

/// At every selectivity, for filters that are independent of the vectors and for those that follow
/// their clusters.
#[test]
fn filtered_searches_are_complete_at_every_selectivity() {
    for kind in [IndexKind::Hnsw, IndexKind::Sq8, IndexKind::IvfPq] {
        let dir = TempDir::new().unwrap();
        let (index, _) = open(dir.path(), WIDE, settings(kind, 4000));
        let mut truth = Truth::default();
        add(&mut truth, &index, 0, &clustered(20_000, 6), 2000);
        index.wait_for_builds();
        for every in [2, 10, 100, 1000, 7000] {
            let within: RowSet = (0..20_000).step_by(every).map(RowId).collect();
            let reached = recall(&index, &truth, Some(&within));
            assert!(reached >= 0.95, "{kind:?}, one in {every}: {reached}");
        }
        // The same share in every cluster.
        for every in [2, 10, 100, 1000] {
            let mut random = StdRng::seed_from_u64(5);
            let rows = (0..20_000).filter(|_| random.random_range(0..every) == 0);
            let within: RowSet = rows.map(RowId).collect();
            let reached = recall(&index, &truth, Some(&within));
            assert!(reached >= 0.95, "{kind:?}, about one in {every}: {reached}");
        }
        for clusters in [1, 7, 12] {
            let within: RowSet = (0..20_000)
                .filter(|row| row % 20 < clusters)
                .map(RowId)
                .collect();
            let reached = recall(&index, &truth, Some(&within));
            assert!(reached >= 0.95, "{kind:?}, {clusters} clusters: {reached}");
        }
        let beyond: RowSet = [RowId(1_000_000)].into_iter().collect();
        for within in [RowSet::default(), beyond] {
            assert_eq!(recall_of_nothing(&index, &within), 0);
        }
    }
}

fn recall_of_nothing(index: &CollectionIndex, within: &RowSet) -> usize {
    let how = Nearest {
        within: Some(within),
        ..Nearest::default()
    };
    index
        .nearest(&clustered(1, 1)[0], VectorKind::Image, 10, &how)
        .unwrap()
        .len()
}

#[test]
fn a_row_with_several_passages_is_returned_once_with_its_best() {
    let dir = TempDir::new().unwrap();
    let (index, _) = open(dir.path(), WIDE, settings(IndexKind::Hnsw, 1500));
    let vectors = clustered(6000, 8);
    let texts: Vec<OwnedRow> = vectors
        .chunks(5)
        .zip(0..)
        .map(|(passages, id)| {
            let passages = passages
                .iter()
                .map(|vector| (VectorKind::Text, vector.clone()));
            row(id, passages.collect())
        })
        .collect();
    let mut truth = Truth::default();
    for (chunk, sequence) in texts.chunks(100).zip(1..) {
        truth.write(&index, &[], chunk.to_vec(), sequence);
    }
    index.wait_for_builds();
    assert!(
        index
            .segments(VectorKind::Text)
            .iter()
            .any(|one| one.kind == BuiltKind::Hnsw)
    );
    let gone: Vec<RowId> = (0..1200).step_by(7).map(RowId).collect();
    truth.write(&index, &gone, vec![], 100);
    assert_eq!(index.vector_rows(), truth.ids());
    for at in [0, 3, 1234, 5999] {
        let best = RowId(at as u64 / 5);
        let hits = index
            .nearest(&vectors[at], VectorKind::Text, 40, &Nearest::default())
            .unwrap();
        assert_eq!(hits.len(), 40);
        let distinct: BTreeSet<RowId> = hits.iter().map(|hit| hit.row).collect();
        assert_eq!(distinct.len(), 40);
        if truth.rows.contains_key(&best) {
            assert_eq!((hits[0].row, usize::from(hits[0].passage)), (best, at % 5));
        } else {
            assert!(!distinct.contains(&best));
        }
    }
}

/// Searches, writes and removals continue while segments are written, built and merged, and see every
/// acknowledged write.
#[test]
fn nothing_is_missed_while_segments_are_built() {
    let dir = TempDir::new().unwrap();
    let (index, _) = open(dir.path(), WIDE, settings(IndexKind::Hnsw, 600));
    let vectors = clustered(9000, 9);
    let mut truth = Truth::default();
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let (index, vectors, done) = (&index, &vectors, &done);
        scope.spawn(move || {
            let mut held = 0;
            while !done.load(std::sync::atomic::Ordering::Relaxed) {
                let now = index.len(VectorKind::Image).min(10);
                let hits = index
                    .nearest(
                        &vectors[held % 100],
                        VectorKind::Image,
                        10,
                        &Nearest::default(),
                    )
                    .unwrap();
                assert!(hits.len() >= now);
                held += 1;
            }
        });
        for (chunk, start) in vectors.chunks(300).zip((0u64..).step_by(300)) {
            let new = chunk
                .iter()
                .zip(start..)
                .map(|(vector, id)| row(id, vec![(VectorKind::Image, vector.clone())]));
            let gone: Vec<RowId> = (start.saturating_sub(600)..start)
                .step_by(11)
                .map(RowId)
                .collect();
            truth.write(index, &gone, new.collect(), start + 1);
            let last = index
                .nearest(
                    &chunk[chunk.len() - 1],
                    VectorKind::Image,
                    1,
                    &Nearest::default(),
                )
                .unwrap();
            assert_eq!(last[0].row, RowId(start + chunk.len() as u64 - 1));
        }
        done.store(true, std::sync::atomic::Ordering::Relaxed);
    });
    index.wait_for_builds();
    assert_eq!(index.vector_rows(), truth.ids());
    assert!(recall(&index, &truth, None) > 0.95);
    drop(index);
    // Nothing was saved: only segments on disk exist, and they may lack recent removals.
    let (index, _) = open(dir.path(), WIDE, settings(IndexKind::Hnsw, 600));
    truth.reconcile(&index, 99_999);
    assert_eq!(index.vector_rows(), truth.ids());
    assert!(recall(&index, &truth, None) > 0.95);
}

/// A graph that takes minutes is cancelled: neither the index nor the folder ever has it.
#[test]
fn a_build_is_cancelled_when_the_index_is_dropped() {
    let dir = TempDir::new().unwrap();
    let slow = VectorSettings {
        ef_construction: 20_000,
        m: 64,
        ..settings(IndexKind::Hnsw, 20_000)
    };
    let (index, _) = open(dir.path(), WIDE, slow);
    let mut truth = Truth::default();
    add(&mut truth, &index, 0, &clustered(40_000, 3), 20_000);
    while !index.builds().in_progress {
        std::thread::yield_now();
    }
    index.save().unwrap();
    index.stop_building();
    let builds = index.builds();
    assert!(!builds.in_progress && builds.ended == 1, "{builds:?}");
    drop(index);
    let (index, _) = open(dir.path(), WIDE, settings(IndexKind::Flat, 20_000));
    let segments = index.segments(VectorKind::Image);
    assert!(segments.iter().all(|one| one.kind == BuiltKind::Flat));
    truth.reconcile(&index, 90_000);
    assert_eq!(index.vector_rows(), truth.ids());
}

/// Row numbers are never reused, so those of an old collection are high and far apart: neither the
/// memory of a filter nor the way it is searched depends on them.
#[test]
fn high_and_sparse_rows_are_filtered_by_the_graph() {
    let dir = TempDir::new().unwrap();
    let (index, _) = open(dir.path(), WIDE, settings(IndexKind::Hnsw, 10_000));
    let mut truth = Truth::default();
    let vectors = clustered(20_000, 5);
    let number = |at: usize| (1 << 40) + 1000 * at as u64;
    for (at, chunk) in vectors.chunks(10_000).enumerate() {
        let rows = chunk.iter().enumerate().map(|(within, vector)| {
            let id = number(10_000 * at + within);
            row(id, vec![(VectorKind::Image, vector.clone())])
        });
        truth.write(&index, &[], rows.collect(), at as u64 + 1);
    }
    index.wait_for_builds();
    index.compact();
    index.wait_for_builds();
    let within: RowSet = (0..20_000)
        .filter(|at| at % 5 != 0)
        .map(|at| RowId(number(at)))
        .collect();
    let before = index.compared();
    assert!(recall(&index, &truth, Some(&within)) >= 0.97);
    let after = index.compared();
    assert!(after.walked > before.walked, "{after:?}");
    assert_eq!(after.scanned, before.scanned);
    // One row in a thousand is found by a scan of the matching vectors.
    let few: RowSet = (0..20_000)
        .step_by(1000)
        .map(|at| RowId(number(at)))
        .collect();
    assert!(recall(&index, &truth, Some(&few)) >= 0.97);
    assert_eq!(index.compared().scanned, after.scanned + 40 * few.len());
    assert_eq!(index.vector_rows(), truth.ids());
}

/// Every file of a built index in turn is truncated, changed and removed: opening or verifying detects
/// it, indexes that can be rebuilt are left out, and reconciling restores the vectors.
#[test]
fn corrupt_segments_are_detected_and_restored() {
    let dir = TempDir::new().unwrap();
    let settings = settings(IndexKind::Hnsw, 1100);
    let (index, _) = open(dir.path(), WIDE, settings);
    let mut truth = Truth::default();
    let vectors = clustered(3000, 4);
    for (chunk, start) in vectors.chunks(500).zip((0u64..).step_by(500)) {
        let new = chunk.iter().zip(start..).map(|(vector, id)| {
            let mut vectors = vec![(VectorKind::Image, vector.clone())];
            if id % 4 == 0 {
                vectors.push((VectorKind::Text, vector.clone()));
            }
            row(id, vectors)
        });
        truth.write(&index, &[], new.collect(), start + 1);
    }
    index.wait_for_builds();
    truth.write(&index, &[RowId(3), RowId(1000), RowId(2999)], vec![], 7000);
    index.save().unwrap();
    drop(index);
    let folder = dir.path().join("vectors");
    let names: Vec<String> = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    for kind in [".vectors", ".ids", ".index", ".codes", ".live", "manifest"] {
        assert!(
            names.iter().any(|name| name.ends_with(kind)),
            "{kind}: {names:?}"
        );
    }
    for name in &names {
        for (damage, flips) in [(cut as fn(&Path), false), (flip, true), (remove, false)] {
            let work = TempDir::new().unwrap();
            copy(dir.path(), work.path());
            damage(&work.path().join("vectors").join(name));
            let (index, state) = open(work.path(), WIDE, settings);
            let complete = state == State::Loaded { sequence: 7000 };
            let lost = index.verify().unwrap();
            // These are rebuilt, and no data is lost with them.
            let healed = name.ends_with(".index") || (name.ends_with(".codes") && !flips);
            let noticed = !complete || !lost.is_empty() || healed;
            assert!(noticed, "{name}: {state:?}");
            truth.reconcile(&index, 7000);
            assert_eq!(index.vector_rows(), truth.ids(), "{name}");
            assert!(recall(&index, &truth, None) > 0.95, "{name}");
            index.wait_for_builds();
            assert_eq!(index.verify().unwrap(), Vec::<String>::new());
            assert!(recall(&index, &truth, None) > 0.95, "{name}");
        }
    }
}

#[derive(Debug, Clone)]
enum Step {
    Add(u8),
    Remove(prop::sample::Index),
    Replace(prop::sample::Index),
    Save,
    Settle,
    Compact,
    Reopen,
    Lose,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let index = any::<prop::sample::Index>;
    let step = prop_oneof![
        6 => (1u8..60).prop_map(Step::Add),
        4 => index().prop_map(Step::Remove),
        3 => index().prop_map(Step::Replace),
        1 => Just(Step::Save),
        2 => Just(Step::Settle),
        1 => Just(Step::Compact),
        1 => Just(Step::Reopen),
        2 => Just(Step::Lose),
    ];
    proptest::collection::vec(step, 1..24)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn any_history_of_seals_and_merges_ends_as_the_source_of_truth(
        steps in steps(),
        seal_at in 1usize..60,
    ) {
        let dir = TempDir::new().unwrap();
        let settings = settings(IndexKind::Auto, seal_at);
        let mut truth = Truth::default();
        let (mut index, _) = open(dir.path(), DIM, settings);
        let (mut next, mut sequence) = (0u64, 0u64);
        for step in steps {
            sequence += 1;
            let picked = |at: prop::sample::Index| {
                let ids = truth.ids();
                if ids.is_empty() { Vec::new() } else { vec![ids[at.index(ids.len())]] }
            };
            match step {
                Step::Add(count) => {
                    let rows = (next..next + u64::from(count)).map(document).collect();
                    next += u64::from(count);
                    truth.write(&index, &[], rows, sequence);
                }
                Step::Remove(at) => {
                    let gone = picked(at);
                    truth.write(&index, &gone, vec![], sequence);
                }
                Step::Replace(at) => {
                    let gone = picked(at);
                    truth.write(&index, &gone, vec![document(next)], sequence);
                    next += 1;
                }
                Step::Save => index.save().unwrap(),
                Step::Settle => index.wait_for_builds(),
                Step::Compact => {
                    index.compact();
                    index.wait_for_builds();
                }
                Step::Reopen => {
                    // As at shutdown: a save does not include segments that are written later.
                    index.stop_building();
                    index.save().unwrap();
                    drop(index);
                    let (again, state) = open(dir.path(), DIM, settings);
                    let saved = matches!(state, State::Loaded { .. });
                    prop_assert!(saved, "{state:?}");
                    index = again;
                }
                Step::Lose => {
                    drop(index);
                    index = open(dir.path(), DIM, settings).0;
                    truth.reconcile(&index, sequence);
                }
            }
            truth.assert_same(&index);
        }
    }
}

fn copy(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let path: PathBuf = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            fs::create_dir_all(&target).unwrap();
            copy(&path, &target);
        } else {
            fs::copy(&path, &target).unwrap();
        }
    }
}

fn cut(file: &Path) {
    let length = fs::metadata(file).unwrap().len();
    let file = fs::OpenOptions::new().write(true).open(file).unwrap();
    file.set_len(length / 2).unwrap();
}

fn flip(file: &Path) {
    let mut bytes = fs::read(file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x40;
    fs::write(file, bytes).unwrap();
}

fn remove(file: &Path) {
    fs::remove_file(file).unwrap();
}
