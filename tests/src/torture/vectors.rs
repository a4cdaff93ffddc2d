//! Vectors that documents bring: made from a seed, so that whoever knows it knows what a search
//! has to make of them.

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::{Map, Value};

use super::shelves::DIM;

/// The kinds of vectors, as the API calls them.
pub(super) const KINDS: [&str; 2] = ["image", "text"];

/// The seeds of one document's vectors.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Given {
    image: Option<u64>,
    text: Option<u64>,
}

impl Given {
    /// At least one.
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

    /// As a document brings them; `None` where there are none.
    pub(super) fn body(&self) -> Option<Value> {
        let given: Map<String, Value> = (KINDS.iter())
            .filter_map(|kind| Some(((*kind).to_owned(), self.of(kind)?.into())))
            .collect();
        (!given.is_empty()).then(|| given.into())
    }
}

/// The vector of this seed, of any length but zero: it is the direction that counts.
pub(super) fn vector(seed: u64) -> Vec<f32> {
    let mut random = StdRng::seed_from_u64(seed);
    let mut vector: Vec<f32> = (0..DIM).map(|_| random.random_range(-1.0..1.0)).collect();
    vector[0] += 0.01;
    vector
}

/// What a search says of two vectors.
pub(super) fn cosine(one: &[f32], other: &[f32]) -> f64 {
    let product = |a: &[f32], b: &[f32]| -> f64 {
        a.iter()
            .zip(b)
            .map(|(a, b)| f64::from(*a) * f64::from(*b))
            .sum()
    };
    product(one, other) / (product(one, one) * product(other, other)).sqrt()
}
