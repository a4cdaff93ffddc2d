//! Searches the full-text index.

use std::sync::Arc;

use tantivy::collector::sort_key::{SortBySimilarityScore, SortByStaticFastValue};
use tantivy::collector::{Collector, Count, FilterCollector, TopDocs};
use tantivy::query::Query;
use tantivy::{IndexReader, Order, Searcher};

use super::compile::compile;
use super::coverage::coverage;
use super::highlight::Highlighter;
use super::matching::Matching;
use super::parse::KeywordQuery;
use super::schema::Fields;
use super::text_config::TextConfig;
use crate::columns::ROW;
use crate::error::IndexError;
use crate::row::{RowId, Scored};
use crate::row_set::RowSet;

/// The result of a keyword query.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct KeywordHits {
    /// The best rows by BM25, best first, ties by row.
    pub hits: Vec<Scored>,
    /// Number of rows that match.
    pub total: usize,
    /// The score of a row of average length that contains each word of the query once, with which
    /// the scores of hits can be compared. 0 without a query.
    pub full_score: f32,
    /// For each hit, the part of the query's words, phrases and other clauses that it contains, by
    /// their rarity, from 0 to 1. Another spelling counts less. 1 for a query that only excludes.
    pub coverage: Vec<f32>,
    /// Whether the query has words to search for. If it only excludes words, all hits have the
    /// same score.
    pub has_words: bool,
    /// Marks the words of the query in a hit.
    pub highlighter: Highlighter,
}

/// The readable half of the full-text index.
pub(crate) struct FulltextIndex {
    pub(super) fields: Fields,
    pub(super) text_config: TextConfig,
    pub(super) reader: IndexReader,
}

impl FulltextIndex {
    /// A snapshot that later writes do not change.
    pub(crate) fn searcher(&self) -> Searcher {
        self.reader.searcher()
    }

    /// The best rows by BM25 over text and string metadata; only rows of `within` if given.
    pub(crate) fn search(
        &self,
        query: &KeywordQuery,
        limit: usize,
        within: Option<&RowSet>,
    ) -> Result<KeywordHits, IndexError> {
        let searcher = self.reader.searcher();
        let Some(compiled) = compile(query, &self.fields, &self.text_config, &searcher)? else {
            return Ok(KeywordHits::default());
        };
        let limit = limit.min(usize::try_from(searcher.num_docs()).unwrap_or(usize::MAX));
        let (hits, addresses, total) = if limit == 0 {
            let total = collect(&searcher, &compiled.query, Count, within)?;
            (Vec::new(), Vec::new(), total)
        } else {
            // Ties by row, so the order survives merges of segments.
            let by_row = SortByStaticFastValue::<u64>::for_field(ROW);
            let best = TopDocs::with_limit(limit)
                .order_by(((SortBySimilarityScore, Order::Desc), (by_row, Order::Asc)));
            let (best, total) = collect(&searcher, &compiled.query, (best, Count), within)?;
            let hits = best.into_iter().filter_map(|((score, row), address)| {
                let hit = Scored {
                    row: RowId(row?),
                    score,
                    passage: 0,
                };
                Some((hit, address))
            });
            let (hits, addresses): (Vec<_>, Vec<_>) = hits.unzip();
            (hits, addresses, total)
        };
        Ok(KeywordHits {
            coverage: coverage(&searcher, &compiled.words, &addresses)?,
            hits,
            total,
            full_score: compiled.full_score,
            has_words: compiled.has_words,
            highlighter: Highlighter::new(compiled.highlight_terms, self.text_config.clone()),
        })
    }

    /// All rows that match with at least `least_score`; only rows of `within` if given.
    pub(crate) fn matching(
        &self,
        query: &KeywordQuery,
        within: Option<&RowSet>,
        least_score: Option<f32>,
    ) -> Result<RowSet, IndexError> {
        let searcher = self.reader.searcher();
        let Some(compiled) = compile(query, &self.fields, &self.text_config, &searcher)? else {
            return Ok(RowSet::default());
        };
        let mut rows = searcher
            .search(&compiled.query, &Matching { least_score })
            .map_err(IndexError::tantivy("search"))?;
        if let Some(within) = within {
            rows.intersect(within);
        }
        Ok(rows)
    }

    /// All rows, ascending.
    pub(crate) fn rows(&self) -> Result<Vec<RowId>, IndexError> {
        let searcher = self.reader.searcher();
        let mut rows = Vec::with_capacity(self.len());
        for segment in searcher.segment_readers() {
            let column = segment
                .fast_fields()
                .u64(ROW)
                .map_err(IndexError::tantivy("read the rows"))?;
            rows.extend(
                segment
                    .doc_ids_alive()
                    .filter_map(|document| column.first(document).map(RowId)),
            );
        }
        rows.sort_unstable();
        Ok(rows)
    }

    /// Number of rows.
    pub(crate) fn len(&self) -> usize {
        usize::try_from(self.reader.searcher().num_docs()).unwrap_or(usize::MAX)
    }

    /// Number of segments and their bytes on disk.
    pub(crate) fn size(&self) -> Result<(usize, u64), IndexError> {
        let searcher: Searcher = self.reader.searcher();
        let space = searcher
            .space_usage()
            .map_err(|error| IndexError::tantivy("measure its files")(error.into()))?;
        Ok((searcher.segment_readers().len(), space.total().get_bytes()))
    }
}

fn collect<C: Collector + Send + Sync>(
    searcher: &Searcher,
    query: &dyn Query,
    collector: C,
    within: Option<&RowSet>,
) -> Result<C::Fruit, IndexError> {
    match within {
        None => searcher.search(query, &collector),
        Some(rows) => {
            // Tantivy requires a collector without borrows; the set is compressed.
            let rows = Arc::new(rows.clone());
            let passes = move |row: u64| rows.contains(RowId(row));
            let filtered = FilterCollector::new(ROW.to_owned(), passes, collector);
            searcher.search(query, &filtered)
        }
    }
    .map_err(IndexError::tantivy("search"))
}
