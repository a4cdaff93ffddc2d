//! One collection's indexes: vectors and words, opened, written, searched and saved together.

use std::collections::HashMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::columns::{self, Facets, Fields, Group, Order, Ordered, Place};
use crate::error::IndexError;
use crate::fault::{Faults, WriteStep};
use crate::filter::{Filter, KeptSets};
use crate::row::{Row, RowId, Scored, VectorKind};
use crate::row_set::RowSet;
use crate::vectors::{Builds, Compared, Nearest, SegmentSize, VectorSettings, VectorStore};
use crate::words::{self, KeywordHits, KeywordQuery, WordIndex, WordWriter, Wording};

/// The indexes of one collection.
///
/// Shared by threads: writes take turns, searches never wait for more than the moment in
/// which new vectors are copied in.
pub struct CollectionIndex {
    pub(crate) vectors: VectorStore,
    pub(crate) words: WordIndex,
    pub(crate) writer: Mutex<Writer>,
    kept_sets: KeptSets,
    pub(crate) faults: Faults,
}

/// What a write holds; its lock orders the writes.
pub(crate) struct Writer {
    pub(crate) words: WordWriter,
    /// The sequence of the last write, which a save is named by.
    pub(crate) sequence: u64,
}

/// What the indexes of a collection are made for; fixed when the collection is.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Configuration {
    /// Numbers of every vector.
    pub dim: usize,
    /// How vectors are indexed.
    pub vectors: VectorSettings,
    /// How words are read and weighed.
    pub wording: Wording,
    /// The metadata's declared fields.
    pub fields: Fields,
}

impl Configuration {
    /// For vectors of this length, indexed by their number, English texts and metadata of any
    /// shape.
    pub fn new(dim: usize) -> Self {
        Self {
            dim,
            ..Self::default()
        }
    }
}

/// What opening found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    /// Of the vectors.
    pub vectors: State,
    /// Of the words.
    pub words: State,
}

/// What was found on disk of a collection's indexes.
#[derive(Debug)]
pub struct Inspected {
    /// The vectors, or why there are none to be used.
    pub vectors: Result<Held, Reason>,
    /// The words, or why there are none to be used.
    pub words: Result<Held, Reason>,
}

/// What one index holds on disk.
#[derive(Debug)]
pub struct Held {
    /// The write after which it was saved; none where the newest was in memory alone.
    pub sequence: Option<u64>,
    /// Its rows, ascending.
    pub rows: Vec<RowId>,
}

/// What one index holds after opening.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// What it held after the write of this sequence.
    Loaded {
        /// As given to [`CollectionIndex::apply`].
        sequence: u64,
    },
    /// Some of it: what came last was in memory alone, or files were damaged.
    Partial {
        /// What was damaged and left out.
        lost: Vec<String>,
    },
    /// Nothing: whatever was there has been wiped.
    Empty {
        /// Why.
        reason: Reason,
    },
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Loaded { sequence } => write!(f, "as of write {sequence}"),
            Self::Partial { lost } if lost.is_empty() => f.write_str("without the newest"),
            Self::Partial { lost } => write!(f, "without what is damaged: {}", lost.join(", ")),
            Self::Empty { reason } => write!(f, "empty, since {reason}"),
        }
    }
}

/// Why an index starts empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// There was none.
    Missing,
    /// It was made by another version or for another model.
    Format(String),
    /// A file is cut, changed or gone.
    Damaged(String),
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("there was none"),
            Self::Format(what) => write!(f, "it has another format: {what}"),
            Self::Damaged(what) => write!(f, "it is damaged: {what}"),
        }
    }
}

/// Sizes of a collection's indexes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Vectors of pictures.
    pub image_vectors: usize,
    /// Vectors of texts.
    pub text_vectors: usize,
    /// Rows found by words.
    pub keyword_rows: usize,
    /// Tantivy's segments.
    pub keyword_segments: usize,
    /// Segments of vectors.
    pub vector_segments: usize,
    /// Bytes of vectors in memory.
    pub vector_memory_bytes: usize,
    /// Bytes of the vectors' files, which are mapped, not held.
    pub vector_disk_bytes: u64,
    /// Bytes of tantivy's files, which are mapped, not held.
    pub keyword_disk_bytes: u64,
}

impl CollectionIndex {
    /// Opens the indexes in `dir`, which is theirs alone.
    ///
    /// What is missing, of another format or damaged is wiped, starts empty and is reported
    /// in [`Opened`]; then, and whenever a sequence is not the source of truth's,
    /// [`CollectionIndex::reconcile`] is due.
    ///
    /// # Errors
    /// The folder cannot be written, or the dimension is unusable.
    pub fn open(dir: &Path, configuration: &Configuration) -> Result<(Self, Opened), IndexError> {
        let (vectors, vectors_state) = VectorStore::open(
            &dir.join("vectors"),
            configuration.dim,
            configuration.vectors,
        )?;
        let (words, writer, words_state) = words::open(
            &dir.join("words"),
            &configuration.wording,
            configuration.fields.clone(),
        )?;
        let opened = Opened {
            vectors: vectors_state,
            words: words_state,
        };
        // The older of the two: a save before the next write must not claim more.
        let sequence = opened.vectors.sequence().min(opened.words.sequence());
        let index = Self {
            vectors,
            words,
            writer: Mutex::new(Writer {
                words: writer,
                sequence,
            }),
            kept_sets: KeptSets::default(),
            faults: Faults::default(),
        };
        Ok((index, opened))
    }

    /// What the indexes in `dir` hold, without changing anything there.
    pub fn inspect(dir: &Path, configuration: &Configuration) -> Inspected {
        Inspected {
            vectors: VectorStore::inspect(&dir.join("vectors"), configuration.dim),
            words: words::inspect(&dir.join("words"), &configuration.wording),
        }
    }

    /// The segments of images and of texts as they lie in `dir`, if they are those of this
    /// sequence; for a collection that is not open. Reads one small file.
    pub fn peek(dir: &Path, dim: usize, sequence: u64) -> Option<[Vec<SegmentSize>; 2]> {
        VectorStore::peek(&dir.join("vectors"), dim, sequence)
    }

    /// Whether files that it was opened from or has written are gone. What is mapped can still be
    /// searched, and nothing can be written any more: it has to be opened again.
    pub fn is_lost(&self) -> bool {
        self.writer.lock().words.is_lost() || self.vectors.is_lost()
    }

    /// The sequence of the last write that it holds. Waits for a write that is under way.
    pub fn sequence(&self) -> u64 {
        self.writer.lock().sequence
    }

    /// Stops all that writes, for good, and forgets what is not on disk: another is about to be
    /// opened over the same folder. Searches go on.
    pub fn abandon(&self) {
        self.vectors.stop();
        self.writer.lock().words.roll_back();
    }

    /// Stops what goes on in the background, for good, and writes to disk what is not there yet.
    /// Searches go on.
    ///
    /// # Errors
    /// The disk's; what is missing then is read from the documents by the next who opens it.
    pub fn close(&self) -> Result<(), IndexError> {
        self.vectors.stop();
        let mut writer = self.writer.lock();
        writer.words.close();
        self.vectors.save(writer.sequence)
    }

    /// Whether there is anything for [`CollectionIndex::verify`] to read.
    pub fn has_stored_vectors(&self) -> bool {
        self.vectors.has_stored()
    }

    /// Removes rows and adds others as one write: durable in tantivy, and everything of it
    /// found, when this returns. A row that is there already is not added twice.
    ///
    /// # Errors
    /// A vector's length or numbers, or a row too large: then nothing has changed. An error
    /// of FAISS or tantivy may leave the two apart: [`CollectionIndex::reconcile`] then.
    pub fn apply(
        &self,
        remove: &[RowId],
        add: &[Row<'_>],
        sequence: u64,
    ) -> Result<(), IndexError> {
        self.vectors.check(add)?;
        let mut writer = self.writer.lock();
        self.faults.reach(WriteStep::AddVectors)?;
        self.vectors.apply(remove, add)?;
        let written = self
            .faults
            .reach(WriteStep::StageWords)
            .and_then(|()| writer.words.stage(remove, add))
            .and_then(|()| self.faults.reach(WriteStep::CommitWords))
            .and_then(|()| writer.words.commit(sequence));
        if let Err(error) = written {
            writer.words.roll_back();
            return Err(error);
        }
        writer.sequence = sequence;
        Ok(())
    }

    /// Makes the next write that reaches `step` fail there, once. What a failure at each step
    /// leaves is described at [`WriteStep`].
    #[cfg(feature = "fault-injection")]
    pub fn inject_fault(&self, step: WriteStep) {
        self.faults.inject(step);
    }

    /// About the `limit` rows whose vectors of this kind have the largest inner product with
    /// `query`, each with its best passage; best first, ties by row. Never fewer than the
    /// smaller of `limit` and the rows that match. Until something is written or built, a
    /// smaller limit gives the beginning of what a larger one gives. `query` has the index's
    /// dimension.
    ///
    /// # Errors
    /// The query's length or numbers, or FAISS's failure.
    pub fn nearest(
        &self,
        query: &[f32],
        kind: VectorKind,
        limit: usize,
        how: &Nearest<'_>,
    ) -> Result<Vec<Scored>, IndexError> {
        self.vectors.search(query, kind, limit, how)
    }

    /// The `limit` best rows by BM25 (Robertson and Zaragoza 2009; k1 = 1.2, b = 0.75), of
    /// those within a set where one is given. Nothing to look for finds nothing.
    ///
    /// # Errors
    /// Tantivy's failure; never what the user wrote.
    pub fn keyword(
        &self,
        query: &KeywordQuery,
        limit: usize,
        within: Option<&RowSet>,
    ) -> Result<KeywordHits, IndexError> {
        self.words.search(query, limit, within)
    }

    /// The rows that pass a filter, exactly; found once for each commit, as far as memory for
    /// it goes.
    ///
    /// # Errors
    /// Tantivy's failure to read.
    pub fn select(&self, filter: &Filter) -> Result<Arc<RowSet>, IndexError> {
        self.kept_sets.select(&self.words.searcher(), filter)
    }

    /// Whether some document has, or had until its part of the index was merged, a field of
    /// the metadata at this path.
    ///
    /// # Errors
    /// Tantivy's failure to read.
    pub fn has_field(&self, path: &str) -> Result<bool, IndexError> {
        columns::has_field(&self.words.searcher(), path)
    }

    /// All rows within a set, of all where none is given, that a keyword query matches with
    /// at least this score.
    ///
    /// # Errors
    /// Tantivy's failure to read.
    pub fn matching(
        &self,
        query: &KeywordQuery,
        within: Option<&RowSet>,
        least_score: Option<f32>,
    ) -> Result<RowSet, IndexError> {
        self.words.matching(query, within, least_score)
    }

    /// The rows that have a vector of one of these kinds.
    ///
    /// # Errors
    /// Tantivy's failure to read.
    pub fn with_vectors(&self, kinds: &[VectorKind]) -> Result<Arc<RowSet>, IndexError> {
        self.select(&Filter::of_vectors(kinds))
    }

    /// Of each field the so many most frequent values among the rows of a set, among all
    /// where none is given.
    ///
    /// # Errors
    /// Tantivy's failure to read.
    pub fn facets(
        &self,
        rows: Option<&RowSet>,
        fields: &[(String, usize)],
    ) -> Result<Facets, IndexError> {
        columns::facets::facets(&self.words.searcher(), rows, fields)
    }

    /// Every field of the metadata, by its path, with the number of rows that have it.
    ///
    /// # Errors
    /// Tantivy's failure to read.
    pub fn rows_by_field(&self) -> Result<HashMap<String, u64>, IndexError> {
        columns::named::documents_by_path(&self.words.searcher())
    }

    /// The groups that rows make by their first value of a field; a row without a value is in
    /// none.
    ///
    /// # Errors
    /// Tantivy's failure to read.
    pub fn groups(&self, rows: &RowSet, field: &str) -> Result<HashMap<RowId, Group>, IndexError> {
        columns::groups::of_rows(&self.words.searcher(), rows, field)
    }

    /// All rows of some of a field's groups.
    ///
    /// # Errors
    /// Tantivy's failure to read.
    pub fn rows_of_groups<'a>(
        &self,
        field: &str,
        groups: impl Iterator<Item = &'a Group> + Clone,
    ) -> Result<RowSet, IndexError> {
        columns::groups::rows_of(&self.words.searcher(), field, groups)
    }

    /// The first `limit` rows in an order, of a set where one is given, after a place where
    /// one is given.
    ///
    /// # Errors
    /// Tantivy's failure to read.
    pub fn ordered(
        &self,
        rows: Option<&RowSet>,
        order: &Order,
        after: Option<&Place>,
        limit: usize,
    ) -> Result<Vec<Ordered>, IndexError> {
        columns::order::ordered(&self.words.searcher(), rows, order, after, limit)
    }

    /// Writes to disk what of the vectors is not there yet; words are there since their
    /// commit. Writes wait meanwhile, searches do not. Does nothing when nothing changed since
    /// the last save.
    ///
    /// # Errors
    /// The disk's; the last save is then still good.
    pub fn save(&self) -> Result<(), IndexError> {
        let writer = self.writer.lock();
        self.vectors.save(writer.sequence)
    }

    /// Reads every vector on disk and leaves out what is damaged; says what. Then
    /// [`CollectionIndex::reconcile`] is due.
    ///
    /// # Errors
    /// The disk's.
    pub fn verify(&self) -> Result<Vec<String>, IndexError> {
        self.vectors.verify()
    }

    /// Waits until the vectors that came so far are sealed and built.
    pub fn settle(&self) {
        self.vectors.settle();
    }

    /// Asks for one segment of each kind's vectors, without what was removed. It is made in
    /// the background; [`CollectionIndex::is_building`] tells when it is there.
    pub fn compact(&self) {
        self.vectors.compact();
    }

    /// Stops what goes on in the background, for good; a build that is under way is given up
    /// and begins anew when the index is opened again. Searches and writes go on.
    pub fn stop_building(&self) {
        self.vectors.stop();
    }

    /// Whether vectors are being sealed or built, or about to be.
    pub fn is_building(&self) -> bool {
        self.vectors.is_busy()
    }

    /// The builds of vectors since the index was opened.
    pub fn builds(&self) -> Builds {
        self.vectors.builds()
    }

    /// The segments that the vectors of one kind lie in.
    pub fn segments(&self, kind: VectorKind) -> Vec<SegmentSize> {
        self.vectors.segments(kind)
    }

    /// Up to `count` stored vectors of one kind, taken evenly from all.
    pub fn sample(&self, kind: VectorKind, count: usize) -> Vec<Vec<f32>> {
        self.vectors.sample(kind, count)
    }

    /// What searches by vectors compared since the index was opened.
    pub fn compared(&self) -> Compared {
        self.vectors.compared()
    }

    /// How the vectors are indexed.
    pub fn vector_settings(&self) -> &VectorSettings {
        self.vectors.settings()
    }

    /// The rows that have a vector, ascending.
    pub fn vector_rows(&self) -> Vec<RowId> {
        self.vectors.rows()
    }

    /// The rows that are found by words, ascending; also those without any.
    ///
    /// # Errors
    /// Tantivy's failure to read.
    pub fn keyword_rows(&self) -> Result<Vec<RowId>, IndexError> {
        self.words.rows()
    }

    /// How many vectors of this kind there are.
    pub fn len(&self, kind: VectorKind) -> usize {
        self.vectors.len(kind)
    }

    /// How many rows there are.
    pub fn documents(&self) -> usize {
        self.words.len()
    }

    /// Whether no row is indexed at all.
    pub fn is_empty(&self) -> bool {
        self.words.len() == 0 && self.len(VectorKind::Image) == 0 && self.len(VectorKind::Text) == 0
    }

    /// Bytes of vectors in memory.
    pub fn memory_bytes(&self) -> usize {
        self.vectors.memory_bytes()
    }

    /// Sizes, for metrics and a collection's description.
    ///
    /// # Errors
    /// Tantivy's failure to measure its files.
    pub fn statistics(&self) -> Result<Statistics, IndexError> {
        let (keyword_segments, keyword_disk_bytes) = self.words.size()?;
        let segments: Vec<SegmentSize> = [VectorKind::Image, VectorKind::Text]
            .into_iter()
            .flat_map(|kind| self.segments(kind))
            .collect();
        Ok(Statistics {
            image_vectors: self.len(VectorKind::Image),
            text_vectors: self.len(VectorKind::Text),
            keyword_rows: self.words.len(),
            keyword_segments,
            vector_segments: segments.len(),
            vector_memory_bytes: self.memory_bytes(),
            vector_disk_bytes: segments.iter().map(|segment| segment.disk_bytes).sum(),
            keyword_disk_bytes,
        })
    }
}

impl State {
    /// The sequence it stands for; 0 when something is missing.
    pub fn sequence(&self) -> u64 {
        match self {
            Self::Loaded { sequence } => *sequence,
            Self::Partial { .. } | Self::Empty { .. } => 0,
        }
    }
}
