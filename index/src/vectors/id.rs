//! A FAISS id: a row and the kind of its vector in one 63-bit number.
//!
//! Texts occupy the range above all pictures, so that one kind is one interval of ids,
//! which FAISS selects without looking anything up.

use std::ops::Range;

use crate::error::IndexError;
use crate::row::{RowId, VectorKind};

/// The largest row an index can hold.
pub const MAX_ROW: u64 = TEXT - 1;

/// More dimensions than any dual encoder has, and few enough for FAISS's `int`.
pub const MAX_DIMENSIONS: usize = 65_536;

const TEXT: u64 = 1 << 61;

/// One vector's name inside a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct VectorId(u64);

impl VectorId {
    /// Joins a row and a kind.
    pub(crate) fn new(row: RowId, kind: VectorKind) -> Result<Self, IndexError> {
        if row.0 > MAX_ROW {
            return Err(IndexError::RowTooLarge(row));
        }
        Ok(Self(Self::range(kind).start + row.0))
    }

    /// Reads a number that FAISS stored; `None` if no vector can have it.
    pub(crate) fn from_number(number: u64) -> Option<Self> {
        (number < Self::range(VectorKind::Text).end).then_some(Self(number))
    }

    /// The number FAISS stores.
    pub(crate) fn number(self) -> u64 {
        self.0
    }

    pub(crate) fn row(self) -> RowId {
        RowId(self.0 & MAX_ROW)
    }

    pub(crate) fn kind(self) -> VectorKind {
        if self.0 < TEXT {
            VectorKind::Image
        } else {
            VectorKind::Text
        }
    }

    /// All numbers of one kind.
    pub(crate) fn range(kind: VectorKind) -> Range<u64> {
        match kind {
            VectorKind::Image => 0..TEXT,
            VectorKind::Text => TEXT..2 * TEXT,
        }
    }
}
