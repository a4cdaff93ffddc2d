//! A disk that fills up during a write and has space again later: storage stops writes, reports it, and
//! recovers by itself with all acknowledged documents.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use clipdb_storage::{
    CollectionDefinition, CollectionStore, Metadata, NewDocument, StorageError, Store,
    StoreOptions, VectorKind, Write,
};

const DIM: usize = 4;

struct Disk(tempfile::TempDir);

impl Disk {
    fn new(mebibytes: u32) -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={mebibytes}m"), "tmpfs"])
            .arg(dir.path())
            .status();
        if mounted.is_ok_and(|status| status.success()) {
            return Some(Self(dir));
        }
        clipdb_skip::report_skip("this user may not mount a disk");
        None
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn filler(&self) -> PathBuf {
        self.path().join("filler")
    }

    fn fill(&self) {
        let mut options = fs::OpenOptions::new();
        let mut file = options
            .create(true)
            .append(true)
            .open(self.filler())
            .unwrap();
        while std::io::Write::write(&mut file, &[1; 4096]).is_ok() {}
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.path()).status();
    }
}

fn open(dir: &Path) -> Store {
    // No write is rejected for lack of space: sled runs out of it.
    let options = StoreOptions {
        reserve_bytes: 0,
        ..StoreOptions::default()
    };
    Store::open(dir, &options).unwrap()
}

fn document(n: usize) -> Write {
    Write::Put(NewDocument {
        id: format!("d{n}").parse().unwrap(),
        text: Some(format!("text {n}")),
        text_truncated: false,
        passages: Vec::new(),
        image: None,
        metadata: Metadata::new(),
        vectors: vec![(VectorKind::Text, vec![n as f32; DIM])],
    })
}

fn ids(collection: &CollectionStore) -> Vec<String> {
    let all = collection.list(None, usize::MAX).unwrap();
    all.into_iter()
        .map(|document| document.id.to_string())
        .collect()
}

fn until(what: &str, mut done: impl FnMut() -> bool) {
    let started = Instant::now();
    while !done() {
        assert!(started.elapsed() < Duration::from_secs(60), "never: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn storage_recovers_from_a_full_disk_with_all_acknowledged_writes() {
    let Some(disk) = Disk::new(96) else { return };
    let store = open(&disk.path().join("data"));
    let create = |name: &str| {
        let definition = CollectionDefinition::new(name.parse().unwrap(), "m", DIM);
        store.create_collection(definition).unwrap();
        store.collection(&name.parse().unwrap()).unwrap()
    };
    let (collection, other) = (create("a"), create("b"));
    collection
        .commit((0..2000).map(document).collect())
        .unwrap();
    other.commit((0..10).map(document).collect()).unwrap();
    for round in 0..4 {
        let kept = disk.path().join("data/ballast");
        until("space is reserved", || kept.exists());
        // Uses up the space that is already allocated to the file of sled.
        let log = disk.path().join("data/sled/db");
        let blocks = || fs::metadata(&log).unwrap().blocks();
        let (before, mut more) = (blocks(), 0);
        while blocks() == before {
            more += 1;
            let group = (0..500).map(|n| document(10_000 + more * 500 + n));
            collection.commit(group.collect()).unwrap();
        }
        disk.fill();
        // With and without reserved space, which storage reserves again as long as there is room.
        while round % 2 == 1 && kept.exists() {
            fs::remove_file(&kept).unwrap();
            disk.fill();
        }
        // Deletes need no space by our estimate, but some in sled.
        let mut acknowledged = ids(&collection);
        let mut failed = None;
        for id in acknowledged.clone() {
            match collection.commit(vec![Write::Delete(id.parse().unwrap())]) {
                Ok(_) => acknowledged.retain(|there| *there != id),
                Err(error) => {
                    failed = Some((id, error));
                    break;
                }
            }
        }
        let (id, error) = failed.expect("the disk is full");
        assert!(error.is_out_of_room(), "{error}");
        if round % 2 == 1 {
            // Recovery is attempted, and fails while the disk is full.
            std::thread::sleep(Duration::from_millis(2500));
            let stopped = store.stopped().unwrap();
            assert!(stopped.heals(), "{stopped:?}");
            let refused = other.commit(vec![document(77)]).unwrap_err();
            assert!(matches!(refused, StorageError::Stopped { .. }), "{refused}");
            match other.list(None, usize::MAX) {
                Ok(all) => assert_eq!(all.len(), 10),
                Err(error) => assert!(matches!(error, StorageError::Stopped { .. }), "{error}"),
            }
        } else {
            until("it heals on the full disk", || store.stopped().is_none());
            assert_eq!(ids(&other).len(), 10);
        }
        fs::remove_file(disk.filler()).unwrap();
        until("it heals", || store.stopped().is_none());
        let there = ids(&collection);
        let without: Vec<String> = acknowledged
            .iter()
            .filter(|there| **there != id)
            .cloned()
            .collect();
        assert!(
            there == acknowledged || there == without,
            "{} of {}",
            there.len(),
            acknowledged.len()
        );
        assert_eq!(collection.len(), there.len() as u64);
        collection.commit(vec![document(5000 + round)]).unwrap();
        other.commit(vec![document(77)]).unwrap();
        other
            .commit(vec![Write::Delete("d77".parse().unwrap())])
            .unwrap();
    }
    let (of_a, of_b) = (ids(&collection), ids(&other));
    drop((store, collection, other));
    let store = open(&disk.path().join("data"));
    assert_eq!(store.damaged().len(), 0);
    let again = |name: &str| ids(&store.collection(&name.parse().unwrap()).unwrap());
    assert_eq!((again("a"), again("b")), (of_a, of_b));
}
