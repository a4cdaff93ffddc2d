//! A snapshot's archive, restored into a store. A frame's checksum and the archive's hash would
//! stop a fuzzer, so the input holds frames without them (a kind, a length of four bytes, a
//! payload), and the archive is made of them; an input that begins as an archive is one itself.
#![no_main]

use std::sync::LazyLock;

use clipdb_storage::{CollectionDefinition, Progress, Store, StoreOptions};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

const MAGIC: &[u8] = b"clipdb snapshot 1\n";

static STORE: LazyLock<(TempDir, Store)> = LazyLock::new(|| {
    let folder = clipdb_fuzz::folder();
    let options = StoreOptions {
        reserve_bytes: 0,
        ..StoreOptions::default()
    };
    let store = Store::open(folder.path(), &options).expect("an empty store");
    (folder, store)
});

struct ToTheEnd;

impl Progress for ToTheEnd {
    fn reached(&self, _: u64, _: u64) -> bool {
        true
    }
}

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let archive = if data.starts_with(MAGIC) {
        data.to_vec()
    } else {
        archive(data)
    };
    if clipdb_storage::read_manifest(archive.as_slice()).is_err() {
        return;
    }
    let definition = CollectionDefinition::new("a".parse().expect("a name"), "m", 3);
    if let Ok(restored) = STORE.1.restore(archive.as_slice(), definition, &ToTheEnd) {
        let collection = restored.collection();
        let keys = collection
            .live_keys()
            .expect("a restored collection is intact");
        for key in keys {
            let document = collection.get_by_key(key).expect("so are its documents");
            let vectors = collection.vectors(key).expect("and their vectors");
            assert!(document.is_some() && vectors.iter().all(|vector| vector.1.len() == 3));
        }
    }
});

fn archive(mut input: &[u8]) -> Vec<u8> {
    let mut archive = MAGIC.to_vec();
    let mut frames = 0u64;
    while let Some(([kind, length @ ..], rest)) = input.split_first_chunk::<5>() {
        let length = (u32::from_le_bytes(*length) as usize).min(rest.len());
        let (payload, rest) = rest.split_at(length);
        push(&mut archive, *kind, payload);
        frames += 1;
        input = rest;
    }
    let hash = Sha256::digest(&archive);
    let end = [&frames.to_le_bytes(), hash.as_slice()].concat();
    push(&mut archive, b'Z', &end);
    archive
}

fn push(archive: &mut Vec<u8>, kind: u8, payload: &[u8]) {
    let start = archive.len();
    archive.push(kind);
    archive.extend((payload.len() as u64).to_le_bytes());
    archive.extend(payload);
    let crc = crc32fast::hash(&archive[start..]);
    archive.extend(crc.to_le_bytes());
}
