//! Reads a column of one tantivy segment.

use std::io;
use std::ops::{Bound, Range};

use tantivy::columnar::{Column as NumberColumn, ColumnIndex, StrColumn, Streamer};
use tantivy::{DocId, SegmentReader, TantivyError};

use super::{COLUMNS, ROW, Source};
use crate::bits::{BITS, Bits};
use crate::error::IndexError;
use crate::row::RowId;
use crate::row_set::RowSet;

/// An open column of a segment.
pub(crate) struct Column {
    column: StrColumn,
}

/// Documents scanned at a time, so the data of a scan stays in the processor's cache.
const BLOCK: usize = 1 << 12;

impl Column {
    /// Opens a column; `None` if no document of the segment has a value.
    pub(crate) fn open(
        segment: &SegmentReader,
        source: &Source,
    ) -> Result<Option<Self>, IndexError> {
        let column = segment
            .fast_fields()
            .str(&format!("{COLUMNS}.{}", source.column()))
            .map_err(IndexError::tantivy("open a column"))?;
        Ok(column.map(Self::new))
    }

    pub(crate) fn new(column: StrColumn) -> Self {
        Self { column }
    }

    /// Number of terms in the dictionary.
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

    /// The ordinals of values that have an order: all except markers and points.
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

    /// Calls `see` with the terms of ascending ordinals. Each is looked up: for a few of many terms.
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

    /// Calls `see` with the terms from `low` to below `high` and their ordinals, in one pass over that
    /// part of the dictionary.
    pub(crate) fn each_between(
        &self,
        low: &str,
        high: &str,
        mut see: impl FnMut(u64, &str),
    ) -> Result<(), IndexError> {
        let range = self.column.dictionary().range().ge(low).lt(high);
        let mut terms = range.into_stream().map_err(reading)?;
        while terms.advance() {
            see(terms.term_ord(), text(terms.key())?);
        }
        Ok(())
    }

    /// Streams all terms.
    pub(crate) fn stream(&self) -> Result<Streamer<'_>, IndexError> {
        self.column.dictionary().stream().map_err(reading)
    }

    /// Whether some document has several values.
    pub(crate) fn has_arrays(&self) -> bool {
        matches!(self.column.ords().index, ColumnIndex::Multivalued(_))
    }

    /// The documents that have a value.
    pub(crate) fn present(&self) -> Box<dyn Iterator<Item = DocId> + '_> {
        match &self.column.ords().index {
            ColumnIndex::Empty { .. } => Box::new(std::iter::empty()),
            ColumnIndex::Full => Box::new(0..self.num_documents()),
            ColumnIndex::Optional(index) => Box::new(index.iter_non_null_docs()),
            ColumnIndex::Multivalued(index) => index.iter_non_null_docs(),
        }
    }

    /// Number of documents that have a value.
    pub(crate) fn num_present(&self) -> u64 {
        match &self.column.ords().index {
            ColumnIndex::Empty { .. } => 0,
            ColumnIndex::Full => u64::from(self.num_documents()),
            ColumnIndex::Optional(index) => u64::from(index.num_non_nulls()),
            ColumnIndex::Multivalued(index) => index.iter_non_null_docs().count() as u64,
        }
    }

    /// The documents with a value among `ordinals`.
    pub(crate) fn documents(&self, ordinals: Range<u64>, mut see: impl FnMut(DocId)) {
        if ordinals.is_empty() {
            return;
        }
        if self.has_arrays() {
            // Tantivy finds the values quickly, but the documents of values slowly.
            return self.each_document(|document, values| {
                if values.iter().any(|ordinal| ordinals.contains(ordinal)) {
                    see(document);
                }
            });
        }
        let column = self.column.ords();
        let documents = column.num_docs();
        let mut found = Vec::new();
        for from in (0..documents).step_by(BLOCK) {
            let to = documents.min(from.saturating_add(BLOCK as DocId));
            found.clear();
            column.get_docids_for_value_range(
                ordinals.start..=ordinals.end - 1,
                from..to,
                &mut found,
            );
            found.iter().copied().for_each(&mut see);
        }
    }

    /// Every document that has values, ascending, with their ordinals: one reading of the
    /// column, several times as quick as asking for each document's.
    pub(crate) fn each_document(&self, mut see: impl FnMut(DocId, &[u64])) {
        let column = self.column.ords();
        let mut documents = self.present();
        let mut ordinals = Vec::new();
        let ColumnIndex::Multivalued(index) = &column.index else {
            for from in (0..column.values.num_vals()).step_by(BLOCK) {
                let count = BLOCK.min((column.values.num_vals() - from) as usize);
                ordinals.resize(count, 0);
                column.values.get_range(u64::from(from), &mut ordinals);
                for (ordinal, document) in ordinals.iter().zip(&mut documents) {
                    see(document, std::slice::from_ref(ordinal));
                }
            }
            return;
        };
        // The start of each document's values, and the end of the last one's.
        let starts = index.get_start_index_column();
        let mut bounds = Vec::new();
        for from in (0..starts.num_vals().saturating_sub(1)).step_by(BLOCK) {
            let count = BLOCK.min((starts.num_vals() - 1 - from) as usize);
            bounds.resize(count + 1, 0);
            starts.get_range(u64::from(from), &mut bounds);
            let (first, last) = (bounds[0], bounds[count]);
            ordinals.resize((last - first) as usize, 0);
            column.values.get_range(u64::from(first), &mut ordinals);
            for bound in bounds.windows(2) {
                let values = &ordinals[(bound[0] - first) as usize..(bound[1] - first) as usize];
                // Older array indexes of tantivy also list documents without values.
                if !values.is_empty()
                    && let Some(document) = documents.next()
                {
                    see(document, values);
                }
            }
        }
    }

    /// A document's ordinals.
    pub(crate) fn of(&self, document: DocId) -> impl Iterator<Item = u64> + '_ {
        self.column.term_ords(document)
    }

    /// Upper bound for the ids of the column's documents.
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

/// A segment's live documents, only those whose rows are in `rows` if given.
pub(crate) fn documents_of(
    segment: &SegmentReader,
    rows: Option<&RowSet>,
) -> Result<Bits, IndexError> {
    let mut documents = live_documents(segment);
    if let Some(rows) = rows {
        let column = row_column(segment)?;
        let mut matching = Bits::none(segment.max_doc() as usize);
        each_row(&column, &documents, |document, row| {
            if rows.contains(row) {
                matching.insert(document as usize);
            }
        });
        documents = matching;
    }
    Ok(documents)
}

/// The documents of a segment that are not deleted.
pub(crate) fn live_documents(segment: &SegmentReader) -> Bits {
    match segment.alive_bitset() {
        None => Bits::all(segment.max_doc() as usize),
        Some(alive) => {
            let mut live = Bits::none(segment.max_doc() as usize);
            alive
                .iter_alive()
                .for_each(|document| live.insert(document as usize));
            live
        }
    }
}

/// Calls `see` with documents and their rows, which it reads from the segment's column of rows.
pub(crate) fn each_row(
    column: &NumberColumn<u64>,
    documents: &Bits,
    mut see: impl FnMut(DocId, RowId),
) {
    let mut rows = [0; BITS];
    let count = column.values.num_vals() as usize;
    for (at, mut left) in documents.words().iter().copied().enumerate() {
        let first = at * BITS;
        if left.count_ones() as usize > BITS / 8 {
            let rows = &mut rows[..BITS.min(count - first)];
            column.values.get_range(first as u64, rows);
            while left != 0 {
                let bit = left.trailing_zeros() as usize;
                left &= left - 1;
                see((first + bit) as DocId, RowId(rows[bit]));
            }
        } else {
            while left != 0 {
                let document = (first + left.trailing_zeros() as usize) as DocId;
                left &= left - 1;
                see(document, RowId(column.values.get_val(document)));
            }
        }
    }
}

/// A term of a dictionary.
pub(crate) fn text(term: &[u8]) -> Result<&str, IndexError> {
    as_text(term).map_err(reading)
}

fn as_text(term: &[u8]) -> io::Result<&str> {
    std::str::from_utf8(term).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

fn reading(error: io::Error) -> IndexError {
    IndexError::tantivy("read a column")(TantivyError::from(error))
}
