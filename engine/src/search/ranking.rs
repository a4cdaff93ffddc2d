//! The ranked side of a search: each list asked, fused, and the set of documents that the
//! answer's total and facets count.
//!
//! | mode | counted | total |
//! |---|---|---|
//! | browse | what passes the filter | exact |
//! | keyword | what matches and passes | exact |
//! | vector | what passes and has a vector to compare with | exact |
//! | vector with `min_score` | those of the [`CANDIDATES`] best that reach it | exact, or at least where all of them do |
//! | hybrid | what fusion makes of the [`CANDIDATES`] best of each list | top, or exact where the lists held everything |
//!
//! None of this depends on the page that is asked for, so it is the same on all of them. Nor
//! does the order: a list begins alike however deep it is read, vectors' lists that are fused
//! are read to one depth, and what is asked for beyond what that gives is put behind it, see
//! [`Ranker::rank`]. For groups more is read, see [`Ranker::rank_others`].
//!
//! A search by images alone ranks all images before texts ([`images_first`]): a model scores
//! an image against an image far higher than against any text, and what is asked for is more
//! like it.

use std::sync::Arc;

use clipdb_index::fusion::{self, Fused, RankedList};
use clipdb_index::{
    CollectionIndex, Filter, Highlighter, KeywordHits, ListKind, Nearest, RowId, RowSet, Scored,
    VectorKind,
};

use crate::collection::collection::Collection;
use crate::collection::rows;
use crate::error::EngineError;
use crate::search::paging::Scores;
use crate::search::passage::BestPassages;
use crate::search::query::{Content, Mode, Query};
use crate::search::timings::{SearchTimings, Stage};

/// How deep each list is read where what is found in it is what counts.
pub(crate) const CANDIDATES: usize = 1000;

/// What was found, best first.
pub(crate) struct Ranking {
    pub(crate) fused: Vec<Fused>,
    /// The lists that were asked, with their weights.
    pub(crate) lists: Vec<(ListKind, f64)>,
    pub(crate) highlighter: Highlighter,
    pub(crate) passages: BestPassages,
    /// Whether reading the lists deeper would give more.
    pub(crate) more: bool,
    pub(crate) counted: Counted,
}

/// What the total and the facets count.
pub(crate) struct Counted {
    /// The rows themselves, where they are known; all that there are for a browse without a
    /// filter.
    pub(crate) rows: Option<Arc<RowSet>>,
    pub(crate) total: usize,
    pub(crate) kind: TotalKind,
}

impl Counted {
    /// The rows themselves.
    fn exactly(rows: Arc<RowSet>) -> Self {
        Self {
            total: rows.len(),
            rows: Some(rows),
            kind: TotalKind::Exact,
        }
    }

    /// Their number alone.
    fn number(total: usize) -> Self {
        Self {
            rows: None,
            total,
            kind: TotalKind::Exact,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TotalKind {
    /// All documents that match, counted.
    Exact,
    /// Those that were counted, and maybe more.
    AtLeast,
    /// The candidates that were ranked; a vector query matches every document a little.
    Top,
}

/// What the lists gave, read to some depth.
struct Read {
    fused: Vec<Fused>,
    lists: Vec<(ListKind, f64)>,
    highlighter: Highlighter,
    passages: BestPassages,
    keyword_total: usize,
    end: ListEnd,
}

/// How reading the lists ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ListEnd {
    /// Every list was read to its end.
    Exhausted,
    /// A list has more hits below the depth that was read.
    AtDepth,
    /// A list has more, and hits that were read are below the query's `min_score`: in one list so
    /// is everything deeper.
    BelowMinScore,
}

impl ListEnd {
    fn of(has_more: bool, is_cut: bool) -> Self {
        match (has_more, is_cut) {
            (false, _) => Self::Exhausted,
            (true, false) => Self::AtDepth,
            (true, true) => Self::BelowMinScore,
        }
    }
}

/// What the total and the facets of a search count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Counts {
    /// What passes the filter.
    Filtered,
    /// What the keywords match.
    Matches,
    /// What has a vector of a kind that is searched.
    Vectors,
    /// What was found, which is so many of what matches.
    Found(TotalKind),
}

impl Counts {
    fn of(mode: Mode, has_min_score: bool, end: ListEnd) -> Self {
        match (mode, end) {
            (Mode::Browse, _) => Self::Filtered,
            (Mode::Keyword, _) => Self::Matches,
            // Every vector matches a little.
            (Mode::Vector, _) if !has_min_score => Self::Vectors,
            (Mode::Vector, ListEnd::AtDepth) => Self::Found(TotalKind::AtLeast),
            (Mode::Vector, ListEnd::Exhausted | ListEnd::BelowMinScore) => {
                Self::Found(TotalKind::Exact)
            }
            (Mode::Hybrid, ListEnd::Exhausted) => Self::Found(TotalKind::Exact),
            // Deeper lists would fuse to other scores.
            (Mode::Hybrid, ListEnd::AtDepth | ListEnd::BelowMinScore) => {
                Self::Found(TotalKind::Top)
            }
        }
    }
}

impl Read {
    /// Goes on with what deeper lists gave that is not here yet.
    fn append(&mut self, deeper: Self) {
        let here: RowSet = self.fused.iter().map(|fused| fused.row).collect();
        let new = deeper.fused.into_iter();
        self.fused
            .extend(new.filter(|fused| !here.contains(fused.row)));
        self.passages.add(deeper.passages);
        self.end = deeper.end;
    }
}

/// What stays the same while the lists are read deeper for a later page.
pub(crate) struct Ranker<'a> {
    index: &'a CollectionIndex,
    query: &'a Query,
    vector: Option<&'a [f32]>,
    within: Option<Arc<RowSet>>,
    /// The documents that the query itself names, which are left out.
    named: Vec<RowId>,
}

impl<'a> Ranker<'a> {
    pub(crate) fn new(
        collection: &'a Collection,
        index: &'a CollectionIndex,
        query: &'a Query,
        vector: Option<&'a [f32]>,
    ) -> Result<Self, EngineError> {
        let mut within = query
            .filter
            .as_ref()
            .map(|filter| Ok::<_, EngineError>(index.select(&collection.filter(filter)?)?))
            .transpose()?;
        if let Some(exclusions) = query.exclusions() {
            let left = index.matching(&exclusions, within.as_deref(), None)?;
            within = Some(Arc::new(left));
        }
        let mut named = Vec::new();
        for part in &query.parts {
            if let Content::ImageOf(id) = &part.content
                && let Some(document) = collection.store.get(id)?
            {
                named.push(rows::row_id(document.key));
            }
        }
        Ok(Self {
            index,
            query,
            vector,
            within,
            named,
        })
    }

    /// Whether what is counted does not depend on how deep the lists are read; then the
    /// lists give no more than [`CANDIDATES`] hits.
    pub(crate) fn has_fixed_depth(&self) -> bool {
        match self.query.mode {
            Mode::Hybrid => true,
            Mode::Vector => self.query.min_score.is_some(),
            Mode::Keyword | Mode::Browse => false,
        }
    }

    /// Ranks at least `wanted` rows, if there are so many, the first ones always alike.
    pub(crate) fn rank(
        &self,
        wanted: usize,
        timings: &mut SearchTimings,
    ) -> Result<Ranking, EngineError> {
        let within = self.within.as_deref();
        let mut depth = self.depth(wanted);
        let mut read = self.read(depth, within, timings)?;
        if !self.has_fixed_depth() && !self.is_one_list() {
            // Deeper lists would fuse to another order. Those that came keep their places.
            while read.end != ListEnd::Exhausted && read.fused.len() < wanted {
                depth *= 2;
                read.append(self.read(depth, within, timings)?);
            }
        }
        let Read {
            fused,
            lists,
            highlighter,
            passages,
            keyword_total,
            end,
        } = read;
        let counted = self.counted(&fused, keyword_total, end)?;
        Ok(Ranking {
            fused,
            lists,
            highlighter,
            passages,
            more: end == ListEnd::AtDepth && !self.has_fixed_depth(),
            counted,
        })
    }

    /// Goes on behind what was ranked: with at least `wanted` rows that are not among `others`,
    /// if there are so many. Only where [one list](Self::is_one_list) is asked, so that a score
    /// says the same whatever else is found.
    pub(crate) fn rank_others(
        &self,
        others: &RowSet,
        wanted: usize,
        ranking: &mut Ranking,
        timings: &mut SearchTimings,
    ) -> Result<(), EngineError> {
        let mut within = match &self.within {
            Some(rows) => RowSet::clone(rows),
            None => RowSet::clone(&*self.index.select(&Filter::all())?),
        };
        within.subtract(others);
        let read = self.read(self.depth(wanted), Some(&within), timings)?;
        ranking.fused = read.fused;
        ranking.passages.add(read.passages);
        ranking.more = read.end == ListEnd::AtDepth;
        Ok(())
    }

    /// How deep the lists are read for so many rows.
    fn depth(&self, wanted: usize) -> usize {
        if self.has_fixed_depth() {
            CANDIDATES
        } else if self.is_one_list() {
            // Nothing is fused, so nothing but the page is needed.
            wanted + self.named.len()
        } else if wanted == 0 {
            // The set is asked for, in another order.
            0
        } else {
            fusion::DEPTH
        }
    }

    fn read(
        &self,
        depth: usize,
        within: Option<&RowSet>,
        timings: &mut SearchTimings,
    ) -> Result<Read, EngineError> {
        let mut found: Vec<(ListKind, Vec<Scored>)> = Vec::with_capacity(3);
        let stage = Stage::begin(tracing::info_span!("vector_search"));
        if let Some(vector) = self.vector
            && depth > 0
        {
            let how = Nearest {
                within,
                exact: self.query.exact,
                ef: self.query.ef,
                nprobe: self.query.nprobe,
            };
            for kind in self.kinds() {
                let enough = found.iter().any(|(_, images)| images.len() >= depth);
                if self.ranks_images_first() && enough {
                    break;
                }
                let hits = self.index.nearest(vector, kind, depth, &how)?;
                found.push((kind.into(), hits));
            }
        }
        timings.vector_us += stage.end();

        let stage = Stage::begin(tracing::info_span!("keyword_search"));
        let mut keyword = KeywordHits::default();
        if self.query.wants(ListKind::Keyword) {
            keyword = self.index.keyword(&self.query.words(), depth, within)?;
            if !keyword.asked && self.query.mode == Mode::Hybrid {
                // Only what must not occur: the list is in no order to be fused.
                keyword.hits.clear();
            }
            found.push((ListKind::Keyword, std::mem::take(&mut keyword.hits)));
        }
        timings.keyword_us += stage.end();

        let stage = Stage::begin(tracing::info_span!("fusion"));
        let more = found.iter().any(|(_, hits)| hits.len() >= depth);
        let (mut fused, lists) = self.fuse(&found, keyword.full_score);
        fused.retain(|fused| !self.named.contains(&fused.row));
        let all = fused.len();
        if let Some(least) = self.query.min_score {
            fused.retain(|fused| fused.score >= f64::from(least));
        }
        let cut = fused.len() < all;
        timings.fusion_us += stage.end();
        Ok(Read {
            fused,
            lists,
            highlighter: keyword.highlighter,
            passages: BestPassages::of(&found),
            keyword_total: keyword.total,
            end: ListEnd::of(more, cut),
        })
    }

    /// The kinds of vectors that are compared, where there are any.
    fn kinds(&self) -> Vec<VectorKind> {
        [VectorKind::Image, VectorKind::Text]
            .into_iter()
            .filter(|kind| self.query.wants((*kind).into()) && self.index.len(*kind) > 0)
            .collect()
    }

    /// A cosine depends on the hit alone.
    pub(crate) fn scores(&self) -> Scores {
        if self.query.mode == Mode::Vector && self.is_one_list() {
            Scores::Lasting
        } else {
            Scores::Relative
        }
    }

    pub(crate) fn is_one_list(&self) -> bool {
        match self.query.mode {
            Mode::Keyword => true,
            Mode::Vector => self.kinds().len() == 1 || self.ranks_images_first(),
            Mode::Hybrid | Mode::Browse => false,
        }
    }

    /// Whether texts come behind all images, both of which are compared.
    fn ranks_images_first(&self) -> bool {
        let weights = self.query.fusion.weights();
        self.query.is_by_images_alone()
            && weights.image > 0.0
            && weights.text > 0.0
            && self.kinds().len() == 2
    }

    fn fuse(
        &self,
        found: &[(ListKind, Vec<Scored>)],
        full_score: f32,
    ) -> (Vec<Fused>, Vec<(ListKind, f64)>) {
        let images_first = self.ranks_images_first();
        let alone = images_first || (found.len() == 1 && self.query.mode != Mode::Hybrid);
        let lists = [ListKind::Keyword, ListKind::Image, ListKind::Text]
            .into_iter()
            .filter(|list| self.query.wants(*list))
            .map(|list| {
                let weight = if alone {
                    1.0
                } else {
                    self.query.fusion.weights().of(list)
                };
                (list, weight)
            })
            .collect();
        let fused = match found {
            found if images_first => self::images_first(found),
            [(kind, hits)] if alone => single_list(*kind, hits),
            found => {
                let ranked: Vec<_> = found
                    .iter()
                    .map(|(kind, hits)| RankedList {
                        kind: *kind,
                        hits,
                        full_score,
                    })
                    .collect();
                self.query.fusion.fuse(&ranked)
            }
        };
        (fused, lists)
    }

    fn counted(
        &self,
        fused: &[Fused],
        keyword_total: usize,
        end: ListEnd,
    ) -> Result<Counted, EngineError> {
        match Counts::of(self.query.mode, self.query.min_score.is_some(), end) {
            Counts::Filtered => Ok(match &self.within {
                Some(rows) => Counted::exactly(Arc::clone(rows)),
                None => Counted::number(self.index.documents()),
            }),
            Counts::Matches if self.needs_rows() => {
                let (words, within) = (self.query.words(), self.within.as_deref());
                let mut rows = self.index.matching(&words, within, self.query.min_score)?;
                self.named.iter().for_each(|row| rows.remove(*row));
                Ok(Counted::exactly(Arc::new(rows)))
            }
            Counts::Matches => Ok(Counted::number(keyword_total)),
            Counts::Vectors => {
                let all = self.index.with_vectors(&self.kinds())?;
                if self.within.is_none() && self.named.is_empty() {
                    return Ok(Counted::exactly(all));
                }
                let mut rows = RowSet::clone(&all);
                if let Some(within) = &self.within {
                    rows.intersect(within);
                }
                self.named.iter().for_each(|row| rows.remove(*row));
                Ok(Counted::exactly(Arc::new(rows)))
            }
            Counts::Found(kind) => Ok(Counted {
                rows: Some(Arc::new(fused.iter().map(|fused| fused.row).collect())),
                total: fused.len(),
                kind,
            }),
        }
    }

    /// Whether the set of all keyword matches is asked for, and not only their number.
    fn needs_rows(&self) -> bool {
        !self.query.view.facets.is_empty()
            || !self.query.view.order.is_empty()
            || self.query.min_score.is_some()
            || !self.named.is_empty()
    }
}

/// One list needs no fusion: its own scores (cosine or BM25) say more than ranks.
fn single_list(list: ListKind, hits: &[Scored]) -> Vec<Fused> {
    (1..)
        .zip(hits)
        .map(|(rank, hit)| by_score(list, hit, rank, rank, f64::from(hit.score)))
        .collect()
}

/// All images, then the texts of documents that have none, each by their cosine `c`. The score is
/// `(3 + c) / 4` for an image and `(1 + c) / 4` for a text, so that it depends on nothing else
/// that is found.
fn images_first(found: &[(ListKind, Vec<Scored>)]) -> Vec<Fused> {
    let hits_of = |kind| {
        let list = found.iter().find(|(list, _)| *list == kind);
        list.map_or(&[][..], |(_, hits)| hits)
    };
    let images = hits_of(ListKind::Image);
    let with_image: RowSet = images.iter().map(|hit| hit.row).collect();
    let images = (1..).zip(images).map(|(rank, hit)| {
        let score = (3.0 + f64::from(hit.score)) / 4.0;
        by_score(ListKind::Image, hit, rank, rank, score)
    });
    let texts = (1..).zip(hits_of(ListKind::Text));
    let texts = texts.filter(|(_, hit)| !with_image.contains(hit.row));
    let texts = (with_image.len() + 1..)
        .zip(texts)
        .map(|(place, (rank, hit))| {
            let score = (1.0 + f64::from(hit.score)) / 4.0;
            by_score(ListKind::Text, hit, rank, place, score)
        });
    images.chain(texts).collect()
}

fn by_score(list: ListKind, hit: &Scored, rank: usize, place: usize, score: f64) -> Fused {
    let part = fusion::Part {
        list,
        rank,
        raw_score: hit.score,
        place: place as f64,
        closeness: 1.0,
        weight: 1.0,
        contribution: score,
    };
    Fused {
        row: hit.row,
        score,
        parts: vec![part],
    }
}

#[cfg(test)]
mod tests;
