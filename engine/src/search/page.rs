//! The page that a search asks for: of ranked hits or of hits in the order of fields, grouped or
//! not.

use std::collections::HashMap;
use std::mem;

use clipdb_index::fusion::Fused;
use clipdb_index::{CollectionIndex, Filter, Ordered, RowId, RowSet, SortKey};

use crate::error::EngineError;
use crate::search::grouping::Groups;
use crate::search::paging::{Candidate, HitSource, PageStart, read_page};
use crate::search::query::{Mode, Query};
use crate::search::ranking::{CANDIDATES, Ranker, Ranking};
use crate::search::timings::SearchTimings;
use crate::search::view::Cursor;

/// The most hits that are read at a time to find groups; of fused lists no more at all.
const DEEPEST: usize = 64 * CANDIDATES;

/// Hits that writes may have put before a cursor's page until it is looked for further down.
const SLACK: usize = 100;

pub(crate) struct Page {
    pub(crate) hits: Vec<Candidate>,
    /// Where the next page starts, if there is one.
    pub(crate) next: Option<Cursor>,
    pub(crate) ranking: Ranking,
}

pub(crate) fn find(
    index: &CollectionIndex,
    ranker: &Ranker<'_>,
    query: &Query,
    timings: &mut SearchTimings,
) -> Result<Page, EngineError> {
    if query.mode == Mode::Browse || !query.view.order.is_empty() {
        find_ordered(index, ranker, query, timings)
    } else {
        find_ranked(index, ranker, query, timings)
    }
}

fn find_ranked(
    index: &CollectionIndex,
    ranker: &Ranker<'_>,
    query: &Query,
    timings: &mut SearchTimings,
) -> Result<Page, EngineError> {
    let (passed, start) = match &query.view.cursor {
        None => (query.offset, PageStart::Offset(query.offset)),
        Some(Cursor::Ranked(cursor)) => {
            let scores = ranker.scores();
            (
                cursor.seen + SLACK,
                PageStart::AfterRanked { cursor, scores },
            )
        }
        Some(Cursor::Ordered(_)) => return Err(foreign_cursor()),
    };
    let (hits, next, ranking);
    if let Some(by) = &query.view.group_by {
        let groups = Groups::new(index, by);
        let mut source = GroupedByScore::read(ranker, groups, timings)?;
        (hits, next) = read_page(&mut source, &start, query.limit)?;
        ranking = source.ranking;
    } else {
        let mut source = ByScore::read(ranker, passed + query.limit + 1, timings)?;
        (hits, next) = read_page(&mut source, &start, query.limit)?;
        ranking = source.ranking;
    }
    Ok(Page {
        hits,
        next,
        ranking,
    })
}

/// Everything that counts, scored or not, in the order of fields.
fn find_ordered(
    index: &CollectionIndex,
    ranker: &Ranker<'_>,
    query: &Query,
    timings: &mut SearchTimings,
) -> Result<Page, EngineError> {
    let order = &query.view.order;
    let after = match &query.view.cursor {
        None => None,
        Some(Cursor::Ordered(place)) if order.knows(place) => Some(place),
        Some(_) => return Err(foreign_cursor()),
    };
    let ranking = ranker.rank(0, timings)?;
    let rows = OrderedRows {
        index,
        query,
        counted: ranking.counted.rows.as_deref(),
        scores: if ranker.has_fixed_depth() {
            let fused = ranking.fused.iter();
            fused.map(|fused| (fused.row, fused)).collect()
        } else {
            HashMap::new()
        },
    };
    let (hits, next) = if let Some(by) = &query.view.group_by {
        // Groups start at the first hit, whichever page is asked for.
        let start = match after {
            None => PageStart::Offset(query.offset),
            Some(place) => PageStart::AfterPlace { place, order },
        };
        let mut source = GroupedByFields::read(rows, Groups::new(index, by))?;
        read_page(&mut source, &start, query.limit)?
    } else {
        let start = PageStart::Offset(query.offset);
        let wanted = query.offset + query.limit + 1;
        let mut source = ByFields(rows.read(None, after, wanted)?);
        read_page(&mut source, &start, query.limit)?
    };
    Ok(Page {
        hits,
        next,
        ranking,
    })
}

/// Ranked hits; lists are read twice as deep each time.
struct ByScore<'a> {
    ranker: &'a Ranker<'a>,
    timings: &'a mut SearchTimings,
    wanted: usize,
    ranking: Ranking,
    hits: Vec<Candidate>,
}

impl<'a> ByScore<'a> {
    fn read(
        ranker: &'a Ranker<'a>,
        wanted: usize,
        timings: &'a mut SearchTimings,
    ) -> Result<Self, EngineError> {
        let mut ranking = ranker.rank(wanted, timings)?;
        Ok(Self {
            hits: take_ranked(&mut ranking),
            ranker,
            timings,
            wanted,
            ranking,
        })
    }
}

impl HitSource for ByScore<'_> {
    fn hits(&self) -> &[Candidate] {
        &self.hits
    }

    fn read_more(&mut self) -> Result<bool, EngineError> {
        if !self.ranking.more {
            return Ok(false);
        }
        self.wanted *= 2;
        self.ranking = self.ranker.rank(self.wanted, self.timings)?;
        self.hits = take_ranked(&mut self.ranking);
        Ok(true)
    }

    fn take_hits(&mut self) -> Vec<Candidate> {
        mem::take(&mut self.hits)
    }
}

/// Ranked hits in groups. Where one list is read, what was seen and what full groups hold is left
/// out of the next read; the ranks of fused lists would change by that, so these are read again,
/// deeper.
struct GroupedByScore<'a> {
    ranker: &'a Ranker<'a>,
    timings: &'a mut SearchTimings,
    depth: usize,
    ranking: Ranking,
    groups: Groups<'a, CollectionIndex>,
}

impl<'a> GroupedByScore<'a> {
    fn read(
        ranker: &'a Ranker<'a>,
        mut groups: Groups<'a, CollectionIndex>,
        timings: &'a mut SearchTimings,
    ) -> Result<Self, EngineError> {
        // The same depth for every page: where one list ends, the next read begins.
        let depth = CANDIDATES;
        let mut ranking = ranker.rank(depth, timings)?;
        groups.extend(take_ranked(&mut ranking))?;
        Ok(Self {
            ranker,
            timings,
            depth,
            ranking,
            groups,
        })
    }
}

impl HitSource for GroupedByScore<'_> {
    fn hits(&self) -> &[Candidate] {
        &self.groups.kept
    }

    fn read_more(&mut self) -> Result<bool, EngineError> {
        if !self.ranking.more {
            return Ok(false);
        }
        let others = self.groups.seen_or_full()?;
        let counted = self.ranking.counted.rows.as_ref();
        if counted.is_some_and(|rows| rows.iter().all(|row| others.contains(row))) {
            return Ok(false);
        }
        if self.ranker.is_one_list() {
            self.depth = DEEPEST.min(2 * self.depth);
            self.ranker
                .rank_others(&others, self.depth, &mut self.ranking, self.timings)?;
        } else if self.depth < DEEPEST {
            self.depth *= 2;
            self.ranking = self.ranker.rank(self.depth, self.timings)?;
            self.groups.clear();
        } else {
            return Ok(false);
        }
        self.groups.extend(take_ranked(&mut self.ranking))?;
        Ok(true)
    }

    fn take_hits(&mut self) -> Vec<Candidate> {
        mem::take(&mut self.groups.kept)
    }
}

fn take_ranked(ranking: &mut Ranking) -> Vec<Candidate> {
    let ranked = mem::take(&mut ranking.fused).into_iter();
    ranked
        .map(|fused| Candidate {
            row: fused.row,
            score: Some(fused.score),
            parts: fused.parts,
            group: None,
            distance_m: None,
            place: None,
        })
        .collect()
}

/// The rows that count, in the order of fields.
struct OrderedRows<'a> {
    index: &'a CollectionIndex,
    query: &'a Query,
    /// `None`: all.
    counted: Option<&'a RowSet>,
    scores: HashMap<RowId, &'a Fused>,
}

impl OrderedRows<'_> {
    /// The first `wanted` of `within`, or of all that count, after a place.
    fn read(
        &self,
        within: Option<&RowSet>,
        after: Option<&SortKey>,
        wanted: usize,
    ) -> Result<Vec<Candidate>, EngineError> {
        let rows = within.or(self.counted);
        let order = &self.query.view.order;
        let ordered = self.index.ordered(rows, order, after, wanted)?;
        Ok(ordered.into_iter().map(|one| self.candidate(one)).collect())
    }

    fn candidate(&self, ordered: Ordered) -> Candidate {
        let fused = self.scores.get(&ordered.row);
        Candidate {
            row: ordered.row,
            score: fused.map(|fused| fused.score),
            parts: fused.map_or_else(Vec::new, |fused| fused.parts.clone()),
            group: None,
            distance_m: ordered.key.distance_m(),
            place: Some(ordered.key),
        }
    }

    fn all(&self) -> Result<RowSet, EngineError> {
        Ok(match self.counted {
            Some(rows) => rows.clone(),
            None => RowSet::clone(&*self.index.select(&Filter::all())?),
        })
    }
}

/// Hits in the order of fields, all of the page in one read.
struct ByFields(Vec<Candidate>);

impl HitSource for ByFields {
    fn hits(&self) -> &[Candidate] {
        &self.0
    }

    fn read_more(&mut self) -> Result<bool, EngineError> {
        Ok(false)
    }

    fn take_hits(&mut self) -> Vec<Candidate> {
        mem::take(&mut self.0)
    }
}

/// The same in groups; full groups are left out of the next read.
struct GroupedByFields<'a> {
    rows: OrderedRows<'a>,
    groups: Groups<'a, CollectionIndex>,
    depth: usize,
    /// Rows of groups that are not full, from the second read on.
    left: Option<RowSet>,
    last: Option<SortKey>,
    has_more: bool,
}

impl<'a> GroupedByFields<'a> {
    fn read(
        rows: OrderedRows<'a>,
        groups: Groups<'a, CollectionIndex>,
    ) -> Result<Self, EngineError> {
        let mut source = Self {
            rows,
            groups,
            depth: CANDIDATES,
            left: None,
            last: None,
            has_more: true,
        };
        source.read_on()?;
        Ok(source)
    }

    fn read_on(&mut self) -> Result<(), EngineError> {
        let (left, last) = (self.left.as_ref(), self.last.as_ref());
        let hits = self.rows.read(left, last, self.depth)?;
        self.has_more = hits.len() == self.depth;
        self.last = hits.last().and_then(|hit| hit.place.clone());
        self.groups.extend(hits)
    }
}

impl HitSource for GroupedByFields<'_> {
    fn hits(&self) -> &[Candidate] {
        &self.groups.kept
    }

    fn read_more(&mut self) -> Result<bool, EngineError> {
        if !self.has_more {
            return Ok(false);
        }
        let mut left = match self.left.take() {
            Some(left) => left,
            None => self.rows.all()?,
        };
        left.subtract(&self.groups.full()?);
        self.left = Some(left);
        self.depth = DEEPEST.min(2 * self.depth);
        self.read_on()?;
        Ok(true)
    }

    fn take_hits(&mut self) -> Vec<Candidate> {
        mem::take(&mut self.groups.kept)
    }
}

fn foreign_cursor() -> EngineError {
    EngineError::InvalidField(
        "'cursor' belongs to a search in another order; send it with the search that returned it"
            .to_owned(),
    )
}
