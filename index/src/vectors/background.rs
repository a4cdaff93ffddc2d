//! The vectors of arbitrary documents, with which a query's best ones are compared.

use std::sync::Arc;

use parking_lot::Mutex;

use crate::row::VectorKind;

/// Vectors in a sample: the mean of 256 cosines is within a sixteenth of their standard deviation.
pub(super) const SAMPLE: usize = 256;

/// A sample is replaced when one vector in this many was added or removed.
const STALE: usize = 8;

/// A sample of a collection's vectors of one kind.
#[derive(Debug, Default)]
pub struct Background {
    vectors: Vec<Vec<f32>>,
    /// Number of vectors that the sample was taken from.
    of: usize,
    /// Number of vectors that had been added or removed by then.
    at_change: usize,
}

/// The cosines of a query with a sample.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Cosines {
    /// Number of vectors in the sample.
    pub count: usize,
    /// The mean; 0 of an empty sample.
    pub mean: f64,
    /// The variance; 0 of an empty sample.
    pub variance: f64,
}

impl Background {
    fn new(vectors: Vec<Vec<f32>>, of: usize, at_change: usize) -> Self {
        Self {
            vectors,
            of,
            at_change,
        }
    }

    /// The cosines of a unit vector with the sample.
    pub fn cosines(&self, query: &[f32]) -> Cosines {
        let count = self.vectors.len();
        let products = self
            .vectors
            .iter()
            .map(|vector| inner_product(vector, query));
        let (sum, squares) = products.fold((0.0, 0.0), |(sum, squares), value| {
            (sum + value, squares + value * value)
        });
        let divisor = count.max(1) as f64;
        let mean = sum / divisor;
        Cosines {
            count,
            mean,
            variance: (squares / divisor - mean * mean).max(0.0),
        }
    }

    fn is_stale(&self, changes: usize) -> bool {
        changes.saturating_sub(self.at_change) * STALE > self.of
    }

    fn memory_bytes(&self) -> usize {
        self.vectors
            .iter()
            .map(|vector| vector.len() * size_of::<f32>())
            .sum()
    }
}

/// Sums in lanes that the compiler computes at once: in one sum, each addition waits for the last.
fn inner_product(a: &[f32], b: &[f32]) -> f64 {
    const LANES: usize = 16;
    let (a, b) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    let rest = a.remainder().iter().zip(b.remainder());
    let rest = rest.map(|(a, b)| a * b).sum::<f32>();
    let mut lanes = [0.0; LANES];
    for (a, b) in a.zip(b) {
        for ((lane, a), b) in lanes.iter_mut().zip(a).zip(b) {
            *lane += a * b;
        }
    }
    f64::from(lanes.iter().sum::<f32>() + rest)
}

/// The latest sample of each kind.
#[derive(Debug, Default)]
pub(super) struct Backgrounds {
    kept: Mutex<[Arc<Background>; 2]>,
}

impl Backgrounds {
    /// The sample of a kind with this many vectors, of which `changes` were added or removed until
    /// now; `take` takes a new one if necessary.
    pub(super) fn of(
        &self,
        kind: VectorKind,
        vectors: usize,
        changes: usize,
        take: impl FnOnce() -> Vec<Vec<f32>>,
    ) -> Arc<Background> {
        let at = kind as usize;
        let kept = Arc::clone(&self.kept.lock()[at]);
        if !kept.is_stale(changes) && (kept.of > 0 || vectors == 0) {
            return kept;
        }
        // Without the lock: two searches may both take a sample, which costs less than waiting.
        let new = Arc::new(Background::new(take(), vectors, changes));
        self.kept.lock()[at] = Arc::clone(&new);
        new
    }

    pub(super) fn memory_bytes(&self) -> usize {
        self.kept
            .lock()
            .iter()
            .map(|sample| sample.memory_bytes())
            .sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cosines_of_a_query_have_a_mean_and_a_variance() {
        let sample = Background::new(vec![vec![1.0, 0.0], vec![0.0, 1.0]], 2, 0);
        let cosines = sample.cosines(&[1.0, 0.0]);
        assert_eq!(
            (cosines.count, cosines.mean, cosines.variance),
            (2, 0.5, 0.25)
        );
        let none = Background::default().cosines(&[1.0, 0.0]);
        assert_eq!((none.count, none.mean, none.variance), (0, 0.0, 0.0));
    }

    #[test]
    fn an_inner_product_has_every_dimension() {
        for dim in [1, 15, 16, 17, 40] {
            let ones = vec![1.0; dim];
            let rising: Vec<f32> = (1..=dim).map(|number| number as f32).collect();
            let sum = (dim * (dim + 1) / 2) as f64;
            assert_eq!(inner_product(&ones, &rising), sum, "{dim}");
        }
    }

    #[test]
    fn a_sample_is_taken_again_when_an_eighth_has_changed() {
        let backgrounds = Backgrounds::default();
        let taken = |vectors: usize, changes: usize| {
            let mut taken = false;
            backgrounds.of(VectorKind::Text, vectors, changes, || {
                taken = true;
                vec![vec![1.0]; vectors.min(SAMPLE)]
            });
            taken
        };
        assert!(!taken(0, 0));
        assert!(taken(1, 1));
        assert!(taken(100, 100));
        assert!(!taken(106, 112), "9 added and 3 removed");
        assert!(taken(100, 113), "as many as before, but others");
        assert_eq!(backgrounds.memory_bytes(), 100 * 4);
    }
}
