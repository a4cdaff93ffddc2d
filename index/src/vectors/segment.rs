//! A segment: vectors that stay as they are, some of them removed, and how they are found.

use std::cell::Cell;
use std::sync::Arc;

use super::files::IndexEntry;
use super::id::VectorId;
use super::live::Live;
use super::mapped::Numbers;
use super::members::Members;
use super::native::{self, Filter, Found, NativeIndex};
use super::settings::{BuiltKind, VectorSettings};
use crate::error::IndexError;
use crate::row::{RowId, Scored};
use crate::row_set::RowSet;

/// A look at this share of a segment's rows, one by one, costs less than a look at all bits.
const FEW_ROWS: usize = 16;

/// Vectors that a graph search compares for each candidate it keeps, roughly: what decides
/// whether a filtered search scans.
const COMPARED_PER_CANDIDATE: usize = 16;

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

/// A segment's answer: each row once, best first.
pub(super) struct Hits {
    pub scored: Vec<Scored>,
    /// Whether nothing that matches was overlooked.
    pub exact: bool,
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

    /// The best rows of this segment.
    pub(super) fn search(
        &self,
        wanted: &Wanted<'_>,
        settings: &VectorSettings,
    ) -> Result<Hits, IndexError> {
        if self.len() == 0 || wanted.limit == 0 {
            return Ok(Hits {
                scored: Vec::new(),
                exact: true,
            });
        }
        if let Some(within) = wanted.within
            && within.len() <= self.held() / FEW_ROWS
        {
            let positions = self.positions_within(within);
            if wanted.exact
                || self.index.is_none()
                || self.scan_is_cheaper(positions.len(), wanted.ef)
            {
                return Ok(Hits {
                    scored: self.score(wanted, &positions),
                    exact: true,
                });
            }
        }
        if let Some(index) = &self.index
            && !wanted.exact
            && let Some(scored) = self.ask(index, wanted, settings)?
        {
            return Ok(Hits {
                scored,
                exact: false,
            });
        }
        Ok(Hits {
            scored: self.scan(wanted)?,
            exact: true,
        })
    }

    /// The best rows, by comparing all that match.
    pub(super) fn scan(&self, wanted: &Wanted<'_>) -> Result<Vec<Scored>, IndexError> {
        self.distinct(wanted.limit, |count| {
            native::scan(
                self.vectors.as_slice(),
                self.dim,
                wanted.query,
                count,
                self.filter(wanted.within),
            )
        })
    }

    /// Asks the index; `None` where a scan is cheaper.
    fn ask(
        &self,
        index: &BuiltIndex,
        wanted: &Wanted<'_>,
        settings: &VectorSettings,
    ) -> Result<Option<Vec<Scored>>, IndexError> {
        let mut matching = self.matching(wanted.within);
        for _ in 0..2 {
            if self.scan_is_cheaper(matching, wanted.ef) {
                return Ok(None);
            }
            let (scored, share) = self.ask_as_if(matching, index, wanted, settings)?;
            // A filter that leaves out what lies near the query leaves less of what the search
            // comes across than of the whole: it must look further.
            let met = (f64::from(share) * self.held() as f64) as usize;
            if wanted.within.is_none() || met * UNLIKE >= matching {
                return Ok(Some(scored));
            }
            matching = met.max(1);
        }
        Ok(None)
    }

    /// Asks the index for enough if so many of its vectors may be answered; also the share
    /// that might be of those it came across.
    fn ask_as_if(
        &self,
        matching: usize,
        index: &BuiltIndex,
        wanted: &Wanted<'_>,
        settings: &VectorSettings,
    ) -> Result<(Vec<Scored>, f32), IndexError> {
        // A search keeps candidates that may not be answered too: to keep enough that may, it
        // must keep more.
        let enough = |effort: usize| effort.saturating_mul(self.held()).div_ceil(matching.max(1));
        let effort = if index.kind.is_graph() {
            enough(wanted.ef.max(wanted.limit))
        } else {
            let probed = wanted
                .nprobe
                .unwrap_or_else(|| settings.probed(index.lists));
            enough(probed).min(index.lists)
        };
        let share = Cell::new(1.0);
        let scored = self.distinct(wanted.limit, |count| {
            // Codes only choose candidates; full vectors rank them.
            let ranked = match index.kind {
                BuiltKind::Hnsw | BuiltKind::Flat => (wanted.ef / 2).max(2 * count + 16),
                BuiltKind::Sq8 => 2 * count + 16,
                BuiltKind::IvfPq => (20 * count).max(400),
            };
            let filter = self.filter(wanted.within);
            let (found, passed) =
                index
                    .native
                    .search(wanted.query, count, ranked, effort, filter)?;
            share.set(passed);
            Ok(found)
        })?;
        Ok((scored, share.get()))
    }

    /// Asks for more vectors until they belong to `limit` rows, or there are no more.
    fn distinct(
        &self,
        limit: usize,
        ask: impl Fn(usize) -> Result<Vec<Found>, IndexError>,
    ) -> Result<Vec<Scored>, IndexError> {
        let mut count = limit.saturating_mul(self.members.most_passages().min(4));
        loop {
            let found = ask(count)?;
            let more = found.len() == count && count < self.held();
            let rows = best_of_each_row(found.into_iter().map(|found| self.named(found)), limit);
            if rows.len() == limit || !more {
                return Ok(rows);
            }
            count = count.saturating_mul(4).min(self.held());
        }
    }

    fn score(&self, wanted: &Wanted<'_>, positions: &[u32]) -> Vec<Scored> {
        let scores = native::scores(self.vectors.as_slice(), self.dim, wanted.query, positions);
        let named = positions
            .iter()
            .copied()
            .zip(scores)
            .map(|found| self.named(found));
        best_of_each_row(named, wanted.limit)
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
            within: within.map(|rows| (self.members.rows(), rows)),
        }
    }

    fn positions_within(&self, within: &RowSet) -> Vec<u32> {
        within
            .iter()
            .filter(|row| self.spans(*row))
            .flat_map(|row| self.members.positions(row))
            .filter(|position| self.live.contains(*position))
            .filter_map(|position| u32::try_from(position).ok())
            .collect()
    }

    /// About how many of its vectors may be answered.
    fn matching(&self, within: Option<&RowSet>) -> usize {
        let (Some(within), Some((first, last))) = (within, self.members.span()) else {
            return self.len();
        };
        let words = within.words();
        let from = usize::try_from(first / 64)
            .unwrap_or(usize::MAX)
            .min(words.len());
        let to = usize::try_from(last / 64 + 1)
            .unwrap_or(usize::MAX)
            .min(words.len());
        let rows: usize = words[from..to]
            .iter()
            .map(|word| word.count_ones() as usize)
            .sum();
        let spanned = usize::try_from(last - first + 1).unwrap_or(usize::MAX);
        // Rows in between may be other segments'.
        (rows.saturating_mul(self.len()) / spanned).clamp(1, self.len())
    }

    /// A graph must look at `ef / s` candidates where a share `s` of them may be answered.
    fn scan_is_cheaper(&self, matching: usize, ef: usize) -> bool {
        let graph = (ef.saturating_mul(self.held()) / matching.max(1))
            .saturating_mul(COMPARED_PER_CANDIDATE);
        matching <= graph
    }
}

/// The `limit` best, each row with its best passage; best first, ties by row.
pub(super) fn best_of_each_row(
    hits: impl IntoIterator<Item = Scored>,
    limit: usize,
) -> Vec<Scored> {
    let mut hits: Vec<Scored> = hits.into_iter().collect();
    hits.sort_by(|a, b| {
        b.score
            .total_cmp(&a.score)
            .then(a.row.cmp(&b.row))
            .then(a.passage.cmp(&b.passage))
    });
    let mut seen = std::collections::HashSet::with_capacity(limit.min(hits.len()));
    hits.retain(|hit| seen.len() < limit && seen.insert(hit.row));
    hits
}
