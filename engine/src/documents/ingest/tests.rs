#![allow(clippy::unwrap_used, reason = "tests")]

use serde_json::json;

use super::*;
use crate::testing::{
    DIM, TestEngine, by_vector, id_of, name_of, with_image, with_text, without_model,
};

const VECTOR: [f32; DIM] = [1.0, 0.0, 0.0, 0.0];

#[tokio::test]
async fn one_bad_document_fails_alone() {
    let engine = TestEngine::open();
    let collection = engine.make("mixed").await;
    let mut long = with_image("long", VECTOR);
    long.vectors[0].1.push(1.0);
    let zero = with_image("zero", [0.0; DIM]);
    let empty = Draft {
        id: Some(id_of("empty")),
        ..Draft::default()
    };
    let drafts = vec![
        with_image("a", VECTOR),
        long,
        zero,
        empty,
        with_image("b", VECTOR),
    ];
    let outcomes = engine.put(&collection, drafts).await;
    assert!(outcomes[0].is_ok() && outcomes[4].is_ok());
    assert!(matches!(
        outcomes[1],
        Err(EngineError::WrongDimension { .. })
    ));
    assert!(matches!(outcomes[2], Err(EngineError::NoDirection { .. })));
    assert!(matches!(outcomes[3], Err(EngineError::EmptyDocument)));
    let mut found = engine.found(&collection, by_vector(VECTOR)).await;
    found.sort_unstable();
    assert_eq!(found, ["a", "b"]);
}

#[tokio::test]
async fn a_document_without_an_id_gets_one() {
    let engine = TestEngine::open();
    let collection = engine.make("ids").await;
    let anonymous = Draft {
        id: None,
        ..with_image("x", VECTOR)
    };
    let drafts = vec![anonymous.clone(), anonymous];
    engine.store(&collection, drafts).await;
    let found = engine.found(&collection, by_vector(VECTOR)).await;
    assert_eq!(found.len(), 2);
    assert_ne!(found[0], found[1]);
}

#[tokio::test]
async fn a_text_longer_than_allowed_is_refused() {
    let engine = TestEngine::open_with(|settings| settings.max_text_bytes = 10);
    let collection = engine.make("short").await;
    let drafts = vec![
        with_text("fits", "0123456789", VECTOR),
        with_text("long", "0123456789a", VECTOR),
    ];
    let outcomes = engine.put(&collection, drafts).await;
    assert!(outcomes[0].is_ok());
    assert!(matches!(
        outcomes[1],
        Err(EngineError::TooLarge { limit: 10, .. })
    ));
}

#[tokio::test]
async fn a_text_without_a_model_needs_a_vector_or_an_image_vector() {
    let engine = TestEngine::open();
    let collection = engine.make("texts").await;
    let alone = Draft {
        id: Some(id_of("alone")),
        text: Some("words".to_owned()),
        ..Draft::default()
    };
    let captioned = Draft {
        text: Some("words".to_owned()),
        ..with_image("captioned", VECTOR)
    };
    let outcomes = engine.put(&collection, vec![alone, captioned]).await;
    assert!(matches!(
        outcomes[0],
        Err(EngineError::CollectionWithoutModel(_))
    ));
    assert!(outcomes[1].is_ok());
}

#[tokio::test]
async fn metadata_of_the_wrong_type_is_refused() {
    let engine = TestEngine::open();
    let year = serde_json::from_value(json!({"type": "integer"})).unwrap();
    let spec = crate::collection::definition::CollectionSpec {
        fields: [("year".to_owned(), year)].into(),
        ..without_model(DIM)
    };
    let collection = engine.create_collection(name_of("typed"), spec);
    let collection = collection.await.unwrap().0;
    let table = [
        (json!({"year": 2024}), true),
        (json!({"year": "2024"}), false),
        (json!({"year": [1, 2]}), true),
        (json!({"year": null}), true),
        (json!({"other": "anything"}), true),
    ];
    for (metadata, fits) in table {
        let draft = with_image("a", VECTOR).with_metadata(metadata.clone());
        let outcome = engine.put(&collection, vec![draft]).await.remove(0);
        assert_eq!(outcome.is_ok(), fits, "{metadata}: {:?}", outcome.err());
    }
}

#[tokio::test]
async fn more_fields_than_a_collection_may_have_are_refused() {
    let engine = TestEngine::open_with(|settings| settings.max_fields = 3);
    let collection = engine.make("fields").await;
    let document = |id: &str, metadata| with_image(id, VECTOR).with_metadata(metadata);
    let outcomes = engine
        .put(
            &collection,
            vec![
                document("a", json!({"x": 1, "y": 1})),
                document("b", json!({"z": 1})),
                document("c", json!({"w": 1})),
                document("d", json!({"x": 2, "z": 2})),
            ],
        )
        .await;
    let fits: Vec<bool> = outcomes.iter().map(Result::is_ok).collect();
    assert_eq!(fits, [true, true, false, true]);
    assert!(matches!(outcomes[2], Err(EngineError::TooManyFields(_))));
    // The fields of a deleted document no longer count.
    for id in ["b", "d"] {
        engine.delete(&collection, id_of(id)).await.unwrap();
    }
    let outcome = engine
        .put(&collection, vec![document("c", json!({"w": 1}))])
        .await;
    assert!(outcome[0].is_ok());
}

#[tokio::test]
async fn a_refused_document_keeps_its_protocol_s_error() {
    #[derive(Debug, PartialEq)]
    struct Unreadable;
    impl std::fmt::Display for Unreadable {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("unreadable")
        }
    }
    impl std::error::Error for Unreadable {}
    let engine = TestEngine::open();
    let collection = engine.make("refused").await;
    let incoming = Incoming {
        draft: Err(EngineError::Refused(Box::new(Unreadable))),
        id: Some("a".to_owned()),
        share: None,
    };
    let ingested: Vec<Ingested> = engine
        .ingest(&collection, futures_util::stream::iter([incoming]))
        .collect()
        .await;
    assert_eq!(ingested[0].id.as_deref(), Some("a"));
    let Err(EngineError::Refused(error)) = &ingested[0].outcome else {
        panic!("stored");
    };
    assert_eq!(error.downcast_ref(), Some(&Unreadable));
}

#[tokio::test]
async fn documents_are_ingested_as_a_task() {
    let engine = TestEngine::open();
    let collection = engine.make("behind").await;
    let documents = (0..20).map(|n| Incoming {
        id: Some(format!("d{n}")),
        draft: if n % 5 == 0 {
            Err(EngineError::EmptyDocument)
        } else {
            Ok(with_image(&format!("d{n}"), VECTOR))
        },
        share: None,
    });
    let documents: Vec<Incoming> = documents.collect();
    let documents = futures_util::stream::iter(documents);
    let task = engine.ingest_behind(&collection, documents, ()).unwrap();
    let result = task.ended().await.unwrap();
    assert_eq!(result, json!({"stored": 16, "failed": 4}));
    let view = task.view();
    assert_eq!((view.done, view.failed, view.errors.len()), (20, 4, 4));
    assert_eq!(view.errors[0].id.as_deref(), Some("d0"));
}
