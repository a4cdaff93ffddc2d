//! BERT (Devlin et al. 2018) as a sentence encoder: the mean over a text's own tokens
//! of the last layer (Reimers and Gurevych 2019).

use serde::Deserialize;
use tch::{Kind, Tensor};

use super::layers::{
    Activation, LayerNorm, Linear, Mlp, SelfAttention, Visible, check_heads, embed,
};
use super::{Pause, TextTower, TokenBatch};
use crate::EmbedError;
use crate::weights::Scope;

#[derive(Debug, Deserialize)]
pub(crate) struct BertConfig {
    vocab_size: i64,
    hidden_size: i64,
    intermediate_size: i64,
    num_hidden_layers: i64,
    num_attention_heads: i64,
    max_position_embeddings: i64,
    #[serde(default = "two")]
    type_vocab_size: i64,
    hidden_act: Activation,
    layer_norm_eps: f64,
    #[serde(default)]
    position_embedding_type: PositionEmbedding,
    #[serde(default)]
    pooling: Pooling,
    /// Tokens it was tuned for, when fewer than it has positions.
    max_length: Option<i64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum PositionEmbedding {
    #[default]
    Absolute,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Pooling {
    #[default]
    Mean,
}

fn two() -> i64 {
    2
}

pub(crate) struct Bert {
    word_embeddings: Tensor,
    /// Positions, and with them the type of a first sentence, which is every text's.
    position_embeddings: Tensor,
    norm: LayerNorm,
    layers: Vec<Layer>,
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
    pub fn new(weights: &Scope<'_>, config: BertConfig) -> Result<Self, EmbedError> {
        let BertConfig {
            hidden_size: width,
            max_position_embeddings: positions,
            layer_norm_eps: eps,
            ..
        } = config;
        // Both have one variant so far: to parse them is to check them.
        let (PositionEmbedding::Absolute, Pooling::Mean) =
            (&config.position_embedding_type, &config.pooling);
        check_heads(width, config.num_attention_heads)?;
        let embeddings = weights.at("embeddings");
        let types = embeddings.get(
            "token_type_embeddings.weight",
            &[config.type_vocab_size, width],
        )?;
        let position_embeddings = embeddings
            .get("position_embeddings.weight", &[positions, width])?
            .f_add(&types.select(0, 0))
            .map_err(EmbedError::torch("loading weights"))?;
        Ok(Self {
            word_embeddings: embeddings
                .get("word_embeddings.weight", &[config.vocab_size, width])?,
            position_embeddings,
            norm: LayerNorm::new(&embeddings.at("LayerNorm"), width, eps)?,
            layers: (0..config.num_hidden_layers)
                .map(|number| Layer::new(&weights.at("encoder.layer").at(number), &config))
                .collect::<Result<_, _>>()?,
            width,
            context_length: config.max_length.unwrap_or(positions).min(positions),
        })
    }
}

impl TextTower for Bert {
    fn forward(&self, batch: &TokenBatch, pause: Pause<'_>) -> tch::Result<Tensor> {
        let mask = batch.mask()?;
        let positions = self.position_embeddings.f_narrow(0, 0, batch.longest())?;
        let x = embed(&self.word_embeddings, &batch.ids)?.f_add_(&positions)?;
        let x = self.norm.forward(&x)?;
        let keys = mask
            .as_ref()
            .map(|mask| mask.f_unsqueeze(1)?.f_unsqueeze(1))
            .transpose()?;
        let visible = keys.as_ref().map_or(Visible::All, Visible::Where);
        let x = self.layers.iter().try_fold(x, |x, layer| {
            pause();
            layer.forward(&x, &visible)
        })?;
        // The mean in f32: half precision cannot count to 512 tokens.
        let kind = x.f_kind()?;
        let x = x.f_to_kind(Kind::Float)?;
        let x = match &mask {
            Some(mask) => x.f_mul(&mask.f_unsqueeze(2)?.f_to_kind(Kind::Float)?)?,
            None => x,
        };
        x.f_sum_dim_intlist([1i64].as_slice(), false, Kind::Float)?
            .f_div(&batch.lengths()?.f_unsqueeze(1)?)?
            .f_to_kind(kind)
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

    fn forward(&self, x: &Tensor, visible: &Visible<'_>) -> tch::Result<Tensor> {
        let attended = self.attention.forward(x, visible)?.f_add_(x)?;
        let x = self.attention_norm.forward(&attended)?;
        self.output_norm.forward(&self.mlp.forward(&x)?.f_add_(&x)?)
    }
}
