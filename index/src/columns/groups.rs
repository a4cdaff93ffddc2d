//! Groups rows by their first value of a field.

use std::collections::HashMap;
use std::ops::Range;

use serde_json::Value;
use tantivy::Searcher;

use super::read::{Column, documents_of, each_row, live_documents, row_column};
use super::{Source, term};
use crate::bits::Bits;
use crate::error::IndexError;
use crate::row::RowId;
use crate::row_set::RowSet;

/// A group of rows: those with the same first value of a field.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Group(String);

impl Group {
    /// The value that the rows share.
    pub fn value(&self) -> Value {
        term::value(&self.0).unwrap_or_default()
    }
}

/// The group of each row; a row without a value has none.
pub(crate) fn of_rows(
    searcher: &Searcher,
    rows: &RowSet,
    path: &str,
) -> Result<HashMap<RowId, Group>, IndexError> {
    let mut groups = HashMap::new();
    for segment in searcher.segment_readers() {
        let Some(column) = Column::open(segment, &Source::named(path))? else {
            continue;
        };
        let values = column.values()?;
        let mut found = Vec::new();
        let documents = documents_of(segment, Some(rows))?;
        each_row(&row_column(segment)?, &documents, |document, row| {
            found.extend(first(&values, column.of(document)).map(|first| (row, first)));
        });
        for (row, first) in found {
            groups.insert(row, Group(column.term(first)?));
        }
    }
    Ok(groups)
}

/// All rows of these groups.
pub(crate) fn rows_of<'a>(
    searcher: &Searcher,
    path: &str,
    groups: impl Iterator<Item = &'a Group> + Clone,
) -> Result<RowSet, IndexError> {
    let mut rows = Vec::new();
    for segment in searcher.segment_readers() {
        let Some(column) = Column::open(segment, &Source::named(path))? else {
            continue;
        };
        let mut wanted = Bits::none(column.terms() as usize);
        for group in groups.clone() {
            if let Some(ordinal) = column.find(&group.0)? {
                wanted.insert(ordinal as usize);
            }
        }
        let values = column.values()?;
        let mut documents = Bits::none(segment.max_doc() as usize);
        column.each_document(|document, ordinals| {
            if first(&values, ordinals.iter().copied())
                .is_some_and(|first| wanted.contains(first as usize))
            {
                documents.insert(document as usize);
            }
        });
        documents.intersect(&live_documents(segment));
        each_row(&row_column(segment)?, &documents, |_, row| rows.push(row));
    }
    Ok(rows.into_iter().collect())
}

fn first(values: &[Range<u64>], ordinals: impl Iterator<Item = u64>) -> Option<u64> {
    ordinals
        .filter(|ordinal| values.iter().any(|range| range.contains(ordinal)))
        .min()
}
