//! Finds the requested page of hits, ordered by score or by fields, grouped or not.

use std::collections::HashMap;
use std::mem;

use clipdb_index::{CollectionIndex, Filter, Ordered, RowId, RowSet, SortKey};

use crate::error::EngineError;
use crate::search::grouping::Groups;
use crate::search::paging::{Candidate, HitSource, PageStart, read_page};
use crate::search::query::{Mode, Query};
use crate::search::ranking::{CANDIDATES, Ranked, Ranker, Ranking};
use crate::search::timings::SearchTimings;
use crate::search::view::Cursor;

/// The most hits that one read returns when hits are grouped; fused lists are never read deeper.
const DEEPEST: usize = 64 * CANDIDATES;

/// Extra hits to read when a cursor's page is located, because writes may have added hits before it.
const SLACK: usize = 100;

/// A page of hits.
pub(crate) struct Page {
    pub(crate) hits: Vec<Candidate>,
    /// Where the next page starts; `None` on the last page.
    pub(crate) next: Option<Cursor>,
    pub(crate) ranking: Ranking,
}

/// Finds the page that `query` requests.
pub(crate) fn find_page(
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
        Some(Cursor::Ordered(_)) => return Err(cursor_mismatch()),
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

/// All matching documents in the order of fields, with their scores if they are ranked.
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
        Some(_) => return Err(cursor_mismatch()),
    };
    let ranking = ranker.rank(0, timings)?;
    let rows = OrderedRows {
        index,
        query,
        counted: ranking.counted.rows.as_deref(),
        scores: if ranker.has_fixed_depth() {
            let ranked = ranking.hits.iter();
            ranked.map(|hit| (hit.fused.row, hit)).collect()
        } else {
            HashMap::new()
        },
    };
    let (hits, next) = if let Some(by) = &query.view.group_by {
        // Groups always start at the first hit, whichever page is requested.
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

/// Ranked hits; each further read goes twice as deep.
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

/// Ranked hits in groups. With one list, the next read excludes the rows seen before and the rows of
/// full groups. With fused lists this would change the ranks, so they are read again from their
/// start, deeper.
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
        // The same for every page, because the next read begins where this one ends.
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
        let excluded = self.groups.seen_or_full()?;
        let counted = self.ranking.counted.rows.as_ref();
        if counted.is_some_and(|rows| rows.iter().all(|row| excluded.contains(row))) {
            return Ok(false);
        }
        if self.ranker.is_one_list() {
            self.depth = DEEPEST.min(2 * self.depth);
            self.ranker
                .rank_excluding(&excluded, self.depth, &mut self.ranking, self.timings)?;
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
    let ranked = mem::take(&mut ranking.hits).into_iter();
    ranked
        .map(|ranked| Candidate {
            row: ranked.fused.row,
            score: Some(ranked.fused.score),
            confidence: Some(ranked.confidence),
            parts: ranked.fused.parts,
            group: None,
            distance_m: None,
            place: None,
        })
        .collect()
}

/// The matching rows, in the order of fields.
struct OrderedRows<'a> {
    index: &'a CollectionIndex,
    query: &'a Query,
    /// The matching rows; `None`: all rows.
    counted: Option<&'a RowSet>,
    scores: HashMap<RowId, &'a Ranked>,
}

impl OrderedRows<'_> {
    /// The first `wanted` rows after the sort key `after`, of `within` or of all matching rows.
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
        let ranked = self.scores.get(&ordered.row);
        Candidate {
            row: ordered.row,
            score: ranked.map(|hit| hit.fused.score),
            confidence: ranked.map(|hit| hit.confidence),
            parts: ranked.map_or_else(Vec::new, |hit| hit.fused.parts.clone()),
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

/// Hits in the order of fields; one read returns the complete page.
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

/// Grouped hits in the order of fields; each further read excludes full groups.
struct GroupedByFields<'a> {
    rows: OrderedRows<'a>,
    groups: Groups<'a, CollectionIndex>,
    depth: usize,
    /// The matching rows without full groups; `None` before the second read.
    remaining: Option<RowSet>,
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
            remaining: None,
            last: None,
            has_more: true,
        };
        source.read_next()?;
        Ok(source)
    }

    fn read_next(&mut self) -> Result<(), EngineError> {
        let (remaining, last) = (self.remaining.as_ref(), self.last.as_ref());
        let hits = self.rows.read(remaining, last, self.depth)?;
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
        let mut remaining = match self.remaining.take() {
            Some(remaining) => remaining,
            None => self.rows.all()?,
        };
        remaining.subtract(&self.groups.full()?);
        self.remaining = Some(remaining);
        self.depth = DEEPEST.min(2 * self.depth);
        self.read_next()?;
        Ok(true)
    }

    fn take_hits(&mut self) -> Vec<Candidate> {
        mem::take(&mut self.groups.kept)
    }
}

fn cursor_mismatch() -> EngineError {
    EngineError::InvalidField(
        "'cursor' belongs to a search with another order; send it with the search that returned it"
            .to_owned(),
    )
}
