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

use super::collection::Collection;
use super::passage::BestPassages;
use super::query::{Content, Mode, Query};
use super::rows;
use super::search::{SearchTimings, Stage, TotalKind};
use crate::error::ApiError;

/// How deep each list is read where what is found in it is what counts.
pub(super) const CANDIDATES: usize = 1000;

/// What was found, best first.
pub(super) struct Ranking {
    pub(super) fused: Vec<Fused>,
    /// The lists that were asked, with their weights.
    pub(super) lists: Vec<(ListKind, f64)>,
    pub(super) highlighter: Highlighter,
    pub(super) passages: BestPassages,
    /// Whether reading the lists deeper would give more.
    pub(super) more: bool,
    pub(super) counted: Counted,
}

/// What the total and the facets count.
pub(super) struct Counted {
    /// The rows themselves, where they are known; all that there are for a browse without a
    /// filter.
    pub(super) rows: Option<Arc<RowSet>>,
    pub(super) total: usize,
    pub(super) kind: TotalKind,
}

/// What the lists gave, read to some depth.
struct Read {
    fused: Vec<Fused>,
    lists: Vec<(ListKind, f64)>,
    highlighter: Highlighter,
    passages: BestPassages,
    keyword_total: usize,
    /// Whether a list has more.
    more: bool,
    /// Whether some did not reach the least score.
    cut: bool,
}

impl Read {
    /// Goes on with what deeper lists gave that is not here yet.
    fn go_on(&mut self, deeper: Self) {
        let here: RowSet = self.fused.iter().map(|fused| fused.row).collect();
        let new = deeper.fused.into_iter();
        self.fused
            .extend(new.filter(|fused| !here.contains(fused.row)));
        self.passages.add(deeper.passages);
        self.more = deeper.more;
    }
}

/// What stays the same while the lists are read deeper for a later page.
pub(super) struct Ranker<'a> {
    index: &'a CollectionIndex,
    query: &'a Query,
    vector: Option<&'a [f32]>,
    within: Option<Arc<RowSet>>,
    /// The documents that the query itself names, which are left out.
    named: Vec<RowId>,
}

impl<'a> Ranker<'a> {
    pub(super) fn new(
        collection: &'a Collection,
        index: &'a CollectionIndex,
        query: &'a Query,
        vector: Option<&'a [f32]>,
    ) -> Result<Self, ApiError> {
        let mut within = query
            .filter
            .as_ref()
            .map(|filter| Ok::<_, ApiError>(index.select(&collection.filter(filter)?)?))
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
    pub(super) fn has_fixed_depth(&self) -> bool {
        match self.query.mode {
            Mode::Hybrid => true,
            Mode::Vector => self.query.min_score.is_some(),
            Mode::Keyword | Mode::Browse => false,
        }
    }

    /// Ranks at least `wanted` rows, if there are so many, the first ones always alike.
    pub(super) fn rank(
        &self,
        wanted: usize,
        timings: &mut SearchTimings,
    ) -> Result<Ranking, ApiError> {
        let within = self.within.as_deref();
        let mut depth = self.depth(wanted);
        let mut read = self.read(depth, within, timings)?;
        if !self.has_fixed_depth() && !self.is_one_list() {
            // Deeper lists would fuse to another order. Those that came keep their places.
            while read.more && read.fused.len() < wanted {
                depth *= 2;
                read.go_on(self.read(depth, within, timings)?);
            }
        }
        let Read {
            fused,
            lists,
            highlighter,
            passages,
            keyword_total,
            more,
            cut,
        } = read;
        let counted = self.counted(&fused, keyword_total, more, cut)?;
        Ok(Ranking {
            fused,
            lists,
            highlighter,
            passages,
            more: more && !cut && !self.has_fixed_depth(),
            counted,
        })
    }

    /// Goes on behind what was ranked: with at least `wanted` rows that are not among `others`,
    /// if there are so many. Only where [one list](Self::is_one_list) is asked, so that a score
    /// says the same whatever else is found.
    pub(super) fn rank_others(
        &self,
        others: &RowSet,
        wanted: usize,
        ranking: &mut Ranking,
        timings: &mut SearchTimings,
    ) -> Result<(), ApiError> {
        let mut within = match &self.within {
            Some(rows) => RowSet::clone(rows),
            None => RowSet::clone(&*self.index.select(&Filter::all())?),
        };
        within.subtract(others);
        let read = self.read(self.depth(wanted), Some(&within), timings)?;
        ranking.fused = read.fused;
        ranking.passages.add(read.passages);
        ranking.more = read.more && !read.cut;
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
    ) -> Result<Read, ApiError> {
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
            more,
            cut,
        })
    }

    /// The kinds of vectors that are compared, where there are any.
    fn kinds(&self) -> Vec<VectorKind> {
        [VectorKind::Image, VectorKind::Text]
            .into_iter()
            .filter(|kind| self.query.wants((*kind).into()) && self.index.len(*kind) > 0)
            .collect()
    }

    /// Whether writes elsewhere leave a hit's score as it is: a cosine depends on nothing else.
    pub(super) fn has_lasting_scores(&self) -> bool {
        self.query.mode == Mode::Vector && self.is_one_list()
    }

    pub(super) fn is_one_list(&self) -> bool {
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
        more: bool,
        cut: bool,
    ) -> Result<Counted, ApiError> {
        let exactly = |rows: Arc<RowSet>| Counted {
            total: rows.len(),
            rows: Some(rows),
            kind: TotalKind::Exact,
        };
        let candidates = |kind| Counted {
            rows: Some(Arc::new(fused.iter().map(|fused| fused.row).collect())),
            total: fused.len(),
            kind,
        };
        match self.query.mode {
            Mode::Browse => Ok(match &self.within {
                Some(rows) => exactly(Arc::clone(rows)),
                None => Counted {
                    rows: None,
                    total: self.index.documents(),
                    kind: TotalKind::Exact,
                },
            }),
            Mode::Keyword if self.needs_rows() => {
                let mut rows = self.index.matching(
                    &self.query.words(),
                    self.within.as_deref(),
                    self.query.min_score,
                )?;
                self.named.iter().for_each(|row| rows.remove(*row));
                Ok(exactly(Arc::new(rows)))
            }
            Mode::Keyword => Ok(Counted {
                rows: None,
                total: keyword_total,
                kind: TotalKind::Exact,
            }),
            Mode::Vector if self.query.min_score.is_none() => {
                let all = self.index.with_vectors(&self.kinds())?;
                if self.within.is_none() && self.named.is_empty() {
                    return Ok(exactly(all));
                }
                let mut rows = RowSet::clone(&all);
                if let Some(within) = &self.within {
                    rows.intersect(within);
                }
                self.named.iter().for_each(|row| rows.remove(*row));
                Ok(exactly(Arc::new(rows)))
            }
            Mode::Vector if more && !cut => Ok(candidates(TotalKind::AtLeast)),
            Mode::Vector => Ok(candidates(TotalKind::Exact)),
            Mode::Hybrid if more => Ok(candidates(TotalKind::Top)),
            Mode::Hybrid => Ok(candidates(TotalKind::Exact)),
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
