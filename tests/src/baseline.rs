//! Rankings that the benchmarks compare clipdb with, computed from the server's own lists.

use std::collections::HashMap;

/// Hits, best first: an id and its score.
pub type Ranking = Vec<(String, f64)>;

/// The constant of Cormack, Clarke and Büttcher (2009).
const RRF_K: f64 = 60.0;

/// Plain reciprocal rank fusion: a list that lacks a document adds nothing.
pub fn plain_rrf(lists: &[&Ranking]) -> Ranking {
    let mut sums: HashMap<&str, f64> = HashMap::new();
    for list in lists {
        for (position, (id, _)) in list.iter().enumerate() {
            *sums.entry(id).or_default() += 1.0 / (RRF_K + position as f64 + 1.0);
        }
    }
    ranking(sums)
}

/// The documents by falling score; equal ones by id.
pub fn ranking(scores: HashMap<&str, f64>) -> Ranking {
    let mut ranked: Vec<(&str, f64)> = scores.into_iter().collect();
    ranked.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(b.0)));
    ranked
        .into_iter()
        .map(|(id, score)| (id.to_owned(), score))
        .collect()
}
