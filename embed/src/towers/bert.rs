//! BERT (Devlin et al. 2018) as a sentence encoder: the last layer's mean over the text's tokens
//! (Reimers and Gurevych 2019), or its first token, or the means after several layers.

use serde::Deserialize;
use tch::Tensor;

use super::attention::{AttentionMask, Position, SelfAttention, check_heads};
use super::embedding_table::EmbeddingTable;
use super::layers::{Activation, LayerNorm, Mlp};
use super::linear::Linear;
use super::pooling::Pooling;
use super::token_batch::TokenBatch;
use super::tower::{TextTower, YieldPoint};
use crate::EmbedError;
use crate::sources::CONFIG;
use crate::weights::Scope;

/// `config.json` of a BERT.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct BertConfig {
    pub vocab_size: i64,
    pub hidden_size: i64,
    pub intermediate_size: i64,
    pub num_hidden_layers: i64,
    pub num_attention_heads: i64,
    pub max_position_embeddings: i64,
    #[serde(default = "two")]
    pub type_vocab_size: i64,
    pub hidden_act: Activation,
    pub layer_norm_eps: f64,
    #[serde(default)]
    pub position_embedding_type: PositionEmbedding,
    #[serde(default)]
    pub pooling: Pooling,
    /// The layers, counted from 1, after which tokens are pooled; the features are these means one
    /// after another. If empty, the last layer.
    #[serde(default)]
    pub taps: Vec<usize>,
    /// The length that it was fine-tuned for, if shorter than its positions.
    pub max_length: Option<i64>,
    /// The row of the position table for the first token.
    #[serde(skip)]
    pub first_position: i64,
}

#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum PositionEmbedding {
    #[default]
    Absolute,
}

/// The layer norms' epsilon in every published checkpoint.
pub(crate) const EPS: f64 = 1e-12;
/// The width of a head in every published checkpoint.
const HEAD_WIDTH: i64 = 64;

fn two() -> i64 {
    2
}

impl BertConfig {
    /// Derives the configuration from the tensors and from constants that the base and the large
    /// models share. For folders that contain only the model's name.
    pub fn of_tensors(weights: &Scope<'_>, layer_norm_eps: f64) -> Result<Self, EmbedError> {
        let embeddings = weights.at("embeddings");
        let (vocab_size, hidden_size) = embeddings.matrix_shape("word_embeddings.weight")?;
        let layers = weights.at("encoder.layer");
        let has = |number: &i64| layers.at(number).has("intermediate.dense.bias");
        Ok(Self {
            vocab_size,
            hidden_size,
            intermediate_size: layers.at(0).first_dimension("intermediate.dense.bias")?,
            num_hidden_layers: (0..).take_while(has).count() as i64,
            num_attention_heads: hidden_size / HEAD_WIDTH,
            max_position_embeddings: embeddings.first_dimension("position_embeddings.weight")?,
            type_vocab_size: embeddings.first_dimension("token_type_embeddings.weight")?,
            hidden_act: Activation::Gelu,
            layer_norm_eps,
            position_embedding_type: PositionEmbedding::Absolute,
            pooling: Pooling::Mean,
            taps: Vec::new(),
            max_length: None,
            first_position: 0,
        })
    }
}

pub(crate) struct Bert {
    word_embeddings: EmbeddingTable,
    /// Position embeddings plus the type embedding of a first sentence, which applies to every
    /// text.
    position_embeddings: Tensor,
    norm: LayerNorm,
    layers: Vec<Layer>,
    pooling: Pooling,
    taps: Vec<usize>,
    width: i64,
    context_length: i64,
}

struct Layer {
    attention: SelfAttention,
    attention_norm: LayerNorm,
    mlp: Mlp,
    output_norm: LayerNorm,
}

impl Bert {
    pub fn new(weights: &Scope<'_>, config: &BertConfig) -> Result<Self, EmbedError> {
        let &BertConfig {
            hidden_size: width,
            max_position_embeddings: positions,
            layer_norm_eps: eps,
            first_position: first,
            // The type has one variant, so parsing has checked it.
            position_embedding_type: PositionEmbedding::Absolute,
            ..
        } = config;
        check_heads(width, config.num_attention_heads)?;
        let taps = taps(config)?;
        let embeddings = weights.at("embeddings");
        let types = embeddings.get(
            "token_type_embeddings.weight",
            &[config.type_vocab_size, width],
        )?;
        let position_embeddings = embeddings
            .get("position_embeddings.weight", &[positions, width])?
            .f_narrow(0, first, positions - first)
            .and_then(|positions| positions.f_add(&types.f_select(0, 0)?))
            .map_err(EmbedError::torch("loading weights"))?;
        Ok(Self {
            word_embeddings: EmbeddingTable::new(
                &embeddings,
                "word_embeddings.weight",
                config.vocab_size,
                width,
            )?,
            position_embeddings,
            norm: LayerNorm::new(&embeddings.at("LayerNorm"), width, eps)?,
            layers: (0..config.num_hidden_layers)
                .map(|number| Layer::new(&weights.at("encoder.layer").at(number), config))
                .collect::<Result<_, _>>()?,
            pooling: config.pooling,
            width: width * taps.len() as i64,
            taps,
            context_length: config
                .max_length
                .unwrap_or(positions)
                .min(positions - first),
        })
    }
}

/// The layers after which tokens are pooled.
fn taps(config: &BertConfig) -> Result<Vec<usize>, EmbedError> {
    let layers = usize::try_from(config.num_hidden_layers).unwrap_or(0);
    if config.taps.is_empty() {
        return Ok(vec![layers]);
    }
    let are_means = config.pooling == Pooling::Mean;
    let are_layers = config.taps.iter().all(|tap| (1..=layers).contains(tap));
    if are_means && are_layers && config.taps.is_sorted_by(|a, b| a < b) {
        return Ok(config.taps.clone());
    }
    Err(EmbedError::file(
        CONFIG,
        format!(
            "its taps {:?} are not ascending numbers of its {layers} layers, pooled by their mean",
            config.taps
        ),
    ))
}

impl TextTower for Bert {
    fn forward(&self, batch: &TokenBatch, yield_point: YieldPoint<'_>) -> tch::Result<Tensor> {
        let mask = batch.mask()?;
        let positions = self.position_embeddings.f_narrow(0, 0, batch.longest())?;
        let x = self.word_embeddings.look_up(batch)?.f_add_(&positions)?;
        let x = self.norm.forward(&x)?;
        let keys = mask
            .as_ref()
            .map(|mask| mask.f_unsqueeze(1)?.f_unsqueeze(1))
            .transpose()?;
        let attention_mask = keys
            .as_ref()
            .map_or(AttentionMask::All, AttentionMask::Keys);
        // The last layer computes only the first token, if nothing else is read from it.
        let (last, layers) = match (self.pooling, self.layers.split_last()) {
            (Pooling::Cls, Some((last, layers))) => (Some(last), layers),
            _ => (None, self.layers.as_slice()),
        };
        let mut x = x;
        let mut features = Vec::with_capacity(self.taps.len());
        for (number, layer) in layers.iter().enumerate() {
            yield_point();
            x = layer.forward(&x, &attention_mask)?;
            if self.taps.contains(&(number + 1)) {
                features.push(self.pooling.forward(&x, batch, mask.as_ref())?);
            }
        }
        if let Some(last) = last {
            yield_point();
            let x = last.forward_at(&x, &attention_mask, &Position::Same(0))?;
            return self.pooling.forward(&x, batch, mask.as_ref());
        }
        if features.is_empty() {
            // Without layers, the embeddings themselves.
            return self.pooling.forward(&x, batch, mask.as_ref());
        }
        Tensor::f_cat(&features, 1)
    }

    fn width(&self) -> i64 {
        self.width
    }

    fn context_length(&self) -> usize {
        usize::try_from(self.context_length).unwrap_or(0)
    }
}

impl Layer {
    fn new(weights: &Scope<'_>, config: &BertConfig) -> Result<Self, EmbedError> {
        let (width, inner, eps) = (
            config.hidden_size,
            config.intermediate_size,
            config.layer_norm_eps,
        );
        let attention = weights.at("attention");
        let projection = |name| Linear::new(&attention.at("self").at(name), width, width);
        Ok(Self {
            attention: SelfAttention::new(
                [
                    projection("query")?,
                    projection("key")?,
                    projection("value")?,
                ],
                Linear::new(&attention.at("output.dense"), width, width)?,
                config.num_attention_heads,
            )?,
            attention_norm: LayerNorm::new(&attention.at("output.LayerNorm"), width, eps)?,
            mlp: Mlp::new(
                Linear::new(&weights.at("intermediate.dense"), width, inner)?,
                config.hidden_act,
                Linear::new(&weights.at("output.dense"), inner, width)?,
            ),
            output_norm: LayerNorm::new(&weights.at("output.LayerNorm"), width, eps)?,
        })
    }

    fn forward(&self, x: &Tensor, mask: &AttentionMask<'_>) -> tch::Result<Tensor> {
        let attended = self.attention.forward(x, mask)?;
        self.after_attention(attended, x)
    }

    /// The output at one position of each row, `[n, 1, width]`.
    fn forward_at(
        &self,
        x: &Tensor,
        mask: &AttentionMask<'_>,
        position: &Position,
    ) -> tch::Result<Tensor> {
        let attended = self.attention.forward_at(x, mask, position)?;
        self.after_attention(attended, &position.select(x)?)
    }

    fn after_attention(&self, mut attended: Tensor, x: &Tensor) -> tch::Result<Tensor> {
        let x = self.attention_norm.forward(&attended.f_add_(x)?)?;
        self.output_norm.forward(&self.mlp.forward(&x)?.f_add_(&x)?)
    }
}
