//! The multilingual Universal Sentence Encoder (Yang et al. 2019): convolutions over two, three and
//! five neighbouring tokens, their sum over the text, and a residual network. Small and fast, and
//! strong on single words in the sixteen languages that it was trained on.

use serde::Deserialize;
use tch::{Kind, Tensor};

use super::embedding_table::EmbeddingTable;
use super::layers::LayerNorm;
use super::linear::Linear;
use super::token_batch::TokenBatch;
use crate::EmbedError;
use crate::weights::Scope;

/// The width of its token embeddings and of its output.
pub(super) const WIDTH: i64 = 512;
/// The width of each branch of convolutions.
const BRANCH: i64 = 256;
const EPS: f64 = 1e-12;
/// The number of neighbouring tokens of each branch, and how many of them are to the left.
const BRANCHES: [(i64, i64); 3] = [(2, 0), (3, 1), (5, 2)];
const RESIDUAL: i64 = 320;

#[derive(Debug, Deserialize)]
pub(crate) struct UniversalSentenceEncoderConfig {
    vocab_size: i64,
}

pub(super) struct UniversalSentenceEncoder {
    word_embeddings: EmbeddingTable,
    project: Linear,
    project_norm: LayerNorm,
    branches: Vec<NeighbourConvolutions>,
    norm: LayerNorm,
    sum: Linear,
    /// Added once for each token.
    sum_bias: Tensor,
    dense: [Linear; 4],
    skip: [Linear; 2],
}

/// Two residual convolutions over neighbouring tokens.
struct NeighbourConvolutions {
    /// Tokens to the left and to the right.
    around: [i64; 2],
    layers: [Linear; 2],
}

impl UniversalSentenceEncoder {
    pub fn new(
        weights: &Scope<'_>,
        config: &UniversalSentenceEncoderConfig,
    ) -> Result<Self, EmbedError> {
        let all_branches = BRANCH * BRANCHES.len() as i64;
        let features = WIDTH + all_branches;
        let dense = |number: i64, input, output| {
            Linear::without_bias(&weights.at("dense").at(number), input, output)
        };
        let skip = |number: i64, input, output| {
            Linear::without_bias(&weights.at("skip").at(number), input, output)
        };
        Ok(Self {
            word_embeddings: EmbeddingTable::new(
                weights,
                "word_embeddings.weight",
                config.vocab_size,
                WIDTH,
            )?,
            project: Linear::new(&weights.at("project"), WIDTH, all_branches)?,
            project_norm: LayerNorm::new(&weights.at("project_norm"), all_branches, EPS)?,
            branches: BRANCHES
                .iter()
                .enumerate()
                .map(|(number, branch)| {
                    NeighbourConvolutions::new(&weights.at("branches").at(number), *branch)
                })
                .collect::<Result<_, _>>()?,
            norm: LayerNorm::new(&weights.at("norm"), features, EPS)?,
            sum: Linear::without_bias(&weights.at("sum"), features, WIDTH)?,
            sum_bias: weights.at("sum").get("bias", &[WIDTH])?,
            dense: [
                dense(0, WIDTH, RESIDUAL)?,
                dense(1, RESIDUAL, RESIDUAL)?,
                dense(2, RESIDUAL, WIDTH)?,
                dense(3, WIDTH, WIDTH)?,
            ],
            skip: [skip(1, WIDTH, RESIDUAL)?, skip(3, RESIDUAL, WIDTH)?],
        })
    }

    /// One vector of [`WIDTH`] numbers per text, not normalised.
    pub fn forward(&self, batch: &TokenBatch) -> tch::Result<Tensor> {
        let mask = batch.mask()?;
        let without_padding = |x: Tensor| match &mask {
            Some(mask) => x.f_mul(&mask.f_unsqueeze(2)?.f_to_kind(x.kind())?),
            None => Ok(x),
        };
        let words = without_padding(self.word_embeddings.look_up(batch)?)?;
        let projected = self.project_norm.forward(&self.project.forward(&words)?)?;
        let projected = without_padding(projected)?;
        let mut parts = vec![words];
        for (number, branch) in self.branches.iter().enumerate() {
            let mut x = projected.f_narrow(2, BRANCH * number as i64, BRANCH)?;
            for layer in &branch.layers {
                let added = layer.forward(&branch.neighbours(&x)?)?.f_relu()?;
                x = without_padding(x.f_add(&added)?)?;
            }
            parts.push(x);
        }
        let features = self.norm.forward(&Tensor::f_cat(&parts, 2)?)?;
        let kind = features.f_kind()?;
        let summed = without_padding(features)?
            .f_sum_dim_intlist([1i64].as_slice(), false, Kind::Float)?
            .f_to_kind(kind)?;
        let lengths = batch.lengths()?.f_unsqueeze(1)?.f_to_kind(kind)?;
        let mean = self
            .sum
            .forward(&summed)?
            .f_add(&lengths.f_mul(&self.sum_bias)?)?
            .f_div(&lengths.f_sqrt()?)?;
        self.residual_network(&mean)
    }

    fn residual_network(&self, x: &Tensor) -> tch::Result<Tensor> {
        let [first, second, third, fourth] = &self.dense;
        let [skip_to_second, skip_to_fourth] = &self.skip;
        let y = first.forward(x)?.f_relu()?;
        let y = skip_to_second
            .forward(x)?
            .f_add(&second.forward(&y)?)?
            .f_relu()?;
        let z = third.forward(&y)?.f_relu()?;
        skip_to_fourth
            .forward(&y)?
            .f_add(&fourth.forward(&z)?)?
            .f_tanh()
    }
}

impl NeighbourConvolutions {
    fn new(weights: &Scope<'_>, (tokens, left): (i64, i64)) -> Result<Self, EmbedError> {
        let layer = |number: i64| Linear::new(&weights.at(number), tokens * BRANCH, BRANCH);
        Ok(Self {
            around: [left, tokens - 1 - left],
            layers: [layer(0)?, layer(1)?],
        })
    }

    /// `[n, length, BRANCH]` to `[n, length, tokens · BRANCH]`: each token with its neighbours, from
    /// left to right. Beyond the ends of the text everything is zero.
    fn neighbours(&self, x: &Tensor) -> tch::Result<Tensor> {
        let [left, right] = self.around;
        let length = x.size3()?.1;
        let wide = x.f_constant_pad_nd([0, 0, left, right])?;
        let shifted = (0..=left + right).map(|shift| wide.f_narrow(1, shift, length));
        Tensor::f_cat(&shifted.collect::<tch::Result<Vec<_>>>()?, 2)
    }
}
