#![allow(clippy::unwrap_used, reason = "tests")]

use serde_json::json;

use super::*;
use crate::collection::definition::CollectionSpec;
use crate::documents::ingest::Draft;
use crate::testing::{DIM, TestEngine, by_keywords, id_of, object, with_image, with_text};

const VECTOR: [f32; DIM] = [1.0, 0.0, 0.0, 0.0];

async fn one() -> (TestEngine, Arc<Collection>) {
    let engine = TestEngine::open();
    let collection = engine.make("patched").await;
    let document = with_text("a", "some words", VECTOR)
        .with_metadata(json!({"year": 2024, "tags": ["x"], "place": {"city": "Lyon"}}));
    engine.store(&collection, vec![document]).await;
    (engine, collection)
}

fn metadata(metadata: Value) -> Patch {
    Patch {
        text: FieldUpdate::Keep,
        image: FieldUpdate::Keep,
        metadata: object(metadata),
    }
}

async fn patched(patch: Value) -> Value {
    let (engine, collection) = one().await;
    let patch = engine.patch(&collection, id_of("a"), metadata(patch));
    patch.await.unwrap();
    let document = engine.document(&collection, id_of("a")).await.unwrap();
    assert_eq!(document.text.as_deref(), Some("some words"));
    Value::Object(document.metadata)
}

#[tokio::test]
async fn metadata_is_merged_as_rfc_7396_says() {
    let table = [
        (
            json!({}),
            json!({"year": 2024, "tags": ["x"], "place": {"city": "Lyon"}}),
        ),
        (
            json!({"year": 2025}),
            json!({"year": 2025, "tags": ["x"], "place": {"city": "Lyon"}}),
        ),
        (
            json!({"year": null}),
            json!({"tags": ["x"], "place": {"city": "Lyon"}}),
        ),
        (
            json!({"place": {"zip": 1, "city": null}}),
            json!({"year": 2024, "tags": ["x"], "place": {"zip": 1}}),
        ),
        (
            json!({"tags": ["y", "z"]}),
            json!({"year": 2024, "tags": ["y", "z"], "place": {"city": "Lyon"}}),
        ),
        (
            json!({"place": "nowhere"}),
            json!({"year": 2024, "tags": ["x"], "place": "nowhere"}),
        ),
        (
            json!({"absent": null}),
            json!({"year": 2024, "tags": ["x"], "place": {"city": "Lyon"}}),
        ),
    ];
    for (patch, expected) in table {
        assert_eq!(patched(patch.clone()).await, expected, "{patch}");
    }
}

#[tokio::test]
async fn a_patch_is_searchable_once_it_is_acknowledged() {
    let (engine, collection) = one().await;
    let patch = engine.patch(
        &collection,
        id_of("a"),
        metadata(json!({"note": "quicksilver"})),
    );
    patch.await.unwrap();
    let found = engine.found(&collection, by_keywords("quicksilver")).await;
    assert_eq!(found, ["a"]);
}

#[tokio::test]
async fn a_removed_text_is_no_longer_found() {
    let (engine, collection) = one().await;
    engine
        .store(
            &collection,
            vec![Draft {
                text: Some("other words".to_owned()),
                ..with_image("b", VECTOR)
            }],
        )
        .await;
    for text in [FieldUpdate::Remove, FieldUpdate::Set("  ".to_owned())] {
        let patch = Patch {
            text,
            ..metadata(json!({}))
        };
        engine.patch(&collection, id_of("b"), patch).await.unwrap();
        let document = engine.document(&collection, id_of("b")).await.unwrap();
        assert_eq!(document.text, None);
        assert!(
            engine
                .found(&collection, by_keywords("other"))
                .await
                .is_empty()
        );
    }
}

#[tokio::test]
async fn a_patch_must_leave_something_to_find_the_document_by() {
    let (engine, collection) = one().await;
    let patch = Patch {
        text: FieldUpdate::Remove,
        ..metadata(json!({}))
    };
    let error = engine
        .patch(&collection, id_of("a"), patch)
        .await
        .unwrap_err();
    assert!(matches!(error, EngineError::EmptyDocument), "{error}");
    assert_eq!(engine.found(&collection, by_keywords("words")).await, ["a"]);
}

#[tokio::test]
async fn a_new_text_needs_a_model() {
    let (engine, collection) = one().await;
    let patch = Patch {
        text: FieldUpdate::Set("new".to_owned()),
        ..metadata(json!({}))
    };
    let error = engine
        .patch(&collection, id_of("a"), patch)
        .await
        .unwrap_err();
    assert!(
        matches!(error, EngineError::CollectionWithoutModel(_)),
        "{error}"
    );
}

#[tokio::test]
async fn missing_documents_and_images_are_errors() {
    let (engine, collection) = one().await;
    let missing = id_of("missing");
    let patch = engine.patch(&collection, missing.clone(), metadata(json!({"a": 1})));
    let errors = [
        patch.await.unwrap_err(),
        engine
            .delete(&collection, missing.clone())
            .await
            .unwrap_err(),
        engine
            .document(&collection, missing.clone())
            .await
            .unwrap_err(),
    ];
    for error in errors {
        assert!(
            matches!(error, EngineError::DocumentNotFound { .. }),
            "{error}"
        );
    }
    let error = engine.image(&collection, id_of("a")).await.unwrap_err();
    assert!(matches!(error, EngineError::NoImage(_)), "{error}");
}

#[tokio::test]
async fn a_deleted_document_is_gone_from_every_list() {
    let (engine, collection) = one().await;
    engine.delete(&collection, id_of("a")).await.unwrap();
    assert!(
        engine
            .found(&collection, by_keywords("words"))
            .await
            .is_empty()
    );
    let left = engine.list(&collection, None, 10).await.unwrap();
    assert!(left.is_empty());
}

#[tokio::test]
async fn a_patch_of_the_wrong_type_is_refused() {
    let (engine, collection) = one().await;
    let declared = CollectionSpec {
        fields: [(
            "year".to_owned(),
            serde_json::from_value(json!({"type": "integer"})).unwrap(),
        )]
        .into(),
        ..crate::testing::without_model(DIM)
    };
    let typed = engine.create_collection(crate::testing::name_of("typed"), declared);
    let typed = typed.await.unwrap().0;
    let document = with_text("a", "words", VECTOR).with_metadata(json!({"year": 1}));
    engine.store(&typed, vec![document]).await;
    let patch = engine.patch(&typed, id_of("a"), metadata(json!({"year": "soon"})));
    let error = patch.await.unwrap_err();
    assert!(matches!(error, EngineError::TypeConflict(_)), "{error}");
    // Undeclared fields take values of any type.
    let patch = engine.patch(&collection, id_of("a"), metadata(json!({"year": "soon"})));
    patch.await.unwrap();
}
