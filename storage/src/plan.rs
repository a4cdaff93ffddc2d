//! Applies a group of writes in memory. Each write sees the earlier ones; a version that is replaced
//! within the group is never written to disk.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use bytes::Bytes;
use serde_json::Value;

use crate::counters::Counters;
use crate::files::Files;
use crate::{
    BlobHash, Document, DocumentId, DocumentKey, FieldUpdate, Guard, Metadata, NewDocument,
    NewImage, Outcome, Patch, StorageError, StoredImage, Vector, VectorKind, Write, clock, record,
};

pub(crate) struct Plan<'a> {
    files: &'a Files,
    before: Counters,
    counters: Counters,
    now: u64,
    touched: BTreeMap<DocumentId, Slot>,
    guard: Guard<'a>,
}

/// A document that the group touches.
struct Slot {
    stored: Option<Stored>,
    now: State,
}

/// The version of a document on disk.
pub(crate) struct Stored {
    pub key: DocumentKey,
    /// `None` if its record is corrupt; such a document can still be replaced or deleted.
    pub document: Option<Document>,
}

/// The state of a document after the writes applied until now.
enum State {
    AsStored,
    Absent,
    Changed(Box<Version>),
}

/// A new version that is not on disk yet.
#[derive(Clone)]
pub(crate) struct Version {
    pub document: Document,
    pub vectors: Vec<Vector>,
    /// `None` if the image is already stored.
    pub image_bytes: Option<Bytes>,
}

/// A document that the group has changed, with its old and its new version.
pub(crate) struct Change {
    pub id: DocumentId,
    pub stored: Option<Stored>,
    pub version: Option<Box<Version>>,
}

impl<'a> Plan<'a> {
    pub(crate) fn new(files: &'a Files, before: Counters, guard: Guard<'a>) -> Self {
        Plan {
            files,
            before,
            counters: before,
            now: clock::unix_ms(),
            touched: BTreeMap::new(),
            guard,
        }
    }

    /// Applies one write.
    pub(crate) fn apply(&mut self, write: Write) -> Result<Outcome, StorageError> {
        match write {
            Write::Put(document) => self.put(document),
            Write::Patch(patch) => self.patch(patch),
            Write::Merge { id, metadata } => self.patch(Patch {
                id,
                text: FieldUpdate::Keep,
                image: FieldUpdate::Keep,
                metadata,
            }),
            Write::Delete(id) => self.delete(&id, None),
            Write::DeleteVersion { id, key } => self.delete(&id, Some(key)),
        }
    }

    /// The counters after the group and the changed documents; `None` if nothing has changed.
    pub(crate) fn finish(mut self) -> Option<(Counters, Vec<Change>)> {
        let mut changes = Vec::with_capacity(self.touched.len());
        for (id, Slot { stored, now }) in self.touched {
            let version = match now {
                State::AsStored => continue,
                State::Absent if stored.is_none() => continue,
                State::Absent => None,
                State::Changed(version) => Some(version),
            };
            changes.push(Change {
                id,
                stored,
                version,
            });
        }
        // Keys that were assigned are never reused, even if no document has them.
        if changes.is_empty() && self.counters == self.before {
            return None;
        }
        self.counters.sequence += 1;
        Some((self.counters, changes))
    }

    fn put(&mut self, new: NewDocument) -> Result<Outcome, StorageError> {
        let slot = slot(&mut self.touched, self.files, &new.id)?;
        if !(self.guard)(slot.metadata(), Some(&new.metadata)) {
            return Ok(Outcome::Refused);
        }
        let document = Document {
            id: new.id,
            key: self.counters.next_key(),
            text: new.text,
            text_truncated: new.text_truncated,
            passages: new.passages,
            image: new.image.as_ref().map(describe),
            metadata: new.metadata,
            created_at: slot.created_at().unwrap_or(self.now),
            updated_at: self.now,
        };
        let outcome = slot.change(Version {
            document,
            vectors: new.vectors,
            image_bytes: new.image.map(|image| image.bytes),
        });
        if matches!(outcome, Outcome::Created { .. }) {
            self.counters.documents += 1;
        }
        Ok(outcome)
    }

    fn patch(&mut self, patch: Patch) -> Result<Outcome, StorageError> {
        let slot = slot(&mut self.touched, self.files, &patch.id)?;
        let mut version = match (&slot.now, &slot.stored) {
            (State::Absent, _) | (State::AsStored, None) => return Ok(Outcome::NotFound),
            (State::Changed(version), _) => Version::clone(version),
            (State::AsStored, Some(Stored { key, document })) => Version {
                document: match document {
                    Some(document) => document.clone(),
                    // Read again to return its error.
                    None => self.files.record(&patch.id, *key)?,
                },
                vectors: record::read_vectors(&self.files.tree, *key, self.files.definition.dim)?,
                image_bytes: None,
            },
        };
        version.patch(patch);
        let document = &version.document;
        if document.text.is_none() && document.image.is_none() && version.vectors.is_empty() {
            return Ok(Outcome::NothingLeft);
        }
        if !(self.guard)(slot.metadata(), Some(&document.metadata)) {
            return Ok(Outcome::Refused);
        }
        version.document.key = self.counters.next_key();
        version.document.updated_at = self.now;
        Ok(slot.change(version))
    }

    /// Deletes the document. If `version` is given, only while that is the current version.
    fn delete(
        &mut self,
        id: &DocumentId,
        version: Option<DocumentKey>,
    ) -> Result<Outcome, StorageError> {
        let slot = slot(&mut self.touched, self.files, id)?;
        let Some(key) = slot
            .key()
            .filter(|key| version.is_none_or(|version| version == *key))
        else {
            return Ok(Outcome::NotFound);
        };
        (self.guard)(slot.metadata(), None);
        slot.now = State::Absent;
        self.counters.documents -= 1;
        Ok(Outcome::Deleted { key })
    }
}

fn slot<'t>(
    touched: &'t mut BTreeMap<DocumentId, Slot>,
    files: &Files,
    id: &DocumentId,
) -> Result<&'t mut Slot, StorageError> {
    match touched.entry(id.clone()) {
        Entry::Occupied(slot) => Ok(slot.into_mut()),
        Entry::Vacant(vacant) => {
            let stored = match files.current_key(id)? {
                None => None,
                Some(key) => {
                    let document = match files.record(id, key) {
                        Ok(document) => Some(document),
                        Err(StorageError::Damaged { .. }) => None,
                        Err(error) => return Err(error),
                    };
                    Some(Stored { key, document })
                }
            };
            Ok(vacant.insert(Slot {
                stored,
                now: State::AsStored,
            }))
        }
    }
}

impl Slot {
    /// The key of the current version.
    fn key(&self) -> Option<DocumentKey> {
        match &self.now {
            State::AsStored => self.stored.as_ref().map(|stored| stored.key),
            State::Absent => None,
            State::Changed(version) => Some(version.document.key),
        }
    }

    fn created_at(&self) -> Option<u64> {
        match &self.now {
            State::AsStored => {
                let document = self.stored.as_ref()?.document.as_ref()?;
                Some(document.created_at)
            }
            State::Absent => None,
            State::Changed(version) => Some(version.document.created_at),
        }
    }

    /// The metadata of the current version.
    fn metadata(&self) -> Option<&Metadata> {
        match &self.now {
            State::AsStored => {
                let document = self.stored.as_ref()?.document.as_ref()?;
                Some(&document.metadata)
            }
            State::Absent => None,
            State::Changed(version) => Some(&version.document.metadata),
        }
    }

    fn change(&mut self, version: Version) -> Outcome {
        let key = version.document.key;
        let replaced = self.key();
        self.now = State::Changed(Box::new(version));
        match replaced {
            Some(replaced) => Outcome::Updated { key, replaced },
            None => Outcome::Created { key },
        }
    }
}

impl Version {
    fn patch(&mut self, patch: Patch) {
        let document = &mut self.document;
        match patch.text {
            FieldUpdate::Keep => {}
            FieldUpdate::Remove => {
                document.text = None;
                document.text_truncated = false;
                document.passages = Vec::new();
                set_vectors(&mut self.vectors, VectorKind::Text, Vec::new());
            }
            FieldUpdate::Set(new) => {
                document.text = Some(new.text);
                document.text_truncated = new.truncated;
                document.passages = new.passages;
                set_vectors(&mut self.vectors, VectorKind::Text, new.vectors);
            }
        }
        match patch.image {
            FieldUpdate::Keep => {}
            FieldUpdate::Remove => {
                document.image = None;
                self.image_bytes = None;
                set_vectors(&mut self.vectors, VectorKind::Image, Vec::new());
            }
            FieldUpdate::Set((image, vector)) => {
                document.image = Some(describe(&image));
                self.image_bytes = Some(image.bytes);
                set_vectors(&mut self.vectors, VectorKind::Image, vec![vector]);
            }
        }
        merge(&mut document.metadata, patch.metadata);
    }
}

fn set_vectors(vectors: &mut Vec<Vector>, kind: VectorKind, new: Vec<Vec<f32>>) {
    vectors.retain(|(other, _)| *other != kind);
    vectors.extend(new.into_iter().map(|vector| (kind, vector)));
}

fn describe(image: &NewImage) -> StoredImage {
    StoredImage {
        hash: BlobHash::of(&image.bytes),
        media_type: image.media_type.clone(),
        width: image.width,
        height: image.height,
        bytes: image.bytes.len() as u64,
    }
}

/// RFC 7396, JSON Merge Patch.
fn merge(target: &mut Metadata, patch: Metadata) {
    for (name, change) in patch {
        match change {
            Value::Null => {
                target.remove(&name);
            }
            Value::Object(patch) => {
                let inner = target.entry(name).or_insert(Value::Null);
                if !inner.is_object() {
                    *inner = Value::Object(Metadata::new());
                }
                if let Value::Object(inner) = inner {
                    merge(inner, patch);
                }
            }
            other => {
                target.insert(name, other);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// The table of RFC 7396, appendix A, as far as both sides are objects.
    #[test]
    fn merges_as_the_rfc_specifies() {
        for (target, patch, merged) in [
            (json!({"a": "b"}), json!({"a": "c"}), json!({"a": "c"})),
            (
                json!({"a": "b"}),
                json!({"b": "c"}),
                json!({"a": "b", "b": "c"}),
            ),
            (json!({"a": "b"}), json!({"a": null}), json!({})),
            (
                json!({"a": "b", "b": "c"}),
                json!({"a": null}),
                json!({"b": "c"}),
            ),
            (json!({"a": ["b"]}), json!({"a": "c"}), json!({"a": "c"})),
            (json!({"a": "c"}), json!({"a": ["b"]}), json!({"a": ["b"]})),
            (
                json!({"a": {"b": "c"}}),
                json!({"a": {"b": "d", "c": null}}),
                json!({"a": {"b": "d"}}),
            ),
            (
                json!({"a": [{"b": "c"}]}),
                json!({"a": [1]}),
                json!({"a": [1]}),
            ),
            (
                json!({"e": null}),
                json!({"a": 1}),
                json!({"e": null, "a": 1}),
            ),
            (
                json!({}),
                json!({"a": {"bb": {"ccc": null}}}),
                json!({"a": {"bb": {}}}),
            ),
        ] {
            let (Value::Object(mut target), Value::Object(patch)) = (target, patch) else {
                panic!("both are objects")
            };
            merge(&mut target, patch);
            assert_eq!(Value::Object(target), merged);
        }
    }
}
