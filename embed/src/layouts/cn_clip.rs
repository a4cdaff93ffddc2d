//! Chinese-CLIP in its authors' own layout (Yang et al. 2022), the only form of its RN50:
//! `config.json` contains the two configurations that their code merges, and `model.safetensors`
//! contains the `state_dict` of their checkpoint.

use serde::Deserialize;
use serde_json::Value;

use super::chinese_clip::CONTEXT;
use super::folder::{Architecture, Towers, softmax_scale};
use super::open_clip_vision::{VisionNetwork, VisionShape};
use crate::EmbedError;
use crate::image::Preprocessor;
use crate::model::Branch;
use crate::sources::{CONFIG, ModelFiles, TOKENIZER};
use crate::towers::{
    Activation, BERT_EPS, Bert, BertConfig, ImageTower, Linear, Pooling, PositionEmbedding,
    Projection, TextTower,
};
use crate::weights::{Scope, Weights};

#[derive(Debug, Deserialize)]
pub(super) struct CnClip {
    embed_dim: i64,
    image_resolution: u32,
    vision_layers: Layers,
    vision_width: i64,
    #[serde(default = "sixty_four")]
    vision_head_width: i64,
    vision_patch_size: Option<i64>,
    vocab_size: i64,
    text_hidden_act: Activation,
    text_hidden_size: i64,
    text_intermediate_size: i64,
    text_max_position_embeddings: i64,
    text_num_attention_heads: i64,
    text_num_hidden_layers: i64,
    text_type_vocab_size: i64,
}

fn sixty_four() -> i64 {
    64
}

/// The layers of a transformer, or of the four stages of a residual network.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(try_from = "WrittenLayers")]
enum Layers {
    Transformer(i64),
    ResNet([i64; 4]),
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum WrittenLayers {
    Transformer(i64),
    ResNet([i64; 4]),
    /// The authors' file has the list of stages in a string.
    Text(String),
}

impl TryFrom<WrittenLayers> for Layers {
    type Error = serde_json::Error;

    fn try_from(written: WrittenLayers) -> Result<Self, serde_json::Error> {
        match written {
            WrittenLayers::Transformer(layers) => Ok(Self::Transformer(layers)),
            WrittenLayers::ResNet(layers) => Ok(Self::ResNet(layers)),
            WrittenLayers::Text(text) => serde_json::from_str(&text).map(Self::ResNet),
        }
    }
}

impl CnClip {
    fn text(&self, weights: &Scope<'_>) -> Result<Branch<dyn TextTower>, EmbedError> {
        let (width, dim) = (self.text_hidden_size, self.embed_dim);
        let config = BertConfig {
            vocab_size: self.vocab_size,
            hidden_size: width,
            intermediate_size: self.text_intermediate_size,
            num_hidden_layers: self.text_num_hidden_layers,
            num_attention_heads: self.text_num_attention_heads,
            max_position_embeddings: self.text_max_position_embeddings,
            type_vocab_size: self.text_type_vocab_size,
            hidden_act: self.text_hidden_act,
            layer_norm_eps: BERT_EPS,
            position_embedding_type: PositionEmbedding::Absolute,
            pooling: Pooling::Cls,
            taps: Vec::new(),
            max_length: Some(CONTEXT),
            first_position: 0,
        };
        let tower = Bert::new(&weights.at("bert"), &config)?;
        let projection = Linear::transposed(weights, "text_projection", width, dim)?;
        Ok(Branch::text(tower, Projection::Linear(projection)))
    }

    fn image(
        &self,
        files: &ModelFiles,
        weights: &Scope<'_>,
    ) -> Result<Branch<dyn ImageTower>, EmbedError> {
        if self.vision_head_width <= 0 {
            let reason = "vision_head_width must be positive";
            return Err(EmbedError::file(files.display(CONFIG), reason));
        }
        let shape = VisionShape {
            image_size: self.image_resolution.into(),
            width: self.vision_width,
            head_width: self.vision_head_width,
            dim: self.embed_dim,
            network: match self.vision_layers {
                Layers::ResNet(layers) => VisionNetwork::ResNet { layers },
                Layers::Transformer(layers) => VisionNetwork::Transformer {
                    layers,
                    // The tower rejects 0.
                    patch_size: self.vision_patch_size.unwrap_or_default(),
                    inner: 4 * self.vision_width,
                    activation: Activation::QuickGelu,
                },
            },
        };
        Ok(Branch {
            tower: shape.tower(weights)?,
            projection: shape.projection(weights)?,
        })
    }
}

impl Architecture for CnClip {
    fn preparation(&self, _files: &ModelFiles) -> &'static [&'static str] {
        &[TOKENIZER]
    }

    /// Resizes to the tower's size and ignores the aspect ratio, as the authors' code does.
    fn preprocessor(&self, files: &ModelFiles) -> Result<Option<Preprocessor>, EmbedError> {
        let squash = Value::from_iter([("resize_mode", "squash")]);
        Preprocessor::from_open_clip(&squash, self.image_resolution)
            .map(Some)
            .map_err(|error| EmbedError::file(files.display(CONFIG), error))
    }

    fn towers(&self, files: &ModelFiles, weights: &Weights) -> Result<Towers, EmbedError> {
        // A network that was trained on several devices has this prefix.
        let root = match weights.at("").has("module.logit_scale") {
            true => weights.at("module"),
            false => weights.at(""),
        };
        Ok(Towers {
            text: self.text(&root)?,
            image: Some(self.image(files, &root.at("visual"))?),
            scale: softmax_scale(&root)?,
            model_type: "cn_clip".to_owned(),
            license: None,
            dim: self.embed_dim,
        })
    }
}
