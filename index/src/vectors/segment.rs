//! A segment: immutable vectors, some of them removed, with an optional index.
//!
//! A search returns one list of hits: the list for a smaller limit is a prefix of the list for a
//! larger one. Its beginning comes from the approximate index, stage by stage ([`super::cost`]),
//! and the rest from a scan.

use std::sync::{Arc, OnceLock};

use super::cost::{self, Cost};
use super::entry::IndexEntry;
use super::f32_buffer::F32Buffer;
use super::id::VectorId;
use super::live::Live;
use super::members::Members;
use super::native::{self, Compared, Filter, Hit, NativeIndex, ProbeDepth, Stage};
use super::settings::{BuiltKind, VectorSettings};
use crate::error::IndexError;
use crate::row::{RowId, Scored};
use crate::row_set::RowSet;

/// A filter is anticorrelated with the query if less than one in this many of the expected matches
/// are near the query.
const ANTICORRELATED: usize = 2;

/// A segment is sparse if its row numbers span more than this many rows for each vector. The share
/// of the matching rows in that range then says little about the share of the matching vectors.
const SPARSE: usize = 4;

/// Vectors of a sparse segment that are looked up in the filter to estimate its matches.
const SAMPLED: usize = 2048;

/// A search as each segment receives it.
#[derive(Debug, Clone, Copy)]
pub(super) struct SegmentQuery<'a> {
    pub vector: &'a [f32],
    pub limit: usize,
    pub within: Option<&'a RowSet>,
    pub exact: bool,
    pub ef: usize,
    pub nprobe: Option<usize>,
}

pub(super) struct Segment {
    dim: usize,
    pub(super) vectors: Arc<F32Buffer>,
    pub(super) members: Arc<Members>,
    pub(super) live: Arc<Live>,
    /// `None` if the segment is scanned.
    pub(super) index: Option<BuiltIndex>,
    /// Its number on disk; `None` if it is in memory.
    pub(super) number: Option<u64>,
}

/// An approximate index with its parameters.
pub(super) struct BuiltIndex {
    pub native: NativeIndex,
    pub kind: BuiltKind,
    /// Lists of an inverted file, otherwise 0.
    pub lists: usize,
    /// Codes that a step of a traversal compares, once it was measured.
    compared_per_step: OnceLock<f64>,
    /// Bytes on disk. A graph is mapped, an inverted file is read into memory.
    pub bytes: u64,
}

impl BuiltIndex {
    pub(super) fn new(native: NativeIndex, entry: &IndexEntry) -> Self {
        let codes = native.codes().map_or(0, |codes| codes.as_bytes().len());
        Self {
            kind: entry.kind,
            lists: entry.lists,
            bytes: entry.bytes + codes as u64,
            compared_per_step: OnceLock::new(),
            native,
        }
    }
}

impl Segment {
    /// A segment in memory, sorted by id.
    pub(super) fn growing(dim: usize, vectors: &[(VectorId, &[f32])]) -> Self {
        let mut ordered: Vec<_> = vectors.iter().collect();
        ordered.sort_by_key(|(id, _)| *id);
        let mut copied = Vec::with_capacity(vectors.len() * dim);
        for (_, vector) in &ordered {
            copied.extend_from_slice(vector);
        }
        Self {
            dim,
            vectors: Arc::new(F32Buffer::Owned(copied)),
            members: Arc::new(Members::of(ordered.iter().map(|(id, _)| *id))),
            live: Arc::new(Live::all(vectors.len())),
            index: None,
            number: None,
        }
    }

    /// The live vectors of `parts` as one segment in memory.
    pub(super) fn joined(dim: usize, parts: &[Arc<Self>]) -> Self {
        let vectors: Vec<(VectorId, &[f32])> = parts
            .iter()
            .flat_map(|part| {
                part.live_positions()
                    .map(|at| (part.members.id(at), part.vector(at)))
            })
            .collect();
        Self::growing(dim, &vectors)
    }

    pub(super) fn stored(
        dim: usize,
        number: u64,
        vectors: Arc<F32Buffer>,
        members: Members,
        live: Live,
        index: Option<BuiltIndex>,
    ) -> Self {
        if index.is_some() {
            vectors.expect_random_reads();
        }
        Self {
            dim,
            vectors,
            members: Arc::new(members),
            live: Arc::new(live),
            index,
            number: Some(number),
        }
    }

    /// The same vectors and removals with an index.
    pub(super) fn with_index(&self, index: BuiltIndex) -> Self {
        self.vectors.expect_random_reads();
        Self {
            dim: self.dim,
            vectors: Arc::clone(&self.vectors),
            members: Arc::clone(&self.members),
            live: Arc::clone(&self.live),
            index: Some(index),
            number: self.number,
        }
    }

    /// Number of live vectors.
    pub(super) fn len(&self) -> usize {
        self.live.len()
    }

    /// Number of vectors, including removed ones.
    pub(super) fn held(&self) -> usize {
        self.members.len()
    }

    pub(super) fn kind(&self) -> BuiltKind {
        self.index
            .as_ref()
            .map_or(BuiltKind::Flat, |index| index.kind)
    }

    pub(super) fn vector(&self, position: usize) -> &[f32] {
        &self.vectors.as_slice()[position * self.dim..(position + 1) * self.dim]
    }

    pub(super) fn live_positions(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.held()).filter(|position| self.live.contains(*position))
    }

    /// Whether `row` has a live vector.
    pub(super) fn contains(&self, row: RowId) -> bool {
        self.spans(row) && self.members.positions(row).any(|at| self.live.contains(at))
    }

    /// Removes all vectors of `row`.
    pub(super) fn remove_row(&self, row: RowId) {
        if self.spans(row) {
            for position in self.members.positions(row) {
                self.live.remove(position);
            }
        }
    }

    fn spans(&self, row: RowId) -> bool {
        self.members
            .span()
            .is_some_and(|(first, last)| (first..=last).contains(&row.0))
    }

    pub(super) fn memory_bytes(&self) -> usize {
        let lists = match &self.index {
            Some(index) if index.kind == BuiltKind::IvfPq => index.bytes as usize,
            _ => 0,
        };
        // Rows and passages.
        let rows = self.held() * (size_of::<u64>() + size_of::<u16>());
        self.vectors.memory_bytes() + lists + rows
    }

    /// Bytes of its files.
    pub(super) fn disk_bytes(&self) -> u64 {
        if self.number.is_none() {
            return 0;
        }
        let full = size_of_val(self.vectors.as_slice()) as u64;
        full + self.index.as_ref().map_or(0, |index| index.bytes)
    }

    /// The first rows of this segment's list of hits, each once.
    pub(super) fn search(
        &self,
        query: &SegmentQuery<'_>,
        settings: &VectorSettings,
        compared: &mut Compared,
    ) -> Result<Vec<Scored>, IndexError> {
        if self.len() == 0 || query.limit == 0 {
            return Ok(Vec::new());
        }
        // Several vectors may belong to one row.
        let mut count = query
            .limit
            .saturating_mul(self.members.most_passages().min(4));
        loop {
            let found = self.list(query, count, settings, compared)?;
            let more = found.len() == count && count < self.held();
            let mut seen = std::collections::HashSet::with_capacity(query.limit.min(found.len()));
            let rows: Vec<Scored> = found
                .into_iter()
                .map(|found| self.scored(found))
                .filter(|hit| seen.insert(hit.row))
                .take(query.limit)
                .collect();
            if rows.len() == query.limit || !more {
                return Ok(rows);
            }
            count = count.saturating_mul(4).min(self.held());
        }
    }

    /// The first `count` hits of the list; fewer if no more vectors match.
    fn list(
        &self,
        query: &SegmentQuery<'_>,
        count: usize,
        settings: &VectorSettings,
        compared: &mut Compared,
    ) -> Result<Vec<Hit>, IndexError> {
        let mut found = match &self.index {
            Some(index) if !query.exact && index.kind.is_graph() => {
                self.walk(index, query, count, compared)?
            }
            Some(index) if !query.exact => self.probe(index, query, count, settings, compared)?,
            _ => Vec::new(),
        };
        found.truncate(count);
        if found.len() < count {
            let rest = self.scan(query, count - found.len(), &found, compared)?;
            found.extend(rest);
        }
        Ok(found)
    }

    fn walk(
        &self,
        index: &BuiltIndex,
        query: &SegmentQuery<'_>,
        count: usize,
        compared: &mut Compared,
    ) -> Result<Vec<Hit>, IndexError> {
        let mut cost = self.cost(query.within);
        cost.compared_per_step = match index.compared_per_step.get() {
            Some(known) => *known,
            None => {
                let tried = self.try_walks(index)?;
                *index.compared_per_step.get_or_init(|| tried)
            }
        };
        let stages = cost::stages(index.kind, query.ef, &cost, count);
        if stages.is_empty() {
            return Ok(Vec::new());
        }
        let filter = self.filter(query.within);
        index
            .native
            .walk(query.vector, &stages, cost.budget(), filter, compared)
    }

    /// Measures the cost of a step in traversals to some of the segment's own vectors. The result
    /// is deterministic, since the stages of a search depend on it.
    fn try_walks(&self, index: &BuiltIndex) -> Result<f64, IndexError> {
        let ef = cost::TRIAL_EF.min(self.held().div_ceil(4));
        let trial = Stage {
            ef,
            ranked: 0,
            depth: 0,
        };
        let mut compared = Compared::default();
        let all = Filter {
            live: None,
            ..self.filter(None)
        };
        for walk in 0..cost::TRIAL_WALKS {
            let vector = self.vector(walk * self.held() / cost::TRIAL_WALKS);
            index
                .native
                .walk(vector, &[trial], usize::MAX, all, &mut compared)?;
        }
        Ok(compared.walked as f64 / (cost::TRIAL_WALKS * ef) as f64)
    }

    /// Hits of an inverted file; each stage reads more lists.
    fn probe(
        &self,
        index: &BuiltIndex,
        query: &SegmentQuery<'_>,
        count: usize,
        settings: &VectorSettings,
        compared: &mut Compared,
    ) -> Result<Vec<Hit>, IndexError> {
        let usual = query.nprobe.unwrap_or_else(|| settings.probed(index.lists));
        let filter = self.filter(query.within);
        let mut cost = self.cost(query.within);
        let mut list: Vec<Hit> = Vec::new();
        for depth in cost::probed_depths() {
            let ranked = cost::ranked_of_lists(depth);
            let mut tries = 0;
            let found = loop {
                let probed = cost.probed(usual, depth, index.lists);
                if tries == 3 || cost.prefers_scan_to_probing(probed, index.lists, ranked) {
                    return Ok(list);
                }
                tries += 1;
                let probe = ProbeDepth {
                    wanted: depth,
                    ranked,
                    probed,
                };
                let native = &index.native;
                let (found, share) = native.probe(query.vector, probe, filter, compared)?;
                // If the filter rejects the vectors near the query, fewer of the compared vectors
                // match than of the segment, and the search must read more lists.
                let met = (f64::from(share) * self.held() as f64) as usize;
                if query.within.is_none() || met * ANTICORRELATED >= cost.matching {
                    break found;
                }
                cost.matching = met.max(1);
            };
            let listed = sorted(&list);
            let new = found
                .into_iter()
                .filter(|hit| listed.binary_search(&hit.position).is_err());
            list.extend(new.take(depth - listed.len()));
            if list.len() < depth || depth >= count {
                break;
            }
        }
        Ok(list)
    }

    /// The best `count` matching vectors that are not `listed`: by a graph's codes, or by full
    /// vectors for an exact search and without codes.
    fn scan(
        &self,
        query: &SegmentQuery<'_>,
        count: usize,
        listed: &[Hit],
        compared: &mut Compared,
    ) -> Result<Vec<Hit>, IndexError> {
        let coded = self
            .index
            .as_ref()
            .filter(|index| index.native.codes().is_some() && !query.exact);
        let vectors = &self.vectors;
        if coded.is_none() && query.within.is_none() && listed.is_empty() {
            compared.vectors += self.len();
            let filter = self.filter(None);
            return native::scan(vectors, self.dim, query.vector, count, filter);
        }
        let positions = self.matching_positions(query.within, listed);
        let rows = self.members.rows();
        if let Some(index) = coded {
            return index
                .native
                .scan_codes(query.vector, &positions, count, rows, compared);
        }
        compared.vectors += positions.len();
        native::scan_positions(vectors, self.dim, query.vector, &positions, count, rows)
    }

    fn matching_positions(&self, within: Option<&RowSet>, listed: &[Hit]) -> Vec<u32> {
        let mut positions = match within {
            Some(within) => self.members.positions_within(within),
            None => (0..).take(self.held()).collect(),
        };
        if self.live.removed() > 0 {
            positions.retain(|position| self.live.contains(*position as usize));
        }
        if !listed.is_empty() {
            let listed = sorted(listed);
            positions.retain(|position| listed.binary_search(position).is_err());
        }
        positions
    }

    fn scored(&self, hit: Hit) -> Scored {
        let id = self.members.id(hit.position as usize);
        Scored {
            row: id.row,
            score: hit.score,
            passage: id.passage,
        }
    }

    fn filter<'a>(&'a self, within: Option<&'a RowSet>) -> Filter<'a> {
        Filter {
            live: self.live.bits(),
            rows: self.members.rows(),
            within,
        }
    }

    fn cost(&self, within: Option<&RowSet>) -> Cost {
        let codes = self.index.as_ref().and_then(|index| index.native.codes());
        Cost {
            held: self.held(),
            matching: self.matching(within),
            coded: codes.is_some(),
            filtered: within.is_some(),
            compared_per_step: 0.0,
        }
    }

    /// Estimates how many of the segment's vectors may be returned.
    fn matching(&self, within: Option<&RowSet>) -> usize {
        let (Some(within), Some((first, last))) = (within, self.members.span()) else {
            return self.len();
        };
        let rows = within.count_between(first, last);
        let spanned = usize::try_from(last - first).map_or(usize::MAX, |gap| gap.saturating_add(1));
        let estimate = if spanned / SPARSE < self.held() {
            // Rows in between may belong to other segments.
            rows.saturating_mul(self.len()) / spanned
        } else {
            // Most of the row numbers in between are of replaced documents.
            let step = (self.held() / SAMPLED).max(1);
            let sample = self.members.rows().iter().step_by(step);
            let sampled = sample.len();
            let found = sample.filter(|row| within.contains(RowId(**row))).count();
            let most = rows.saturating_mul(self.members.most_passages());
            (found * self.len() / sampled).min(most)
        };
        estimate.clamp(1, self.len())
    }
}

fn sorted(found: &[Hit]) -> Vec<u32> {
    let mut positions: Vec<u32> = found.iter().map(|hit| hit.position).collect();
    positions.sort_unstable();
    positions
}
