//! Whether what an archive holds can be a collection. Its checksums say that it is as it was
//! written, not that it was written by clipdb.

use super::archive::bad;
use super::{Manifest, RawEntry, version};
use crate::files::decode_key;
use crate::write::{refuse_passages, refuse_vector};
use crate::{
    BlobHash, CollectionStore, Document, DocumentId, DocumentKey, StorageError, VectorKind, layout,
};

/// Numbers that count up by one for each write never get near.
const FAR: u64 = 1 << 62;

/// An error of reading what the archive brought: it is the archive that is wrong, and not what is
/// stored here.
pub(super) fn of_the_archive(error: StorageError) -> StorageError {
    match error {
        StorageError::Damaged { what, reason } => bad(format!("{what}: {reason}")),
        StorageError::DamagedImage { hash, reason, .. } => {
            bad(format!("its image {hash}: {reason}"))
        }
        StorageError::Migration(_) => {
            bad("its values cannot be brought from its format to the present one")
        }
        other => other,
    }
}

/// Everything of one document, in the present format: its id, and values of one version.
pub(super) fn document(entries: &[RawEntry]) -> Result<(), StorageError> {
    let ids: Vec<&RawEntry> = entries
        .iter()
        .filter(|(key, _)| key.starts_with(layout::IDS))
        .collect();
    let [(id_key, value)] = ids[..] else {
        return Err(bad(format!("a document of it has {} ids", ids.len())));
    };
    let id = layout::id_of(id_key).map_err(of_the_archive)?;
    let version = decode_key(id_key, value).map_err(of_the_archive)?;
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
                "the document {id} brings a value that is not its own"
            )));
        }
    }
    Ok(())
}

pub(super) fn counters((key, _): &RawEntry) -> Result<(), StorageError> {
    match key[..] == *layout::COUNTERS {
        true => Ok(()),
        false => Err(bad("its counters lie under another key")),
    }
}

/// Every document is there as a write would have left it, with its image.
pub(super) fn whole(collection: &CollectionStore, manifest: &Manifest) -> Result<(), StorageError> {
    let keys = collection.live_keys()?;
    if keys.len() as u64 != manifest.documents || collection.len() != manifest.documents {
        return Err(bad(format!(
            "its documents are {}, its counters tell of {} and its manifest of {}",
            keys.len(),
            collection.len(),
            manifest.documents
        )));
    }
    let counters = collection.counters();
    let last = keys.last().map_or(0, |key| key.get().saturating_add(1));
    if counters.next_key < last || counters.next_key > FAR || counters.sequence > FAR {
        return Err(bad("its counters are behind its documents"));
    }
    for key in keys {
        let document = collection
            .get_by_key(key)?
            .ok_or_else(|| bad(format!("{} has no record", version(key))))?;
        one(collection, &document, key)?;
    }
    Ok(())
}

fn one(
    collection: &CollectionStore,
    document: &Document,
    key: DocumentKey,
) -> Result<(), StorageError> {
    let id = &document.id;
    let wrong = |reason: &str| Err(bad(format!("the document {id}: {reason}")));
    if collection.current_key(id)? != Some(key) {
        return wrong("its id leads to another version");
    }
    let vectors = collection.vectors(key)?;
    if vectors.is_empty() {
        return wrong("it has no vectors");
    }
    let of_kind = |kind| vectors.iter().filter(|vector| vector.0 == kind).count();
    let text = document.text.as_deref();
    let refused = refuse_passages(text, &document.passages, of_kind(VectorKind::Text))
        .or_else(|| {
            (of_kind(VectorKind::Image) > 1).then(|| "it has two vectors of its image".into())
        })
        .or_else(|| {
            let dim = collection.definition().dim;
            vectors
                .iter()
                .find_map(|(_, vector)| refuse_vector(vector, dim))
        });
    if let Some(reason) = refused {
        return wrong(&reason);
    }
    let Some(image) = &document.image else {
        return Ok(());
    };
    if !is_image(&image.media_type) {
        return wrong("its image is of another media type than images have");
    }
    if !collection.refers(&image.hash, key)? || collection.read_image(&image.hash)?.is_none() {
        return wrong("its image is missing");
    }
    Ok(())
}

/// What a stored image may be served as. A browser runs what is in an SVG.
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
    /// Whether the version is noted as one that has the image.
    fn refers(&self, hash: &BlobHash, key: DocumentKey) -> Result<bool, StorageError> {
        self.while_alive(|files| {
            files
                .tree
                .contains_key(layout::reference(hash, key))
                .map_err(StorageError::sled("look for an image's documents"))
        })
    }

    fn current_key(&self, id: &DocumentId) -> Result<Option<DocumentKey>, StorageError> {
        self.while_alive(|files| files.current_key(id))
    }
}
