//! A group of writes fails at each of its steps, and the collection goes on: acknowledged writes
//! are there, refused ones completely or not at all, and the indexes hold exactly the documents.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::io::ErrorKind;

use clipdb_index::WriteStep;
use clipdb_storage::CommitStep;

use super::*;
use crate::collection::collection::Collection;
use crate::documents::ingest::{Draft, Stored};
use crate::image_source::ImageSource;
use crate::testing::{DIM, TestEngine, by_keywords, by_vector, id_of, with_image, with_text};

const VECTOR: [f32; DIM] = [1.0, 0.0, 0.0, 0.0];

async fn with_first() -> (TestEngine, Arc<Collection>) {
    let engine = TestEngine::open();
    let collection = engine.make("faults").await;
    let first = with_text("first", "kept words", VECTOR);
    engine.store(&collection, vec![first]).await;
    (engine, collection)
}

/// A document with a text and an image file, so that its write passes through every step.
fn pictured(id: &str) -> Draft {
    let pixels = [128; 3 * 4 * 4];
    let image = clipdb_embed::image::png(4, 4, 3, &pixels).unwrap();
    let mut draft = with_image(id, VECTOR);
    draft.text = Some(format!("words of {id}"));
    draft.image = Some(ImageSource::Bytes(image.into()));
    draft
}

async fn put(
    engine: &TestEngine,
    collection: &Arc<Collection>,
    id: &str,
) -> Result<Stored, EngineError> {
    engine.put(collection, vec![pictured(id)]).await.remove(0)
}

/// Writes until storage takes writes again, which it finds out by itself.
async fn put_once_healed(engine: &TestEngine, collection: &Arc<Collection>, id: &str) {
    let begun = Instant::now();
    while let Err(error) = put(engine, collection, id).await {
        assert!(begun.elapsed() < Duration::from_secs(60), "{error}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn assert_consistent(engine: &TestEngine, collection: &Arc<Collection>) {
    let agreement = engine.check_consistency(collection).await.unwrap();
    assert!(agreement.agrees, "{agreement:?}");
    let found = engine.found(collection, by_keywords("kept")).await;
    assert_eq!(found, ["first"], "what was acknowledged is searchable");
    let stored: Vec<String> = engine
        .list(collection, None, 100)
        .await
        .unwrap()
        .into_iter()
        .map(|document| document.id.to_string())
        .collect();
    let mut found = engine.found(collection, by_vector(VECTOR)).await;
    found.sort_unstable();
    assert_eq!(found, stored, "every document is found by its vector");
}

async fn fails_in_storage(step: CommitStep) {
    let (engine, collection) = with_first().await;
    engine.store.inject_fault(step, ErrorKind::Other);
    let outcome = put(&engine, &collection, "second").await;
    assert!(outcome.is_err(), "{step:?}: not acknowledged");
    put_once_healed(&engine, &collection, "third").await;
    assert_consistent(&engine, &collection).await;
    drop(collection);
    let engine = engine.reopen().await;
    let collection = engine.collection(&"faults".parse().unwrap()).unwrap();
    assert_consistent(&engine, &collection).await;
    assert!(engine.document(&collection, id_of("third")).await.is_ok());
}

#[tokio::test]
async fn an_image_file_that_cannot_be_written() {
    let (engine, collection) = with_first().await;
    let step = CommitStep::WriteImages;
    engine.store.inject_fault(step, ErrorKind::Other);
    assert!(put(&engine, &collection, "second").await.is_err());
    let error = engine.document(&collection, id_of("second")).await;
    assert!(matches!(error, Err(EngineError::DocumentNotFound { .. })));
    assert!(engine.storage_stopped().is_none());
    put(&engine, &collection, "third").await.unwrap();
    assert_consistent(&engine, &collection).await;
}

#[tokio::test]
async fn a_batch_that_sled_does_not_apply() {
    fails_in_storage(CommitStep::ApplyBatch).await;
}

#[tokio::test]
async fn a_batch_that_sled_does_not_flush() {
    fails_in_storage(CommitStep::Flush).await;
}

#[tokio::test]
async fn a_log_that_is_not_synced_is_read_after_a_restart() {
    let (engine, collection) = with_first().await;
    engine
        .store
        .inject_fault(CommitStep::Sync, ErrorKind::Other);
    assert!(put(&engine, &collection, "second").await.is_err());
    assert!(engine.storage_stopped().is_some());
    let refused = put(&engine, &collection, "third").await;
    assert!(refused.is_err(), "writes are refused until then");
    assert_eq!(
        engine.found(&collection, by_keywords("kept")).await,
        ["first"],
        "reads go on"
    );
    drop(collection);
    let engine = engine.reopen().await;
    let collection = engine.collection(&"faults".parse().unwrap()).unwrap();
    put(&engine, &collection, "third").await.unwrap();
    assert_consistent(&engine, &collection).await;
}

#[tokio::test]
async fn a_full_disk_is_said_to_be_full() {
    let (engine, collection) = with_first().await;
    let step = CommitStep::WriteImages;
    engine.store.inject_fault(step, ErrorKind::StorageFull);
    let error = put(&engine, &collection, "second").await.unwrap_err();
    let EngineError::Group(error) = error else {
        panic!("{error}");
    };
    let EngineError::Storage(error) = &*error else {
        panic!("{error}");
    };
    assert!(error.is_out_of_room(), "{error}");
}

/// An index that takes no write is completed from the stored documents before the write is
/// acknowledged.
async fn fails_in_the_index(step: WriteStep) {
    let (engine, collection) = with_first().await;
    collection.open().unwrap().inject_fault(step);
    put(&engine, &collection, "second").await.unwrap();
    assert_consistent(&engine, &collection).await;
    let found = engine.found(&collection, by_keywords("second")).await;
    assert_eq!(found, ["second"], "{step:?}");
}

#[tokio::test]
async fn vectors_that_faiss_does_not_take() {
    fails_in_the_index(WriteStep::AddVectors).await;
}

#[tokio::test]
async fn words_that_tantivy_does_not_stage() {
    fails_in_the_index(WriteStep::StageWords).await;
}

#[tokio::test]
async fn words_that_tantivy_does_not_commit() {
    fails_in_the_index(WriteStep::CommitWords).await;
}

#[tokio::test]
async fn an_index_that_cannot_be_completed_refuses_searches_until_it_is() {
    for step in [
        WriteStep::AddVectors,
        WriteStep::StageWords,
        WriteStep::CommitWords,
    ] {
        let (engine, collection) = with_first().await;
        let index = collection.open().unwrap();
        index.inject_fault(step);
        index.inject_fault(WriteStep::Reconcile);
        let outcome = put(&engine, &collection, "second").await;
        assert!(outcome.is_err(), "{step:?}: durable and not searchable");
        assert!(collection.is_unavailable());
        let read = engine.document(&collection, id_of("first")).await;
        assert!(read.is_ok(), "documents can be read");
        // The next write completes the index first.
        put(&engine, &collection, "third").await.unwrap();
        assert_consistent(&engine, &collection).await;
        let found = engine.found(&collection, by_keywords("second")).await;
        assert_eq!(found, ["second"], "it was stored, if not acknowledged");
    }
}

#[tokio::test]
async fn a_failed_group_fails_all_of_its_writes_with_one_reason() {
    let (engine, collection) = with_first().await;
    engine
        .store
        .inject_fault(CommitStep::WriteImages, ErrorKind::Other);
    let drafts = (0..10).map(|n| pictured(&format!("g{n}"))).collect();
    let outcomes = engine.put(&collection, drafts).await;
    let failed: Vec<_> = outcomes
        .iter()
        .filter_map(|outcome| outcome.as_ref().err())
        .collect();
    assert!(!failed.is_empty());
    for error in failed {
        assert!(matches!(error, EngineError::Group(_)), "{error}");
    }
    put(&engine, &collection, "after").await.unwrap();
    assert_consistent_without_limit(&engine, &collection).await;
}

async fn assert_consistent_without_limit(engine: &TestEngine, collection: &Arc<Collection>) {
    let agreement = engine.check_consistency(collection).await.unwrap();
    assert!(agreement.agrees, "{agreement:?}");
}

#[test]
fn only_the_last_version_of_a_document_is_indexed() {
    let key = DocumentKey::new;
    let outcomes = [
        Outcome::Created { key: key(1) },
        Outcome::Updated {
            key: key(2),
            replaced: key(1),
        },
        Outcome::Created { key: key(3) },
        Outcome::Deleted { key: key(3) },
        Outcome::Updated {
            key: key(5),
            replaced: key(4),
        },
        Outcome::NotFound,
        Outcome::Refused,
    ];
    let (removed, added) = changed_keys(&outcomes);
    assert_eq!(removed, [1, 3, 4].map(RowId));
    assert_eq!(added, [2, 5].map(key));
}
