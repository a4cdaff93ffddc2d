//! The keys of all values in sled.
//!
//! The tree `catalog` lists the collections. Each collection has its own tree, named by a number that
//! is never reused, so that a dropped and re-created collection never sees old data. Since all values
//! of a collection are in one tree, a group of writes is one sled batch and therefore atomic.
//!
//! | key in a collection's tree | value |
//! |---|---|
//! | `I` id | the current key of the document |
//! | `D` key part | one part of the record; see `record` |
//! | `V` key kind | a vector, f32 little endian; kind is `i` or `t` |
//! | `V` key `t` passage | the vector of the second or a later passage, counted from 0 |
//! | `R` hash key | empty: this document version references that image |
//! | `C` | the counters |
//!
//! Numbers in keys are big endian. All values are framed; see `frame`.
//!
//! sled stores up to about 17 values in a leaf. It moves a leaf that is larger than a quarter of a
//! segment out of its log into a separate file, which requires a sync of the whole filesystem. The
//! segment size, the part size and `MAX_DIM` keep leaves below that limit. Changing any of them is a
//! change of format.

use crate::{BlobHash, DocumentId, DocumentKey, StorageError, VectorKind};

pub(crate) const SEGMENT_BYTES: usize = 4 << 20;
pub(crate) const PART_BYTES: usize = 32 << 10;

pub(crate) const CATALOG: &[u8] = b"catalog";
pub(crate) const COUNTERS: &[u8] = b"C";
pub(crate) const IDS: &[u8] = b"I";
/// Sorts after every id.
pub(crate) const IDS_END: &[u8] = b"J";

const TREE_PREFIX: &str = "documents-";

pub(crate) fn tree_name(collection: u64) -> String {
    format!("{TREE_PREFIX}{collection}")
}

/// The number of the collection, if the tree is that of one.
pub(crate) fn tree_number(name: &[u8]) -> Option<u64> {
    let name = std::str::from_utf8(name).ok()?;
    name.strip_prefix(TREE_PREFIX)?.parse().ok()
}

pub(crate) fn id(id: &DocumentId) -> Vec<u8> {
    [IDS, id.as_str().as_bytes()].concat()
}

/// The id in a key of [`id`].
pub(crate) fn id_of(key: &[u8]) -> Result<DocumentId, StorageError> {
    std::str::from_utf8(key.get(1..).unwrap_or_default())
        .ok()
        .and_then(|id| id.parse().ok())
        .ok_or_else(|| StorageError::Damaged {
            what: format!("the document id {:?}", String::from_utf8_lossy(key)),
            reason: "it is not a valid id".into(),
        })
}

/// All records.
pub(crate) const RECORDS: &[u8] = b"D";
/// All vectors.
pub(crate) const VECTORS: &[u8] = b"V";

/// The version in the key of a record or a vector.
pub(crate) fn version_of(key: &[u8]) -> Option<DocumentKey> {
    let (_, rest) = key.split_first()?;
    Some(DocumentKey::new(u64::from_be_bytes(*rest.first_chunk()?)))
}

/// All parts of the record of one version.
pub(crate) fn parts(key: DocumentKey) -> [u8; 9] {
    prefixed(b'D', key)
}

pub(crate) fn part(key: DocumentKey, part: u16) -> Vec<u8> {
    [&parts(key)[..], &part.to_be_bytes()].concat()
}

/// All vectors of one version.
pub(crate) fn vectors(key: DocumentKey) -> [u8; 9] {
    prefixed(b'V', key)
}

/// Sorts by kind, then passage.
pub(crate) fn vector(key: DocumentKey, kind: VectorKind, passage: u16) -> Vec<u8> {
    let kind = match kind {
        VectorKind::Image => b'i',
        VectorKind::Text => b't',
    };
    let mut vector_key = [&vectors(key)[..], &[kind]].concat();
    if passage > 0 {
        vector_key.extend(passage.to_be_bytes());
    }
    vector_key
}

pub(crate) fn vector_kind(key: &[u8]) -> Option<VectorKind> {
    match key.get(9..)? {
        [b'i'] => Some(VectorKind::Image),
        [b't'] | [b't', _, _] => Some(VectorKind::Text),
        _ => None,
    }
}

/// All references to one image.
pub(crate) fn references_to(hash: &BlobHash) -> Vec<u8> {
    [b"R", &hash.as_bytes()[..]].concat()
}

/// All references to the images whose hash begins with `first`.
pub(crate) fn references_from(first: u8) -> [u8; 2] {
    [b'R', first]
}

pub(crate) const REFERENCES: &[u8] = b"R";

pub(crate) fn reference(hash: &BlobHash, key: DocumentKey) -> Vec<u8> {
    [&references_to(hash)[..], &key.get().to_be_bytes()].concat()
}

/// The image and the document version in a key of [`reference`].
pub(crate) fn reference_of(key: &[u8]) -> Result<(BlobHash, DocumentKey), StorageError> {
    match key {
        [b'R', hash_and_key @ ..] if hash_and_key.len() == 40 => {
            let (hash, key) = hash_and_key.split_at(32);
            let mut owned = ([0; 32], [0; 8]);
            owned.0.copy_from_slice(hash);
            owned.1.copy_from_slice(key);
            let (hash, key) = owned;
            Ok((
                BlobHash::from_bytes(hash),
                DocumentKey::new(u64::from_be_bytes(key)),
            ))
        }
        _ => Err(StorageError::Damaged {
            what: "the reference to an image".into(),
            reason: format!("its key has {} bytes", key.len()),
        }),
    }
}

fn prefixed(prefix: u8, key: DocumentKey) -> [u8; 9] {
    let mut prefixed = [prefix; 9];
    prefixed[1..].copy_from_slice(&key.get().to_be_bytes());
    prefixed
}
