//! Writes the full-text index.

use std::sync::Arc;

use tantivy::{Index, IndexReader, Term};

use super::commit::payload;
use super::index::FulltextIndex;
use super::schema::{self, Fields};
use super::text_config::TextConfig;
use super::writer_pool::PooledWriter;
use crate::columns;
use crate::error::IndexError;
use crate::row::{Row, RowId};

/// The writable half of the full-text index, for one thread at a time.
pub(crate) struct FulltextWriter {
    fields: Fields,
    text_config: TextConfig,
    declared: columns::Fields,
    writer: Arc<PooledWriter>,
    reader: IndexReader,
    /// The highest row ever added. A higher row need not be deleted before it is added.
    highest: Option<u64>,
}

impl FulltextWriter {
    pub(super) fn new(
        index: Index,
        readable: &FulltextIndex,
        declared: columns::Fields,
    ) -> Result<Self, IndexError> {
        Ok(Self {
            fields: readable.fields.clone(),
            text_config: readable.text_config.clone(),
            declared,
            writer: PooledWriter::new(index),
            reader: readable.reader.clone(),
            highest: readable.rows()?.last().map(|row| row.0),
        })
    }

    /// Removes and adds rows without committing: searches see nothing of it before
    /// [`FulltextWriter::commit`].
    pub(crate) fn stage(&mut self, remove: &[RowId], add: &[Row<'_>]) -> Result<(), IndexError> {
        let delete = |row: RowId| Term::from_field_u64(self.fields.row, row.0);
        let mut writer = self.writer.open()?;
        for row in remove {
            writer.stage()?.delete_term(delete(*row));
        }
        for row in add {
            if self.highest.is_some_and(|highest| row.id.0 <= highest) {
                writer.stage()?.delete_term(delete(row.id));
            }
            self.highest = self.highest.max(Some(row.id.0));
            let document = schema::document(&self.fields, &self.text_config, &self.declared, row);
            writer
                .stage()?
                .add_document(document)
                .map_err(IndexError::tantivy("add a document"))?;
        }
        Ok(())
    }

    /// Makes staged changes durable and visible, as the state of `sequence`.
    #[allow(
        clippy::needless_pass_by_ref_mut,
        reason = "a write has its writer to itself"
    )]
    pub(crate) fn commit(&mut self, sequence: u64) -> Result<(), IndexError> {
        let payload = payload(sequence)?;
        self.writer.open()?.commit(&payload)?;
        self.reader
            .reload()
            .map_err(IndexError::tantivy("open a commit"))
    }

    /// Discards changes that were staged since the last commit.
    #[allow(
        clippy::needless_pass_by_ref_mut,
        reason = "a write has its writer to itself"
    )]
    pub(crate) fn roll_back(&mut self) {
        self.writer.roll_back();
    }

    /// Whether files of the last commit are missing.
    pub(crate) fn is_lost(&self) -> bool {
        self.writer.is_lost()
    }

    /// Ends tantivy's threads until the next write.
    #[allow(
        clippy::needless_pass_by_ref_mut,
        reason = "a write has its writer to itself"
    )]
    pub(crate) fn close(&mut self) {
        self.writer.close();
    }
}
