//! Opens the full-text index in a folder, or replaces it by an empty one.

use std::fs;
use std::path::Path;

use tantivy::directory::MmapDirectory;
use tantivy::schema::Schema;
use tantivy::{Index, IndexReader, ReloadPolicy, TantivyError};

use super::commit::{self, files_of};
use super::index::FulltextIndex;
use super::schema;
use super::text_config::TextConfig;
use super::writer::FulltextWriter;
use crate::columns;
use crate::error::IndexError;
use crate::saved_state::{Reason, SavedIndex, State};

/// Opens the last commit in `folder`. If it is unusable, empties the folder and reports why.
pub(crate) fn open(
    folder: &Path,
    text_config: &TextConfig,
    declared: columns::Fields,
) -> Result<(FulltextIndex, FulltextWriter, State), IndexError> {
    let (schema, fields) = schema::schema(text_config);
    let (index, state) = match load(folder, &schema) {
        Ok((index, sequence)) => (index, State::Loaded { sequence }),
        Err(reason) => (create(folder, schema)?, State::Empty { reason }),
    };
    schema::register(index.tokenizers(), text_config);
    let readable = FulltextIndex {
        fields,
        text_config: text_config.clone(),
        reader: reader(&index)?,
    };
    let writer = FulltextWriter::new(index, &readable, declared)?;
    Ok((readable, writer, state))
}

/// Reads the last commit in `folder`. Changes nothing.
pub(crate) fn inspect(folder: &Path, text_config: &TextConfig) -> Result<SavedIndex, Reason> {
    let (schema, fields) = schema::schema(text_config);
    let (index, sequence) = load(folder, &schema)?;
    let corrupt = |error: IndexError| Reason::Corrupt(error.to_string());
    let readable = FulltextIndex {
        fields,
        text_config: text_config.clone(),
        reader: reader(&index).map_err(corrupt)?,
    };
    Ok(SavedIndex {
        sequence: Some(sequence),
        rows: readable.rows().map_err(corrupt)?,
    })
}

fn reader(index: &Index) -> Result<IndexReader, IndexError> {
    index
        .reader_builder()
        .reload_policy(ReloadPolicy::Manual)
        .try_into()
        .map_err(IndexError::tantivy("open a reader"))
}

fn load(folder: &Path, expected: &Schema) -> Result<(Index, u64), Reason> {
    if !folder.join("meta.json").exists() {
        return Err(Reason::Missing);
    }
    let corrupt = |error: TantivyError| Reason::Corrupt(error.to_string());
    let index = Index::open_in_dir(folder).map_err(corrupt)?;
    if index.schema() != *expected {
        return Err(Reason::Format("another schema".to_owned()));
    }
    let metas = index.load_metas().map_err(corrupt)?;
    if metas.payload.is_none() && metas.segments.is_empty() {
        // Nothing was ever committed.
        return Err(Reason::Missing);
    }
    let sequence = commit::sequence(metas.payload.as_deref())?;
    let segments = index.searchable_segment_metas().map_err(corrupt)?;
    let mut files = segments.iter().flat_map(files_of);
    if let Some(file) = files.find(|file| !folder.join(file).exists()) {
        return Err(Reason::Corrupt(format!("{} is missing", file.display())));
    }
    let broken = index.validate_checksum().map_err(corrupt)?;
    if let Some(file) = broken.iter().next() {
        return Err(Reason::Corrupt(format!(
            "the checksum of {}",
            file.display()
        )));
    }
    Ok((index, sequence))
}

fn create(folder: &Path, schema: Schema) -> Result<Index, IndexError> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(IndexError::io("delete", folder)(error));
        }
        _ => fs::create_dir_all(folder).map_err(IndexError::io("create", folder))?,
    }
    let directory = MmapDirectory::open(folder)
        .map_err(|error| IndexError::tantivy("open its folder")(error.into()))?;
    Index::create(directory, schema, Default::default())
        .map_err(IndexError::tantivy("create an index"))
}
