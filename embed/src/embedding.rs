//! Embeddings, the output of a model.

use crate::{EmbedError, ImageInfo};

/// An L2-normalised vector with finite components, and the norm of the model's own vector.
#[derive(Debug, Clone, PartialEq)]
pub struct Embedding {
    values: Vec<f32>,
    norm: f64,
}

impl Embedding {
    /// Scales `values` to an L2 norm of 1.
    ///
    /// # Errors
    /// [`EmbedError::NoDirection`] if a component is not finite or if all are zero.
    pub fn normalised(mut values: Vec<f32>) -> Result<Self, EmbedError> {
        if !values.iter().all(|value| value.is_finite()) {
            return Err(EmbedError::NoDirection {
                reason: "a component is not finite",
            });
        }
        // In f64, because a sum of 4,096 squares in f32 loses digits and may overflow.
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

    /// The number of components.
    #[must_use]
    pub fn dim(&self) -> usize {
        self.values.len()
    }

    /// The normalised components.
    #[must_use]
    pub fn as_slice(&self) -> &[f32] {
        &self.values
    }

    /// The normalised components.
    #[must_use]
    pub fn into_vec(self) -> Vec<f32> {
        self.values
    }

    /// The model's own vector, up to rounding.
    #[must_use]
    pub fn into_unnormalised(self) -> Vec<f32> {
        let mut values = self.values;
        for value in &mut values {
            *value = (f64::from(*value) * self.norm) as f32;
        }
        values
    }
}

/// The time that an input spent in each stage, in microseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Timings {
    /// Waiting for a queue permit, for the decode pool and for the device.
    pub queue_us: u64,
    /// Tokenization, or decoding and preprocessing the image.
    pub preprocess_us: u64,
    /// The input's batch on the device.
    pub model_us: u64,
}

/// The embedding of a text.
#[derive(Debug, Clone, PartialEq)]
pub struct TextEmbedding {
    /// The vector.
    pub embedding: Embedding,
    /// The number of tokens that the model read, including special ones.
    pub tokens: usize,
    /// The text was longer than the model's context, so the model read only its start.
    pub truncated: bool,
    /// The time spent in each stage.
    pub timings: Timings,
}

/// The embeddings of a text of any length, one per passage.
#[derive(Debug, Clone, PartialEq)]
pub struct LongText {
    /// At least one. A text that fits the context is a single passage.
    pub passages: Vec<PassageEmbedding>,
    /// The passages cover the complete text.
    pub complete: bool,
}

/// The embedding of a passage.
#[derive(Debug, Clone, PartialEq)]
pub struct PassageEmbedding {
    /// The passage's bytes in the text.
    pub range: std::ops::Range<usize>,
    /// The vector.
    pub embedding: Embedding,
}

/// The embedding of an image.
#[derive(Debug, Clone)]
pub struct ImageEmbedding {
    /// The vector.
    pub embedding: Embedding,
    /// The contents of the image's header.
    pub info: ImageInfo,
    /// The time spent in each stage.
    pub timings: Timings,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_normalised() {
        let embedding = Embedding::normalised(vec![3.0, 4.0]).unwrap();
        assert_eq!(embedding.as_slice(), [0.6, 0.8]);
        assert_eq!(embedding.dim(), 2);
    }

    #[test]
    fn keeps_its_norm() {
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
    fn handles_extreme_values() {
        let huge = Embedding::normalised(vec![f32::MAX; 2]).unwrap();
        assert!((huge.as_slice()[0] - 0.5_f32.sqrt()).abs() < 1e-6);
        let tiny = Embedding::normalised(vec![f32::MIN_POSITIVE / 4.0, 0.0]).unwrap();
        assert_eq!(tiny.as_slice(), [1.0, 0.0]);
    }

    #[test]
    fn rejects_vectors_without_a_direction() {
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
