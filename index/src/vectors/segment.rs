//! A segment: vectors that stay as they are, some of them removed, and how they are found.
//!
//! A segment answers a query with one list, whatever is wanted of it: the list for a smaller
//! limit is the beginning of that for a larger one. Where there is an approximate index, its
//! beginning comes from there, stretch by stretch ([`super::cost`]), and the rest from a scan.

use std::sync::{Arc, OnceLock};

use super::cost::{self, Cost};
use super::files::IndexEntry;
use super::id::VectorId;
use super::live::Live;
use super::mapped::Numbers;
use super::members::Members;
use super::native::{self, Compared, Filter, Found, NativeIndex, Stretch};
use super::settings::{BuiltKind, VectorSettings};
use crate::error::IndexError;
use crate::row::{RowId, Scored};
use crate::row_set::RowSet;

/// A filter is unlike the query's surroundings if it lets pass less than this part of what it
/// should.
const UNLIKE: usize = 2;

/// What a search wants of each segment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted<'a> {
    pub query: &'a [f32],
    pub limit: usize,
    pub within: Option<&'a RowSet>,
    pub exact: bool,
    pub ef: usize,
    pub nprobe: Option<usize>,
}

pub(super) struct Segment {
    dim: usize,
    pub(super) vectors: Arc<Numbers>,
    pub(super) members: Arc<Members>,
    pub(super) live: Arc<Live>,
    /// None: it is scanned.
    pub(super) index: Option<BuiltIndex>,
    /// Its number on disk, unless it is in memory alone.
    pub(super) number: Option<u64>,
}

/// An approximate index and what it is.
pub(super) struct BuiltIndex {
    pub native: NativeIndex,
    pub kind: BuiltKind,
    /// Of an inverted file.
    pub lists: usize,
    /// What a step of a walk compares, once it was tried.
    compared_per_step: OnceLock<f64>,
    /// Bytes on disk: those of a graph are mapped, an inverted file is read into memory.
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
    /// In memory, of ids in their order.
    pub(super) fn growing(dim: usize, vectors: &[(VectorId, &[f32])]) -> Self {
        let mut ordered: Vec<_> = vectors.iter().collect();
        ordered.sort_by_key(|(id, _)| *id);
        let numbers = ordered
            .iter()
            .flat_map(|(_, vector)| vector.iter().copied());
        let mut copied = Vec::with_capacity(vectors.len() * dim);
        copied.extend(numbers);
        Self {
            dim,
            vectors: Arc::new(Numbers::Owned(copied)),
            members: Arc::new(Members::of(ordered.iter().map(|(id, _)| *id))),
            live: Arc::new(Live::all(vectors.len())),
            index: None,
            number: None,
        }
    }

    /// What of `parts` is live, as one segment in memory.
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
        vectors: Arc<Numbers>,
        members: Members,
        live: Live,
        index: Option<BuiltIndex>,
    ) -> Self {
        if index.is_some() {
            vectors.read_at_random();
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

    /// The same vectors and removals, searched by `index`.
    pub(super) fn with_index(&self, index: BuiltIndex) -> Self {
        self.vectors.read_at_random();
        Self {
            dim: self.dim,
            vectors: Arc::clone(&self.vectors),
            members: Arc::clone(&self.members),
            live: Arc::clone(&self.live),
            index: Some(index),
            number: self.number,
        }
    }

    /// Vectors that can be found.
    pub(super) fn len(&self) -> usize {
        self.live.len()
    }

    /// Vectors that it holds, removed ones too.
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

    /// Whether `row` has a live vector here.
    pub(super) fn contains(&self, row: RowId) -> bool {
        self.spans(row) && self.members.positions(row).any(|at| self.live.contains(at))
    }

    /// Removes all vectors of `row`; whether there were any.
    pub(super) fn remove(&self, row: RowId) -> bool {
        let mut any = false;
        if self.spans(row) {
            for position in self.members.positions(row) {
                any |= self.live.kill(position);
            }
        }
        any
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
        // A row, its passage and its bits.
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

    /// The first `limit` rows of this segment's list, each once.
    pub(super) fn search(
        &self,
        wanted: &Wanted<'_>,
        settings: &VectorSettings,
        compared: &mut Compared,
    ) -> Result<Vec<Scored>, IndexError> {
        if self.len() == 0 || wanted.limit == 0 {
            return Ok(Vec::new());
        }
        // Several vectors may belong to one row.
        let mut count = wanted
            .limit
            .saturating_mul(self.members.most_passages().min(4));
        loop {
            let found = self.list(wanted, count, settings, compared)?;
            let more = found.len() == count && count < self.held();
            let mut seen = std::collections::HashSet::with_capacity(wanted.limit.min(found.len()));
            let rows: Vec<Scored> = found
                .into_iter()
                .map(|found| self.named(found))
                .filter(|hit| seen.insert(hit.row))
                .take(wanted.limit)
                .collect();
            if rows.len() == wanted.limit || !more {
                return Ok(rows);
            }
            count = count.saturating_mul(4).min(self.held());
        }
    }

    /// The first `count` vectors of the list; fewer where no more match.
    fn list(
        &self,
        wanted: &Wanted<'_>,
        count: usize,
        settings: &VectorSettings,
        compared: &mut Compared,
    ) -> Result<Vec<Found>, IndexError> {
        let mut found = match &self.index {
            Some(index) if !wanted.exact && index.kind.is_graph() => {
                self.walk(index, wanted, count, compared)?
            }
            Some(index) if !wanted.exact => self.probe(index, wanted, count, settings, compared)?,
            _ => Vec::new(),
        };
        found.truncate(count);
        if found.len() < count {
            let rest = self.scan(wanted, count - found.len(), &found, compared)?;
            found.extend(rest);
        }
        Ok(found)
    }

    fn walk(
        &self,
        index: &BuiltIndex,
        wanted: &Wanted<'_>,
        count: usize,
        compared: &mut Compared,
    ) -> Result<Vec<Found>, IndexError> {
        let mut cost = self.cost(wanted.within);
        cost.compared_per_step = match index.compared_per_step.get() {
            Some(known) => *known,
            None => {
                let tried = self.try_walks(index)?;
                *index.compared_per_step.get_or_init(|| tried)
            }
        };
        let stretches = cost::stretches(index.kind, wanted.ef, &cost, count);
        if stretches.is_empty() {
            return Ok(Vec::new());
        }
        let filter = self.filter(wanted.within);
        index
            .native
            .walk(wanted.query, &stretches, cost.budget(), filter, compared)
    }

    /// What a step costs in walks to some of the segment's own vectors: always the same number,
    /// on which it may depend how a list is found.
    fn try_walks(&self, index: &BuiltIndex) -> Result<f64, IndexError> {
        let ef = cost::TRIAL_EF.min(self.held().div_ceil(4));
        let trial = Stretch {
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
            let query = self.vector(walk * self.held() / cost::TRIAL_WALKS);
            index
                .native
                .walk(query, &[trial], usize::MAX, all, &mut compared)?;
        }
        Ok(compared.walked as f64 / (cost::TRIAL_WALKS * ef) as f64)
    }

    /// What the lists of an inverted file propose, more of them for each stretch.
    fn probe(
        &self,
        index: &BuiltIndex,
        wanted: &Wanted<'_>,
        count: usize,
        settings: &VectorSettings,
        compared: &mut Compared,
    ) -> Result<Vec<Found>, IndexError> {
        let usual = wanted
            .nprobe
            .unwrap_or_else(|| settings.probed(index.lists));
        let filter = self.filter(wanted.within);
        let mut cost = self.cost(wanted.within);
        let mut list: Vec<Found> = Vec::new();
        for depth in cost::probed_depths() {
            let ranked = cost::ranked_of_lists(depth);
            let mut tries = 0;
            let found = loop {
                let probed = cost.probed(usual, depth, index.lists);
                if tries == 3 || cost.prefers_scan_to_probing(probed, index.lists, ranked) {
                    return Ok(list);
                }
                tries += 1;
                let (found, share) =
                    index
                        .native
                        .probe(wanted.query, depth, ranked, probed, filter, compared)?;
                // A filter that leaves out what lies near the query leaves less of what the
                // search comes across than of the whole: it must look further.
                let met = (f64::from(share) * self.held() as f64) as usize;
                if wanted.within.is_none() || met * UNLIKE >= cost.matching {
                    break found;
                }
                cost.matching = met.max(1);
            };
            let listed = sorted(&list);
            let new = found
                .into_iter()
                .filter(|(position, _)| listed.binary_search(position).is_err());
            list.extend(new.take(depth - listed.len()));
            if list.len() < depth || depth >= count {
                break;
            }
        }
        Ok(list)
    }

    /// The best `count` of those that match and are not `listed`: by a graph's codes, unless the
    /// search is to be exact, else by the full vectors.
    fn scan(
        &self,
        wanted: &Wanted<'_>,
        count: usize,
        listed: &[Found],
        compared: &mut Compared,
    ) -> Result<Vec<Found>, IndexError> {
        let coded = self
            .index
            .as_ref()
            .filter(|index| index.native.codes().is_some() && !wanted.exact);
        let vectors = self.vectors.as_slice();
        if coded.is_none() && wanted.within.is_none() && listed.is_empty() {
            compared.vectors += self.len();
            let filter = self.filter(None);
            return native::scan(vectors, self.dim, wanted.query, count, filter);
        }
        let positions = self.matching_positions(wanted.within, listed);
        let rows = self.members.rows();
        if let Some(index) = coded {
            return index
                .native
                .scan_codes(wanted.query, &positions, count, rows, compared);
        }
        compared.vectors += positions.len();
        native::scan_some(vectors, self.dim, wanted.query, &positions, count, rows)
    }

    fn matching_positions(&self, within: Option<&RowSet>, listed: &[Found]) -> Vec<u32> {
        let mut positions = match within {
            Some(within) => self.members.positions_within(within),
            None => (0..).take(self.held()).collect(),
        };
        if self.live.dead() > 0 {
            positions.retain(|position| self.live.contains(*position as usize));
        }
        if !listed.is_empty() {
            let listed = sorted(listed);
            positions.retain(|position| listed.binary_search(position).is_err());
        }
        positions
    }

    fn named(&self, (position, score): Found) -> Scored {
        let id = self.members.id(position as usize);
        Scored {
            row: id.row,
            score,
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

    /// About how many of its vectors may be answered.
    fn matching(&self, within: Option<&RowSet>) -> usize {
        let (Some(within), Some((first, last))) = (within, self.members.span()) else {
            return self.len();
        };
        let rows = within.about_between(first, last);
        let spanned = usize::try_from(last - first + 1).unwrap_or(usize::MAX);
        // Rows in between may be other segments'.
        (rows.saturating_mul(self.len()) / spanned).clamp(1, self.len())
    }
}

fn sorted(found: &[Found]) -> Vec<u32> {
    let mut positions: Vec<u32> = found.iter().map(|(position, _)| *position).collect();
    positions.sort_unstable();
    positions
}
