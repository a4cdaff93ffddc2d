//! A vector's name: the row it belongs to, its kind, and which of that kind it is.

use crate::error::IndexError;
use crate::row::{Row, RowId, VectorKind};

/// The largest row an index can hold: a set of rows has a bit for each up to the highest.
pub const MAX_ROW: u64 = (1 << 48) - 1;

/// More dimensions than any dual encoder has, and few enough for FAISS's `int`.
pub const MAX_DIMENSIONS: usize = 65_536;

/// One vector's name. Ordered by row, then passage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct VectorId {
    pub row: RowId,
    /// 0 but for a long text, which has a vector for each passage.
    pub passage: u16,
}

/// The names and vectors of one kind in `rows`: passages are counted in their order.
pub(super) fn of_kind<'a>(
    rows: &[Row<'a>],
    kind: VectorKind,
) -> Result<Vec<(VectorId, &'a [f32])>, IndexError> {
    let mut named = Vec::new();
    for row in rows {
        if row.id.0 > MAX_ROW {
            return Err(IndexError::RowTooLarge(row.id));
        }
        let vectors = row.vectors.iter().filter(|(of, _)| *of == kind);
        for (passage, (_, vector)) in vectors.enumerate() {
            let passage =
                u16::try_from(passage).map_err(|_| IndexError::TooManyPassages(row.id))?;
            let id = VectorId {
                row: row.id,
                passage,
            };
            named.push((id, *vector));
        }
    }
    Ok(named)
}
