use std::fs;

use clipdb_storage::{BlobHash, DocumentId, DocumentKey, Outcome, StorageError, Write};
use sled::Tree;
use tempfile::TempDir;

use crate::collections::raw;
use crate::{create, image_files, name, object, open, picture, text};

fn damaged<T>(result: Result<T, StorageError>) -> String {
    match result {
        Err(error @ (StorageError::Damaged { .. } | StorageError::DamagedImage { .. })) => {
            error.to_string()
        }
        Err(error) => panic!("reported as {error}"),
        Ok(_) => panic!("served"),
    }
}

/// A folder with the documents `a` and `b`, each with an image, whose tree was changed by `spoil`.
fn spoiled(spoil: impl Fn(&Tree)) -> TempDir {
    let dir = TempDir::new().unwrap();
    let store = open(dir.path());
    let collection = create(&store, "c");
    collection
        .commit(vec![
            Write::Put(picture("a", b"of a")),
            Write::Put(picture("b", b"of b")),
        ])
        .unwrap();
    drop((store, collection));
    spoil(&raw(dir.path()).open_tree("documents-1").unwrap());
    dir
}

pub fn flip_last_bit(tree: &Tree, key: &[u8]) {
    let mut value = tree.get(key).unwrap().unwrap().to_vec();
    *value.last_mut().unwrap() ^= 1;
    tree.insert(key, value).unwrap();
    tree.flush().unwrap();
}

fn versioned(prefix: &[u8], key: u64, suffix: &[u8]) -> Vec<u8> {
    [prefix, &key.to_be_bytes(), suffix].concat()
}

#[test]
fn a_corrupt_record_is_reported_and_others_are_served() {
    let dir = spoiled(|tree| flip_last_bit(tree, &versioned(b"D", 0, &[0, 0])));
    let collection = open(dir.path()).collection(&name("c")).unwrap();
    let (a, b): (DocumentId, DocumentId) = ("a".parse().unwrap(), "b".parse().unwrap());
    for report in [
        damaged(collection.get(&a)),
        damaged(collection.get_by_key(DocumentKey::new(0))),
        damaged(collection.list(None, 10)),
    ] {
        assert!(
            report.contains("version 0") && report.contains("checksum"),
            "{report}"
        );
    }
    assert!(collection.get(&b).unwrap().is_some());
    assert_eq!(collection.list(Some(&a), 10).unwrap().len(), 1);

    // It cannot be changed, but it can be replaced, which removes all of the corrupt version.
    let metadata = object(serde_json::json!({"x": 1}));
    damaged(collection.commit(vec![Write::Merge {
        id: a.clone(),
        metadata,
    }]));
    let outcomes = collection
        .commit(vec![Write::Put(text("a", "new"))])
        .unwrap()
        .outcomes;
    assert!(
        matches!(outcomes[..], [Outcome::Updated { .. }]),
        "{outcomes:?}"
    );
    assert_eq!(
        collection.get(&a).unwrap().unwrap().text.as_deref(),
        Some("new")
    );
    assert_eq!(image_files(dir.path()), [BlobHash::of(b"of b").to_string()]);
    assert_eq!(collection.len(), 2);
}

#[test]
fn a_lost_record_is_reported() {
    let dir = spoiled(|tree| {
        tree.remove(versioned(b"D", 0, &[0, 0])).unwrap();
        tree.flush().unwrap();
    });
    let collection = open(dir.path()).collection(&name("c")).unwrap();
    let report = damaged(collection.get(&"a".parse().unwrap()));
    assert!(
        report.contains("the document a") && report.contains("missing"),
        "{report}"
    );
}

#[test]
fn corrupt_vectors_and_ids_are_reported() {
    let dir = spoiled(|tree| flip_last_bit(tree, &versioned(b"V", 1, b"i")));
    let collection = open(dir.path()).collection(&name("c")).unwrap();
    let report = damaged(collection.vectors(DocumentKey::new(1)));
    assert!(
        report.contains("vector") && report.contains("version 1"),
        "{report}"
    );

    let dir = spoiled(|tree| flip_last_bit(tree, b"Ia"));
    let collection = open(dir.path()).collection(&name("c")).unwrap();
    assert!(damaged(collection.get(&"a".parse().unwrap())).contains("Ia"));
    damaged(collection.live_keys());
}

#[test]
fn a_corrupt_image_is_reported_until_it_is_uploaded_again() {
    let hash = BlobHash::of(b"of a");
    let dir = spoiled(|_| {});
    let collection = open(dir.path()).collection(&name("c")).unwrap();
    let hex = hash.to_string();
    let path = dir.path().join("images/1").join(&hex[..2]).join(&hex);
    let upload = || {
        collection
            .commit(vec![Write::Put(picture("again", b"of a"))])
            .unwrap()
    };

    fs::write(&path, b"of x").unwrap();
    assert!(damaged(collection.read_image(&hash)).contains(&hex));
    upload();
    assert_eq!(collection.read_image(&hash).unwrap().unwrap(), "of a");

    fs::write(&path, b"of").unwrap();
    damaged(collection.read_image(&hash));
    fs::remove_file(&path).unwrap();
    assert!(damaged(collection.read_image(&hash)).contains("no such file"));
    upload();
    assert_eq!(collection.read_image(&hash).unwrap().unwrap(), "of a");
}

#[test]
fn only_files_without_a_document_are_removed_at_startup() {
    let dir = spoiled(|_| {});
    let shard = dir.path().join("images/1/00");
    let incoming = dir.path().join("images/1/incoming");
    fs::create_dir_all(&shard).unwrap();
    for path in [
        // Killed between the rename and the batch.
        shard.join(format!("00{}", "5".repeat(62))),
        // Killed before the rename.
        incoming.join("half"),
        shard.join("no hash"),
    ] {
        fs::write(path, "x").unwrap();
    }
    assert_eq!(image_files(dir.path()).len(), 5);
    let store = open(dir.path());
    let mut kept = [
        BlobHash::of(b"of a").to_string(),
        BlobHash::of(b"of b").to_string(),
    ];
    kept.sort();
    assert_eq!(image_files(dir.path()), kept);
    let collection = store.collection(&name("c")).unwrap();
    assert_eq!(
        collection
            .read_image(&BlobHash::of(b"of b"))
            .unwrap()
            .unwrap(),
        "of b"
    );
}

#[test]
fn an_image_that_cannot_be_written_fails_the_group_without_leftovers() {
    let dir = spoiled(|_| {});
    let collection = open(dir.path()).collection(&name("c")).unwrap();
    // There is a file in place of the folder.
    let hex = BlobHash::of(b"blocked").to_string();
    let shard = dir.path().join("images/1").join(&hex[..2]);
    fs::write(&shard, "").unwrap();
    let group = || {
        vec![
            Write::Put(text("x", "x")),
            Write::Put(picture("y", b"blocked")),
        ]
    };
    let Err(StorageError::Io { path, .. }) = collection.commit(group()) else {
        panic!("the image cannot have been written")
    };
    assert!(
        path.starts_with(dir.path().join("images/1")),
        "{}",
        path.display()
    );
    assert_eq!((collection.len(), collection.sequence()), (2, 1));
    assert_eq!(collection.get(&"x".parse().unwrap()).unwrap(), None);
    assert_eq!(
        fs::read_dir(dir.path().join("images/1/incoming"))
            .unwrap()
            .count(),
        0
    );

    fs::remove_file(&shard).unwrap();
    assert_eq!(collection.commit(group()).unwrap().sequence, 2);
}
