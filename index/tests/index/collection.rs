//! Both indexes together: exactness, corruption, interruption.

use std::fs;
use std::path::{Path, PathBuf};

use crate::support::{DIM, Truth, document, open, vector};
use clipdb_index::{
    CollectionIndex, Configuration, IndexError, KeywordQuery, Nearest, Opened, OwnedRow, Reason,
    ReconcileError, Reconciled, RowId, State, VectorKind,
};
use proptest::prelude::*;
use tempfile::TempDir;

fn filled(dir: &Path) -> Truth {
    let (index, opened) = open(dir);
    assert_eq!(
        opened.vectors,
        State::Empty {
            reason: Reason::Missing
        }
    );
    assert_eq!(
        opened.words,
        State::Empty {
            reason: Reason::Missing
        }
    );
    let mut truth = Truth::default();
    truth.write(&index, &[], (0..40).map(document).collect(), 1);
    truth.write(&index, &[RowId(3), RowId(7)], vec![document(41)], 2);
    index.save().unwrap();
    truth
}

#[test]
fn writes_and_removals_are_visible_immediately() {
    let dir = TempDir::new().unwrap();
    let (index, _) = open(dir.path());
    let mut truth = Truth::default();
    truth.write(&index, &[], vec![document(3), document(4)], 1);
    truth.assert_same(&index);
    let words = KeywordQuery::parse("number3");
    assert_eq!(
        index.keyword(&words, 10, None).unwrap().hits[0].row,
        RowId(3)
    );
    truth.write(&index, &[RowId(3)], vec![document(9)], 2);
    truth.assert_same(&index);
    assert_eq!(index.keyword(&words, 10, None).unwrap().total, 0);
    assert_eq!(index.len(VectorKind::Image), 1);
    assert_eq!(index.len(VectorKind::Text), 2);
}

#[test]
fn a_row_that_is_applied_twice_exists_once() {
    let dir = TempDir::new().unwrap();
    let (index, _) = open(dir.path());
    let mut truth = Truth::default();
    truth.write(&index, &[], vec![document(3)], 1);
    truth.write(&index, &[], vec![document(3)], 2);
    truth.write(&index, &[RowId(3)], vec![document(3)], 3);
    truth.assert_same(&index);
    assert_eq!(
        index
            .keyword(&KeywordQuery::parse("number3"), 10, None)
            .unwrap()
            .total,
        1
    );
}

#[test]
fn a_saved_index_is_unchanged_after_reopening() {
    let dir = TempDir::new().unwrap();
    let truth = filled(dir.path());
    let (index, opened) = open(dir.path());
    assert_eq!(opened.vectors, State::Loaded { sequence: 2 });
    assert_eq!(opened.words, State::Loaded { sequence: 2 });
    truth.assert_same(&index);
    assert_eq!(truth.reconcile(&index, 2), Reconciled::default());
}

#[test]
fn unsaved_rows_are_restored_from_the_source_of_truth() {
    let dir = TempDir::new().unwrap();
    let mut truth = filled(dir.path());
    let (index, _) = open(dir.path());
    truth.write(&index, &[RowId(10)], vec![document(50), document(51)], 3);
    drop(index);
    let (index, opened) = open(dir.path());
    assert_eq!(opened.vectors, State::Loaded { sequence: 2 });
    assert_eq!(opened.words, State::Loaded { sequence: 3 });
    let done = truth.reconcile(&index, 3);
    assert_eq!((done.vectors_added, done.vectors_removed), (2, 1));
    assert_eq!((done.words_added, done.words_removed), (0, 0));
    truth.assert_same(&index);
}

#[test]
fn a_write_that_reached_only_storage_is_added_to_both_indexes() {
    let dir = TempDir::new().unwrap();
    let mut truth = filled(dir.path());
    truth.rows.remove(&RowId(11));
    truth
        .rows
        .extend((100..900).map(|row| (RowId(row), document(row))));
    let (index, _) = open(dir.path());
    let done = truth.reconcile(&index, 9);
    assert_eq!(
        done,
        Reconciled {
            vectors_added: 800,
            vectors_removed: 1,
            words_added: 800,
            words_removed: 1
        }
    );
    truth.assert_same(&index);
    drop(index);
    assert_eq!(open(dir.path()).1.words, State::Loaded { sequence: 9 });
}

#[test]
fn a_second_reconcile_finishes_after_a_failed_fetch() {
    let dir = TempDir::new().unwrap();
    let truth = filled(dir.path());
    fs::remove_dir_all(dir.path()).unwrap();
    let (index, _) = open(dir.path());
    let failed = index.reconcile(&truth.ids(), 2, |row| {
        if row == RowId(20) {
            Err("unreadable")
        } else {
            Ok(truth.rows[&row].clone())
        }
    });
    assert!(matches!(
        failed,
        Err(ReconcileError::Fetch {
            row: RowId(20),
            cause: "unreadable"
        })
    ));
    assert_eq!(index.keyword_rows().unwrap(), []);
    truth.reconcile(&index, 2);
    truth.assert_same(&index);
}

/// Every file of the index in turn is truncated, changed and removed. The index then either is
/// complete or starts empty, and reconciling restores it.
#[test]
fn corruption_is_never_served() {
    let dir = TempDir::new().unwrap();
    let truth = filled(dir.path());
    let pristine = TempDir::new().unwrap();
    copy(dir.path(), pristine.path());
    let mut wiped = 0;
    for file in files(pristine.path()) {
        let lock = file
            .extension()
            .is_some_and(|extension| extension == "lock");
        for damage in [cut, flip, remove] {
            let work = TempDir::new().unwrap();
            copy(pristine.path(), work.path());
            let victim = work
                .path()
                .join(file.strip_prefix(pristine.path()).unwrap());
            damage(&victim);
            let (index, opened) = open(work.path());
            assert_noticed(&file, &opened);
            for (state, rows) in [
                (&opened.vectors, index.vector_rows()),
                (&opened.words, index.keyword_rows().unwrap()),
            ] {
                match state {
                    State::Loaded { sequence } => assert_eq!((*sequence, rows), (2, truth.ids())),
                    State::Partial { lost } => {
                        assert_eq!(lost.len(), 1, "{lost:?}");
                        wiped += 1;
                    }
                    State::Empty { .. } => {
                        assert!(!lock);
                        assert!(rows.is_empty());
                        wiped += 1;
                    }
                }
            }
            truth.reconcile(&index, 2);
            truth.assert_same(&index);
        }
    }
    assert!(wiped >= 12, "only {wiped} damages were noticed");
}

/// Whether a change of any byte must be detected. Tantivy's list of files and its locks contain no
/// data.
fn assert_noticed(damaged: &Path, opened: &Opened) {
    let name = damaged.file_name().unwrap().to_str().unwrap();
    let noticed = |state: &State| !matches!(state, State::Loaded { .. });
    if name == "manifest" || name.ends_with(".vectors") || name.ends_with(".ids") {
        assert!(noticed(&opened.vectors), "{name}");
    } else if !name.starts_with('.') && name != "meta.json" {
        assert!(noticed(&opened.words), "{name}");
    }
}

#[test]
fn the_index_of_another_model_is_deleted() {
    let dir = TempDir::new().unwrap();
    filled(dir.path());
    let (index, opened) = CollectionIndex::open(dir.path(), &Configuration::new(DIM + 1)).unwrap();
    assert!(matches!(
        opened.vectors,
        State::Empty {
            reason: Reason::Format(_)
        }
    ));
    assert_eq!(opened.words, State::Loaded { sequence: 2 });
    assert_eq!(index.vector_rows(), []);
}

#[test]
fn an_interrupted_save_leaves_the_last_one() {
    let dir = TempDir::new().unwrap();
    let truth = filled(dir.path());
    fs::write(dir.path().join("vectors/9.vectors"), b"half a fi").unwrap();
    fs::write(dir.path().join("vectors/manifest.new"), b"{").unwrap();
    let (index, opened) = open(dir.path());
    assert_eq!(opened.vectors, State::Loaded { sequence: 2 });
    truth.assert_same(&index);
}

#[test]
fn saves_remove_old_files() {
    let dir = TempDir::new().unwrap();
    let mut truth = filled(dir.path());
    let (index, _) = open(dir.path());
    for round in 0..3 {
        truth.write(&index, &[], vec![document(60 + round)], 3 + round);
        index.save().unwrap();
        index.save().unwrap();
    }
    // The manifest, and the vectors and ids of each kind.
    assert_eq!(files(&dir.path().join("vectors")).len(), 5);
}

#[test]
fn invalid_rows_change_nothing() {
    let dir = TempDir::new().unwrap();
    let truth = filled(dir.path());
    let (index, _) = open(dir.path());
    let bad = |id: u64, vector: Vec<f32>| OwnedRow {
        id: RowId(id),
        vectors: vec![(VectorKind::Image, vector)],
        ..document(1)
    };
    let refused = |row: &OwnedRow| index.apply(&[RowId(0)], &[row.as_row()], 3).unwrap_err();
    let short = refused(&bad(90, vec![0.5; DIM - 1]));
    assert!(
        matches!(
            short,
            IndexError::Dimension {
                expected: DIM,
                got: 7
            }
        ),
        "{short}"
    );
    assert!(matches!(
        refused(&bad(90, vec![f32::NAN; DIM])),
        IndexError::NotFinite
    ));
    truth.assert_same(&index);
    for query in [vec![1.0; DIM + 1], vec![]] {
        let error = index
            .nearest(&query, VectorKind::Image, 3, &Nearest::default())
            .unwrap_err();
        assert!(matches!(error, IndexError::Dimension { .. }));
    }
    let error = index
        .nearest(
            &[f32::INFINITY; DIM],
            VectorKind::Image,
            3,
            &Nearest::default(),
        )
        .unwrap_err();
    assert!(matches!(error, IndexError::NotFinite));
    assert!(CollectionIndex::open(dir.path(), &Configuration::new(0)).is_err());
}

#[test]
fn kinds_do_not_mix_and_limits_hold() {
    let dir = TempDir::new().unwrap();
    let truth = filled(dir.path());
    let (index, _) = open(dir.path());
    let query = vector(12, VectorKind::Image);
    for limit in [0, 1, 5, 1000] {
        for kind in [VectorKind::Image, VectorKind::Text] {
            let found = index
                .nearest(&query, kind, limit, &Nearest::default())
                .unwrap();
            assert_eq!(found.len(), limit.min(index.len(kind)));
            let expected = truth.nearest(&query, kind, limit);
            let rows =
                |hits: &[clipdb_index::Scored]| hits.iter().map(|hit| hit.row).collect::<Vec<_>>();
            assert_eq!(rows(&found), rows(&expected));
        }
    }
}

#[test]
fn thousands_of_removals_are_never_found() {
    let dir = TempDir::new().unwrap();
    let (index, _) = open(dir.path());
    let mut truth = Truth::default();
    truth.write(&index, &[], (0..3000).map(document).collect(), 1);
    for round in 0..5u64 {
        let gone: Vec<RowId> = (round * 500..round * 500 + 400).map(RowId).collect();
        truth.write(&index, &gone, vec![document(5000 + round)], 2 + round);
        truth.assert_same(&index);
    }
}

#[test]
fn searches_continue_during_writes_and_saves() {
    let dir = TempDir::new().unwrap();
    let (index, _) = open(dir.path());
    let mut truth = Truth::default();
    truth.write(&index, &[], (0..100).map(document).collect(), 1);
    std::thread::scope(|scope| {
        for kind in [VectorKind::Image, VectorKind::Text, VectorKind::Text] {
            let index = &index;
            scope.spawn(move || {
                for row in 0..400 {
                    let hits = index
                        .nearest(&vector(row, kind), kind, 10, &Nearest::default())
                        .unwrap();
                    assert_eq!(hits.len(), 10);
                    index
                        .keyword(&KeywordQuery::parse("word1"), 10, None)
                        .unwrap();
                }
            });
        }
        for round in 0..8 {
            truth.write(
                &index,
                &[RowId(round)],
                vec![document(200 + 3 * round)],
                2 + round,
            );
            index.save().unwrap();
        }
    });
    truth.assert_same(&index);
}

#[test]
fn statistics_count_rows_and_vectors() {
    let dir = TempDir::new().unwrap();
    let truth = filled(dir.path());
    let (index, _) = open(dir.path());
    let statistics = index.statistics().unwrap();
    let pictures = truth
        .rows
        .keys()
        .filter(|row| row.0.is_multiple_of(3))
        .count();
    assert_eq!(statistics.image_vectors, pictures);
    assert_eq!(statistics.text_vectors, truth.rows.len());
    assert_eq!(statistics.keyword_rows, truth.rows.len());
    assert!(statistics.keyword_disk_bytes > 0);
    assert!(!index.is_empty());
}

#[derive(Debug, Clone)]
enum Step {
    Add(u8),
    Remove(prop::sample::Index),
    Replace(prop::sample::Index),
    Save,
    Reopen,
    Lose,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let index = any::<prop::sample::Index>;
    let step = prop_oneof![
        4 => (1u8..20).prop_map(Step::Add),
        3 => index().prop_map(Step::Remove),
        3 => index().prop_map(Step::Replace),
        1 => Just(Step::Save),
        1 => Just(Step::Reopen),
        1 => Just(Step::Lose),
    ];
    proptest::collection::vec(step, 1..14)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn any_history_ends_as_the_source_of_truth(steps in steps()) {
        let dir = TempDir::new().unwrap();
        let mut truth = Truth::default();
        let (mut index, _) = open(dir.path());
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
                Step::Reopen => {
                    index.save().unwrap();
                    drop(index);
                    index = open(dir.path()).0;
                }
                Step::Lose => {
                    drop(index);
                    index = open(dir.path()).0;
                    truth.reconcile(&index, sequence);
                }
            }
            truth.assert_same(&index);
        }
    }
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found
}

fn copy(from: &Path, to: &Path) {
    for file in files(from) {
        let target = to.join(file.strip_prefix(from).unwrap());
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        fs::copy(&file, &target).unwrap();
    }
}

fn cut(file: &Path) {
    let length = fs::metadata(file).unwrap().len();
    fs::OpenOptions::new()
        .write(true)
        .open(file)
        .unwrap()
        .set_len(length / 2)
        .unwrap();
}

fn flip(file: &Path) {
    let mut bytes = fs::read(file).unwrap();
    let middle = bytes.len() / 2;
    if let Some(byte) = bytes.get_mut(middle) {
        *byte ^= 0x40;
    }
    fs::write(file, bytes).unwrap();
}

fn remove(file: &Path) {
    fs::remove_file(file).unwrap();
}
