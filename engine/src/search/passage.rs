//! The passage of a long text that matched the query best.

use std::collections::HashMap;

use clipdb_index::{ListKind, RowId, Scored};
use clipdb_storage::Document;

use crate::collection::rows;

/// A passage of a document's text.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct HitPassage {
    /// Its text.
    pub text: String,
    /// Where it begins in the document's text, in characters (Unicode code points).
    pub start: usize,
    /// Where it ends, exclusive, in characters.
    pub end: usize,
}

/// For each row in the list of text vectors, the passage nearest to the query.
pub(crate) struct BestPassages(HashMap<RowId, u16>);

impl BestPassages {
    pub(crate) fn of(found: &[(ListKind, Vec<Scored>)]) -> Self {
        let texts = found.iter().filter(|(list, _)| *list == ListKind::Text);
        let hits = texts.flat_map(|(_, hits)| hits);
        Self(hits.map(|hit| (hit.row, hit.passage)).collect())
    }

    pub(crate) fn add(&mut self, others: Self) {
        self.0.extend(others.0);
    }

    /// `None` if no text vector of the document was found, or the text has one passage only.
    pub(crate) fn of_document(&self, document: &Document) -> Option<HitPassage> {
        let number = self.0.get(&rows::row_id(document.key))?;
        let passage = document.passages.get(usize::from(*number))?;
        let whole = document.text.as_deref()?;
        let (start, end) = (passage.start as usize, passage.end as usize);
        let (before, text) = (whole.get(..start)?, whole.get(start..end)?);
        let start = before.chars().count();
        Some(HitPassage {
            text: text.to_owned(),
            start,
            end: start + text.chars().count(),
        })
    }
}
