//! Ranks candidates by how well they match a query: cosine similarities, and the probabilities that
//! the model assigns.

use clipdb_embed::{Encoder, Priority, TextRole};

use crate::documents::ingest::expect_one;
use crate::engine::Engine;
use crate::error::EngineError;
use crate::inference::encode::Input;

/// Up to this many candidates take about as long as a search, and get its priority.
const SEARCH_PRIORITY_LIMIT: usize = 64;

/// The priority with which this number of candidates is embedded.
pub fn rank_priority(candidates: usize) -> Priority {
    if candidates <= SEARCH_PRIORITY_LIMIT {
        Priority::Search
    } else {
        Priority::Ingest
    }
}

/// A ranked candidate.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ranked {
    /// Its position in the input.
    pub index: usize,
    /// The cosine similarity of query and candidate, from -1 to 1.
    pub cosine: f32,
    /// The probabilities of all candidates add up to 1, unless the model judges each pair on its own.
    pub probability: f32,
}

/// The result of ranking candidates.
pub struct Ranking {
    /// All candidates, the best first.
    pub best_first: Vec<Ranked>,
    /// Whether each candidate was longer than the model's context, in the order of the input.
    pub truncated: Vec<bool>,
    /// Whether the query was longer than the model's context.
    pub query_truncated: bool,
}

/// Ranks unit vectors of equal dimensions by their cosine similarity to `query`, the best first;
/// equal candidates keep their order.
///
/// A probability is the softmax over all candidates of `logit_scale` times the cosine (CLIP; Radford
/// et al. 2021): the scale that the model was trained with separates cosines, which are close
/// together. A model that was trained to judge each pair on its own (SigLIP; Zhai et al. 2023) has a
/// `logit_bias`: a probability is then the sigmoid of the scaled cosine plus the bias, and all of
/// them may be low.
pub fn rank<'a>(
    query: &[f32],
    candidates: impl IntoIterator<Item = &'a [f32]>,
    logit_scale: f64,
    logit_bias: Option<f64>,
) -> Vec<Ranked> {
    let cosines: Vec<f64> = candidates
        .into_iter()
        .map(|candidate| cosine(query, candidate))
        .collect();
    // Subtracts the largest, because the exponential of a logit may overflow.
    let largest = cosines.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let weight = |cosine: f64| (logit_scale * (cosine - largest)).exp();
    let total: f64 = cosines.iter().copied().map(weight).sum();
    let mut ranked: Vec<Ranked> = cosines
        .iter()
        .enumerate()
        .map(|(index, &cosine)| Ranked {
            index,
            cosine: cosine as f32,
            probability: match logit_bias {
                Some(bias) => 1.0 / (1.0 + (-(logit_scale * cosine + bias)).exp()),
                None => weight(cosine) / total,
            } as f32,
        })
        .collect();
    ranked.sort_by(|one, other| other.cosine.total_cmp(&one.cosine));
    ranked
}

fn cosine(one: &[f32], other: &[f32]) -> f64 {
    let dot: f64 = one
        .iter()
        .zip(other)
        .map(|(a, b)| f64::from(*a) * f64::from(*b))
        .sum();
    // Rounding can make a dot product of unit vectors exceed 1.
    dot.clamp(-1.0, 1.0)
}

impl Engine {
    /// Embeds the query and the candidates, and ranks the candidates.
    ///
    /// # Errors
    /// The error of the first input that cannot be embedded.
    pub async fn rank(
        &self,
        encoder: &Encoder,
        query: Input,
        candidates: Vec<Input>,
    ) -> Result<Ranking, EngineError> {
        let priority = rank_priority(candidates.len());
        let query = self.encode_as(encoder, vec![query], TextRole::Query, priority);
        let candidates = self.encode_as(encoder, candidates, TextRole::Document, priority);
        let (query, candidates) = futures_util::try_join!(query, candidates)?;
        let query = expect_one(query)?;
        let vectors = candidates
            .iter()
            .map(|candidate| candidate.embedding.as_slice());
        Ok(Ranking {
            best_first: rank(
                query.embedding.as_slice(),
                vectors,
                encoder.card().logit_scale,
                encoder.card().logit_bias,
            ),
            truncated: candidates
                .iter()
                .map(|candidate| candidate.truncated)
                .collect(),
            query_truncated: query.truncated,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ranked(candidates: &[[f32; 2]], logit_scale: f64) -> Vec<Ranked> {
        rank(
            &[1.0, 0.0],
            candidates.iter().map(<[f32; 2]>::as_slice),
            logit_scale,
            None,
        )
    }

    #[test]
    fn a_model_with_a_bias_judges_each_pair_on_its_own() {
        let candidates: [&[f32]; 2] = [&[0.6, 0.8], &[0.8, 0.6]];
        let found = rank(&[1.0, 0.0], candidates, 10.0, Some(-8.0));
        assert_eq!(order(&found), [1, 0]);
        assert_eq!(found[0].probability, 0.5);
        assert!((found[1].probability - 1.0 / (1.0 + 2.0_f32.exp())).abs() < 1e-6);
    }

    fn order(ranked: &[Ranked]) -> Vec<usize> {
        ranked.iter().map(|candidate| candidate.index).collect()
    }

    #[test]
    fn the_nearest_comes_first_under_its_own_index() {
        let found = ranked(&[[0.0, 1.0], [1.0, 0.0], [0.6, 0.8], [-1.0, 0.0]], 100.0);
        assert_eq!(order(&found), [1, 2, 0, 3]);
        let cosines: Vec<f32> = found.iter().map(|candidate| candidate.cosine).collect();
        assert_eq!(cosines, [1.0, 0.6, 0.0, -1.0]);
    }

    #[test]
    fn probabilities_are_the_softmax_of_the_scaled_cosines() {
        let found = ranked(&[[0.6, 0.8], [0.8, 0.6]], 10.0);
        let expected = 1.0 / (1.0 + (-2.0_f32).exp());
        assert!((found[0].probability - expected).abs() < 1e-6);
        assert!((found[0].probability + found[1].probability - 1.0).abs() < 1e-6);
    }

    #[test]
    fn a_large_scale_does_not_overflow() {
        let found = ranked(&[[1.0, 0.0], [0.0, 1.0]], 1e6);
        assert_eq!((found[0].probability, found[1].probability), (1.0, 0.0));
    }

    #[test]
    fn equal_candidates_keep_their_order_and_have_equal_probabilities() {
        let found = ranked(&[[0.6, 0.8]; 4], 100.0);
        assert_eq!(order(&found), [0, 1, 2, 3]);
        assert!(found.iter().all(|candidate| candidate.probability == 0.25));
    }

    #[test]
    fn one_candidate_is_certain_and_no_candidates_rank_as_none() {
        assert_eq!(ranked(&[[0.0, 1.0]], 100.0)[0].probability, 1.0);
        assert!(ranked(&[], 100.0).is_empty());
    }
}
