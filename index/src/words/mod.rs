//! Words: one tantivy index over text and metadata, searched by BM25.

mod analysis;
mod bounds;
mod choice;
mod compile;
mod highlight;
mod matching;
mod parse;
mod schema;
mod vocabulary;
mod writers;

pub use analysis::{Analyzer, UnknownAnalyzer};
pub use bounds::QueryTooLarge;
pub use choice::{FieldWording, Wording};
pub use highlight::Highlighter;
pub use parse::KeywordQuery;
pub use writers::set_open_writers;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tantivy::collector::sort_key::SortBySimilarityScore;
use tantivy::collector::sort_key::SortByStaticFastValue;
use tantivy::collector::{Collector, Count, FilterCollector, TopDocs};
use tantivy::directory::MmapDirectory;
use tantivy::index::SegmentComponent;
use tantivy::query::Query;
use tantivy::schema::Schema;
use tantivy::{
    Index, IndexReader, Order, ReloadPolicy, Searcher, SegmentMeta, TantivyDocument, TantivyError,
    Term,
};

pub(crate) use self::schema::ROW;

use self::schema::Fields;
use self::writers::Writer;
use crate::collection::{Held, Reason, State};
use crate::columns;
use crate::error::IndexError;
use crate::row::{Row, RowId, Scored};
use crate::row_set::RowSet;

/// Written with each commit; raised whenever the schema or the analysis changes.
const FORMAT: u32 = 6;

/// The answer to a keyword query.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct KeywordHits {
    /// The best rows by BM25, best first, ties by row.
    pub hits: Vec<Scored>,
    /// How many rows match.
    pub total: usize,
    /// The score of a row of average length that holds each asked word once: what the hits'
    /// scores mean. 0 when nothing was asked.
    pub full_score: f32,
    /// Whether something was looked for, and not only left out: then no hit is better than
    /// another.
    pub asked: bool,
    /// Marks in a hit what the query looked for.
    pub highlighter: Highlighter,
}

/// The side that is searched.
pub(crate) struct WordIndex {
    fields: Fields,
    wording: Wording,
    reader: IndexReader,
}

/// The side that is written, by one thread at a time.
pub(crate) struct WordWriter {
    fields: Fields,
    wording: Wording,
    declared: columns::Fields,
    writer: Arc<Writer>,
    reader: IndexReader,
    /// The largest row ever added: a larger one needs no deletion before it is added.
    highest: Option<u64>,
}

#[derive(Serialize, Deserialize)]
struct Payload {
    format: u32,
    sequence: u64,
}

/// Opens what was committed in `folder`, or wipes it and starts empty, saying why.
pub(crate) fn open(
    folder: &Path,
    wording: &Wording,
    declared: columns::Fields,
) -> Result<(WordIndex, WordWriter, State), IndexError> {
    let (schema, fields) = schema::schema(wording);
    let (index, state) = match load(folder, &schema) {
        Ok((index, sequence)) => (index, State::Loaded { sequence }),
        Err(reason) => (create(folder, schema)?, State::Empty { reason }),
    };
    schema::register(index.tokenizers(), wording);
    let reader = index
        .reader_builder()
        .reload_policy(ReloadPolicy::Manual)
        .try_into()
        .map_err(IndexError::tantivy("open a reader"))?;
    let words = WordIndex {
        fields: fields.clone(),
        wording: wording.clone(),
        reader: reader.clone(),
    };
    let highest = words.rows()?.last().map(|row| row.0);
    let writer = WordWriter {
        fields,
        wording: wording.clone(),
        declared,
        writer: Writer::new(index),
        reader,
        highest,
    };
    Ok((words, writer, state))
}

/// What was committed in `folder`, which stays as it is.
pub(crate) fn inspect(folder: &Path, wording: &Wording) -> Result<Held, Reason> {
    let (schema, fields) = schema::schema(wording);
    let (index, sequence) = load(folder, &schema)?;
    let damaged = |error: IndexError| Reason::Damaged(error.to_string());
    let reader = index
        .reader_builder()
        .reload_policy(ReloadPolicy::Manual)
        .try_into()
        .map_err(IndexError::tantivy("open a reader"))
        .map_err(damaged)?;
    let words = WordIndex {
        fields,
        wording: wording.clone(),
        reader,
    };
    Ok(Held {
        sequence: Some(sequence),
        rows: words.rows().map_err(damaged)?,
    })
}

impl WordIndex {
    /// What is searched now, unchanged by writes while it is held.
    pub(crate) fn searcher(&self) -> Searcher {
        self.reader.searcher()
    }

    /// BM25 over text and string metadata, of the rows within a set where one is given.
    pub(crate) fn search(
        &self,
        query: &KeywordQuery,
        limit: usize,
        within: Option<&RowSet>,
    ) -> Result<KeywordHits, IndexError> {
        let searcher = self.reader.searcher();
        let compiled = compile::compile(query, &self.fields, &self.wording, &searcher)?;
        let Some(compiled) = compiled else {
            return Ok(KeywordHits::default());
        };
        let full_score = compiled.full_score;
        let asked = compiled.asks;
        let highlighter = Highlighter::new(compiled.sought, self.wording.clone());
        let limit = limit.min(usize::try_from(searcher.num_docs()).unwrap_or(usize::MAX));
        if limit == 0 {
            let total = collect(&searcher, &compiled.query, Count, within)?;
            return Ok(KeywordHits {
                hits: Vec::new(),
                total,
                full_score,
                asked,
                highlighter,
            });
        }
        // By row where scores tie, so that the order survives merges of segments.
        let by_row = SortByStaticFastValue::<u64>::for_field(ROW);
        let best = TopDocs::with_limit(limit)
            .order_by(((SortBySimilarityScore, Order::Desc), (by_row, Order::Asc)));
        let (best, total) = collect(&searcher, &compiled.query, (best, Count), within)?;
        let hits = best
            .into_iter()
            .filter_map(|((score, row), _)| {
                let row = RowId(row?);
                Some(Scored {
                    row,
                    score,
                    passage: 0,
                })
            })
            .collect();
        Ok(KeywordHits {
            hits,
            total,
            full_score,
            asked,
            highlighter,
        })
    }

    /// All rows within a set that match with at least this score.
    pub(crate) fn matching(
        &self,
        query: &KeywordQuery,
        within: Option<&RowSet>,
        least_score: Option<f32>,
    ) -> Result<RowSet, IndexError> {
        let searcher = self.reader.searcher();
        let compiled = compile::compile(query, &self.fields, &self.wording, &searcher)?;
        let Some(compiled) = compiled else {
            return Ok(RowSet::default());
        };
        let collector = matching::Matching { least_score };
        let mut rows = searcher
            .search(&compiled.query, &collector)
            .map_err(IndexError::tantivy("search"))?;
        if let Some(within) = within {
            rows.keep(within);
        }
        Ok(rows)
    }

    /// The rows that are found, ascending.
    pub(crate) fn rows(&self) -> Result<Vec<RowId>, IndexError> {
        let searcher = self.reader.searcher();
        let mut rows = Vec::with_capacity(self.len());
        for segment in searcher.segment_readers() {
            let column = segment
                .fast_fields()
                .u64(ROW)
                .map_err(IndexError::tantivy("read the rows"))?;
            rows.extend(
                segment
                    .doc_ids_alive()
                    .filter_map(|document| column.first(document).map(RowId)),
            );
        }
        rows.sort_unstable();
        Ok(rows)
    }

    pub(crate) fn len(&self) -> usize {
        usize::try_from(self.reader.searcher().num_docs()).unwrap_or(usize::MAX)
    }

    /// Segments and bytes on disk of what is searched now.
    pub(crate) fn size(&self) -> Result<(usize, u64), IndexError> {
        let searcher: Searcher = self.reader.searcher();
        let space = searcher
            .space_usage()
            .map_err(|error| IndexError::tantivy("measure its files")(error.into()))?;
        Ok((searcher.segment_readers().len(), space.total().get_bytes()))
    }
}

impl WordWriter {
    /// Removes and adds without committing: nothing of it is found before
    /// [`WordWriter::commit`].
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
            let document: TantivyDocument =
                schema::document(&self.fields, &self.wording, &self.declared, row);
            writer
                .stage()?
                .add_document(document)
                .map_err(IndexError::tantivy("take a document"))?;
        }
        Ok(())
    }

    /// Makes what was staged durable and findable, as the state of `sequence`.
    pub(crate) fn commit(&mut self, sequence: u64) -> Result<(), IndexError> {
        let payload = Payload {
            format: FORMAT,
            sequence,
        };
        let payload = serde_json::to_string(&payload)
            .map_err(|error| TantivyError::InternalError(error.to_string()))
            .map_err(IndexError::tantivy("describe a commit"))?;
        self.writer.open()?.commit(&payload)?;
        self.reader
            .reload()
            .map_err(IndexError::tantivy("show a commit"))
    }

    /// Forgets what was staged since the last commit.
    pub(crate) fn roll_back(&mut self) {
        self.writer.roll_back();
    }

    /// Whether files of the last commit are gone.
    pub(crate) fn is_lost(&self) -> bool {
        self.writer.is_lost()
    }

    /// Lets go of tantivy's threads until the next write.
    pub(crate) fn close(&mut self) {
        self.writer.close();
    }
}

fn collect<C: Collector + Send + Sync>(
    searcher: &Searcher,
    query: &dyn Query,
    collector: C,
    within: Option<&RowSet>,
) -> Result<C::Fruit, IndexError> {
    match within {
        None => searcher.search(query, &collector),
        Some(rows) => {
            // The collector outlives no borrow; a set is a few bits a row.
            let rows = Arc::new(rows.clone());
            let passes = move |row: u64| rows.contains(RowId(row));
            let filtered = FilterCollector::new(ROW.to_owned(), passes, collector);
            searcher.search(query, &filtered)
        }
    }
    .map_err(IndexError::tantivy("search"))
}

fn load(folder: &Path, expected: &Schema) -> Result<(Index, u64), Reason> {
    if !folder.join("meta.json").exists() {
        return Err(Reason::Missing);
    }
    let damaged = |error: TantivyError| Reason::Damaged(error.to_string());
    let index = Index::open_in_dir(folder).map_err(damaged)?;
    if index.schema() != *expected {
        return Err(Reason::Format("another schema".to_owned()));
    }
    let metas = index.load_metas().map_err(damaged)?;
    if metas.payload.is_none() && metas.segments.is_empty() {
        // Nothing was ever committed to it.
        return Err(Reason::Missing);
    }
    let payload: Payload = metas
        .payload
        .and_then(|payload| serde_json::from_str(&payload).ok())
        .ok_or_else(|| Reason::Format("a commit without a sequence".to_owned()))?;
    if payload.format != FORMAT {
        return Err(Reason::Format(format!(
            "format {} where {FORMAT} is expected",
            payload.format
        )));
    }
    let segments = index.searchable_segment_metas().map_err(damaged)?;
    let mut files = segments.iter().flat_map(files_of);
    if let Some(file) = files.find(|file| !folder.join(file).exists()) {
        return Err(Reason::Damaged(format!("{} is gone", file.display())));
    }
    let broken = index.validate_checksum().map_err(damaged)?;
    if let Some(file) = broken.iter().next() {
        return Err(Reason::Damaged(format!(
            "the checksum of {}",
            file.display()
        )));
    }
    Ok((index, payload.sequence))
}

/// The files that a segment has to have.
fn files_of(segment: &SegmentMeta) -> Vec<PathBuf> {
    SegmentComponent::iterator()
        .filter(|component| **component != SegmentComponent::Delete || segment.has_deletes())
        .map(|component| segment.relative_path(*component))
        .collect()
}

fn create(folder: &Path, schema: Schema) -> Result<Index, IndexError> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(IndexError::io("wipe", folder)(error));
        }
        _ => fs::create_dir_all(folder).map_err(IndexError::io("create", folder))?,
    }
    let directory = MmapDirectory::open(folder)
        .map_err(|error| IndexError::tantivy("open its folder")(error.into()))?;
    Index::create(directory, schema, Default::default())
        .map_err(IndexError::tantivy("make an index"))
}
