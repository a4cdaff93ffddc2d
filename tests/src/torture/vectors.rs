//! Given vectors. Each is derived from a seed, so that the verification can compute the score that
//! a search has to return.

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::{Map, Value};

use super::collections::DIM;

/// The kinds of vectors by their names in the API.
pub(super) const KINDS: [&str; 2] = ["image", "text"];

/// The seeds of one document's vectors.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct GivenVectors {
    image: Option<u64>,
    text: Option<u64>,
}

impl GivenVectors {
    /// Vectors of at least one kind.
    pub(super) fn random(random: &mut StdRng) -> Self {
        let (image, text) = match random.random_range(0..10) {
            0 => (true, false),
            1 => (false, true),
            _ => (true, true),
        };
        Self {
            image: image.then(|| random.random()),
            text: text.then(|| random.random()),
        }
    }

    /// The vector of a kind.
    pub(super) fn of(&self, kind: &str) -> Option<Vec<f32>> {
        let seed = match kind {
            "image" => self.image,
            _ => self.text,
        };
        seed.map(vector)
    }

    /// The `vectors` of a document; `None` if it has none.
    pub(super) fn body(&self) -> Option<Value> {
        let given: Map<String, Value> = (KINDS.iter())
            .filter_map(|kind| Some(((*kind).to_owned(), self.of(kind)?.into())))
            .collect();
        (!given.is_empty()).then(|| given.into())
    }
}

/// The vector of a seed. Its length is arbitrary but not zero: only the direction counts.
pub(super) fn vector(seed: u64) -> Vec<f32> {
    let mut random = StdRng::seed_from_u64(seed);
    let mut vector: Vec<f32> = (0..DIM).map(|_| random.random_range(-1.0..1.0)).collect();
    vector[0] += 0.01;
    vector
}

/// The cosine similarity, which is the score of a search.
pub(super) fn cosine(one: &[f32], other: &[f32]) -> f64 {
    let product = |a: &[f32], b: &[f32]| -> f64 {
        a.iter()
            .zip(b)
            .map(|(a, b)| f64::from(*a) * f64::from(*b))
            .sum()
    };
    product(one, other) / (product(one, one) * product(other, other)).sqrt()
}
