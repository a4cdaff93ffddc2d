//! The journal of one writer: the possible states of each of its documents.
//!
//! After an acknowledged write there is one. After a write without a response there are two, until
//! the next verification finds out which of them it is.

use std::collections::BTreeMap;

use super::collections::{GIVEN, RESTORED};
use super::document::Document;

/// The writes of one writer. No other writer uses its ids or its own collections.
pub(super) struct Journal {
    writer: usize,
    pub collections: BTreeMap<String, CollectionJournal>,
}

/// Its writes to one collection.
#[derive(Default)]
pub(super) struct CollectionJournal {
    /// Whether the collection exists.
    pub exists: Possible<bool>,
    pub documents: BTreeMap<String, Possible<Option<Document>>>,
}

/// The possible states of something; exactly one if the state is known, never none.
#[derive(Clone, Debug)]
pub(super) struct Possible<T>(Vec<T>);

impl<T: Default> Default for Possible<T> {
    fn default() -> Self {
        Self(vec![T::default()])
    }
}

impl<T: Clone> Possible<T> {
    /// Records that a write to `state` is in flight.
    pub(super) fn begin(&mut self, state: T) {
        self.0.push(state);
    }

    /// Records that the last write was acknowledged.
    pub(super) fn confirm(&mut self) {
        self.0.drain(..self.0.len() - 1);
    }

    /// Records that the state at this index is the one found.
    pub(super) fn resolve(&mut self, at: usize) {
        self.0.swap(0, at);
        self.0.truncate(1);
    }

    /// All possible states, oldest first.
    pub(super) fn states(&self) -> &[T] {
        &self.0
    }

    /// The state, if it is known.
    pub(super) fn known(&self) -> Option<&T> {
        match self.0.as_slice() {
            [known] => Some(known),
            _ => None,
        }
    }
}

impl Journal {
    pub(super) fn new(writer: usize) -> Self {
        Self {
            writer,
            collections: BTreeMap::new(),
        }
    }

    /// The collection that this writer creates and drops.
    pub(super) fn own(&self) -> String {
        format!("own-{}", self.writer)
    }

    /// Another one, of documents with given vectors.
    pub(super) fn own_given(&self) -> String {
        format!("{GIVEN}-{}", self.writer)
    }

    /// The collection to which it restores snapshots of another one.
    pub(super) fn restored(&self, other: &str) -> String {
        format!("{RESTORED}{other}-{}", self.writer)
    }

    /// The value in the metadata that marks its documents.
    pub(super) fn signature(&self) -> String {
        format!("w{}", self.writer)
    }

    pub(super) fn id(&self, number: usize) -> String {
        format!("w{}-{number}", self.writer)
    }

    pub(super) fn collection(&mut self, collection: &str) -> &mut CollectionJournal {
        self.collections.entry(collection.to_owned()).or_default()
    }
}

impl CollectionJournal {
    pub(super) fn begin(&mut self, id: &str, state: Option<Document>) {
        self.documents
            .entry(id.to_owned())
            .or_default()
            .begin(state);
    }

    pub(super) fn confirm(&mut self, id: &str) {
        self.documents.entry(id.to_owned()).or_default().confirm();
    }

    /// The document, if it is known to exist.
    pub(super) fn known(&self, id: &str) -> Option<&Document> {
        self.documents.get(id)?.known()?.as_ref()
    }
}
