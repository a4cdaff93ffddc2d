//! The state that the compilation of a query accumulates, and the weight of words.

use std::collections::HashSet;

use tantivy::Searcher;
use tantivy::query::{EmptyQuery, Occur, Query};

use crate::fulltext::analysis::{Analyzer, Word};
use crate::fulltext::coverage::QueryWord;
use crate::fulltext::highlight::{HighlightTerms, Scope};
use crate::fulltext::schema::Fields;
use crate::fulltext::text_config::TextConfig;
use crate::keyword_limits::QueryUsage;

/// Queries of which each alone is a match.
pub(super) type Alternatives = Vec<Box<dyn Query>>;

/// The state of the compilation of one query. The other files of this folder add clauses to it.
pub(super) struct Compiler<'a> {
    pub(super) fields: &'a Fields,
    pub(super) text_config: &'a TextConfig,
    /// The analyzers in use, the default one first.
    pub(super) analyzers: Vec<Analyzer>,
    /// Analyzers for which the query has only stop words, which then count.
    pub(super) with_stop_words: Vec<Analyzer>,
    pub(super) searcher: &'a Searcher,
    pub(super) typos: bool,
    pub(super) is_sentence: bool,
    /// Whether the query is long enough to have too many words.
    pub(super) counts_words: bool,
    pub(super) usage: QueryUsage,
    /// Words whose spelling was corrected.
    pub(super) misspelt: usize,
    /// Compound words whose parts score higher if they are adjacent.
    pub(super) compounds: usize,
    pub(super) plain_words: Vec<PlainWord>,
    pub(super) clauses: Vec<(Occur, Box<dyn Query>)>,
    pub(super) seen: HashSet<(Analyzer, String)>,
    /// For each word of the query, the number of documents with it.
    pub(super) frequencies: Vec<u64>,
    /// The words and the other clauses, of which a hit may contain some.
    pub(super) words: Vec<QueryWord>,
    pub(super) highlight_terms: HighlightTerms,
}

/// A plain word, as each analyzer reads it.
pub(super) struct PlainWord {
    pub(super) words: Vec<(Analyzer, Word)>,
    /// Number of documents with it.
    pub(super) frequency: u64,
}

impl Compiler<'_> {
    /// Adds a clause other than plain words, which were counted in `frequencies` from `first` on.
    pub(super) fn add_clause(&mut self, occur: Occur, query: Box<dyn Query>, first: usize) {
        if occur != Occur::MustNot {
            let documents = self.searcher.num_docs();
            let frequencies = self.frequencies[first..].iter();
            self.words.push(QueryWord {
                weight: frequencies
                    .map(|known| inverse_frequency(*known, documents))
                    .sum(),
                credit: 1.0,
                query: query.box_clone(),
            });
        }
        if !query.is::<EmptyQuery>() {
            self.clauses.push((occur, query));
        }
    }
}

/// Where a highlighter marks the words of a clause that may be in the text and the metadata.
pub(super) fn scope_of(occur: Occur) -> Scope {
    if occur == Occur::MustNot {
        Scope::Nowhere
    } else {
        Scope::Anywhere
    }
}

/// BM25's idf (Robertson and Zaragoza 2009). For an average length and one occurrence the other
/// factor of the formula is 1.
pub(super) fn inverse_frequency(frequency: u64, documents: u64) -> f32 {
    let documents = documents as f32;
    let holding = (frequency as f32).min(documents);
    (1.0 + (documents - holding + 0.5) / (holding + 0.5)).ln()
}
