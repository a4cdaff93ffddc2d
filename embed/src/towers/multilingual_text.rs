//! The text tower of the bundled multilingual model: two networks that read the same text, and a small
//! trained network over both.
//!
//! E5 (Wang et al. 2024), of which nine layers are kept, reads a hundred languages and is strong on
//! sentences; the Universal Sentence Encoder reads sixteen and is strong on single words. Where it
//! cannot read a script, its share is zero. `models/multilingual/README.md` has the formulas.

use serde::Deserialize;
use tch::{Kind, TchError, Tensor};

use super::bert::{Bert, BertConfig};
use super::linear::Linear;
use super::token_batch::TokenBatch;
use super::tower::{TextTower, YieldPoint};
use super::universal_sentence_encoder::{
    UniversalSentenceEncoder, UniversalSentenceEncoderConfig, WIDTH as USE_WIDTH,
};
use crate::EmbedError;
use crate::weights::Scope;

#[derive(Debug, Deserialize)]
pub(crate) struct MultilingualTextConfig {
    /// Its last tap is its output.
    e5: BertConfig,
    #[serde(rename = "use")]
    use_: UniversalSentenceEncoderConfig,
}

pub(super) struct MultilingualText {
    e5: Bert,
    use_: UniversalSentenceEncoder,
    head: Head,
    width: i64,
}

/// `project [k u, c] + outer relu(inner [e, k u] + k · inner_share + ln(n) · inner_length)`, with the taps e, USE's
/// vector u, the share k of the text that USE reads, the centred output c, and n tokens.
struct Head {
    /// `[2, E5's width]`: E5's mean over texts that USE reads, and over those that it does not.
    mean: Tensor,
    inner: Linear,
    inner_share: Tensor,
    inner_length: Tensor,
    outer: Linear,
    project: Linear,
    e5_width: i64,
}

/// The token of the second tokenizer for letters that it does not know.
const UNKNOWN: u32 = 0;
/// A text with a third of unknown tokens is not read at all.
const UNKNOWN_WEIGHT: f64 = 3.0;
/// Squared lengths are at least this.
const LEAST_SQUARE: f64 = 1e-12;

impl MultilingualText {
    pub fn new(weights: &Scope<'_>, config: &MultilingualTextConfig) -> Result<Self, EmbedError> {
        let e5 = Bert::new(&weights.at("e5"), &config.e5)?;
        let head = weights.at("head");
        let width = head.first_dimension("outer.bias")?;
        Ok(Self {
            head: Head::new(&head, config.e5.hidden_size, e5.width(), width)?,
            use_: UniversalSentenceEncoder::new(&weights.at("use"), &config.use_)?,
            e5,
            width,
        })
    }
}

impl TextTower for MultilingualText {
    fn forward(&self, batch: &TokenBatch, yield_point: YieldPoint<'_>) -> tch::Result<Tensor> {
        let second = batch.second().ok_or_else(|| {
            TchError::Torch("the tokens of the second tokenizer are missing".into())
        })?;
        let taps = self.e5.forward(batch, yield_point)?;
        yield_point();
        let words = self.use_.forward(second)?;
        self.head.forward(&taps, &words, batch, second)
    }

    fn width(&self) -> i64 {
        self.width
    }

    fn context_length(&self) -> usize {
        self.e5.context_length()
    }
}

impl Head {
    fn new(weights: &Scope<'_>, e5_width: i64, taps: i64, width: i64) -> Result<Self, EmbedError> {
        let hidden = weights.first_dimension("inner.bias")?;
        Ok(Self {
            mean: weights.get_f32("mean", &[2, e5_width])?,
            inner: Linear::new(&weights.at("inner"), taps + USE_WIDTH, hidden)?,
            inner_share: weights.get("inner.share", &[hidden])?,
            inner_length: weights.get("inner.length", &[hidden])?,
            outer: Linear::new(&weights.at("outer"), hidden, width)?,
            project: Linear::without_bias(&weights.at("project"), USE_WIDTH + e5_width, width)?,
            e5_width,
        })
    }

    /// `taps` are E5's, `words` USE's vectors; the output is `[n, width]`, not normalised.
    fn forward(
        &self,
        taps: &Tensor,
        words: &Tensor,
        batch: &TokenBatch,
        second: &TokenBatch,
    ) -> tch::Result<Tensor> {
        let kind = taps.f_kind()?;
        let column = |numbers: Vec<f32>| {
            Tensor::f_from_slice(&numbers)?
                .f_to_device(taps.device())?
                .f_unsqueeze(1)
        };
        let share = column(second.rows().iter().map(|ids| share_read(ids)).collect())?;
        let lengths = column(
            batch
                .rows()
                .iter()
                .map(|ids| (ids.len() as f32).ln())
                .collect(),
        )?;
        let words = unit(words)?.f_mul(&share)?;
        let (n, _) = taps.size2()?;
        let taps = unit(&taps.f_view([n, -1, self.e5_width])?)?;
        let count = taps.size3()?.1;
        let mean_read = self.mean.f_narrow(0, 0, 1)?;
        let mean_other = self.mean.f_narrow(0, 1, 1)?;
        // mean_other + share · (mean_read - mean_other)
        let mean = mean_read
            .f_sub(&mean_other)?
            .f_mul(&share)?
            .f_add(&mean_other)?;
        let centred = unit(&taps.f_select(1, count - 1)?.f_sub(&mean)?)?;
        let inputs = Tensor::f_cat(&[taps.f_view([n, -1])?, words.shallow_clone()], 1)?;
        let hidden = self
            .inner
            .forward(&inputs.f_to_kind(kind)?)?
            .f_add(&share.f_to_kind(kind)?.f_mul(&self.inner_share)?)?
            .f_add(&lengths.f_to_kind(kind)?.f_mul(&self.inner_length)?)?
            .f_relu()?;
        let straight = Tensor::f_cat(&[words, centred], 1)?.f_to_kind(kind)?;
        self.project
            .forward(&straight)?
            .f_add(&self.outer.forward(&hidden)?)
    }
}

/// How much of a text USE reads, from 0 to 1. `ids` include one special token at each end.
fn share_read(ids: &[u32]) -> f32 {
    let inner = ids.get(1..ids.len().saturating_sub(1)).unwrap_or_default();
    let unknown = inner.iter().filter(|id| **id == UNKNOWN).count() as f64;
    (1.0 - UNKNOWN_WEIGHT * unknown / inner.len().max(1) as f64).max(0.0) as f32
}

/// Divides vectors along the last dimension by their length. In f32: lengths of half precision overflow.
fn unit(x: &Tensor) -> tch::Result<Tensor> {
    let x = x.f_to_kind(Kind::Float)?;
    let squares = x
        .f_square()?
        .f_sum_dim_intlist([-1i64].as_slice(), true, Kind::Float)?;
    x.f_div(&squares.f_add_scalar(LEAST_SQUARE)?.f_sqrt()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_with_a_third_of_unknown_tokens_is_not_read() {
        assert_eq!(share_read(&[1, 5, 6, 7, 2]), 1.0);
        assert_eq!(share_read(&[1, 0, 6, 7, 2]), 0.0);
        assert_eq!(share_read(&[1, 0, 5, 6, 7, 8, 9, 2]), 0.5);
        assert_eq!(share_read(&[1, 2]), 1.0);
        assert_eq!(share_read(&[]), 1.0);
    }
}
