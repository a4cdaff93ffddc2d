//! How many of a query's words a hit contains. BM25 does not tell: the score of a long text with
//! every word is lower than that of a short one with half of them.

use tantivy::query::{EnableScoring, Query};
use tantivy::{DocAddress, DocSet, Searcher, TERMINATED};

use crate::error::IndexError;

/// A word or another clause of a query.
pub(super) struct QueryWord {
    /// Its share in the query: its inverse document frequency.
    pub(super) weight: f32,
    /// The part of the weight that a match counts: less for other spellings of a misspelt word.
    pub(super) credit: f32,
    /// Finds the documents that contain it.
    pub(super) query: Box<dyn Query>,
}

/// For each of `hits`, the part of the words that it contains by weight, from 0 to 1; 1 without words.
pub(super) fn coverage(
    searcher: &Searcher,
    words: &[QueryWord],
    hits: &[DocAddress],
) -> Result<Vec<f32>, IndexError> {
    let all: f32 = words.iter().map(|word| word.weight).sum();
    if all <= 0.0 {
        return Ok(vec![1.0; hits.len()]);
    }
    let mut order: Vec<usize> = (0..hits.len()).collect();
    order.sort_unstable_by_key(|hit| hits[*hit]);
    let mut found = vec![0.0; hits.len()];
    for word in words {
        let read = IndexError::tantivy("find the words of a hit");
        add_word(searcher, word, hits, &order, &mut found).map_err(read)?;
    }
    Ok(found
        .into_iter()
        .map(|weight| (weight / all).min(1.0))
        .collect())
}

/// Adds the word's weight to the hits that contain it. `order`: the hits by their addresses.
fn add_word(
    searcher: &Searcher,
    word: &QueryWord,
    hits: &[DocAddress],
    order: &[usize],
    found: &mut [f32],
) -> tantivy::Result<()> {
    let weight = word
        .query
        .weight(EnableScoring::disabled_from_searcher(searcher))?;
    let same_segment = |a: &usize, b: &usize| hits[*a].segment_ord == hits[*b].segment_ord;
    for of_segment in order.chunk_by(same_segment) {
        let segment = searcher.segment_reader(hits[of_segment[0]].segment_ord);
        let mut documents = weight.scorer(segment, 1.0)?;
        for hit in of_segment {
            let document = hits[*hit].doc_id;
            if documents.doc() < document {
                documents.seek(document);
            }
            match documents.doc() {
                TERMINATED => break,
                at if at == document => found[*hit] += word.weight * word.credit,
                _ => {}
            }
        }
    }
    Ok(())
}
