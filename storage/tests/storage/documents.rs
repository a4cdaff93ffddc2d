use clipdb_storage::{
    BlobHash, Document, DocumentId, DocumentKey, FieldUpdate, NewDocument, NewText, Outcome,
    Passage, Patch, StorageError, StoredImage, VectorKind, Write,
};
use serde_json::json;
use tempfile::TempDir;

use crate::{DIM, create, image, image_files, name, object, open, picture, text};

fn id(id: &str) -> DocumentId {
    id.parse().unwrap()
}

#[test]
fn a_committed_document_survives_reopening() {
    let dir = TempDir::new().unwrap();
    let store = open(dir.path());
    let collection = create(&store, "a");
    let new = NewDocument {
        text: Some("a cat".into()),
        text_truncated: true,
        metadata: object(json!({"year": 2024, "π": 0.1})),
        vectors: vec![
            (VectorKind::Image, vec![1.0, 2.0, 3.0]),
            (VectorKind::Text, vec![-0.5; DIM]),
        ],
        ..picture("cat", b"bytes of a cat")
    };
    let committed = collection.commit(vec![Write::Put(new.clone())]).unwrap();
    let key = DocumentKey::new(0);
    assert_eq!(committed.outcomes, [Outcome::Created { key }]);
    assert_eq!(committed.sequence, 1);
    drop((store, collection));

    let store = open(dir.path());
    let collection = store.collection(&name("a")).unwrap();
    let document = collection.get(&id("cat")).unwrap().unwrap();
    let hash = BlobHash::of(b"bytes of a cat");
    assert!(document.created_at > 1_600_000_000_000 && document.created_at == document.updated_at);
    assert_eq!(
        document,
        Document {
            id: id("cat"),
            key,
            text: new.text,
            text_truncated: true,
            passages: Vec::new(),
            image: Some(StoredImage {
                hash,
                media_type: "image/png".into(),
                width: 4,
                height: 5,
                bytes: 14
            }),
            metadata: new.metadata,
            created_at: document.created_at,
            updated_at: document.updated_at,
        }
    );
    assert_eq!(collection.get_by_key(key).unwrap(), Some(document));
    assert_eq!(collection.vectors(key).unwrap(), new.vectors);
    assert_eq!(
        collection.read_image(&hash).unwrap().unwrap(),
        "bytes of a cat"
    );
    assert_eq!(collection.live_keys().unwrap(), [key]);
    assert_eq!((collection.len(), collection.sequence()), (1, 1));
    assert_eq!(
        collection.read_image(&BlobHash::of(b"other")).unwrap(),
        None
    );
    assert_eq!(collection.get_by_key(DocumentKey::new(1)).unwrap(), None);
    assert_eq!(collection.vectors(DocumentKey::new(1)).unwrap(), []);
}

#[test]
fn within_a_group_later_writes_see_earlier_ones() {
    let dir = TempDir::new().unwrap();
    let collection = create(&open(dir.path()), "a");
    let key = DocumentKey::new;
    let merge = |fields| Write::Merge {
        id: id("a"),
        metadata: object(fields),
    };
    let committed = collection
        .commit(vec![
            merge(json!({"lost": 1})),
            Write::Put(picture("a", b"1")),
            merge(json!({"kept": {"x": 1, "y": 2}})),
            merge(json!({"kept": {"x": null}})),
            Write::Put(text("b", "short-lived")),
            Write::Delete(id("b")),
            Write::Delete(id("b")),
        ])
        .unwrap();
    assert_eq!(
        committed.outcomes,
        [
            Outcome::NotFound,
            Outcome::Created { key: key(0) },
            Outcome::Updated {
                key: key(1),
                replaced: key(0)
            },
            Outcome::Updated {
                key: key(2),
                replaced: key(1)
            },
            Outcome::Created { key: key(3) },
            Outcome::Deleted { key: key(3) },
            Outcome::NotFound,
        ]
    );
    assert_eq!((collection.len(), collection.sequence()), (1, 1));
    assert_eq!(collection.live_keys().unwrap(), [key(2)]);
    let document = collection.get(&id("a")).unwrap().unwrap();
    assert_eq!(document.metadata, object(json!({"kept": {"y": 2}})));
    assert_eq!(
        collection
            .read_image(&document.image.unwrap().hash)
            .unwrap()
            .unwrap(),
        "1"
    );
    assert_eq!(
        collection.vectors(key(2)).unwrap(),
        [(VectorKind::Image, vec![1.0; DIM])]
    );
    assert_eq!(collection.vectors(key(1)).unwrap(), []);

    let nothing = collection.commit(vec![Write::Delete(id("b"))]).unwrap();
    assert_eq!(
        (nothing.sequence, nothing.outcomes),
        (1, vec![Outcome::NotFound])
    );
}

#[test]
fn keys_are_never_reused_after_a_restart() {
    let dir = TempDir::new().unwrap();
    let store = open(dir.path());
    let collection = create(&store, "a");
    collection
        .commit(vec![Write::Put(text("a", "a")), Write::Delete(id("a"))])
        .unwrap();
    drop((store, collection));
    let collection = open(dir.path()).collection(&name("a")).unwrap();
    let committed = collection.commit(vec![Write::Put(text("a", "a"))]).unwrap();
    assert_eq!(
        committed.outcomes,
        [Outcome::Created {
            key: DocumentKey::new(1)
        }]
    );
}

#[test]
fn a_patch_changes_a_part_with_its_vector_and_keeps_the_other() {
    let dir = TempDir::new().unwrap();
    let collection = create(&open(dir.path()), "a");
    collection
        .commit(vec![Write::Put(picture("a", b"old picture"))])
        .unwrap();
    let revise = |text, image, metadata| {
        let revision = Patch {
            id: id("a"),
            text,
            image,
            metadata: object(metadata),
        };
        let outcome = collection
            .commit(vec![Write::Patch(revision)])
            .unwrap()
            .outcomes[0];
        let document = collection.get(&id("a")).unwrap().unwrap();
        let vectors = collection.vectors(document.key).unwrap();
        (outcome, document, vectors)
    };
    let new_text = NewText {
        text: "words".into(),
        truncated: true,
        passages: Vec::new(),
        vectors: vec![vec![9.0; DIM]],
    };
    let image_vector = (VectorKind::Image, vec![11.0; DIM]);
    let text_vector = (VectorKind::Text, vec![9.0; DIM]);

    let (_, document, vectors) = revise(
        FieldUpdate::Set(new_text),
        FieldUpdate::Keep,
        json!({"a": 1}),
    );
    assert_eq!(document.text.as_deref(), Some("words"));
    assert!(document.text_truncated && document.image.is_some());
    assert_eq!(vectors, [image_vector, text_vector.clone()]);

    let (_, document, vectors) = revise(FieldUpdate::Keep, FieldUpdate::Remove, json!({}));
    assert_eq!((document.image, vectors), (None, vec![text_vector.clone()]));
    assert_eq!(document.metadata, object(json!({"a": 1})));
    assert_eq!(image_files(dir.path()), [""; 0]);

    let new_image = (image(b"new"), vec![7.0; DIM]);
    let (_, document, vectors) = revise(
        FieldUpdate::Keep,
        FieldUpdate::Set(new_image),
        json!({"a": null}),
    );
    assert_eq!(document.image.as_ref().unwrap().hash, BlobHash::of(b"new"));
    assert!(document.metadata.is_empty());
    assert_eq!(vectors, [(VectorKind::Image, vec![7.0; DIM]), text_vector]);

    let (outcome, unchanged, _) = revise(FieldUpdate::Remove, FieldUpdate::Remove, json!({"a": 2}));
    assert_eq!((outcome, unchanged), (Outcome::NothingLeft, document));
}

#[test]
fn an_image_stays_while_a_document_references_it() {
    let dir = TempDir::new().unwrap();
    let collection = create(&open(dir.path()), "a");
    let hash = BlobHash::of(b"shared");
    collection
        .commit(vec![
            Write::Put(picture("a", b"shared")),
            Write::Put(picture("b", b"shared")),
        ])
        .unwrap();
    assert_eq!(image_files(dir.path()), [hash.to_string()]);
    collection.commit(vec![Write::Delete(id("a"))]).unwrap();
    assert_eq!(collection.read_image(&hash).unwrap().unwrap(), "shared");
    // The image moves from one document to another within a group.
    collection
        .commit(vec![
            Write::Delete(id("b")),
            Write::Put(picture("c", b"shared")),
        ])
        .unwrap();
    assert_eq!(collection.read_image(&hash).unwrap().unwrap(), "shared");
    collection
        .commit(vec![Write::Put(picture("c", b"another"))])
        .unwrap();
    assert_eq!(
        image_files(dir.path()),
        [BlobHash::of(b"another").to_string()]
    );
    assert_eq!(collection.read_image(&hash).unwrap(), None);
}

#[test]
fn a_list_continues_after_its_last_id_under_writes() {
    let dir = TempDir::new().unwrap();
    let collection = create(&open(dir.path()), "a");
    let put = |ids: &[&str]| {
        let group = ids.iter().map(|id| Write::Put(text(id, id))).collect();
        collection.commit(group).unwrap();
    };
    let list = |after: Option<&str>, limit| -> Vec<String> {
        let page = collection.list(after.map(id).as_ref(), limit).unwrap();
        page.into_iter()
            .map(|document| document.id.to_string())
            .collect()
    };
    put(&["b", "é", "a", "ab", "d", "c"]);
    assert_eq!(list(None, 3), ["a", "ab", "b"]);
    collection
        .commit(vec![Write::Delete(id("b")), Write::Delete(id("a"))])
        .unwrap();
    put(&["aa", "bb", "c"]);
    assert_eq!(list(Some("b"), 2), ["bb", "c"]);
    assert_eq!(list(Some("c"), 9), ["d", "é"]);
    assert_eq!(list(Some("é"), 9), [""; 0]);
    assert_eq!(list(None, 0), [""; 0]);
}

#[test]
fn a_long_text_has_a_vector_for_each_passage_in_their_order() {
    let dir = TempDir::new().unwrap();
    let store = open(dir.path());
    let collection = create(&store, "a");
    let words = "many words ".repeat(40);
    let many = |count: u32| {
        let passages = (0..count).map(|n| Passage {
            start: n,
            end: n + 11,
        });
        let vectors = (0..count).map(|n| (VectorKind::Text, vec![n as f32; DIM]));
        NewDocument {
            passages: passages.collect(),
            vectors: vectors.collect(),
            ..text("long", &words)
        }
    };
    let new = many(300);
    collection.commit(vec![Write::Put(new.clone())]).unwrap();
    drop((store, collection));
    let store = open(dir.path());
    let collection = store.collection(&name("a")).unwrap();
    let document = collection.get(&id("long")).unwrap().unwrap();
    assert_eq!(document.passages, new.passages);
    assert_eq!(collection.vectors(document.key).unwrap(), new.vectors);

    let fewer = many(2);
    collection.commit(vec![Write::Put(fewer.clone())]).unwrap();
    assert_eq!(collection.vectors(document.key).unwrap(), []);
    let document = collection.get(&id("long")).unwrap().unwrap();
    assert_eq!(collection.vectors(document.key).unwrap(), fewer.vectors);
}

#[test]
fn an_invalid_write_fails_the_group_before_anything_changes() {
    let dir = TempDir::new().unwrap();
    let collection = create(&open(dir.path()), "a");
    let vectors = |vectors| NewDocument {
        vectors,
        ..text("bad", "x")
    };
    for (bad, why) in [
        (
            vectors(vec![(VectorKind::Text, vec![0.0; DIM + 1])]),
            "dimensions",
        ),
        (
            vectors(vec![(VectorKind::Text, vec![0.0, f32::NAN, 0.0])]),
            "dimension 1",
        ),
        (
            vectors(vec![(VectorKind::Text, vec![0.0, 0.0, f32::INFINITY])]),
            "dimension 2",
        ),
        (
            vectors(vec![(VectorKind::Image, vec![0.0; DIM]); 2]),
            "two image vectors",
        ),
        (
            vectors(vec![(VectorKind::Text, vec![0.0; DIM]); 2]),
            "several vectors",
        ),
        (
            NewDocument {
                passages: vec![Passage { start: 0, end: 1 }; 2],
                ..text("bad", "x")
            },
            "2 passages and 1 vectors",
        ),
        (
            NewDocument {
                passages: vec![Passage { start: 1, end: 2 }],
                ..text("bad", "é")
            },
            "outside of its text",
        ),
        (
            NewDocument {
                text: None,
                vectors: Vec::new(),
                ..text("bad", "")
            },
            "no text, no image",
        ),
    ] {
        let error = collection.check(&Write::Put(bad.clone())).unwrap_err();
        assert!(matches!(error, StorageError::InvalidWrite { .. }));
        assert!(
            error.to_string().contains("bad") && error.to_string().contains(why),
            "{error}"
        );
        let group = vec![Write::Put(text("good", "x")), Write::Put(bad)];
        assert!(collection.commit(group).is_err());
        assert_eq!((collection.len(), collection.sequence()), (0, 0));
    }
}

/// sled never syncs the files of pages that are too large for its log; `layout` explains how such pages
/// are avoided.
#[test]
fn long_texts_and_vectors_stay_in_the_log() {
    let dir = TempDir::new().unwrap();
    let store = open(dir.path());
    let dim = clipdb_storage::MAX_DIM;
    let definition = clipdb_storage::CollectionDefinition::new(name("a"), "m", dim);
    store.create_collection(definition).unwrap();
    let collection = store.collection(&name("a")).unwrap();
    let long = "long ".repeat(20_000);
    for group in 0..10 {
        let put = |n| NewDocument {
            vectors: vec![(VectorKind::Text, vec![0.5; dim])],
            ..text(&format!("{group}-{n}-{}", "i".repeat(240)), &long)
        };
        collection
            .commit((0..10).map(put).map(Write::Put).collect())
            .unwrap();
    }
    let large_pages = std::fs::read_dir(dir.path().join("sled/blobs")).unwrap();
    assert_eq!(large_pages.count(), 0);
    let all = collection.list(None, 1000).unwrap();
    assert_eq!(all.len(), 100);
    assert!(
        all.iter()
            .all(|document| document.text.as_deref() == Some(&long))
    );
}

#[test]
fn a_guard_refuses_single_writes() {
    let dir = TempDir::new().unwrap();
    let store = open(dir.path());
    let collection = create(&store, "a");
    let with = |name: &str, metadata| NewDocument {
        metadata: object(metadata),
        ..text(name, "a")
    };
    let put = |name: &str, metadata| Write::Put(with(name, metadata));
    let merge = |name: &str, metadata| Write::Merge {
        id: id(name),
        metadata: object(metadata),
    };
    collection
        .commit(vec![put("old", json!({"n": 1}))])
        .unwrap();
    let mut asked = Vec::new();
    let group = vec![
        put("old", json!({"n": 2})),
        put("old", json!({"n": 9})),
        merge("old", json!({"m": 3})),
        put("new", json!({"n": 9})),
        merge("new", json!({"m": 3})),
        Write::Delete(id("old")),
        Write::Delete(id("old")),
    ];
    let committed = collection
        .commit_guarded(group, &mut |before, after| {
            asked.push((before.cloned(), after.cloned()));
            after.is_none_or(|after| after["n"] != json!(9))
        })
        .unwrap();
    let some = |metadata| Some(object(metadata));
    assert_eq!(
        asked,
        [
            (some(json!({"n": 1})), some(json!({"n": 2}))),
            (some(json!({"n": 2})), some(json!({"n": 9}))),
            (some(json!({"n": 2})), some(json!({"n": 2, "m": 3}))),
            (None, some(json!({"n": 9}))),
            (some(json!({"n": 2, "m": 3})), None),
        ]
    );
    let refused = |outcome: &Outcome| *outcome == Outcome::Refused;
    assert_eq!(
        committed.outcomes.iter().map(refused).collect::<Vec<_>>(),
        [false, true, false, true, false, false, false]
    );
    assert_eq!(collection.len(), 0);
    assert_eq!(collection.get(&id("new")).unwrap(), None);
}
