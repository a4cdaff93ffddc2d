//! The id of a vector among those of its kind: its row and its passage.

use crate::error::IndexError;
use crate::row::{Row, RowId, VectorKind};

/// The id of a vector. Ordered by row, then passage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct VectorId {
    pub row: RowId,
    /// 0 except for a long text, which has one vector for each passage.
    pub passage: u16,
}

/// The vectors of one kind in `rows` with their ids; passages are numbered in their order.
pub(super) fn of_kind<'a>(
    rows: &[Row<'a>],
    kind: VectorKind,
) -> Result<Vec<(VectorId, &'a [f32])>, IndexError> {
    let mut identified = Vec::new();
    for row in rows {
        let vectors = row.vectors.iter().filter(|(of, _)| *of == kind);
        for (passage, (_, vector)) in vectors.enumerate() {
            let passage =
                u16::try_from(passage).map_err(|_| IndexError::TooManyPassages(row.id))?;
            let id = VectorId {
                row: row.id,
                passage,
            };
            identified.push((id, *vector));
        }
    }
    Ok(identified)
}
