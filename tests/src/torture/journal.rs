//! What one writer knows of its documents: for each, the states that it may be found in.
//!
//! An acknowledged write leaves one. A write that no answer came to leaves two, until the next
//! look says which it was.

use std::collections::BTreeMap;

use super::document::Document;
use super::shelves::{GIVEN, RESTORED};

/// What one writer wrote; its ids and its own collection are nobody else's.
pub(super) struct Journal {
    writer: usize,
    pub shelves: BTreeMap<String, Shelf>,
}

/// What it wrote to one collection.
#[derive(Default)]
pub(super) struct Shelf {
    /// Whether the collection may be there and may not; never neither.
    pub there: Possible<bool>,
    pub documents: BTreeMap<String, Possible<Option<Document>>>,
}

/// The states that something may be found in, one when it is known.
#[derive(Clone, Debug)]
pub(super) struct Possible<T>(Vec<T>);

impl<T: Default> Default for Possible<T> {
    fn default() -> Self {
        Self(vec![T::default()])
    }
}

impl<T: Clone> Possible<T> {
    /// A write to `state` is on its way.
    pub(super) fn begin(&mut self, state: T) {
        self.0.push(state);
    }

    /// The last write that was begun was acknowledged.
    pub(super) fn settle(&mut self) {
        self.0.drain(..self.0.len() - 1);
    }

    /// It was found as the one at this place.
    pub(super) fn found(&mut self, at: usize) {
        self.0.swap(0, at);
        self.0.truncate(1);
    }

    /// The oldest first.
    pub(super) fn states(&self) -> &[T] {
        &self.0
    }

    /// The state, when it is known.
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
            shelves: BTreeMap::new(),
        }
    }

    /// The collection that this writer makes and drops.
    pub(super) fn own(&self) -> String {
        format!("own-{}", self.writer)
    }

    /// The same, of documents that bring their vectors.
    pub(super) fn own_given(&self) -> String {
        format!("{GIVEN}-{}", self.writer)
    }

    /// The collection that it restores snapshots of another as.
    pub(super) fn restored(&self, other: &str) -> String {
        format!("{RESTORED}{other}-{}", self.writer)
    }

    /// The metadata's word for its documents.
    pub(super) fn signature(&self) -> String {
        format!("w{}", self.writer)
    }

    pub(super) fn id(&self, number: usize) -> String {
        format!("w{}-{number}", self.writer)
    }

    pub(super) fn shelf(&mut self, collection: &str) -> &mut Shelf {
        self.shelves.entry(collection.to_owned()).or_default()
    }
}

impl Shelf {
    pub(super) fn begin(&mut self, id: &str, state: Option<Document>) {
        self.documents
            .entry(id.to_owned())
            .or_default()
            .begin(state);
    }

    pub(super) fn settle(&mut self, id: &str) {
        self.documents.entry(id.to_owned()).or_default().settle();
    }

    /// The document, when it is known to be there.
    pub(super) fn known(&self, id: &str) -> Option<&Document> {
        self.documents.get(id)?.known()?.as_ref()
    }
}
