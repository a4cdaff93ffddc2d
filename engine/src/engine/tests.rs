#![allow(clippy::unwrap_used, reason = "tests")]

use std::time::{Duration, Instant};

use serde_json::json;

use super::*;
use crate::testing::{
    DIM, TestEngine, by_keywords, by_vector, id_of, name_of, with_image, with_text, without_model,
};

const VECTOR: [f32; DIM] = [1.0, 0.0, 0.0, 0.0];

#[tokio::test]
async fn the_same_definition_twice_changes_nothing() {
    let engine = TestEngine::open();
    let name = name_of("twice");
    let (first, is_new) = engine
        .create_collection(name.clone(), without_model(DIM))
        .await
        .unwrap();
    assert!(is_new);
    let (second, is_new) = engine
        .create_collection(name, without_model(DIM))
        .await
        .unwrap();
    assert!(!is_new);
    assert!(Arc::ptr_eq(&first, &second));
}

#[tokio::test]
async fn another_definition_of_the_same_name_is_refused() {
    let engine = TestEngine::open();
    engine.make("taken").await;
    let other = engine.create_collection(name_of("taken"), without_model(DIM + 1));
    let error = other.await.err().unwrap();
    assert!(
        matches!(error, EngineError::CollectionDiffers { .. }),
        "{error}"
    );
}

#[tokio::test]
async fn a_collection_without_a_model_needs_its_dimensions() {
    let engine = TestEngine::open();
    let spec = CollectionSpec {
        dim: None,
        ..without_model(DIM)
    };
    let error = engine
        .create_collection(name_of("a"), spec)
        .await
        .err()
        .unwrap();
    assert!(matches!(error, EngineError::InvalidField(_)), "{error}");
    assert!(error.to_string().contains("'dim'"), "{error}");
}

#[tokio::test]
async fn an_engine_without_models_refuses_what_needs_one() {
    let engine = TestEngine::open();
    let made = engine.create_collection(name_of("a"), CollectionSpec::default());
    let error = made.await.err().unwrap();
    assert!(matches!(error, EngineError::NoModel), "{error}");
    let named = CollectionSpec {
        model: Some("clip".to_owned()),
        ..CollectionSpec::default()
    };
    let error = engine.create_collection(name_of("a"), named).await;
    let error = error.err().unwrap();
    assert!(matches!(error, EngineError::UnknownModel { .. }), "{error}");
}

#[tokio::test]
async fn no_more_collections_than_allowed() {
    let engine = TestEngine::open_with(|settings| settings.max_collections = 2);
    engine.make("a").await;
    engine.make("b").await;
    let third = engine.create_collection(name_of("c"), without_model(DIM));
    let error = third.await.err().unwrap();
    assert!(
        matches!(error, EngineError::TooManyCollections(2)),
        "{error}"
    );
    engine.drop_collection(name_of("a")).await.unwrap();
    engine.make("c").await;
}

#[tokio::test]
async fn a_dropped_collection_frees_its_name_and_leaves_no_documents() {
    let engine = TestEngine::open();
    let collection = engine.make("again").await;
    engine
        .store(&collection, vec![with_image("a", VECTOR)])
        .await;
    engine.drop_collection(name_of("again")).await.unwrap();
    let error = engine.collection(&name_of("again")).err().unwrap();
    assert!(
        matches!(error, EngineError::CollectionNotFound(_)),
        "{error}"
    );
    let error = engine.search(&collection, by_vector(VECTOR)).await;
    assert!(
        matches!(error, Err(EngineError::CollectionNotFound(_))),
        "a handle that is still held is refused"
    );
    let collection = engine.make("again").await;
    assert!(
        engine
            .found(&collection, by_vector(VECTOR))
            .await
            .is_empty()
    );
    let dropped = engine.drop_collection(name_of("never")).await;
    assert!(matches!(dropped, Err(EngineError::CollectionNotFound(_))));
}

#[tokio::test]
async fn documents_survive_a_restart() {
    let engine = TestEngine::open();
    let collection = engine.make("kept").await;
    engine
        .store(&collection, vec![with_text("a", "words", VECTOR)])
        .await;
    drop(collection);
    let engine = engine.reopen().await;
    let collection = engine.collection(&name_of("kept")).unwrap();
    assert_eq!(engine.found(&collection, by_vector(VECTOR)).await, ["a"]);
    assert_eq!(engine.found(&collection, by_keywords("words")).await, ["a"]);
}

#[tokio::test]
async fn an_index_that_was_deleted_is_rebuilt_from_the_documents() {
    let engine = TestEngine::open();
    let collection = engine.make("kept").await;
    let documents = (0..50).map(|n| with_text(&format!("d{n}"), "words", VECTOR));
    engine.store(&collection, documents.collect()).await;
    drop(collection);
    let index = engine.index_folder();
    let folder = engine.close_and_keep_folder().await;
    std::fs::remove_dir_all(index).unwrap();
    let engine = TestEngine::open_again(folder);
    let collection = engine.collection(&name_of("kept")).unwrap();
    let mut query = by_keywords("words");
    query.limit = 100;
    assert_eq!(engine.found(&collection, query).await.len(), 50);
    assert!(engine.check_consistency(&collection).await.unwrap().agrees);
}

#[tokio::test]
async fn a_closed_engine_accepts_no_writes() {
    let engine = TestEngine::open();
    let collection = engine.make("closed").await;
    engine.close().await;
    let outcome = engine.put(&collection, vec![with_image("a", VECTOR)]).await;
    assert!(matches!(outcome[0], Err(EngineError::Stopping)));
    let outcome = engine.delete(&collection, id_of("a")).await;
    assert!(matches!(outcome, Err(EngineError::Stopping)));
}

#[tokio::test]
async fn collections_beyond_the_open_limit_are_reopened() {
    let engine = TestEngine::open_with(|settings| settings.open_collections = 2);
    for n in 0..6 {
        let collection = engine.make(&format!("c{n}")).await;
        let id = format!("d{n}");
        engine
            .store(&collection, vec![with_image(&id, VECTOR)])
            .await;
    }
    for n in (0..6).chain(0..6) {
        let collection = engine.collection(&name_of(&format!("c{n}"))).unwrap();
        let found = engine.found(&collection, by_vector(VECTOR)).await;
        assert_eq!(found, [format!("d{n}")]);
    }
    assert_eq!(engine.overview().served, 6);
    assert_eq!(engine.overview().documents, 6);
}

/// The engine's lock of collections is held to look one up, add one or remove one, but never while
/// one is created, so requests to other collections do not wait.
#[allow(
    clippy::await_holding_lock,
    reason = "the test shows that requests do not wait for this lock"
)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn creating_a_collection_does_not_block_others() {
    let engine = TestEngine::open();
    let collection = engine.make("searched").await;
    engine
        .store(&collection, vec![with_image("a", VECTOR)])
        .await;
    // A creation that never ends.
    let making = engine.defining.lock();
    let maker = {
        let engine = Arc::clone(&engine);
        tokio::spawn(async move {
            let made = engine.create_collection(name_of("made"), without_model(DIM));
            made.await.map(drop)
        })
    };
    let begun = Instant::now();
    for _ in 0..20 {
        let collection = engine.collection(&name_of("searched")).unwrap();
        assert_eq!(engine.found(&collection, by_vector(VECTOR)).await, ["a"]);
        engine
            .store(&collection, vec![with_image("a", VECTOR)])
            .await;
    }
    assert!(!maker.is_finished());
    assert!(begun.elapsed() < Duration::from_secs(30));
    drop(making);
    maker.await.unwrap().unwrap();
    assert!(engine.collection(&name_of("made")).is_ok());
}

#[tokio::test]
async fn the_later_of_two_documents_with_one_id_wins() {
    let engine = TestEngine::open();
    let collection = engine.make("ids").await;
    let twice = vec![
        with_text("a", "first", VECTOR).with_metadata(json!({"n": 1})),
        with_text("a", "second", VECTOR).with_metadata(json!({"n": 2})),
    ];
    let outcomes = engine.put(&collection, twice).await;
    let created: Vec<bool> = outcomes
        .into_iter()
        .map(|outcome| outcome.unwrap().created)
        .collect();
    assert_eq!(created, [true, false]);
    assert!(
        engine
            .found(&collection, by_keywords("first"))
            .await
            .is_empty()
    );
    assert_eq!(
        engine.found(&collection, by_keywords("second")).await,
        ["a"]
    );
}
