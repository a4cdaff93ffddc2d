//! A column of one of tantivy's segments.

use std::io;
use std::ops::{Bound, Range};

use tantivy::columnar::{Column as NumberColumn, StrColumn};
use tantivy::{DocId, SegmentReader, TantivyError};

use super::{COLUMNS, Source};
use crate::error::IndexError;
use crate::row::RowId;
use crate::row_set::RowSet;
use crate::words::ROW;

/// A segment's column, open.
pub(crate) struct Column {
    column: StrColumn,
}

/// Documents scanned at a time, so that what a scan holds stays small.
const BLOCK: DocId = 1 << 16;

impl Column {
    /// `None` where no document of the segment has a value there.
    pub(crate) fn open(
        segment: &SegmentReader,
        source: &Source,
    ) -> Result<Option<Self>, IndexError> {
        let column = segment
            .fast_fields()
            .str(&format!("{COLUMNS}.{}", source.column()))
            .map_err(IndexError::tantivy("open a column"))?;
        Ok(column.map(|column| Self { column }))
    }

    /// Terms of its dictionary.
    pub(crate) fn terms(&self) -> u64 {
        self.column.num_terms() as u64
    }

    /// The ordinals of the terms between two bounds.
    pub(crate) fn between(
        &self,
        low: Bound<&str>,
        high: Bound<&str>,
    ) -> Result<Range<u64>, IndexError> {
        let (low, high) = self
            .column
            .dictionary()
            .term_bounds_to_ord(low, high)
            .map_err(reading)?;
        let from = match low {
            Bound::Included(ordinal) => ordinal,
            Bound::Excluded(ordinal) => ordinal + 1,
            Bound::Unbounded => 0,
        };
        let to = match high {
            Bound::Included(ordinal) => ordinal + 1,
            Bound::Excluded(ordinal) => ordinal,
            Bound::Unbounded => self.terms(),
        };
        Ok(from..to.min(self.terms()).max(from))
    }

    /// The ordinal of a term.
    pub(crate) fn find(&self, term: &str) -> Result<Option<u64>, IndexError> {
        self.column.dictionary().term_ord(term).map_err(reading)
    }

    /// The ordinals of values that have an order: not of marks, not of points.
    pub(crate) fn values(&self) -> Result<[Range<u64>; 2], IndexError> {
        Ok([
            self.between(Bound::Unbounded, Bound::Excluded("g"))?,
            self.between(Bound::Included("h"), Bound::Excluded("~"))?,
        ])
    }

    /// The term of an ordinal.
    pub(crate) fn term(&self, ordinal: u64) -> Result<String, IndexError> {
        let mut term = String::new();
        self.column
            .ord_to_str(ordinal, &mut term)
            .map_err(reading)?;
        Ok(term)
    }

    /// The terms of ascending ordinals.
    pub(crate) fn each(
        &self,
        ordinals: impl Iterator<Item = u64>,
        mut see: impl FnMut(&str),
    ) -> Result<(), IndexError> {
        self.column
            .dictionary()
            .sorted_ords_to_term_cb(ordinals, |term| {
                see(as_text(term)?);
                Ok(())
            })
            .map(drop)
            .map_err(reading)
    }

    /// The documents with a value among `ordinals`; some perhaps twice.
    pub(crate) fn documents(&self, ordinals: Range<u64>, mut see: impl FnMut(DocId)) {
        if ordinals.is_empty() {
            return;
        }
        let column = self.column.ords();
        let documents = column.num_docs();
        let mut found = Vec::new();
        for from in (0..documents).step_by(BLOCK as usize) {
            let to = documents.min(from.saturating_add(BLOCK));
            found.clear();
            column.get_docids_for_value_range(
                ordinals.start..=ordinals.end - 1,
                from..to,
                &mut found,
            );
            found.iter().copied().for_each(&mut see);
        }
    }

    /// A document's ordinals.
    pub(crate) fn of(&self, document: DocId) -> impl Iterator<Item = u64> + '_ {
        self.column.term_ords(document)
    }

    /// The documents that the column knows of, each an id below this.
    pub(crate) fn num_documents(&self) -> DocId {
        self.column.num_rows()
    }
}

/// The column of a segment's rows: every document has exactly one.
pub(crate) fn row_column(segment: &SegmentReader) -> Result<NumberColumn<u64>, IndexError> {
    segment
        .fast_fields()
        .u64(ROW)
        .map_err(IndexError::tantivy("read the rows"))
}

/// A segment's live documents whose rows are in the set; all of them where none is given.
pub(crate) fn documents_of(
    segment: &SegmentReader,
    rows: Option<&RowSet>,
) -> Result<Vec<DocId>, IndexError> {
    let Some(rows) = rows else {
        return Ok(segment.doc_ids_alive().collect());
    };
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let column = row_column(segment)?;
    Ok(segment
        .doc_ids_alive()
        .filter(|document| rows.contains(RowId(column.values.get_val(*document))))
        .collect())
}

fn as_text(term: &[u8]) -> io::Result<&str> {
    std::str::from_utf8(term).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

fn reading(error: io::Error) -> IndexError {
    IndexError::tantivy("read a column")(TantivyError::from(error))
}
