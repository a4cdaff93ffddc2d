//! How sure the collection may be that a hit is what was asked for.
//!
//! Each list that found a hit has a probability of its own, and the largest counts:
//!
//! - A vector's: the model's calibration for the kinds of the query and the document
//!   ([`PairCalibration`]), which compares the cosine with those of arbitrary documents of the
//!   collection. A model that was trained with a sigmoid, such as SigLIP, brings its own probability
//!   for a text and an image.
//! - The keyword list's: `σ(a + b · c − d · ln n)`, where `c` is the part of the query's words that
//!   the hit contains and `n` the number of hits that contain as much. An exact rare word is sure.
//!
//! A search may cut its hits off by their confidence ([`Cut`]).

use std::collections::HashMap;

use clipdb_embed::{Distribution, Modality, ModelCard, PairCalibration, Reading, sigmoid};
use clipdb_index::fusion::{self, Fused};
use clipdb_index::{CollectionIndex, Cosines, KeywordHits, RowId, VectorKind};

/// `a`, `b` and `d` of the keywords' probability. Set by hand for 0.93 with every word in one
/// document, 0.81 in ten, and 0.2 with half of the words in one. A larger `b` has a smaller
/// calibration error in `fusion_table` (0.078 for -6.4, 9 and 0.6, instead of 0.090), but `auto` then
/// leaves out documents with one of two words.
const KEYWORD_INTERCEPT: f64 = -5.4;
const KEYWORD_COVERAGE: f64 = 8.0;
const KEYWORD_CROWD: f64 = 0.5;

/// Observations that the model's typical cosines count as, in addition to the collection's own. By judgement.
const TYPICAL_COUNT: f64 = 16.0;

/// Nothing matches if the surest hit is below this. With this value `fusion_table` loses few right
/// hits, and most queries of random letters are below it.
const NO_MATCH: f64 = 0.025;

/// Hits below this are cut off although others match; chosen as [`NO_MATCH`].
const UNRELATED: f64 = 0.01;

/// Which hits a search leaves out because they are not sure enough.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Cut {
    /// The least confidence of a hit, from 0 to 1; 0 leaves none out.
    pub least: f32,
    /// Whether to leave out what is hardly related, and everything if nothing matches.
    pub auto: bool,
}

impl Cut {
    /// Whether it may leave hits out.
    pub fn is_active(self) -> bool {
        self.auto || self.least > 0.0
    }

    /// The least confidence of a hit, if the surest one has `best`.
    pub(crate) fn least(self, best: f64) -> f64 {
        let unrelated = match self.auto {
            false => 0.0,
            true if best < NO_MATCH => f64::INFINITY,
            true => UNRELATED,
        };
        unrelated.max(f64::from(self.least))
    }
}

/// Facts about a query besides the numbers of its vector.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    /// The kind of its parts; `None` if they differ or are vectors of the client's.
    pub(crate) modality: Option<Modality>,
    /// [`Reading::letters_per_token`] of the text that the model reads worst.
    pub(crate) fluency: f32,
    /// The scripts of its texts that the model does not read.
    pub(crate) unread_scripts: Vec<String>,
}

impl Default for Asked {
    fn default() -> Self {
        Self {
            modality: None,
            fluency: Reading::FLUENT,
            unread_scripts: Vec::new(),
        }
    }
}

impl Asked {
    /// Adds a text of the query.
    pub(crate) fn add(&mut self, reading: Reading) {
        self.fluency = self.fluency.min(reading.letters_per_token);
        for script in reading.unread_scripts {
            if !self.unread_scripts.contains(&script) {
                self.unread_scripts.push(script);
            }
        }
    }
}

/// Computes the confidence of the hits of one search.
pub(crate) struct Confidence {
    image: OfVector,
    text: OfVector,
}

/// How a vector's probability is computed.
enum OfVector {
    Calibrated {
        pair: PairCalibration,
        others: Distribution,
        fluency: f64,
        /// Whether equal vectors mean equal content.
        is_one_kind: bool,
    },
    /// The logit is `scale · cosine + bias`.
    Trained { scale: f64, bias: f64 },
}

impl OfVector {
    fn new(
        index: &CollectionIndex,
        vector: Option<&[f32]>,
        asked: &Asked,
        model: Option<&ModelCard>,
        kind: VectorKind,
    ) -> Self {
        let document = match kind {
            VectorKind::Image => Modality::Image,
            VectorKind::Text => Modality::Text,
        };
        if let (Some(query), Some(model)) = (asked.modality, model)
            && let Some(bias) = model.logit_bias
            && query != document
        {
            return Self::Trained {
                scale: model.logit_scale,
                bias,
            };
        }
        let calibration = model.and_then(|model| model.calibration.as_ref());
        let pair = match calibration.zip(asked.modality) {
            Some((calibration, query)) => *calibration.of(query, document),
            None => PairCalibration::GENERIC,
        };
        let cosines = vector.map(|vector| index.background(kind).cosines(vector));
        Self::Calibrated {
            pair,
            others: others(cosines, pair.typical),
            fluency: f64::from(asked.fluency),
            is_one_kind: asked.modality.is_none_or(|query| query == document),
        }
    }

    fn probability(&self, cosine: f64) -> f64 {
        match self {
            Self::Calibrated {
                pair,
                others,
                fluency,
                is_one_kind,
            } => {
                let sure = pair.probability(cosine, *others, *fluency);
                if *is_one_kind {
                    sure.max(equality(cosine))
                } else {
                    sure
                }
            }
            Self::Trained { scale, bias } => sigmoid(scale * cosine + bias),
        }
    }
}

/// The probability that two vectors with this cosine are the same: 0.95 for 1 and 0.5 for 0.97. It
/// counts for vectors whose distribution says nothing, as in few dimensions.
fn equality(cosine: f64) -> f64 {
    sigmoid(100.0 * (cosine - 0.97))
}

/// The cosines of the query with arbitrary documents: those of the sample, and as long as it is small,
/// the typical ones. A collection that is all about the query is not its own background, so the mean is
/// at most one typical deviation above the typical mean.
fn others(sample: Option<Cosines>, typical: Distribution) -> Distribution {
    let Some(sample) = sample else {
        return typical;
    };
    let count = sample.count as f64;
    let weighted =
        |own: f64, typical: f64| (count * own + TYPICAL_COUNT * typical) / (count + TYPICAL_COUNT);
    let highest = typical.mean + typical.deviation;
    Distribution {
        mean: weighted(sample.mean, typical.mean).min(highest),
        deviation: weighted(sample.variance, typical.deviation.powi(2)).sqrt(),
    }
}

impl Confidence {
    pub(crate) fn new(
        index: &CollectionIndex,
        vector: Option<&[f32]>,
        asked: &Asked,
        model: Option<&ModelCard>,
    ) -> Self {
        let of = |kind| OfVector::new(index, vector, asked, model, kind);
        Self {
            image: of(VectorKind::Image),
            text: of(VectorKind::Text),
        }
    }

    /// The confidence of a hit with these parts.
    pub(crate) fn of(&self, hit: &Fused, by_words: &HashMap<RowId, f64>) -> f64 {
        let of_part = |part: &fusion::Part| match part.list.vectors() {
            None => by_words.get(&hit.row).copied().unwrap_or(0.0),
            Some(kind) => self.of_cosine(kind, part.raw_score),
        };
        hit.parts.iter().map(of_part).fold(0.0, f64::max)
    }

    /// The confidence of a hit of a vector list with this cosine.
    pub(crate) fn of_cosine(&self, kind: VectorKind, cosine: f32) -> f64 {
        match kind {
            VectorKind::Image => self.image.probability(f64::from(cosine)),
            VectorKind::Text => self.text.probability(f64::from(cosine)),
        }
    }
}

/// How many of a query's words its best hits contain, with which each hit is compared.
pub(crate) struct WordCoverage {
    /// Ascending.
    sorted: Vec<f32>,
}

impl WordCoverage {
    /// Of the best `most` hits.
    pub(crate) fn new(keyword: &KeywordHits, most: usize) -> Self {
        let best = &keyword.coverage[..keyword.coverage.len().min(most)];
        let mut sorted = best.to_vec();
        sorted.sort_unstable_by(f32::total_cmp);
        Self { sorted }
    }

    /// The confidence of each hit by its words. If the query only excludes words, every hit is what
    /// was asked for.
    pub(crate) fn confidence(&self, keyword: &KeywordHits) -> HashMap<RowId, f64> {
        let hits = keyword.hits.iter().zip(&keyword.coverage);
        hits.map(|(hit, coverage)| {
            let fewer = self.sorted.partition_point(|other| other < coverage);
            let as_many = (self.sorted.len() - fewer).max(1);
            let sure = match keyword.has_words {
                true => word_probability(f64::from(*coverage), as_many),
                false => 1.0,
            };
            (hit.row, sure)
        })
        .collect()
    }
}

fn word_probability(coverage: f64, as_many: usize) -> f64 {
    let crowd = KEYWORD_CROWD * (as_many as f64).ln();
    sigmoid(KEYWORD_INTERCEPT + KEYWORD_COVERAGE * coverage - crowd)
}

#[cfg(test)]
mod tests {
    use clipdb_index::Scored;

    use super::*;

    const TYPICAL: Distribution = Distribution {
        mean: 0.2,
        deviation: 0.1,
    };

    #[test]
    fn a_cut_leaves_everything_out_only_if_nothing_matches() {
        let auto = Cut {
            auto: true,
            ..Cut::default()
        };
        assert_eq!(auto.least(0.9), UNRELATED);
        assert_eq!(auto.least(NO_MATCH / 2.0), f64::INFINITY);
        let both = Cut {
            auto: true,
            least: 0.5,
        };
        assert_eq!(both.least(0.9), 0.5);
        assert!(!Cut::default().is_active());
        assert_eq!(Cut::default().least(0.0), 0.0);
    }

    #[test]
    fn a_small_collection_is_compared_with_typical_cosines() {
        let sample = |count, mean, deviation: f64| {
            let variance = deviation * deviation;
            others(
                Some(Cosines {
                    count,
                    mean,
                    variance,
                }),
                TYPICAL,
            )
        };
        assert_eq!(others(None, TYPICAL), TYPICAL);
        assert_eq!(sample(0, 0.0, 0.0).mean, TYPICAL.mean);
        let large = sample(10_000, 0.1, 0.05);
        assert!((large.mean - 0.1).abs() < 0.001 && (large.deviation - 0.05).abs() < 0.001);
        // Every document is about the query.
        assert!((sample(256, 0.7, 0.05).mean - 0.3).abs() < 1e-9);
    }

    #[test]
    fn an_equal_vector_is_sure_whatever_the_distribution() {
        assert!(equality(1.0) > 0.9 && equality(0.99) > 0.8 && equality(0.9) < 0.01);
    }

    #[test]
    fn an_exact_rare_word_is_sure_and_half_of_the_words_is_not() {
        assert!(word_probability(1.0, 1) > 0.9);
        assert!(word_probability(0.5, 1) < 0.25);
        assert!(word_probability(1.0, 1000) < 0.6);
        let scored = |row: u64, score| Scored {
            row: RowId(row),
            score,
            passage: 0,
        };
        let mut keyword = KeywordHits {
            hits: vec![scored(1, 9.0), scored(2, 5.0), scored(3, 5.0)],
            coverage: vec![1.0, 0.5, 0.5],
            has_words: true,
            ..KeywordHits::default()
        };
        let sure = WordCoverage::new(&keyword, 1000).confidence(&keyword);
        assert_eq!(sure[&RowId(1)], word_probability(1.0, 1));
        assert_eq!(sure[&RowId(3)], word_probability(0.5, 3));
        keyword.has_words = false;
        let excluded = WordCoverage::new(&keyword, 1000).confidence(&keyword);
        assert!(excluded.values().all(|sure| *sure == 1.0));
    }
}
