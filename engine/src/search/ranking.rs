//! Ranking: reads each list, fuses the lists, says how sure the hits are, and cuts off what is not sure
//! enough. `totals` decides which documents are counted.
//!
//! The order and the total do not depend on the requested page: the beginning of a list is the same at
//! every depth, vector lists are fused at a fixed depth, and deeper hits are appended to the result;
//! see [`Ranker::rank`]. For groups more hits are read; see [`Ranker::rank_excluding`].
//!
//! A search by images only ranks all images before texts ([`images_first`]): a model scores two images
//! much higher than an image and a text, and such a search looks for similar images.

use std::cell::OnceCell;
use std::collections::HashMap;
use std::sync::Arc;

use clipdb_index::fusion::{self, Fused, RankedList};
use clipdb_index::{
    CollectionIndex, Filter, Highlighter, KeywordHits, ListKind, Nearest, RowId, RowSet, Scored,
    VectorKind,
};

use crate::collection::collection::Collection;
use crate::collection::rows;
use crate::error::EngineError;
use crate::search::confidence::{Confidence, WordCoverage};
use crate::search::paging::Scores;
use crate::search::passage::BestPassages;
use crate::search::query::{Content, Mode, Query};
use crate::search::timings::{SearchTimings, Stage};
use crate::search::totals::{Counted, Counts, ListEnd};

/// The depth to which lists are read if the total counts the hits that they return.
pub(crate) const CANDIDATES: usize = 1000;

/// The ranked hits and everything that was learned while reading the lists.
pub(crate) struct Ranking {
    /// The hits, the best first.
    pub(crate) hits: Vec<Ranked>,
    /// The lists that were read, with their weights.
    pub(crate) lists: Vec<(ListKind, f64)>,
    pub(crate) highlighter: Highlighter,
    pub(crate) passages: BestPassages,
    /// Whether reading the lists deeper would return more hits.
    pub(crate) more: bool,
    pub(crate) counted: Counted,
}

/// A ranked hit.
pub(crate) struct Ranked {
    pub(crate) fused: Fused,
    /// See [`Confidence`].
    pub(crate) confidence: f64,
}

/// The fused hits of the lists, read to some depth.
struct ReadLists {
    hits: Vec<Ranked>,
    lists: Vec<(ListKind, f64)>,
    highlighter: Highlighter,
    passages: BestPassages,
    keyword_total: usize,
    end: ListEnd,
}

impl ReadLists {
    /// Appends the hits of deeper lists that are not present yet.
    fn append(&mut self, deeper: Self) {
        let present: RowSet = self.hits.iter().map(|hit| hit.fused.row).collect();
        let new = deeper.hits.into_iter();
        self.hits
            .extend(new.filter(|hit| !present.contains(hit.fused.row)));
        self.passages.add(deeper.passages);
        self.end = deeper.end;
    }
}

/// The parts of a search that do not change while its lists are read deeper.
pub(crate) struct Ranker<'a> {
    index: &'a CollectionIndex,
    query: &'a Query,
    vector: Option<&'a [f32]>,
    within: Option<Arc<RowSet>>,
    /// The documents that the query itself refers to, which are excluded from the hits.
    excluded: Vec<RowId>,
    confidence: Confidence,
    /// Of the first read; all hits of a search are compared with the same.
    coverage: OnceCell<WordCoverage>,
    /// The confidence of the surest hit without the query's filter, once it was needed.
    unfiltered: OnceCell<f64>,
}

impl<'a> Ranker<'a> {
    pub(crate) fn new(
        collection: &'a Collection,
        index: &'a CollectionIndex,
        query: &'a Query,
        vector: Option<&'a [f32]>,
        confidence: Confidence,
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
        let mut excluded = Vec::new();
        for part in &query.parts {
            if let Content::ImageOf(id) = &part.content
                && let Some(document) = collection.store.get(id)?
            {
                excluded.push(rows::row_id(document.key));
            }
        }
        Ok(Self {
            index,
            query,
            vector,
            within,
            excluded,
            confidence,
            coverage: OnceCell::new(),
            unfiltered: OnceCell::new(),
        })
    }

    /// Whether there are documents to search in.
    pub(crate) fn has_documents(&self) -> bool {
        match &self.within {
            Some(rows) => !rows.is_empty(),
            None => self.index.documents() > 0,
        }
    }

    /// Whether lists are always read to a depth of [`CANDIDATES`], because the counted documents
    /// depend on the depth.
    pub(crate) fn has_fixed_depth(&self) -> bool {
        match self.query.mode {
            Mode::Hybrid => true,
            Mode::Vector => self.query.min_score.is_some() || self.query.cut.is_active(),
            Mode::Keyword => self.query.cut.is_active(),
            Mode::Browse => false,
        }
    }

    /// Ranks at least `wanted` rows, if there are that many. The order of the first ones does not
    /// depend on `wanted`.
    pub(crate) fn rank(
        &self,
        wanted: usize,
        timings: &mut SearchTimings,
    ) -> Result<Ranking, EngineError> {
        let within = self.within.as_deref();
        let mut depth = self.depth(wanted);
        let mut read = self.read(depth, within, timings)?;
        if !self.has_fixed_depth() && !self.is_one_list() {
            // Deeper lists would fuse to another order, so earlier hits keep their positions.
            while read.end != ListEnd::Exhausted && read.hits.len() < wanted {
                depth *= 2;
                read.append(self.read(depth, within, timings)?);
            }
        }
        let ReadLists {
            hits,
            lists,
            highlighter,
            passages,
            keyword_total,
            end,
        } = read;
        let counted = self.counted(&hits, keyword_total, end)?;
        Ok(Ranking {
            hits,
            lists,
            highlighter,
            passages,
            more: end == ListEnd::AtDepth && !self.has_fixed_depth(),
            counted,
        })
    }

    /// Continues a ranking with at least `wanted` rows that are not in `excluded`, if there are that
    /// many. Requires a search of [one list](Self::is_one_list), in which a score does not depend on
    /// other hits.
    pub(crate) fn rank_excluding(
        &self,
        excluded: &RowSet,
        wanted: usize,
        ranking: &mut Ranking,
        timings: &mut SearchTimings,
    ) -> Result<(), EngineError> {
        let mut within = match &self.within {
            Some(rows) => RowSet::clone(rows),
            None => RowSet::clone(&*self.index.select(&Filter::all())?),
        };
        within.subtract(excluded);
        let read = self.read(self.depth(wanted), Some(&within), timings)?;
        ranking.hits = read.hits;
        ranking.passages.add(read.passages);
        ranking.more = read.end == ListEnd::AtDepth;
        Ok(())
    }

    /// The depth to which the lists are read for `wanted` rows.
    fn depth(&self, wanted: usize) -> usize {
        if self.has_fixed_depth() {
            CANDIDATES
        } else if self.is_one_list() {
            // Nothing is fused, so only the page is needed.
            wanted + self.excluded.len()
        } else if wanted == 0 {
            // Only the set of rows is needed: it is ordered by fields.
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
    ) -> Result<ReadLists, EngineError> {
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
                // A text may be surer than an image.
                if self.ranks_images_first() && enough && !self.query.cut.is_active() {
                    break;
                }
                let hits = self.index.nearest(vector, kind, depth, &how)?;
                found.push((kind.into(), hits));
            }
        }
        timings.vector_us += stage.end();

        let stage = Stage::begin(tracing::info_span!("keyword_search"));
        let mut keyword = KeywordHits::default();
        let mut by_words = HashMap::new();
        if self.query.wants(ListKind::Keyword) {
            // Confidences are the same whatever the size of the page.
            let counted = if depth > 0 { depth.max(CANDIDATES) } else { 0 };
            keyword = self
                .index
                .keyword(&self.query.keyword_query(), counted, within)?;
            if !keyword.has_words && self.query.mode == Mode::Hybrid {
                // The query only excludes words: the list has no order to be fused.
                keyword.hits.clear();
            }
            let coverage = self
                .coverage
                .get_or_init(|| WordCoverage::new(&keyword, CANDIDATES));
            by_words = coverage.confidence(&keyword);
            keyword.hits.truncate(depth);
            found.push((ListKind::Keyword, std::mem::take(&mut keyword.hits)));
        }
        timings.keyword_us += stage.end();

        let stage = Stage::begin(tracing::info_span!("fusion"));
        let (fused, lists) = self.fuse(&found, keyword.full_score);
        let mut hits: Vec<Ranked> = fused
            .into_iter()
            .filter(|fused| !self.excluded.contains(&fused.row))
            .map(|fused| Ranked {
                confidence: self.confidence.of(&fused, &by_words),
                fused,
            })
            .collect();
        let end = self.cut(&mut hits, &found, depth)?;
        timings.fusion_us += stage.end();
        Ok(ReadLists {
            hits,
            lists,
            highlighter: keyword.highlighter,
            passages: BestPassages::of(&found),
            keyword_total: keyword.total,
            end,
        })
    }

    /// Leaves out what is below the least score and confidence, and says how the lists ended.
    fn cut(
        &self,
        hits: &mut Vec<Ranked>,
        found: &[(ListKind, Vec<Scored>)],
        depth: usize,
    ) -> Result<ListEnd, EngineError> {
        let mut best = hits.iter().map(|hit| hit.confidence).fold(0.0, f64::max);
        if self.query.cut.auto && self.query.filter.is_some() {
            best = best.max(self.surest_without_filter()?);
        }
        let least = self.query.cut.least(best);
        hits.retain(|hit| hit.confidence >= least);
        let all = hits.len();
        if let Some(least) = self.query.min_score {
            hits.retain(|hit| hit.fused.score >= f64::from(least));
        }
        let is_below_score = hits.len() < all;
        let mut deeper = found
            .iter()
            .filter(|(_, hits)| hits.len() >= depth)
            .peekable();
        let has_deeper = deeper.peek().is_some();
        let is_below_confidence = deeper.all(|(list, hits)| match (list.vectors(), hits.last()) {
            (Some(kind), Some(last)) => self.confidence.of_cosine(kind, last.score) < least,
            // A hit with a lower score may contain more of the words.
            _ => false,
        });
        let is_cut = is_below_score || is_below_confidence;
        Ok(ListEnd::of(has_deeper, is_cut))
    }

    /// The confidence of the surest of the first hits without the query's filter: whether a query
    /// matches anything does not depend on the filter.
    fn surest_without_filter(&self) -> Result<f64, EngineError> {
        if let Some(sure) = self.unfiltered.get() {
            return Ok(*sure);
        }
        let mut surest: f64 = 0.0;
        if let Some(vector) = self.vector {
            for kind in self.kinds() {
                let how = Nearest {
                    ef: self.query.ef,
                    nprobe: self.query.nprobe,
                    ..Nearest::default()
                };
                let nearest = self
                    .index
                    .nearest(vector, kind, 1 + self.excluded.len(), &how)?;
                let others = nearest
                    .iter()
                    .filter(|hit| !self.excluded.contains(&hit.row));
                let sure = others.map(|hit| self.confidence.of_cosine(kind, hit.score));
                surest = sure.fold(surest, f64::max);
            }
        }
        if self.query.wants(ListKind::Keyword) {
            let keywords = self.query.keyword_query();
            let keyword = self.index.keyword(&keywords, CANDIDATES, None)?;
            if keyword.has_words || self.query.mode == Mode::Keyword {
                let coverage = WordCoverage::new(&keyword, CANDIDATES);
                surest = coverage
                    .confidence(&keyword)
                    .into_values()
                    .fold(surest, f64::max);
            }
        }
        Ok(*self.unfiltered.get_or_init(|| surest))
    }

    /// The kinds of vectors that the query is compared with and that the index has.
    fn kinds(&self) -> Vec<VectorKind> {
        [VectorKind::Image, VectorKind::Text]
            .into_iter()
            .filter(|kind| self.query.wants((*kind).into()) && self.index.len(*kind) > 0)
            .collect()
    }

    /// Whether scores are absolute: a cosine similarity depends on the hit alone.
    pub(crate) fn scores(&self) -> Scores {
        if self.query.mode == Mode::Vector && self.is_one_list() {
            Scores::Absolute
        } else {
            Scores::Relative
        }
    }

    /// Whether hits come from a single list, or from two that are concatenated.
    pub(crate) fn is_one_list(&self) -> bool {
        match self.query.mode {
            Mode::Keyword => true,
            Mode::Vector => self.kinds().len() == 1 || self.ranks_images_first(),
            Mode::Hybrid | Mode::Browse => false,
        }
    }

    /// Whether both kinds of vectors are compared and all images are ranked before texts.
    fn ranks_images_first(&self) -> bool {
        let weights = self.query.fusion.weights();
        self.query.is_by_images_only()
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
        let is_single = images_first || (found.len() == 1 && self.query.mode != Mode::Hybrid);
        let lists = [ListKind::Keyword, ListKind::Image, ListKind::Text]
            .into_iter()
            .filter(|list| self.query.wants(*list))
            .map(|list| {
                let weight = if is_single {
                    1.0
                } else {
                    self.query.fusion.weights().of(list)
                };
                (list, weight)
            })
            .collect();
        let fused = match found {
            found if images_first => self::images_first(found),
            [(kind, hits)] if is_single => single_list(*kind, hits),
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
        hits: &[Ranked],
        keyword_total: usize,
        end: ListEnd,
    ) -> Result<Counted, EngineError> {
        match Counts::of(self.query.mode, self.is_cut(), end) {
            Counts::Filtered => Ok(match &self.within {
                Some(rows) => Counted::exactly(Arc::clone(rows)),
                None => Counted::number(self.index.documents()),
            }),
            Counts::Matches if self.needs_rows() => {
                let (keywords, within) = (self.query.keyword_query(), self.within.as_deref());
                let mut rows = self
                    .index
                    .matching(&keywords, within, self.query.min_score)?;
                self.excluded.iter().for_each(|row| rows.remove(*row));
                Ok(Counted::exactly(Arc::new(rows)))
            }
            Counts::Matches => Ok(Counted::number(keyword_total)),
            Counts::Vectors => {
                let all = self.index.with_vectors(&self.kinds())?;
                if self.within.is_none() && self.excluded.is_empty() {
                    return Ok(Counted::exactly(all));
                }
                let mut rows = RowSet::clone(&all);
                if let Some(within) = &self.within {
                    rows.intersect(within);
                }
                self.excluded.iter().for_each(|row| rows.remove(*row));
                Ok(Counted::exactly(Arc::new(rows)))
            }
            Counts::Found(kind) => Ok(Counted {
                rows: Some(Arc::new(hits.iter().map(|hit| hit.fused.row).collect())),
                total: hits.len(),
                kind,
            }),
        }
    }

    /// Whether the counted documents depend on their scores or confidence.
    fn is_cut(&self) -> bool {
        let by_score = self.query.min_score.is_some() && self.query.mode != Mode::Keyword;
        by_score || self.query.cut.is_active()
    }

    /// Whether the set of all keyword matches is needed, rather than their number only.
    fn needs_rows(&self) -> bool {
        !self.query.view.facets.is_empty()
            || !self.query.view.order.is_empty()
            || self.query.min_score.is_some()
            || !self.excluded.is_empty()
    }
}

/// The hits of one list, which needs no fusion: its own scores (cosine or BM25) are more informative
/// than ranks.
fn single_list(list: ListKind, hits: &[Scored]) -> Vec<Fused> {
    (1..)
        .zip(hits)
        .map(|(rank, hit)| by_score(list, hit, rank, rank, f64::from(hit.score)))
        .collect()
}

/// All images, then the texts of documents without a found image, each by their cosine `c`. The score
/// is `(3 + c) / 4` for an image and `(1 + c) / 4` for a text, so it does not depend on other hits.
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
