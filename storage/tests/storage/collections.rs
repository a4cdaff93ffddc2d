use clipdb_storage::{
    CollectionDefinition, Creation, MAX_DIM, StorageError, Store, StoreOptions, Write,
};
use tempfile::TempDir;

use crate::{create, image_files, name, open, picture, text};

#[test]
fn a_second_server_is_rejected_with_the_folder_and_the_process() {
    let dir = TempDir::new().unwrap();
    let store = open(dir.path());
    let collection = create(&store, "a");
    drop(store);
    let Err(error) = Store::open(dir.path(), &StoreOptions::default()) else {
        panic!("a handle still holds the folder")
    };
    let sentence = error.to_string();
    assert!(matches!(error, StorageError::Locked { .. }), "{sentence}");
    assert!(
        sentence.contains(dir.path().to_str().unwrap()),
        "{sentence}"
    );
    assert!(
        sentence.contains(&format!("process {}", std::process::id())),
        "{sentence}"
    );
    drop(collection);
    open(dir.path());
}

#[test]
fn creating_twice_is_idempotent_or_a_conflict() {
    let dir = TempDir::new().unwrap();
    let store = open(dir.path());
    let definition = CollectionDefinition::new(name("a"), "m", 7);
    assert_eq!(
        store.create_collection(definition.clone()).unwrap(),
        Creation::Created
    );
    let later = CollectionDefinition {
        created_at: 0,
        ..definition.clone()
    };
    assert_eq!(
        store.create_collection(later).unwrap(),
        Creation::AlreadySame
    );
    let other = CollectionDefinition {
        dim: 8,
        ..definition.clone()
    };
    assert!(matches!(
        store.create_collection(other),
        Err(StorageError::Conflict { .. })
    ));
    for dim in [0, MAX_DIM + 1] {
        let refused = CollectionDefinition::new(name("b"), "m", dim);
        assert!(matches!(
            store.create_collection(refused),
            Err(StorageError::InvalidDim { .. })
        ));
    }
    drop(store);
    assert_eq!(open(dir.path()).collections(), [definition]);
}

#[test]
fn a_dropped_collection_is_removed_with_its_images_and_frees_its_name() {
    let dir = TempDir::new().unwrap();
    let store = open(dir.path());
    let other = create(&store, "b");
    other
        .commit(vec![Write::Put(picture("x", b"other"))])
        .unwrap();
    let old = create(&store, "a");
    old.commit(vec![Write::Put(picture("x", b"old"))]).unwrap();

    store.drop_collection(&name("a")).unwrap();
    let gone = |result| matches!(result, Err(StorageError::UnknownCollection { .. }));
    assert!(gone(old.get(&"x".parse().unwrap()).map(drop)));
    assert!(gone(
        old.commit(vec![Write::Put(text("x", "late"))]).map(drop)
    ));
    assert!(gone(store.collection(&name("a")).map(drop)));
    assert!(gone(store.drop_collection(&name("a"))));
    assert_eq!(image_files(dir.path()).len(), 1);

    let new = create(&store, "a");
    assert_eq!((new.len(), new.sequence()), (0, 0));
    assert_eq!(new.list(None, 10).unwrap(), []);
    drop((store, old, new, other));

    let store = open(dir.path());
    assert_eq!(store.collections().len(), 2);
    assert!(store.collection(&name("a")).unwrap().is_empty());
    assert_eq!(store.collection(&name("b")).unwrap().len(), 1);
}

#[test]
fn partially_dropped_collections_are_removed_at_startup() {
    let dir = TempDir::new().unwrap();
    let store = open(dir.path());
    let collection = create(&store, "a");
    collection
        .commit(vec![Write::Put(picture("x", b"x"))])
        .unwrap();
    drop((store, collection));

    // As if the process was killed after it has removed the catalog entry: the record of its
    // durable sequence was removed before.
    std::fs::remove_file(dir.path().join("witness")).unwrap();
    let db = raw(dir.path());
    db.open_tree("catalog").unwrap().remove("a").unwrap();
    drop(db);

    let store = open(dir.path());
    assert!(store.collections().is_empty());
    assert_eq!(image_files(dir.path()), [""; 0]);
    assert_eq!(create(&store, "a").list(None, 10).unwrap(), []);
    drop(store);
    let trees = raw(dir.path()).tree_names();
    assert!(!trees.contains(&"documents-1".into()), "{trees:?}");
}

/// Opens the folder's sled without clipdb.
pub fn raw(dir: &std::path::Path) -> sled::Db {
    // sled releases its lock a moment after the last handle is dropped.
    for _ in 0..500 {
        match sled::Config::new()
            .path(dir.join("sled"))
            .segment_size(4 << 20)
            .flush_every_ms(None)
            .open()
        {
            Err(sled::Error::Io(_)) => std::thread::sleep(std::time::Duration::from_millis(10)),
            opened => return opened.unwrap(),
        }
    }
    panic!("sled stays locked");
}
