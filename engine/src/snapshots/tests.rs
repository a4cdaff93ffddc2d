#![allow(clippy::unwrap_used, reason = "tests")]

use std::fs;
use std::io::ErrorKind;
use std::time::{Duration, Instant};

use clipdb_storage::CommitStep;

use super::*;
use crate::testing::{
    DIM, TestEngine, by_keywords, by_vector, id_of, name_of, with_text, without_model,
};

const VECTOR: [f32; DIM] = [1.0, 0.0, 0.0, 0.0];

/// A collection of two documents, and its snapshot.
async fn with_snapshot() -> (TestEngine, Arc<Collection>, SnapshotId) {
    let engine = TestEngine::open();
    let collection = engine.make("source").await;
    let documents = vec![
        with_text("a", "old words", VECTOR),
        with_text("b", "old words", VECTOR),
    ];
    engine.store(&collection, documents).await;
    let task = engine.begin_snapshot(&name_of("source")).unwrap();
    task.ended().await.unwrap();
    let info = engine.snapshots(name_of("source")).await.unwrap().remove(0);
    let id = info.id;
    (engine, collection, id)
}

fn from_source(id: &SnapshotId) -> ArchiveSource {
    ArchiveSource::Snapshot {
        collection: name_of("source"),
        id: id.clone(),
    }
}

async fn restore(
    engine: &TestEngine,
    name: &str,
    source: ArchiveSource,
) -> Result<Value, EngineError> {
    let task = engine.begin_restore(name_of(name), source).unwrap();
    task.ended().await
}

/// The number of index folders on disk.
fn index_folders(engine: &TestEngine) -> usize {
    fs::read_dir(engine.index_folder()).map_or(0, Iterator::count)
}

#[tokio::test]
async fn a_snapshot_is_restored_as_another_collection() {
    let (engine, source, id) = with_snapshot().await;
    engine.delete(&source, id_of("a")).await.unwrap();
    restore(&engine, "copy", from_source(&id)).await.unwrap();
    let copy = engine.collection(&name_of("copy")).unwrap();
    assert_eq!(engine.found(&copy, by_vector(VECTOR)).await.len(), 2);
    assert_eq!(engine.found(&copy, by_keywords("old")).await.len(), 2);
    assert_eq!(engine.found(&source, by_vector(VECTOR)).await, ["b"]);
    assert!(engine.check_consistency(&copy).await.unwrap().agrees);
}

#[tokio::test]
async fn a_restore_replaces_the_collection_in_one_step() {
    let (engine, old, id) = with_snapshot().await;
    let newer = vec![with_text("c", "new words", VECTOR)];
    engine.store(&old, newer).await;
    restore(&engine, "source", from_source(&id)).await.unwrap();
    let restored = engine.collection(&name_of("source")).unwrap();
    assert!(!Arc::ptr_eq(&old, &restored));
    assert!(engine.found(&restored, by_keywords("new")).await.is_empty());
    let outcome = engine.put(&old, vec![with_text("d", "late", VECTOR)]).await;
    assert!(
        matches!(outcome[0], Err(EngineError::CollectionReplaced(_))),
        "writers of the old one are asked to send again"
    );
    assert_eq!(index_folders(&engine), 1, "the old index is removed");
}

#[tokio::test]
async fn a_restore_over_another_definition_is_refused_and_leaves_it_unchanged() {
    let (engine, _, id) = with_snapshot().await;
    let other = engine.create_collection(name_of("other"), without_model(DIM + 1));
    other.await.unwrap();
    let folders = index_folders(&engine);
    assert!(restore(&engine, "other", from_source(&id)).await.is_err());
    let other = engine.collection(&name_of("other")).unwrap();
    assert_eq!(other.definition().dim, DIM + 1);
    assert!(index_folders(&engine) <= folders, "nothing is left over");
}

#[tokio::test]
async fn a_truncated_archive_changes_nothing() {
    let (engine, source, id) = with_snapshot().await;
    let (_, file) = engine.open_snapshot(name_of("source"), id).await.unwrap();
    let length = file.metadata().unwrap().len();
    drop(file);
    let archive = archive_of(&engine);
    let bytes = fs::read(&archive).unwrap();
    assert_eq!(bytes.len() as u64, length);
    for kept in [0, 1, 20, bytes.len() / 2, bytes.len() - 1] {
        let upload = engine.index_folder().with_file_name(format!("cut-{kept}"));
        fs::write(&upload, &bytes[..kept]).unwrap();
        for name in ["source", "fresh"] {
            fs::write(&upload, &bytes[..kept]).unwrap();
            let failed = restore(&engine, name, ArchiveSource::Upload(upload.clone())).await;
            assert!(failed.is_err(), "{kept} bytes as '{name}'");
            assert!(!upload.exists(), "the upload is removed");
        }
        assert!(engine.collection(&name_of("fresh")).is_err());
        assert_eq!(engine.found(&source, by_vector(VECTOR)).await.len(), 2);
    }
    assert_eq!(index_folders(&engine), 1);
}

/// The only archive on disk.
fn archive_of(engine: &TestEngine) -> PathBuf {
    fn files(folder: &std::path::Path) -> Vec<PathBuf> {
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        entries
            .flat_map(|entry| match entry.path() {
                path if path.is_dir() => files(&path),
                path => vec![path],
            })
            .collect()
    }
    let data = engine.index_folder();
    let data = data.parent().unwrap();
    let snapshots = files(&data.join("snapshots"));
    snapshots
        .into_iter()
        .max_by_key(|path| fs::metadata(path).unwrap().len())
        .unwrap()
}

#[tokio::test]
async fn a_snapshot_of_a_model_that_is_not_loaded_is_refused() {
    let (engine, _, id) = with_snapshot().await;
    let error = restore(&engine, "copy", from_source(&id)).await;
    assert!(error.is_ok(), "no model is needed");
    let missing = SnapshotId::clone(&id);
    engine
        .remove_snapshot(name_of("source"), missing.clone())
        .await
        .unwrap();
    let error = engine.remove_snapshot(name_of("source"), missing).await;
    assert!(matches!(error, Err(EngineError::SnapshotNotFound { .. })));
    let error = restore(&engine, "copy", from_source(&id)).await;
    assert!(error.is_err());
}

#[tokio::test]
async fn a_cancelled_restore_leaves_nothing() {
    let (engine, source, id) = with_snapshot().await;
    // The restore cannot finish before the task is cancelled.
    let making = engine.defining.lock();
    let task = engine
        .begin_restore(name_of("source"), from_source(&id))
        .unwrap();
    task.cancel();
    drop(making);
    let ended = task.ended().await;
    assert!(matches!(ended, Err(EngineError::TaskCancelled(_))));
    assert_eq!(engine.found(&source, by_vector(VECTOR)).await.len(), 2);
}

#[tokio::test]
async fn listing_snapshots_of_an_unknown_collection_is_an_error() {
    let engine = TestEngine::open();
    let listed = engine.snapshots(name_of("never")).await;
    assert!(matches!(listed, Err(EngineError::CollectionNotFound(_))));
    let begun = engine.begin_snapshot(&name_of("never"));
    assert!(matches!(begun, Err(EngineError::CollectionNotFound(_))));
}

/// A restore passes through storage's steps, and its collection is indexed before it is served.
#[tokio::test]
async fn a_restore_that_fails_at_any_step_leaves_the_collection_as_it_was() {
    for step in [CommitStep::ApplyBatch, CommitStep::Flush] {
        for name in ["source", "fresh"] {
            let (engine, _, id) = with_snapshot().await;
            engine.store.inject_fault(step, ErrorKind::Other);
            let failed = restore(&engine, name, from_source(&id)).await;
            assert!(failed.is_err(), "{step:?} as '{name}'");
            let begun = Instant::now();
            while engine.storage_stopped().is_some() {
                assert!(begun.elapsed() < Duration::from_secs(60));
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            let source = engine.collection(&name_of("source")).unwrap();
            assert_eq!(engine.found(&source, by_vector(VECTOR)).await.len(), 2);
            let document = vec![with_text("c", "new words", VECTOR)];
            engine.store(&source, document).await;
            assert!(engine.check_consistency(&source).await.unwrap().agrees);
            restore(&engine, name, from_source(&id)).await.unwrap();
            let restored = engine.collection(&name_of(name)).unwrap();
            assert_eq!(engine.found(&restored, by_keywords("old")).await.len(), 2);
            let expected = if name == "fresh" { 2 } else { 1 };
            assert_eq!(index_folders(&engine), expected, "{step:?} as '{name}'");
        }
    }
}
