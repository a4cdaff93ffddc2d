//! What comes out of a model.

use crate::{EmbedError, ImageInfo};

/// A direction in the model's space: every component finite, L2 norm 1. It remembers how
/// long the model's own vector was.
#[derive(Debug, Clone, PartialEq)]
pub struct Embedding {
    values: Vec<f32>,
    norm: f64,
}

impl Embedding {
    /// Scales `values` to length 1.
    ///
    /// # Errors
    /// [`EmbedError::NoDirection`] when a component is not finite, or all are zero.
    pub fn normalised(mut values: Vec<f32>) -> Result<Self, EmbedError> {
        if !values.iter().all(|value| value.is_finite()) {
            return Err(EmbedError::NoDirection {
                reason: "a component is not finite",
            });
        }
        // In f64: 4,096 squares of f32 lose digits, and large ones overflow.
        let norm = values
            .iter()
            .map(|&value| f64::from(value) * f64::from(value))
            .sum::<f64>()
            .sqrt();
        if norm == 0.0 {
            return Err(EmbedError::NoDirection {
                reason: "all its components are zero",
            });
        }
        for value in &mut values {
            *value = (f64::from(*value) / norm) as f32;
        }
        Ok(Self { values, norm })
    }

    #[must_use]
    pub fn dim(&self) -> usize {
        self.values.len()
    }

    #[must_use]
    pub fn as_slice(&self) -> &[f32] {
        &self.values
    }

    #[must_use]
    pub fn into_vec(self) -> Vec<f32> {
        self.values
    }

    /// The vector as the model gave it, to within rounding.
    #[must_use]
    pub fn into_unnormalised(self) -> Vec<f32> {
        let mut values = self.values;
        for value in &mut values {
            *value = (f64::from(*value) * self.norm) as f32;
        }
        values
    }
}

/// Where an input's time went, in microseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Timings {
    /// Waiting: for a place in the queue, for the pool, for the device.
    pub queue_us: u64,
    /// Making tokens, or decoding and scaling the picture.
    pub preprocess_us: u64,
    /// The batch that this input was part of, on the device.
    pub model_us: u64,
}

#[derive(Debug, Clone, PartialEq)]
pub struct TextEmbedding {
    pub embedding: Embedding,
    /// How many the model saw, the special ones included.
    pub tokens: usize,
    /// The text was longer than the model's context; only its beginning counted.
    pub truncated: bool,
    pub timings: Timings,
}

/// A text of any length, by what the model reads of it at once.
#[derive(Debug, Clone, PartialEq)]
pub struct LongText {
    /// At least one. A text that the model reads at once is one passage, the whole of it.
    pub passages: Vec<PassageEmbedding>,
    /// The model read every part of the text in some passage.
    pub complete: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub struct PassageEmbedding {
    /// Where it lies in the text, in bytes.
    pub range: std::ops::Range<usize>,
    pub embedding: Embedding,
}

#[derive(Debug, Clone)]
pub struct ImageEmbedding {
    pub embedding: Embedding,
    pub info: ImageInfo,
    pub timings: Timings,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn has_length_one() {
        let embedding = Embedding::normalised(vec![3.0, 4.0]).unwrap();
        assert_eq!(embedding.as_slice(), [0.6, 0.8]);
        assert_eq!(embedding.dim(), 2);
    }

    #[test]
    fn remembers_its_length() {
        let embedding = Embedding::normalised(vec![3.0, 4.0]).unwrap();
        assert_eq!(embedding.into_unnormalised(), [3.0, 4.0]);
        let huge = Embedding::normalised(vec![f32::MAX; 2]).unwrap();
        assert!(
            huge.into_unnormalised()
                .iter()
                .all(|value| value.is_finite())
        );
    }

    #[test]
    fn survives_the_ends_of_the_range() {
        let huge = Embedding::normalised(vec![f32::MAX; 2]).unwrap();
        assert!((huge.as_slice()[0] - 0.5_f32.sqrt()).abs() < 1e-6);
        let tiny = Embedding::normalised(vec![f32::MIN_POSITIVE / 4.0, 0.0]).unwrap();
        assert_eq!(tiny.as_slice(), [1.0, 0.0]);
    }

    #[test]
    fn refuses_what_has_no_direction() {
        for values in [
            vec![],
            vec![0.0, 0.0],
            vec![1.0, f32::NAN],
            vec![f32::INFINITY],
        ] {
            assert!(matches!(
                Embedding::normalised(values),
                Err(EmbedError::NoDirection { .. })
            ));
        }
    }
}
