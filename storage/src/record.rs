//! The record of a document version: its JSON, split into parts of [`PART_BYTES`] so that a long text
//! does not enlarge sled's pages. The payload of the first part begins with the number of parts (u16,
//! big endian).
//!
//! The values of a version never change and are removed together, so a read is complete if the version
//! still exists after it.

use crate::layout::{self, PART_BYTES};
use crate::retry::retry_corruption;
use crate::tree::Tree;
use crate::{Document, DocumentKey, StorageError, Vector, VectorKind, frame};

/// A key and its framed value.
pub(crate) type Entry = (Vec<u8>, Vec<u8>);

/// The entries that store the document.
pub(crate) fn encode(document: &Document) -> Result<Vec<Entry>, StorageError> {
    let invalid = |reason| StorageError::InvalidWrite {
        id: document.id.clone(),
        reason,
    };
    let json = serde_json::to_vec(document).map_err(|error| invalid(error.to_string()))?;
    let count = u16::try_from(json.len().div_ceil(PART_BYTES))
        .map_err(|_| invalid(format!("its {} bytes exceed the limit", json.len())))?;
    let parts = json.chunks(PART_BYTES).zip(0..).map(|(part, n)| {
        let key = layout::part(document.key, n);
        let sealed = if n == 0 {
            frame::seal(&key, &[&count.to_be_bytes(), part].concat())
        } else {
            frame::seal(&key, part)
        };
        (key, sealed)
    });
    Ok(parts.collect())
}

/// The document stored under `key`; `None` if there is none.
pub(crate) fn read(tree: &Tree, key: DocumentKey) -> Result<Option<Document>, StorageError> {
    let Some(first) = read_part(tree, key, 0)? else {
        return Ok(None);
    };
    let (count, start) = first
        .split_first_chunk::<2>()
        .ok_or_else(|| corrupt(key, "its first part is empty"))?;
    let mut json = start.to_vec();
    for n in 1..u16::from_be_bytes(*count) {
        match read_part(tree, key, n)? {
            Some(part) => json.extend_from_slice(&part),
            None if is_live(tree, key)? => {
                return Err(corrupt(key, format!("its part {n} is missing")));
            }
            None => return Ok(None),
        }
    }
    let mut document: Document =
        serde_json::from_slice(&json).map_err(|error| corrupt(key, error.to_string()))?;
    document.key = key;
    Ok(Some(document))
}

/// Whether a version is stored under `key`.
pub(crate) fn is_live(tree: &Tree, key: DocumentKey) -> Result<bool, StorageError> {
    retry_corruption(|| tree.contains_key(layout::part(key, 0)))
        .map_err(StorageError::sled("look up a document"))
}

fn read_part(tree: &Tree, key: DocumentKey, n: u16) -> Result<Option<Vec<u8>>, StorageError> {
    let part_key = layout::part(key, n);
    retry_corruption(|| tree.get(&part_key))
        .map_err(StorageError::sled("read a document"))?
        .map(|value| frame::open(&part_key, &value, || what(key)).map(<[u8]>::to_vec))
        .transpose()
}

fn what(key: DocumentKey) -> String {
    format!("the record of document version {key}")
}

fn corrupt(key: DocumentKey, reason: impl Into<String>) -> StorageError {
    StorageError::Damaged {
        what: what(key),
        reason: reason.into(),
    }
}

/// The entries that store the vectors; those of one kind are numbered in order.
pub(crate) fn encode_vectors(key: DocumentKey, vectors: &[Vector]) -> Vec<Entry> {
    let mut passages = 0;
    let entries = vectors.iter().map(|(kind, vector)| {
        let passage = match kind {
            VectorKind::Image => 0,
            VectorKind::Text => {
                passages += 1;
                passages - 1
            }
        };
        let key = layout::vector(key, *kind, passage);
        let bytes: Vec<u8> = vector.iter().flat_map(|x| x.to_le_bytes()).collect();
        let sealed = frame::seal(&key, &bytes);
        (key, sealed)
    });
    entries.collect()
}

/// The vectors of `dim` dimensions stored under `key`: that of the image, then those of the passages
/// in order; none if there is no such version.
pub(crate) fn read_vectors(
    tree: &Tree,
    key: DocumentKey,
    dim: usize,
) -> Result<Vec<Vector>, StorageError> {
    let what = || format!("a vector of document version {key}");
    let mut vectors = Vec::with_capacity(2);
    let entries: Vec<_> = retry_corruption(|| tree.scan_prefix(layout::vectors(key)).collect())
        .map_err(StorageError::sled("read a vector"))?;
    for (vector_key, value) in entries {
        let bytes = frame::open(&vector_key, &value, what)?;
        let (numbers, rest) = bytes.as_chunks::<4>();
        let Some(kind) =
            layout::vector_kind(&vector_key).filter(|_| numbers.len() == dim && rest.is_empty())
        else {
            return Err(StorageError::Damaged {
                what: what(),
                reason: format!("it has {} bytes, not {dim} dimensions", bytes.len()),
            });
        };
        vectors.push((
            kind,
            numbers.iter().map(|x| f32::from_le_bytes(*x)).collect(),
        ));
    }
    if !is_live(tree, key)? {
        vectors.clear();
    }
    Ok(vectors)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::{BlobHash, Metadata, Passage, StoredImage};

    fn metadata() -> impl Strategy<Value = Metadata> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            prop::num::f64::NORMAL.prop_map(Value::from),
            ".*".prop_map(Value::from),
        ];
        let value = leaf.prop_recursive(3, 16, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::hash_map(".*", inner, 0..4)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        });
        prop::collection::hash_map(".*", value, 0..4).prop_map(|map| map.into_iter().collect())
    }

    fn document() -> impl Strategy<Value = Document> {
        let text = prop_oneof![
            Just(None),
            ".*".prop_map(Some),
            (30_000..70_000_usize).prop_map(|len| Some("é".repeat(len))),
        ];
        let image = prop::option::of((any::<[u8; 32]>(), ".*", any::<(u32, u32, u64)>()));
        let passages = prop::collection::vec(any::<(u32, u32)>(), 0..4);
        (
            text,
            any::<(bool, u64, u64, u64)>(),
            image,
            metadata(),
            passages,
        )
            .prop_map(
                |(
                    text,
                    (text_truncated, key, created_at, updated_at),
                    image,
                    metadata,
                    passages,
                )| Document {
                    id: "a".parse().unwrap(),
                    key: DocumentKey::new(key),
                    text,
                    text_truncated,
                    passages: passages.into_iter().map(Passage::from).collect(),
                    image: image.map(|(hash, media_type, (width, height, bytes))| StoredImage {
                        hash: BlobHash::from_bytes(hash),
                        media_type,
                        width,
                        height,
                        bytes,
                    }),
                    metadata,
                    created_at,
                    updated_at,
                },
            )
    }

    fn tree() -> Tree {
        let db = sled::Config::new().temporary(true).open().unwrap();
        crate::tree::Instance::new(db).tree("t")
    }

    fn store(tree: &Tree, entries: impl IntoIterator<Item = Entry>) {
        for (key, value) in entries {
            tree.open().unwrap().insert(key, value).unwrap();
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn documents_read_back_exactly(document in document()) {
            let tree = tree();
            store(&tree, encode(&document).unwrap());
            prop_assert_eq!(read(&tree, document.key).unwrap(), Some(document));
        }

        #[test]
        fn vectors_read_back_exactly(
            image in prop::collection::vec(prop::num::f32::ANY, 7),
            texts in prop::collection::vec(prop::collection::vec(prop::num::f32::ANY, 7), 0..300),
        ) {
            let tree = tree();
            let key = DocumentKey::new(9);
            let mut stored = vec![(VectorKind::Image, image)];
            stored.extend(texts.into_iter().map(|text| (VectorKind::Text, text)));
            tree.open().unwrap().insert(layout::part(key, 0), "").unwrap();
            store(&tree, encode_vectors(key, &stored));
            let bits = |vectors: &[(VectorKind, Vec<f32>)]| -> Vec<_> {
                let bits = |v: &Vec<f32>| v.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
                vectors.iter().map(|(kind, v)| (*kind, bits(v))).collect()
            };
            prop_assert_eq!(bits(&read_vectors(&tree, key, 7).unwrap()), bits(&stored));
            prop_assert!(read_vectors(&tree, key, 8).is_err());
        }
    }

    #[test]
    fn a_missing_part_is_reported() {
        let tree = tree();
        let document = Document {
            id: "long".parse().unwrap(),
            key: DocumentKey::new(3),
            text: Some("x".repeat(100_000)),
            text_truncated: true,
            passages: Vec::new(),
            image: None,
            metadata: json!({"a": 1}).as_object().unwrap().clone(),
            created_at: 1,
            updated_at: 2,
        };
        store(&tree, encode(&document).unwrap());
        for part in 1..4 {
            let taken = tree
                .open()
                .unwrap()
                .remove(layout::part(document.key, part))
                .unwrap()
                .unwrap();
            let error = read(&tree, document.key).unwrap_err().to_string();
            assert!(
                error.contains("version 3") && error.contains("corrupt"),
                "{error}"
            );
            store(&tree, [(layout::part(document.key, part), taken.to_vec())]);
        }
        assert_eq!(read(&tree, document.key).unwrap(), Some(document));
    }
}
