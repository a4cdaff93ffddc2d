//! Reconciling: both indexes get exactly the rows that the source of truth holds.

use crate::collection::CollectionIndex;
use crate::error::ReconcileError;
use crate::fault::WriteStep;
use crate::row::{OwnedRow, Row, RowId};

/// Rows that are read from the source of truth at a time.
const BATCH: usize = 256;

/// The differences that reconciling removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reconciled {
    /// Rows whose vectors were added.
    pub vectors_added: usize,
    /// Rows whose vectors were removed.
    pub vectors_removed: usize,
    /// Rows that were added to the full-text index.
    pub words_added: usize,
    /// Rows that were removed from the full-text index.
    pub words_removed: usize,
}

impl CollectionIndex {
    /// Makes both indexes hold exactly the rows of `live`, which may be in any order: removes extra
    /// rows and adds missing ones, which `fetch` reads one by one. At most a few hundred fetched
    /// rows are in memory at a time.
    ///
    /// # Errors
    /// The first error of `fetch` or of the index. The full-text index is then unchanged, and the
    /// vectors may be partly reconciled; a second call continues.
    pub fn reconcile<E>(
        &self,
        live: &[RowId],
        sequence: u64,
        mut fetch: impl FnMut(RowId) -> Result<OwnedRow, E>,
    ) -> Result<Reconciled, ReconcileError<E>> {
        let mut live = live.to_vec();
        live.sort_unstable();
        let mut writer = self.writer.lock();
        let vectors = Difference::new(&live, self.vectors.rows());
        let words = Difference::new(&live, self.fulltext.rows()?);
        let done = Reconciled {
            vectors_added: vectors.missing.len(),
            vectors_removed: vectors.extra.len(),
            words_added: words.missing.len(),
            words_removed: words.extra.len(),
        };
        if done == Reconciled::default() && writer.sequence == sequence {
            return Ok(done);
        }
        let mut update = || -> Result<(), ReconcileError<E>> {
            self.faults.reach(WriteStep::Reconcile)?;
            self.vectors.apply(&vectors.extra, &[])?;
            writer.fulltext.stage(&words.extra, &[])?;
            let mut missing = [vectors.missing.as_slice(), &words.missing].concat();
            missing.sort_unstable();
            missing.dedup();
            for batch in missing.chunks(BATCH) {
                let mut fetched = Vec::with_capacity(batch.len());
                for &row in batch {
                    let read = fetch(row).map_err(|cause| ReconcileError::Fetch { row, cause })?;
                    fetched.push(read);
                }
                let rows: Vec<Row<'_>> = fetched.iter().map(OwnedRow::as_row).collect();
                self.vectors.check(&rows)?;
                self.vectors.apply(&[], &vectors.of(&rows))?;
                writer.fulltext.stage(&[], &words.of(&rows))?;
            }
            Ok(writer.fulltext.commit(sequence)?)
        };
        if let Err(error) = update() {
            writer.fulltext.roll_back();
            return Err(error);
        }
        writer.sequence = sequence;
        Ok(done)
    }
}

/// Missing and extra rows of one index.
struct Difference {
    /// Ascending.
    missing: Vec<RowId>,
    extra: Vec<RowId>,
}

impl Difference {
    /// Compares two ascending lists.
    fn new(live: &[RowId], held: Vec<RowId>) -> Self {
        Self {
            missing: without(live, &held),
            extra: without(&held, live),
        }
    }

    fn of<'a>(&self, rows: &[Row<'a>]) -> Vec<Row<'a>> {
        rows.iter()
            .filter(|row| self.missing.binary_search(&row.id).is_ok())
            .cloned()
            .collect()
    }
}

/// The rows of one ascending list that are not in another.
fn without(rows: &[RowId], others: &[RowId]) -> Vec<RowId> {
    let mut others = others.iter().peekable();
    rows.iter()
        .copied()
        .filter(|row| {
            while others.next_if(|other| *other < row).is_some() {}
            others.peek() != Some(&row)
        })
        .collect()
}
