//! How well candidates fit a query: their cosines, and how the model itself would
//! choose among them.

use clipdb_embed::{Encoder, Priority, TextRole};

use crate::documents::ingest::only;
use crate::engine::Engine;
use crate::error::EngineError;
use crate::inference::encode::Input;

/// So few are as quick as a search, and go ahead of ingest as one.
const AS_A_SEARCH: usize = 64;

/// How soon so many candidates are embedded.
pub fn rank_priority(candidates: usize) -> Priority {
    if candidates <= AS_A_SEARCH {
        Priority::Search
    } else {
        Priority::Ingest
    }
}

/// One of the candidates.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ranked {
    /// Its position among the candidates as they were given.
    pub index: usize,
    pub cosine: f32,
    /// All candidates' probabilities add up to 1, unless the model judges each by itself.
    pub probability: f32,
}

/// A whole request's outcome.
pub struct Ranking {
    pub best_first: Vec<Ranked>,
    /// By a candidate's index: it was longer than the model reads.
    pub truncated: Vec<bool>,
    pub query_truncated: bool,
}

/// Ranks vectors of length 1, the best first; of equals the one that was given first.
///
/// A probability is the softmax over all candidates of `logit_scale` times the cosine:
/// the temperature that the model was trained with turns cosines, which lie close
/// together, into a choice. A model that was trained to judge each pair by itself
/// (SigLIP; Zhai et al. 2023) says so by its `logit_bias`: a probability is then the
/// sigmoid of the scaled cosine plus the bias, and all may be low.
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
    // Less the largest: the exponential of a logit by itself may be infinite.
    let largest = cosines.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let share = |cosine: f64| (logit_scale * (cosine - largest)).exp();
    let total: f64 = cosines.iter().copied().map(share).sum();
    let mut ranked: Vec<Ranked> = cosines
        .iter()
        .enumerate()
        .map(|(index, &cosine)| Ranked {
            index,
            cosine: cosine as f32,
            probability: match logit_bias {
                Some(bias) => 1.0 / (1.0 + (-(logit_scale * cosine + bias)).exp()),
                None => share(cosine) / total,
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
    // Rounding takes the length of a vector past 1.
    dot.clamp(-1.0, 1.0)
}

impl Engine {
    /// Embeds the query and the candidates and ranks these.
    ///
    /// # Errors
    /// The first that any of them meets.
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
        let query = only(query)?;
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
    fn a_model_with_a_bias_judges_each_by_itself() {
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
    fn a_large_scale_overflows_nothing() {
        let found = ranked(&[[1.0, 0.0], [0.0, 1.0]], 1e6);
        assert_eq!((found[0].probability, found[1].probability), (1.0, 0.0));
    }

    #[test]
    fn equals_keep_their_order_and_share() {
        let found = ranked(&[[0.6, 0.8]; 4], 100.0);
        assert_eq!(order(&found), [0, 1, 2, 3]);
        assert!(found.iter().all(|candidate| candidate.probability == 0.25));
    }

    #[test]
    fn one_is_certain_and_none_is_nothing() {
        assert_eq!(ranked(&[[0.0, 1.0]], 100.0)[0].probability, 1.0);
        assert!(ranked(&[], 100.0).is_empty());
    }
}
