//! Commits that fail at each of their steps: the state after the failure, and recovery.

use std::io::ErrorKind;
use std::time::{Duration, Instant};

use clipdb_storage::{CollectionStore, CommitStep, StorageError, Store, Write};
use tempfile::TempDir;

use crate::{create, image_files, name, open, picture, text};

/// A store with one document, and the error of committing a second one that fails at `step`.
fn failed_at(dir: &TempDir, step: CommitStep) -> (Store, CollectionStore, StorageError) {
    let store = open(dir.path());
    let collection = create(&store, "a");
    collection
        .commit(vec![Write::Put(text("first", "there"))])
        .unwrap();
    store.inject_fault(step, ErrorKind::StorageFull);
    let error = put(&collection, "second").unwrap_err();
    assert!(error.is_out_of_room(), "{error}");
    assert!(error.to_string().contains("injected fault"), "{error}");
    (store, collection, error)
}

fn put(collection: &CollectionStore, id: &str) -> Result<u64, StorageError> {
    let group = vec![Write::Put(picture(id, id.as_bytes()))];
    collection.commit(group).map(|committed| committed.sequence)
}

fn wait_for_recovery(store: &Store) {
    let started = Instant::now();
    while store.stopped().is_some() {
        assert!(started.elapsed() < Duration::from_secs(60));
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn an_image_that_cannot_be_written_changes_nothing() {
    let dir = TempDir::new().unwrap();
    let (store, collection, _) = failed_at(&dir, CommitStep::WriteImages);
    assert!(store.stopped().is_none());
    assert_eq!((collection.len(), collection.sequence()), (1, 1));
    assert!(image_files(dir.path()).is_empty());
    assert_eq!(put(&collection, "second").unwrap(), 2);
}

#[test]
fn a_batch_that_is_not_applied_is_absent_after_the_store_reopens() {
    let dir = TempDir::new().unwrap();
    let (store, collection, _) = failed_at(&dir, CommitStep::ApplyBatch);
    wait_for_recovery(&store);
    assert_eq!((collection.len(), collection.sequence()), (1, 1));
    assert_eq!(put(&collection, "third").unwrap(), 2);
    drop((store, collection));
    let store = open(dir.path());
    assert!(store.damaged().is_empty());
    assert_eq!(image_files(dir.path()).len(), 1, "the second's is swept");
}

#[test]
fn a_batch_that_is_not_flushed_is_there_completely_or_not_at_all() {
    let dir = TempDir::new().unwrap();
    let (store, collection, _) = failed_at(&dir, CommitStep::Flush);
    wait_for_recovery(&store);
    let second = collection.get(&"second".parse().unwrap()).unwrap();
    let groups = 1 + u64::from(second.is_some());
    assert_eq!((collection.len(), collection.sequence()), (groups, groups));
    assert_eq!(put(&collection, "third").unwrap(), groups + 1);
}

#[test]
fn a_log_that_is_not_synced_stops_writes_until_the_folder_is_opened_again() {
    let dir = TempDir::new().unwrap();
    let (store, collection, _) = failed_at(&dir, CommitStep::Sync);
    let stopped = store.stopped().unwrap();
    assert!(!stopped.heals(), "{stopped:?}");
    let refused = put(&collection, "third").unwrap_err();
    assert!(matches!(refused, StorageError::Stopped { .. }), "{refused}");
    drop((store, collection));
    let store = open(dir.path());
    let collection = store.collection(&name("a")).unwrap();
    assert_eq!((collection.len(), collection.sequence()), (2, 2));
    put(&collection, "third").unwrap();
}

#[test]
fn a_fault_occurs_once_at_its_step() {
    let dir = TempDir::new().unwrap();
    let store = open(dir.path());
    let collection = create(&store, "a");
    store.inject_fault(CommitStep::WriteImages, ErrorKind::Other);
    let no_image = vec![Write::Put(text("first", "no image"))];
    collection.commit(no_image).unwrap();
    put(&collection, "second").unwrap_err();
    put(&collection, "second").unwrap();
}
