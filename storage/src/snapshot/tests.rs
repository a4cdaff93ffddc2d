use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tempfile::TempDir;

use super::archive::{Frame, Reader, Writer};
use super::*;
use crate::{
    BlobHash, CollectionStore, Metadata, NewDocument, NewImage, Store, StoreOptions, VectorKind,
    Write,
};

const DIM: usize = 3;

struct Whole;

impl Progress for Whole {
    fn reached(&self, _: u64, _: u64) -> bool {
        true
    }
}

struct Until(AtomicU64);

impl Progress for Until {
    fn reached(&self, _: u64, _: u64) -> bool {
        self.0.fetch_sub(1, Ordering::SeqCst) > 1
    }
}

fn open(dir: &Path) -> Store {
    Store::open(dir, &StoreOptions::default()).unwrap()
}

fn definition(name: &str) -> CollectionDefinition {
    CollectionDefinition::new(name.parse().unwrap(), "m", DIM)
}

fn create(store: &Store, name: &str) -> CollectionStore {
    store.create_collection(definition(name)).unwrap();
    store.collection(&name.parse().unwrap()).unwrap()
}

fn document(id: usize, round: u64) -> NewDocument {
    let picture = id.is_multiple_of(4).then(|| NewImage {
        bytes: format!("picture of {id} in {}", round % 3)
            .into_bytes()
            .into(),
        media_type: "image/png".into(),
        width: 1,
        height: 1,
    });
    NewDocument {
        id: format!("d{id}").parse().unwrap(),
        text: Some(format!("round {round}")),
        text_truncated: false,
        passages: Vec::new(),
        image: picture,
        metadata: Metadata::new(),
        vectors: vec![(VectorKind::Text, vec![round as f32; DIM])],
    }
}

/// Text, image and vectors of every document.
type Content = BTreeMap<String, (Option<String>, Option<Vec<u8>>, Vec<f32>)>;

fn content(collection: &CollectionStore) -> Content {
    let documents = collection.list(None, usize::MAX).unwrap();
    assert_eq!(documents.len() as u64, collection.len());
    let with_rest = documents.into_iter().map(|document| {
        let image = document.image.map(|image| {
            let bytes = collection.read_image(&image.hash).unwrap().unwrap();
            bytes.to_vec()
        });
        let vector = collection.vectors(document.key).unwrap().remove(0).1;
        (document.id.to_string(), (document.text, image, vector))
    });
    with_rest.collect()
}

fn restored(store: &Store, archive: &[u8], name: &str) -> Result<CollectionStore, StorageError> {
    let mut definition = read_manifest(archive)?.definition;
    definition.name = name.parse().unwrap();
    let incoming = store.restore(archive, definition, &Whole)?;
    store.adopt(incoming)
}

fn archive_of(store: &Store, collection: &CollectionStore) -> Vec<u8> {
    let info = store.snapshots().take(collection, &Whole).unwrap();
    let mut bytes = Vec::new();
    let name = &collection.definition().name;
    let mut file = store.snapshots().file(name, &info.id).unwrap();
    std::io::Read::read_to_end(&mut file, &mut bytes).unwrap();
    assert_eq!(info.bytes, bytes.len() as u64);
    assert_eq!(info.sha256, BlobHash::of(&bytes).to_string());
    bytes
}

/// While a writer replaces, deletes and adds documents, every snapshot has exactly the content of its
/// sequence number.
#[test]
fn a_snapshot_during_writes_is_consistent() {
    let dir = TempDir::new().unwrap();
    let store = open(dir.path());
    let collection = create(&store, "busy");
    let first: Vec<Write> = (0..80).map(|id| Write::Put(document(id, 0))).collect();
    collection.commit(first).unwrap();
    let ended = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let writing = scope.spawn(|| {
            let mut moments = BTreeMap::from([(collection.sequence(), content(&collection))]);
            let mut round = 0;
            while !ended.load(Ordering::Acquire) {
                round += 1;
                let at = |n: u64| ((round * 7 + n * 13) % 80) as usize;
                let mut group: Vec<Write> =
                    (0..6).map(|n| Write::Put(document(at(n), round))).collect();
                group.push(Write::Delete(format!("d{}", at(6)).parse().unwrap()));
                let sequence = collection.commit(group).unwrap().sequence;
                moments.insert(sequence, content(&collection));
            }
            moments
        });
        let mut archives = Vec::new();
        for _ in 0..12 {
            archives.push(archive_of(&store, &collection));
        }
        ended.store(true, Ordering::Release);
        let moments = writing.join().unwrap();
        assert!(moments.len() > 12, "{}", moments.len());
        for (n, archive) in archives.iter().enumerate() {
            let sequence = read_manifest(&archive[..]).unwrap().sequence;
            let copy = restored(&store, archive, &format!("copy-{n}")).unwrap();
            assert_eq!(copy.sequence(), sequence);
            assert_eq!(content(&copy), moments[&sequence], "at group {sequence}");
        }
    });
    let before = content(&collection);
    drop((store, collection));
    let store = open(dir.path());
    assert_eq!(
        content(&store.collection(&"busy".parse().unwrap()).unwrap()),
        before
    );
    assert_eq!(store.collections().len(), 13);
    assert_eq!(
        store
            .snapshots()
            .list(&"busy".parse().unwrap())
            .unwrap()
            .len(),
        12
    );
}

#[test]
fn a_corrupt_or_truncated_archive_changes_nothing() {
    let dir = TempDir::new().unwrap();
    let store = open(dir.path());
    let collection = create(&store, "a");
    let group = (0..6).map(|id| Write::Put(document(id, 1))).collect();
    collection.commit(group).unwrap();
    let archive = archive_of(&store, &collection);
    collection.commit(vec![Write::Put(document(1, 2))]).unwrap();
    let before = content(&collection);
    let refused = |archive: &[u8], what: &str| {
        let error = restored(&store, archive, "a").map(drop).unwrap_err();
        assert!(
            matches!(error, StorageError::BadSnapshot { .. }),
            "{what}: {error}"
        );
        let there = store.collection(&"a".parse().unwrap()).unwrap();
        assert_eq!(content(&there), before, "{what}");
    };
    let step = archive.len() / 60 + 1;
    for at in (0..archive.len()).step_by(step) {
        refused(&archive[..at], &format!("cut at {at}"));
        let mut flipped = archive.clone();
        flipped[at] ^= 1 << (at % 8);
        refused(&flipped, &format!("a bit of byte {at}"));
    }
    refused(b"PK\x03\x04 no snapshot at all", "another file");
    let images = fs::read_dir(dir.path().join("images")).unwrap().count();
    assert_eq!(images, 1, "a refused restore left its images");

    // The intact archive restores the collection.
    let back = restored(&store, &archive, "a").unwrap();
    assert_eq!(content(&back).len(), 6);
    assert_eq!(content(&back)["d1"].0.as_deref(), Some("round 1"));
    assert!(matches!(
        collection.get(&"d1".parse().unwrap()),
        Err(StorageError::UnknownCollection { .. })
    ));
}

#[test]
fn a_collection_of_another_definition_is_not_replaced() {
    let dir = TempDir::new().unwrap();
    let store = open(dir.path());
    let collection = create(&store, "a");
    collection.commit(vec![Write::Put(document(1, 1))]).unwrap();
    let archive = archive_of(&store, &collection);
    let other = CollectionDefinition::new("b".parse().unwrap(), "other", DIM);
    store.create_collection(other).unwrap();
    let refused = restored(&store, &archive, "b").map(drop);
    assert!(
        matches!(refused, Err(StorageError::Conflict { .. })),
        "{refused:?}"
    );
}

#[test]
fn a_cancelled_snapshot_or_restore_leaves_nothing() {
    let dir = TempDir::new().unwrap();
    let store = open(dir.path());
    let collection = create(&store, "a");
    let group = (0..9).map(|id| Write::Put(document(id, 1))).collect();
    collection.commit(group).unwrap();
    let taken = store.snapshots().take(&collection, &Until(4.into()));
    assert!(matches!(taken, Err(StorageError::Cancelled)), "{taken:?}");
    assert_eq!(
        store.snapshots().list(&"a".parse().unwrap()).unwrap().len(),
        0
    );

    let archive = archive_of(&store, &collection);
    let cancelled = store.restore(&archive[..], definition("b"), &Until(4.into()));
    assert!(matches!(cancelled.map(drop), Err(StorageError::Cancelled)));
    assert_eq!(store.collections().len(), 1);
    // A cancelled snapshot blocks neither the next one nor writes.
    collection.commit(vec![Write::Put(document(1, 2))]).unwrap();
    archive_of(&store, &collection);
}

#[test]
fn a_killed_restore_is_removed_at_the_next_startup() {
    let dir = TempDir::new().unwrap();
    let store = open(dir.path());
    let collection = create(&store, "a");
    let group = (0..9).map(|id| Write::Put(document(id, 1))).collect();
    collection.commit(group).unwrap();
    let archive = archive_of(&store, &collection);
    let incoming = store
        .restore(&archive[..], definition("b"), &Whole)
        .unwrap();
    // As if the process was killed: neither adopted nor dropped.
    std::mem::forget(incoming);
    fs::write(dir.path().join("snapshots/a/x.partial"), "half").unwrap();
    let copy = TempDir::new().unwrap();
    copy_folder(dir.path(), copy.path());
    let reopened = open(copy.path());
    assert_eq!(reopened.collections().len(), 1);
    let count = |folder: &str| fs::read_dir(copy.path().join(folder)).unwrap().count();
    assert_eq!((count("images"), count("snapshots/a")), (1, 2));
}

/// A snapshot in format 1, built from the saved folder of that format.
#[test]
fn a_snapshot_of_an_older_format_is_migrated() {
    let saved = Path::new(env!("CARGO_MANIFEST_DIR")).join("../migrations/tests/format-1");
    let dir = TempDir::new().unwrap();
    copy_folder(&saved, dir.path());
    let db = sled::Config::new()
        .path(dir.path().join("sled"))
        .segment_size(crate::layout::SEGMENT_BYTES)
        .flush_every_ms(None)
        .open()
        .unwrap();
    let entry = db
        .open_tree("catalog")
        .unwrap()
        .get("pictures")
        .unwrap()
        .unwrap();
    let json: serde_json::Value = serde_json::from_slice(&entry).unwrap();
    let manifest = Manifest {
        format: 1,
        number: json["number"].as_u64().unwrap(),
        definition: serde_json::from_value(json["definition"].clone()).unwrap(),
        sequence: 11,
        documents: 150,
        taken_at: 0,
    };
    let mut writer = Writer::new(Vec::new()).unwrap();
    writer.write(&Frame::Manifest(Box::new(manifest))).unwrap();
    writer
        .write(&Frame::Catalog((b"pictures".to_vec(), entry.to_vec())))
        .unwrap();
    let mut others = Vec::new();
    for found in db.open_tree("documents-1").unwrap().iter() {
        let (key, value) = found.unwrap();
        let entry = (key.to_vec(), value.to_vec());
        if key.starts_with(b"d/") {
            writer.write(&Frame::Document(vec![entry])).unwrap();
        } else {
            others.push(entry);
        }
    }
    for entry in others {
        writer.write(&Frame::Counters(entry)).unwrap();
    }
    let picture = b"not really a picture";
    let image = Frame::Image(BlobHash::of(picture), picture.to_vec());
    writer.write(&image).unwrap();
    let (archive, _, _) = writer.finish().unwrap();

    let target = TempDir::new().unwrap();
    let store = open(target.path());
    let collection = restored(&store, &archive, "old").unwrap();
    assert_eq!(collection.len(), 150);
    let long = collection
        .get(&"doc-149".parse().unwrap())
        .unwrap()
        .unwrap();
    assert_eq!(long.text, Some("text 149 ".repeat(10_000)));
    let pictured = collection
        .get(&"doc-003".parse().unwrap())
        .unwrap()
        .unwrap();
    let hash = pictured.image.unwrap().hash;
    assert_eq!(collection.read_image(&hash).unwrap().unwrap(), &picture[..]);
    assert_eq!(
        fs::read_dir(target.path().join("snapshots"))
            .unwrap()
            .count(),
        0
    );

    let mut newer = Writer::new(Vec::new()).unwrap();
    let manifest = Manifest {
        format: 99,
        ..read_manifest(&archive[..]).unwrap()
    };
    newer.write(&Frame::Manifest(Box::new(manifest))).unwrap();
    let refused = read_manifest(&newer.finish().unwrap().0[..]).unwrap_err();
    assert!(refused.to_string().contains("format 99"), "{refused}");
}

#[test]
fn an_archive_reads_back_what_was_written() {
    let mut writer = Writer::new(Vec::new()).unwrap();
    let entries = vec![(b"k".to_vec(), b"value".to_vec()), (vec![], vec![])];
    writer.write(&Frame::Document(entries.clone())).unwrap();
    let (bytes, length, _) = writer.finish().unwrap();
    assert_eq!(bytes.len() as u64, length);
    let mut reader = Reader::new(&bytes[..]).unwrap();
    let Some(Frame::Document(read)) = reader.next().unwrap() else {
        panic!("another frame")
    };
    assert_eq!(read, entries);
    assert!(reader.next().unwrap().is_none());
    assert!(reader.next().unwrap().is_none());
}

fn copy_folder(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            fs::create_dir_all(&target).unwrap();
            copy_folder(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}
