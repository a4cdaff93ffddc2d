//! How sure a model's cosines are: the probability that a document is what was asked for.
//!
//! A cosine means little by itself: it depends on the model, on the kinds of the query and the
//! document, and on the query. A logistic regression of three numbers is fitted for each pair of
//! kinds: the cosine, its distance from the cosines of the query with arbitrary documents of the
//! collection in their standard deviations, and how much of the query the model can read.

use serde::Deserialize;

use crate::EmbedError;
use crate::sources::{CALIBRATION, ModelFiles};

/// The kind of a query or of a document's vector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Modality {
    /// An image.
    Image,
    /// A text.
    Text,
}

/// The calibration of a model: one for each pair of kinds.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Calibration {
    text_to_image: PairCalibration,
    text_to_text: PairCalibration,
    image_to_image: PairCalibration,
    image_to_text: PairCalibration,
}

/// The calibration of one pair of kinds: `σ(intercept + cosine · c + deviations · z + fluency · f)`.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PairCalibration {
    intercept: f64,
    cosine: f64,
    deviations: f64,
    fluency: f64,
    /// The cosines of a query with arbitrary documents, for a collection with few documents.
    pub typical: Distribution,
}

/// A distribution of cosines.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Distribution {
    /// The mean.
    pub mean: f64,
    /// The standard deviation.
    pub deviation: f64,
}

impl Calibration {
    /// Reads `calibration.json`; `None` if the folder has none.
    pub(crate) fn read(files: &ModelFiles) -> Result<Option<Self>, EmbedError> {
        files
            .has(CALIBRATION)
            .then(|| files.json(CALIBRATION))
            .transpose()
    }

    /// The calibration for a query and documents of these kinds.
    #[must_use]
    pub fn of(&self, query: Modality, document: Modality) -> &PairCalibration {
        match (query, document) {
            (Modality::Text, Modality::Image) => &self.text_to_image,
            (Modality::Text, Modality::Text) => &self.text_to_text,
            (Modality::Image, Modality::Image) => &self.image_to_image,
            (Modality::Image, Modality::Text) => &self.image_to_text,
        }
    }
}

impl PairCalibration {
    /// For models without a calibration: by the distance from arbitrary documents alone. Fitted on
    /// the bundled model's cosines of texts and images.
    pub const GENERIC: Self = Self {
        intercept: -9.276,
        cosine: 0.0,
        deviations: 1.189,
        fluency: 0.639,
        typical: Distribution {
            mean: 0.2,
            deviation: 0.1,
        },
    };

    /// The probability of a match, from 0 to 1.
    ///
    /// - `cosine`: of the query and the document, from -1 to 1.
    /// - `others`: the cosines of the query with arbitrary documents of the collection.
    /// - `fluency`: [`Reading::letters_per_token`](crate::Reading::letters_per_token), or
    ///   [`Reading::FLUENT`](crate::Reading::FLUENT) for a query without a text.
    #[must_use]
    pub fn probability(&self, cosine: f64, others: Distribution, fluency: f64) -> f64 {
        let deviations = (cosine - others.mean) / others.deviation.max(LEAST_DEVIATION);
        let logit = self.intercept
            + self.cosine * cosine
            + self.deviations * deviations
            + self.fluency * fluency;
        sigmoid(logit)
    }
}

/// Against a division by zero in a collection of equal documents.
const LEAST_DEVIATION: f64 = 1e-3;

/// The logistic function.
#[must_use]
pub fn sigmoid(logit: f64) -> f64 {
    1.0 / (1.0 + (-logit).exp())
}

#[cfg(test)]
mod tests {
    use super::*;

    const OTHERS: Distribution = Distribution {
        mean: 0.2,
        deviation: 0.08,
    };

    fn bundled() -> Calibration {
        let source = crate::ModelSource::resolve("clipdb-mini", std::path::Path::new("")).unwrap();
        Calibration::read(source.files()).unwrap().unwrap()
    }

    #[test]
    fn the_bundled_model_is_surer_of_a_higher_cosine() {
        let calibration = bundled();
        for query in [Modality::Text, Modality::Image] {
            for document in [Modality::Text, Modality::Image] {
                let pair = calibration.of(query, document);
                let sure = |cosine| pair.probability(cosine, OTHERS, 3.0);
                assert!(
                    sure(0.2) < 0.01 && sure(1.0) > 0.9,
                    "{query:?} {document:?}"
                );
                assert!(sure(0.5) < sure(0.6));
            }
        }
    }

    #[test]
    fn a_query_of_random_letters_is_less_sure() {
        let pair = *bundled().of(Modality::Text, Modality::Text);
        let of = |fluency| pair.probability(0.5, OTHERS, fluency);
        assert!(of(1.0) < of(3.0) / 2.0);
    }

    #[test]
    fn equal_documents_divide_by_no_zero() {
        let others = Distribution {
            mean: 0.5,
            deviation: 0.0,
        };
        let sure = PairCalibration::GENERIC.probability(0.5, others, 3.0);
        assert!(sure > 0.0 && sure < 0.01, "{sure}");
    }
}
