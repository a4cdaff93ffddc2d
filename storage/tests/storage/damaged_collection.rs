//! A collection with corrupt data: only that collection is offline, and its files stay unchanged.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use clipdb_storage::{
    CheckMode, CollectionDefinition, CollectionStore, Progress, StorageError, Store, StoreOptions,
    Write,
};
use tempfile::TempDir;

use crate::collections::raw;
use crate::crash::copy_folder;
use crate::damage::flip_last_bit;
use crate::{DIM, create, image_files, name, open, picture, text};

struct Whole;

impl Progress for Whole {
    fn reached(&self, _: u64, _: u64) -> bool {
        true
    }
}

fn put(collection: &CollectionStore, id: &str) {
    let write = Write::Put(picture(id, id.as_bytes()));
    collection.commit(vec![write]).unwrap();
}

/// The collections `bad` and `good` with an image each, and a snapshot of `bad`; then the counters of
/// `bad` are corrupted.
fn one_of_two() -> TempDir {
    let dir = TempDir::new().unwrap();
    let store = open(dir.path());
    for named in ["bad", "good"] {
        put(&create(&store, named), &format!("of-{named}"));
    }
    let bad = store.collection(&name("bad")).unwrap();
    store.snapshots().take(&bad, &Whole).unwrap();
    drop((store, bad));
    flip_last_bit(&raw(dir.path()).open_tree("documents-1").unwrap(), b"C");
    dir
}

fn error(store: &Store) -> String {
    match store.collection(&name("bad")) {
        Err(error @ StorageError::DamagedCollection { .. }) => error.to_string(),
        Err(error) => panic!("reported as {error}"),
        Ok(_) => panic!("served"),
    }
}

type Content = (BTreeMap<Vec<u8>, Vec<u8>>, Vec<String>);

/// All data of `bad` on disk.
fn content(dir: &Path) -> Content {
    let tree = raw(dir).open_tree("documents-1").unwrap();
    let entries = tree.iter().map(|entry| {
        let (key, value) = entry.unwrap();
        (key.to_vec(), value.to_vec())
    });
    (entries.collect(), image_files(dir))
}

#[test]
fn it_is_reported_by_name_and_the_others_are_served() {
    let dir = one_of_two();
    // It would be removed at startup if the collection was intact.
    fs::create_dir_all(dir.path().join("images/1/00")).unwrap();
    let stray = format!("images/1/00/00{}", "5".repeat(62));
    fs::write(dir.path().join(stray), "x").unwrap();
    let before = content(dir.path());

    let store = open(dir.path());
    let [good] = &store.collections()[..] else {
        panic!("{:?}", store.collections())
    };
    assert_eq!(good.name, name("good"));
    let [bad] = &store.damaged()[..] else {
        panic!("one is damaged")
    };
    assert_eq!((&bad.definition().name, bad.number()), (&name("bad"), 1));
    assert_eq!(
        bad.reason(),
        "a collection's counters: its checksum is wrong"
    );
    let message = error(&store);
    let remedy = format!("clipdb check --data {} --repair", dir.path().display());
    for part in ["the collection bad is damaged", bad.reason(), &remedy] {
        assert!(message.contains(part), "{message}");
    }
    let again = CollectionDefinition::new(name("bad"), "m", DIM);
    assert!(matches!(
        store.create_collection(again),
        Err(StorageError::DamagedCollection { .. })
    ));

    let good = store.collection(&name("good")).unwrap();
    put(&good, "more");
    drop((store, good));
    let store = open(dir.path());
    error(&store);
    assert_eq!(store.collection(&name("good")).unwrap().len(), 2);
    drop(store);
    let (tree, mut images) = content(dir.path());
    let more = clipdb_storage::BlobHash::of(b"more").to_string();
    images.retain(|image| *image != more);
    assert_eq!((tree, images), before);
}

#[test]
fn repairing_dropping_or_restoring_it_ends_the_outage() {
    let repaired = one_of_two();
    let options = StoreOptions::default();
    let checked = clipdb_storage::check(repaired.path(), &options, CheckMode::Repair).unwrap();
    assert_eq!(checked.documents, 2);
    assert!(
        checked
            .findings
            .iter()
            .all(|found| found.repaired.is_some())
    );
    let store = open(repaired.path());
    assert_eq!(store.collection(&name("bad")).unwrap().len(), 1);
    assert!(store.damaged().is_empty());

    let dropped = one_of_two();
    let store = open(dropped.path());
    store.drop_collection(&name("bad")).unwrap();
    assert!(store.damaged().is_empty());
    assert_eq!(image_files(dropped.path()).len(), 1);
    let recreated = create(&store, "bad");
    assert!(recreated.is_empty());
    drop((store, recreated));
    assert_eq!(open(dropped.path()).collections().len(), 2);

    let restored = one_of_two();
    let store = open(restored.path());
    let snapshot = &store.snapshots().list(&name("bad")).unwrap()[0];
    let archive = || store.snapshots().file(&name("bad"), &snapshot.id).unwrap();
    let definition = clipdb_storage::read_manifest(archive()).unwrap().definition;
    let other = CollectionDefinition::new(name("bad"), "another", DIM);
    assert!(matches!(
        store.restore(archive(), other, &Whole),
        Err(StorageError::Conflict { .. })
    ));
    error(&store);
    let incoming = store.restore(archive(), definition, &Whole).unwrap();
    error(&store);
    let adopted = store.adopt(incoming).unwrap();
    assert_eq!(adopted.len(), 1);
    drop((store, adopted));
    let store = open(restored.path());
    assert_eq!(store.collection(&name("bad")).unwrap().len(), 1);
    assert_eq!(image_files(restored.path()).len(), 2);
}

#[test]
fn lost_acknowledged_writes_are_reported_with_their_number() {
    let dir = TempDir::new().unwrap();
    let store = open(dir.path());
    let bad = create(&store, "bad");
    put(&bad, "first");
    put(&create(&store, "good"), "first");
    drop((store, bad));
    let earlier = TempDir::new().unwrap();
    copy_folder(&dir.path().join("sled"), earlier.path());
    let store = open(dir.path());
    let bad = store.collection(&name("bad")).unwrap();
    put(&bad, "second");
    put(&bad, "third");
    drop((store, bad));
    let sled = dir.path().join("sled");
    fs::remove_dir_all(&sled).unwrap();
    fs::create_dir(&sled).unwrap();
    copy_folder(earlier.path(), &sled);
    for _ in 0..2 {
        let store = open(dir.path());
        let message = error(&store);
        assert!(message.contains("it is at group 1 of 3"), "{message}");
        let good = store.collection(&name("good")).unwrap();
        good.commit(vec![Write::Put(text("t", "t"))]).unwrap();
    }
    // Its images are kept until it is repaired, dropped or restored.
    assert_eq!(image_files(dir.path()).len(), 4);
    let checked =
        clipdb_storage::check(dir.path(), &StoreOptions::default(), CheckMode::Repair).unwrap();
    let lost = &checked.findings[0];
    assert_eq!(lost.collection, Some(name("bad")));
    assert!(lost.reason.contains("group 1 of 3"), "{}", lost.reason);
    let store = open(dir.path());
    assert_eq!(store.collection(&name("bad")).unwrap().len(), 1);
}

#[test]
fn a_collection_can_be_taken_offline_by_a_reader() {
    let dir = TempDir::new().unwrap();
    let store = open(dir.path());
    put(&create(&store, "bad"), "x");
    store.set_damaged(&name("bad"), "the document x: gone".into());
    assert!(error(&store).contains("the document x: gone"));
    assert!(store.collections().is_empty());
    assert_eq!(store.damaged().len(), 1);
}
