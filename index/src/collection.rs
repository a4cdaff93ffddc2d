//! The indexes of one collection: vectors and full text are opened, written, searched and saved
//! together. The functions here only delegate.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::columns::{self, Facets, Fields, Group, Order, Ordered, SortKey};
use crate::error::IndexError;
use crate::fault::{Faults, WriteStep};
use crate::filter::{Filter, FilterCache};
use crate::fulltext::{self, FulltextIndex, FulltextWriter, KeywordHits, KeywordQuery, TextConfig};
use crate::row::{Row, RowId, Scored, VectorKind};
use crate::row_set::RowSet;
use crate::saved_state::{Inspected, Opened};
use crate::vectors::{
    Background, Builds, Compared, Nearest, SegmentSize, VectorSettings, VectorStore,
};

/// The indexes of one collection.
///
/// Threads share it: writes are serialised, and searches never wait for them.
pub struct CollectionIndex {
    pub(crate) vectors: VectorStore,
    pub(crate) fulltext: FulltextIndex,
    pub(crate) writer: Mutex<WriteState>,
    filters: FilterCache,
    pub(crate) faults: Faults,
}

/// The state of writes. Its lock serialises them.
pub(crate) struct WriteState {
    pub(crate) fulltext: FulltextWriter,
    /// The sequence of the last write.
    pub(crate) sequence: u64,
}

/// The configuration of a collection's indexes; fixed when the collection is created.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Configuration {
    /// Dimensions of every vector.
    pub dim: usize,
    /// Settings of the vector index.
    pub vectors: VectorSettings,
    /// Text analysis.
    pub text_config: TextConfig,
    /// Declared fields of the metadata.
    pub fields: Fields,
}

impl Configuration {
    /// Defaults for vectors of this dimension: an index by their number, English texts, metadata
    /// without declared fields.
    pub fn new(dim: usize) -> Self {
        Self {
            dim,
            ..Self::default()
        }
    }
}

/// Sizes of a collection's indexes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Image vectors.
    pub image_vectors: usize,
    /// Text vectors.
    pub text_vectors: usize,
    /// Rows of the full-text index.
    pub keyword_rows: usize,
    /// Segments of the full-text index.
    pub keyword_segments: usize,
    /// Segments of vectors.
    pub vector_segments: usize,
    /// Bytes of vectors in memory.
    pub vector_memory_bytes: usize,
    /// Bytes of vector files, which are mapped.
    pub vector_disk_bytes: u64,
    /// Bytes of tantivy's files, which are mapped.
    pub keyword_disk_bytes: u64,
}

impl CollectionIndex {
    /// Opens the indexes in `dir`, which must contain nothing else.
    ///
    /// An index that is missing, of another format or corrupt starts empty and is reported in
    /// [`Opened`]. Call [`CollectionIndex::reconcile`] then, and whenever a sequence differs from
    /// that of the source of truth.
    ///
    /// # Errors
    /// The folder cannot be written, or the dimension is invalid.
    pub fn open(dir: &Path, configuration: &Configuration) -> Result<(Self, Opened), IndexError> {
        let (vectors, vectors_state) = VectorStore::open(
            &dir.join("vectors"),
            configuration.dim,
            configuration.vectors,
        )?;
        let (fulltext, writer, words) = fulltext::open(
            &dir.join("words"),
            &configuration.text_config,
            configuration.fields.clone(),
        )?;
        let opened = Opened {
            vectors: vectors_state,
            words,
        };
        // The lower of the two: a save before the next write must not claim a later write.
        let sequence = opened.vectors.sequence().min(opened.words.sequence());
        let index = Self {
            vectors,
            fulltext,
            writer: Mutex::new(WriteState {
                fulltext: writer,
                sequence,
            }),
            filters: FilterCache::default(),
            faults: Faults::default(),
        };
        Ok((index, opened))
    }

    /// Reads the indexes in `dir` and verifies their checksums. Changes nothing.
    pub fn inspect(dir: &Path, configuration: &Configuration) -> Inspected {
        Inspected {
            vectors: VectorStore::inspect(&dir.join("vectors"), configuration.dim),
            words: fulltext::inspect(&dir.join("words"), &configuration.text_config),
        }
    }

    /// The segments of image and of text vectors in `dir`, if they are complete as of this sequence;
    /// for a collection that is not open. Reads one small file.
    pub fn peek(dir: &Path, dim: usize, sequence: u64) -> Option<[Vec<SegmentSize>; 2]> {
        VectorStore::peek(&dir.join("vectors"), dim, sequence)
    }

    /// Whether some of its files are missing. Searches of mapped files still work, but writes fail:
    /// it must be opened again.
    pub fn is_lost(&self) -> bool {
        self.writer.lock().fulltext.is_lost() || self.vectors.is_lost()
    }

    /// The sequence of the last write. Waits for a write in progress.
    pub fn sequence(&self) -> u64 {
        self.writer.lock().sequence
    }

    /// Permanently stops everything that writes and discards changes that are not on disk, because
    /// another instance is going to open the same folder. Searches still work.
    pub fn abandon(&self) {
        self.vectors.stop();
        self.writer.lock().fulltext.roll_back();
    }

    /// Permanently stops background work and writes everything to disk. Searches still work.
    ///
    /// # Errors
    /// The disk's. Reconciling restores missing data after the next opening.
    pub fn close(&self) -> Result<(), IndexError> {
        self.vectors.stop();
        let mut writer = self.writer.lock();
        writer.fulltext.close();
        self.vectors.save(writer.sequence)
    }

    /// Whether there are vectors on disk for [`CollectionIndex::verify`].
    pub fn has_stored_vectors(&self) -> bool {
        self.vectors.has_stored()
    }

    /// Removes rows and adds others as one write. On return it is durable in tantivy and visible to
    /// searches. A row that is already there is not added twice.
    ///
    /// # Errors
    /// An invalid vector: then nothing has changed. An error of FAISS or tantivy may leave the two
    /// different: call [`CollectionIndex::reconcile`] then.
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
            .and_then(|()| writer.fulltext.stage(remove, add))
            .and_then(|()| self.faults.reach(WriteStep::CommitWords))
            .and_then(|()| writer.fulltext.commit(sequence));
        if let Err(error) = written {
            writer.fulltext.roll_back();
            return Err(error);
        }
        writer.sequence = sequence;
        Ok(())
    }

    /// Makes the next write that reaches `step` fail there, once. [`WriteStep`] describes the state
    /// that a failure at each step leaves.
    #[cfg(feature = "fault-injection")]
    pub fn inject_fault(&self, step: WriteStep) {
        self.faults.inject(step);
    }

    /// The `limit` rows whose vectors of this kind have the largest inner product with `query`,
    /// approximately unless [`Nearest::exact`] is set, each with its best passage; best first, ties
    /// by row. Never fewer than the smaller of `limit` and the number of rows that match. Until the
    /// next write or build, the list for a smaller limit is a prefix of the list for a larger one.
    ///
    /// # Errors
    /// `query` has another dimension than the index or is not finite, or FAISS fails.
    pub fn nearest(
        &self,
        query: &[f32],
        kind: VectorKind,
        limit: usize,
        how: &Nearest<'_>,
    ) -> Result<Vec<Scored>, IndexError> {
        self.vectors.search(query, kind, limit, how)
    }

    /// A sample of the vectors of one kind, for [`Background::cosines`].
    pub fn background(&self, kind: VectorKind) -> Arc<Background> {
        self.vectors.background(kind)
    }

    /// The `limit` best rows by BM25 (Robertson and Zaragoza 2009; k1 = 1.2, b = 0.75), only of
    /// `within` if given. An empty query finds nothing.
    ///
    /// # Errors
    /// The query exceeds a limit, or tantivy fails.
    pub fn keyword(
        &self,
        query: &KeywordQuery,
        limit: usize,
        within: Option<&RowSet>,
    ) -> Result<KeywordHits, IndexError> {
        self.fulltext.search(query, limit, within)
    }

    /// The rows that a filter accepts. The result is exact and cached until the next commit, as long
    /// as the cache has room for it.
    ///
    /// # Errors
    /// Tantivy's failure to read.
    pub fn select(&self, filter: &Filter) -> Result<Arc<RowSet>, IndexError> {
        self.filters.select(&self.fulltext.searcher(), filter)
    }

    /// Whether some document has a field of the metadata at this path, or had one until its part of
    /// the index was merged.
    ///
    /// # Errors
    /// Tantivy's failure to read.
    pub fn has_field(&self, path: &str) -> Result<bool, IndexError> {
        columns::has_field(&self.fulltext.searcher(), path)
    }

    /// All rows that a keyword query matches with at least `least_score`, only of `within` if given.
    ///
    /// # Errors
    /// Tantivy's failure to read.
    pub fn matching(
        &self,
        query: &KeywordQuery,
        within: Option<&RowSet>,
        least_score: Option<f32>,
    ) -> Result<RowSet, IndexError> {
        self.fulltext.matching(query, within, least_score)
    }

    /// The rows that have a vector of one of these kinds.
    ///
    /// # Errors
    /// Tantivy's failure to read.
    pub fn with_vectors(&self, kinds: &[VectorKind]) -> Result<Arc<RowSet>, IndexError> {
        self.select(&Filter::of_vectors(kinds))
    }

    /// The most frequent values of each field among `rows`, or among all rows if `None`. Each field
    /// comes with its number of values.
    ///
    /// # Errors
    /// Tantivy's failure to read.
    pub fn facets(
        &self,
        rows: Option<&RowSet>,
        fields: &[(String, usize)],
    ) -> Result<Facets, IndexError> {
        columns::facets::facets(&self.fulltext.searcher(), rows, fields)
    }

    /// The paths of all fields of the metadata, with the number of rows that have each.
    ///
    /// # Errors
    /// Tantivy's failure to read.
    pub fn rows_by_field(&self) -> Result<HashMap<String, u64>, IndexError> {
        columns::named::documents_by_path(&self.fulltext.searcher())
    }

    /// Groups rows by their first value of a field. A row without a value is in no group.
    ///
    /// # Errors
    /// Tantivy's failure to read.
    pub fn groups(&self, rows: &RowSet, field: &str) -> Result<HashMap<RowId, Group>, IndexError> {
        columns::groups::of_rows(&self.fulltext.searcher(), rows, field)
    }

    /// All rows of these groups of a field.
    ///
    /// # Errors
    /// Tantivy's failure to read.
    pub fn rows_of_groups<'a>(
        &self,
        field: &str,
        groups: impl Iterator<Item = &'a Group> + Clone,
    ) -> Result<RowSet, IndexError> {
        columns::groups::rows_of(&self.fulltext.searcher(), field, groups)
    }

    /// The first `limit` rows in an order, only of `rows` if given, and only after `after` if given.
    ///
    /// # Errors
    /// Tantivy's failure to read.
    pub fn ordered(
        &self,
        rows: Option<&RowSet>,
        order: &Order,
        after: Option<&SortKey>,
        limit: usize,
    ) -> Result<Vec<Ordered>, IndexError> {
        columns::order::ordered(&self.fulltext.searcher(), rows, order, after, limit)
    }

    /// Writes vectors in memory to disk; the full-text index is on disk since its commit. Blocks
    /// writes but not searches. Does nothing if nothing changed since the last save.
    ///
    /// # Errors
    /// The disk's; the last save stays valid.
    pub fn save(&self) -> Result<(), IndexError> {
        let writer = self.writer.lock();
        self.vectors.save(writer.sequence)
    }

    /// Verifies every vector on disk, removes corrupt segments and returns a description of each.
    /// Call [`CollectionIndex::reconcile`] if there are any.
    ///
    /// # Errors
    /// The disk's.
    pub fn verify(&self) -> Result<Vec<String>, IndexError> {
        self.vectors.verify()
    }

    /// Waits until all present vectors are written to disk and built.
    pub fn wait_for_builds(&self) {
        self.vectors.wait_for_builds();
    }

    /// Requests one segment for each kind of vectors, without removed vectors. It is built in the
    /// background while [`CollectionIndex::is_building`] returns true.
    pub fn compact(&self) {
        self.vectors.compact();
    }

    /// Permanently stops background work. A build in progress is cancelled and starts again when the
    /// index is opened again. Searches and writes still work.
    pub fn stop_building(&self) {
        self.vectors.stop();
    }

    /// Whether vectors are being written to disk or built, or will be.
    pub fn is_building(&self) -> bool {
        self.vectors.is_busy()
    }

    /// The builds since the index was opened.
    pub fn builds(&self) -> Builds {
        self.vectors.builds()
    }

    /// The segments of the vectors of one kind.
    pub fn segments(&self, kind: VectorKind) -> Vec<SegmentSize> {
        self.vectors.segments(kind)
    }

    /// Up to `count` vectors of one kind, at even distances.
    pub fn sample(&self, kind: VectorKind, count: usize) -> Vec<Vec<f32>> {
        self.vectors.sample(kind, count)
    }

    /// Comparisons of all vector searches since the index was opened.
    pub fn compared(&self) -> Compared {
        self.vectors.compared()
    }

    /// The settings of the vector index.
    pub fn vector_settings(&self) -> &VectorSettings {
        self.vectors.settings()
    }

    /// The rows that have a vector, ascending.
    pub fn vector_rows(&self) -> Vec<RowId> {
        self.vectors.rows()
    }

    /// The rows of the full-text index, ascending, including rows without text.
    ///
    /// # Errors
    /// Tantivy's failure to read.
    pub fn keyword_rows(&self) -> Result<Vec<RowId>, IndexError> {
        self.fulltext.rows()
    }

    /// Number of vectors of this kind.
    pub fn len(&self, kind: VectorKind) -> usize {
        self.vectors.len(kind)
    }

    /// Number of rows.
    pub fn documents(&self) -> usize {
        self.fulltext.len()
    }

    /// Whether no row is indexed.
    pub fn is_empty(&self) -> bool {
        self.fulltext.len() == 0
            && self.len(VectorKind::Image) == 0
            && self.len(VectorKind::Text) == 0
    }

    /// Bytes of vectors in memory.
    pub fn memory_bytes(&self) -> usize {
        self.vectors.memory_bytes()
    }

    /// Sizes of the indexes.
    ///
    /// # Errors
    /// Tantivy's failure to measure its files.
    pub fn statistics(&self) -> Result<Statistics, IndexError> {
        let (keyword_segments, keyword_disk_bytes) = self.fulltext.size()?;
        let segments: Vec<SegmentSize> = [VectorKind::Image, VectorKind::Text]
            .into_iter()
            .flat_map(|kind| self.segments(kind))
            .collect();
        Ok(Statistics {
            image_vectors: self.len(VectorKind::Image),
            text_vectors: self.len(VectorKind::Text),
            keyword_rows: self.fulltext.len(),
            keyword_segments,
            vector_segments: segments.len(),
            vector_memory_bytes: self.memory_bytes(),
            vector_disk_bytes: segments.iter().map(|segment| segment.disk_bytes).sum(),
            keyword_disk_bytes,
        })
    }
}
