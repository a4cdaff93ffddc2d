//! Bringing both indexes to hold exactly the rows that the source of truth holds.

use crate::collection::CollectionIndex;
use crate::error::ReconcileError;
use crate::fault::WriteStep;
use crate::row::{OwnedRow, Row, RowId};

/// Rows read from the source of truth at a time.
const BATCH: usize = 256;

/// What was out of step.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reconciled {
    /// Rows whose vectors were added.
    pub vectors_added: usize,
    /// Rows whose vectors were removed.
    pub vectors_removed: usize,
    /// Rows whose words were added.
    pub words_added: usize,
    /// Rows whose words were removed.
    pub words_removed: usize,
}

impl CollectionIndex {
    /// Makes each of the two indexes hold exactly the rows of `live`, in any order: removes
    /// what is extra and adds what is missing, which `fetch` reads row by row. At most a
    /// few hundred fetched rows are held at a time.
    ///
    /// # Errors
    /// `fetch`'s first error or the index's. Words are then as before, vectors may be further
    /// along; calling it again continues.
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
        let words = Difference::new(&live, self.words.rows()?);
        let done = Reconciled {
            vectors_added: vectors.missing.len(),
            vectors_removed: vectors.extra.len(),
            words_added: words.missing.len(),
            words_removed: words.extra.len(),
        };
        if done == Reconciled::default() && writer.sequence == sequence {
            return Ok(done);
        }
        let mut bring = || -> Result<(), ReconcileError<E>> {
            self.faults.reach(WriteStep::Reconcile)?;
            self.vectors.apply(&vectors.extra, &[])?;
            writer.words.stage(&words.extra, &[])?;
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
                writer.words.stage(&[], &words.of(&rows))?;
            }
            Ok(writer.words.commit(sequence)?)
        };
        if let Err(error) = bring() {
            writer.words.roll_back();
            return Err(error);
        }
        writer.sequence = sequence;
        Ok(done)
    }
}

/// What one index has too few and too many.
struct Difference {
    /// Ascending.
    missing: Vec<RowId>,
    extra: Vec<RowId>,
}

impl Difference {
    /// Of two ascending lists.
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

/// What of one ascending list is not in another.
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
