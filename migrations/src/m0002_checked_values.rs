//! Format 1 to 2: every value has a checksum, and a long record is stored in parts.
//!
//! | format 1 | | format 2 | |
//! |---|---|---|---|
//! | `d/` id | the document as JSON, with its `key` | `I` id | its key |
//! | `k/` key | its id | `D` key part | one part of the document as JSON, with `text_truncated` |
//! | `v/` key kind | f32, little endian | `V` key kind | the same |
//! | `r/` hash key | | `R` hash key | |
//! | `n` | counters as JSON | `C` | the same |
//!
//! Keys and part numbers are big endian. A value of format 2 is the byte 2, the CRC-32 of its sled key
//! and payload (little endian), and the payload. The values of the catalog only get that frame: a value
//! of format 1 begins with a printable character. Old and new keys are disjoint, so the remaining old
//! keys are the remaining work.
//!
//! Format 1 was never released; it tests the migrations.

use serde_json::Value;
use sled::{Batch, Db, IVec, Tree};

use crate::MigrationError;

const FRAME: u8 = 2;
const PART_BYTES: usize = 32 << 10;
const DOCUMENTS_PER_STEP: usize = 64;

pub(crate) fn step(db: &Db) -> Result<bool, MigrationError> {
    for name in db.tree_names() {
        if name.starts_with(b"documents-") && move_documents(&db.open_tree(&name)?)? {
            return Ok(true);
        }
    }
    frame_catalog(&db.open_tree("catalog")?)
}

fn move_documents(tree: &Tree) -> Result<bool, MigrationError> {
    let mut batch = Batch::default();
    let mut moved = false;
    for entry in tree.scan_prefix("d/").take(DOCUMENTS_PER_STEP) {
        let (old_key, json) = entry?;
        move_document(tree, &old_key, &json, &mut batch)?;
        moved = true;
    }
    if !moved {
        // Last, so that a tree without counters of format 1 is complete.
        let Some(counters) = take(tree, b"n".to_vec(), &mut batch)? else {
            return Ok(false);
        };
        insert(&mut batch, b"C".to_vec(), &counters);
    }
    tree.apply_batch(batch)?;
    Ok(true)
}

fn move_document(
    tree: &Tree,
    old_key: &[u8],
    json: &[u8],
    batch: &mut Batch,
) -> Result<(), MigrationError> {
    let id = &old_key[b"d/".len()..];
    let corrupt = |reason: String| MigrationError::Corrupt {
        what: format!("the document {:?}", String::from_utf8_lossy(id)),
        reason,
    };
    let mut record: Value = serde_json::from_slice(json).map_err(|e| corrupt(e.to_string()))?;
    let key = record
        .as_object_mut()
        .and_then(|fields| {
            fields.insert("text_truncated".into(), false.into());
            fields.remove("key")?.as_u64()
        })
        .ok_or_else(|| corrupt("it has no key".into()))?
        .to_be_bytes();

    insert(batch, joined(&[b"I", id]), &key);
    for (new_key, payload) in parts(&key, record.to_string().as_bytes()) {
        insert(batch, new_key, &payload);
    }
    for kind in [b"i", b"t"] {
        if let Some(vector) = take(tree, joined(&[b"v/", &key, kind]), batch)? {
            insert(batch, joined(&[b"V", &key, kind]), &vector);
        }
    }
    if let Some(hash) = record.pointer("/image/hash").and_then(Value::as_str) {
        let hash = unhex(hash).ok_or_else(|| corrupt("its image has no hash".into()))?;
        batch.remove(joined(&[b"r/", &hash, &key]));
        insert(batch, joined(&[b"R", &hash, &key]), &[]);
    }
    batch.remove(joined(&[b"k/", &key]));
    batch.remove(old_key);
    Ok(())
}

fn frame_catalog(catalog: &Tree) -> Result<bool, MigrationError> {
    let mut batch = Batch::default();
    let mut any = false;
    for entry in catalog.iter() {
        let (key, value) = entry?;
        if value.first() != Some(&FRAME) {
            insert(&mut batch, key.to_vec(), &value);
            any = true;
        }
    }
    if any {
        catalog.apply_batch(batch)?;
    }
    Ok(any)
}

/// The payload of the first part begins with the number of parts.
fn parts<'a>(key: &'a [u8; 8], record: &'a [u8]) -> impl Iterator<Item = (Vec<u8>, Vec<u8>)> + 'a {
    let count = record.len().div_ceil(PART_BYTES) as u16;
    record.chunks(PART_BYTES).zip(0u16..).map(move |(part, n)| {
        let head = count.to_be_bytes();
        let head: &[u8] = if n == 0 { &head } else { &[] };
        (
            joined(&[b"D", key, &n.to_be_bytes()]),
            joined(&[head, part]),
        )
    })
}

fn insert(batch: &mut Batch, key: Vec<u8>, payload: &[u8]) {
    let mut crc = crc32fast::Hasher::new();
    crc.update(&key);
    crc.update(payload);
    let value = joined(&[&[FRAME], &crc.finalize().to_le_bytes(), payload]);
    batch.insert(key, value);
}

fn joined(pieces: &[&[u8]]) -> Vec<u8> {
    pieces.concat()
}

fn unhex(hex: &str) -> Option<Vec<u8>> {
    (0..64)
        .step_by(2)
        .map(|at| u8::from_str_radix(hex.get(at..at + 2)?, 16).ok())
        .collect()
}

/// The value of `key`, which the batch removes.
fn take(tree: &Tree, key: Vec<u8>, batch: &mut Batch) -> sled::Result<Option<IVec>> {
    let value = tree.get(&key)?;
    batch.remove(key);
    Ok(value)
}
