//! Validates the content of an archive. Its checksums prove that it is unchanged, not that clipdb has
//! written it.

use super::archive::bad;
use super::{Manifest, RawEntry, version};
use crate::files::decode_key;
use crate::write::{invalid_passages, invalid_vector};
use crate::{
    BlobHash, CollectionStore, Document, DocumentId, DocumentKey, StorageError, VectorKind, layout,
};

/// Greater than counters that increase by one per write can become.
const MAX_COUNTER: u64 = 1 << 62;

/// Turns an error about restored values into one about the archive.
pub(super) fn invalid_archive(error: StorageError) -> StorageError {
    match error {
        StorageError::Damaged { what, reason } => bad(format!("{what}: {reason}")),
        StorageError::DamagedImage { hash, reason, .. } => {
            bad(format!("its image {hash}: {reason}"))
        }
        StorageError::Migration(_) => bad("its values cannot be migrated from their format"),
        other => other,
    }
}

/// The entries of one document in the current format: its id, and values of one version.
pub(super) fn document(entries: &[RawEntry]) -> Result<(), StorageError> {
    let ids: Vec<&RawEntry> = entries
        .iter()
        .filter(|(key, _)| key.starts_with(layout::IDS))
        .collect();
    let [(id_key, value)] = ids[..] else {
        return Err(bad(format!("a document has {} ids", ids.len())));
    };
    let id = layout::id_of(id_key).map_err(invalid_archive)?;
    let version = decode_key(id_key, value).map_err(invalid_archive)?;
    for (key, value) in entries {
        let belongs = match key.first() {
            Some(b'I') => true,
            Some(b'D') => key.len() == 11 && layout::version_of(key) == Some(version),
            Some(b'V') => {
                layout::vector_kind(key).is_some() && layout::version_of(key) == Some(version)
            }
            Some(b'R') => {
                value.is_empty()
                    && layout::reference_of(key).is_ok_and(|(_, owner)| owner == version)
            }
            _ => false,
        };
        if !belongs {
            return Err(bad(format!(
                "the document {id} has a value of another document"
            )));
        }
    }
    Ok(())
}

pub(super) fn counters((key, _): &RawEntry) -> Result<(), StorageError> {
    match key[..] == *layout::COUNTERS {
        true => Ok(()),
        false => Err(bad("its counters have a wrong key")),
    }
}

/// Fails unless every document is as a write would have left it, with its image.
pub(super) fn collection(
    collection: &CollectionStore,
    manifest: &Manifest,
) -> Result<(), StorageError> {
    let keys = collection.live_keys()?;
    if keys.len() as u64 != manifest.documents || collection.len() != manifest.documents {
        return Err(bad(format!(
            "it has {} documents, its counters {} and its manifest {}",
            keys.len(),
            collection.len(),
            manifest.documents
        )));
    }
    let counters = collection.counters();
    let last = keys.last().map_or(0, |key| key.get().saturating_add(1));
    if counters.next_key < last
        || counters.next_key > MAX_COUNTER
        || counters.sequence > MAX_COUNTER
    {
        return Err(bad("its counters are behind its documents"));
    }
    for key in keys {
        let document = collection
            .get_by_key(key)?
            .ok_or_else(|| bad(format!("{} has no record", version(key))))?;
        complete_document(collection, &document, key)?;
    }
    Ok(())
}

fn complete_document(
    collection: &CollectionStore,
    document: &Document,
    key: DocumentKey,
) -> Result<(), StorageError> {
    let id = &document.id;
    let invalid = |reason: &str| Err(bad(format!("the document {id}: {reason}")));
    if collection.current_key(id)? != Some(key) {
        return invalid("its id has another version");
    }
    let vectors = collection.vectors(key)?;
    if vectors.is_empty() {
        return invalid("it has no vectors");
    }
    let of_kind = |kind| vectors.iter().filter(|vector| vector.0 == kind).count();
    let text = document.text.as_deref();
    let refused = invalid_passages(text, &document.passages, of_kind(VectorKind::Text))
        .or_else(|| (of_kind(VectorKind::Image) > 1).then(|| "it has two image vectors".into()))
        .or_else(|| {
            let dim = collection.definition().dim;
            vectors
                .iter()
                .find_map(|(_, vector)| invalid_vector(vector, dim))
        });
    if let Some(reason) = refused {
        return invalid(&reason);
    }
    let Some(image) = &document.image else {
        return Ok(());
    };
    if !is_image(&image.media_type) {
        return invalid("its media type is not that of an image");
    }
    if !collection.has_reference(&image.hash, key)? || collection.read_image(&image.hash)?.is_none()
    {
        return invalid("its image is missing");
    }
    Ok(())
}

/// Whether an image may be served with this media type. Browsers execute scripts in SVG.
fn is_image(media_type: &str) -> bool {
    media_type.strip_prefix("image/").is_some_and(|kind| {
        !kind.is_empty()
            && !kind.starts_with("svg")
            && kind.bytes().all(|letter| {
                letter.is_ascii_alphanumeric() || matches!(letter, b'.' | b'-' | b'+')
            })
    })
}

impl CollectionStore {
    /// Whether the version has a reference to the image.
    fn has_reference(&self, hash: &BlobHash, key: DocumentKey) -> Result<bool, StorageError> {
        self.while_alive(|files| {
            files
                .tree
                .contains_key(layout::reference(hash, key))
                .map_err(StorageError::sled("look up the documents of an image"))
        })
    }

    fn current_key(&self, id: &DocumentId) -> Result<Option<DocumentKey>, StorageError> {
        self.while_alive(|files| files.current_key(id))
    }
}
