#![allow(clippy::unwrap_used, reason = "tests")]

use serde_json::json;

use super::*;
use crate::testing::{DIM, TestEngine, id_of, with_image};

async fn numbered(count: usize) -> (TestEngine, Arc<Collection>) {
    let engine = TestEngine::open();
    let collection = engine.make("numbered").await;
    let documents = (0..count).map(|n| {
        with_image(&format!("d{n:02}"), [1.0; DIM]).with_metadata(json!({"even": n % 2 == 0}))
    });
    engine.store(&collection, documents.collect()).await;
    (engine, collection)
}

fn ids(documents: &[Document]) -> Vec<String> {
    documents.iter().map(|found| found.id.to_string()).collect()
}

#[tokio::test]
async fn filtered_documents_come_in_the_order_of_their_ids() {
    let (engine, collection) = numbered(10).await;
    let even = json!({"even": true});
    let first = engine.list_where(&collection, even.clone(), None, 3);
    assert_eq!(ids(&first.await.unwrap()), ["d00", "d02", "d04"]);
    let rest = engine.list_where(&collection, even, Some(id_of("d04")), 10);
    assert_eq!(ids(&rest.await.unwrap()), ["d06", "d08"]);
}

#[tokio::test]
async fn documents_are_deleted_by_a_filter() {
    let (engine, collection) = numbered(10).await;
    let deleted = engine.delete_where(&collection, json!({"even": true}));
    assert_eq!(deleted.await.unwrap(), 5);
    let left = engine.list(&collection, None, 100).await.unwrap();
    assert_eq!(ids(&left), ["d01", "d03", "d05", "d07", "d09"]);
    assert!(engine.check_consistency(&collection).await.unwrap().agrees);
}

#[tokio::test]
async fn a_deletion_without_a_filter_is_refused() {
    let (engine, collection) = numbered(1).await;
    let error = engine
        .delete_where(&collection, json!({}))
        .await
        .unwrap_err();
    assert!(matches!(error, EngineError::EmptyFilter), "{error}");
    let left = engine.list(&collection, None, 100).await.unwrap();
    assert_eq!(left.len(), 1);
}
