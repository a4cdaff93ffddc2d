//! Chinese-CLIP as its authors keep it (Yang et al. 2022), which is the only form of its
//! RN50: `config.json` holds the two configurations that their code merges, and
//! `model.safetensors` what their checkpoint calls `state_dict`.

use serde::Deserialize;
use serde_json::Value;
use tch::{Device, Kind};

use super::chinese_clip::CONTEXT;
use super::{Layout, softmax_scale};
use crate::EmbedError;
use crate::image::Preprocessor;
use crate::model::{Half, Model};
use crate::sources::{CONFIG, ModelFiles, TOKENIZER, TRANSFORMERS_WEIGHTS};
use crate::tokens::Tokens;
use crate::towers::{
    Activation, Bert, BertConfig, ClipVision, ClipVisionConfig, ImageTower, Linear, ModifiedResNet,
    ModifiedResNetConfig, Naming, Pooling, PositionEmbedding, Projection, TextTower,
};
use crate::weights::Scope;

#[derive(Debug)]
pub(super) struct CnClip {
    files: ModelFiles,
    config: Config,
}

#[derive(Debug, Deserialize)]
struct Config {
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

/// Of a transformer, or of a residual network's four stages, which stand in a string.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
enum Layers {
    Transformer(i64),
    ResNet([i64; 4]),
    Written(String),
}

fn sixty_four() -> i64 {
    64
}

impl CnClip {
    pub fn open(files: &ModelFiles) -> Result<Self, EmbedError> {
        let mut config: Config = files.json(CONFIG)?;
        if let Layers::Written(stages) = &config.vision_layers {
            let stages = serde_json::from_str(stages).map(Layers::ResNet);
            config.vision_layers =
                stages.map_err(|error| EmbedError::file(files.display(CONFIG), error))?;
        }
        if config.vision_head_width <= 0 {
            let reason = "a vision_head_width is above zero";
            return Err(EmbedError::file(files.display(CONFIG), reason));
        }
        Ok(Self {
            config,
            files: files.clone(),
        })
    }

    fn text(&self, weights: &Scope<'_>) -> Result<Half<dyn TextTower>, EmbedError> {
        let config = &self.config;
        let (width, dim) = (config.text_hidden_size, config.embed_dim);
        let tower = Bert::new(
            &weights.at("bert"),
            &BertConfig {
                vocab_size: config.vocab_size,
                hidden_size: width,
                intermediate_size: config.text_intermediate_size,
                num_hidden_layers: config.text_num_hidden_layers,
                num_attention_heads: config.text_num_attention_heads,
                max_position_embeddings: config.text_max_position_embeddings,
                type_vocab_size: config.text_type_vocab_size,
                hidden_act: config.text_hidden_act,
                layer_norm_eps: 1e-12,
                position_embedding_type: PositionEmbedding::Absolute,
                pooling: Pooling::Cls,
                max_length: Some(CONTEXT),
                first_position: 0,
            },
        )?;
        Ok(Half {
            tower: Box::new(tower),
            projection: Linear::right(weights, "text_projection", width, dim)
                .map(Projection::Linear)?,
        })
    }

    fn image(&self, weights: &Scope<'_>) -> Result<Half<dyn ImageTower>, EmbedError> {
        let config = &self.config;
        let (width, dim) = (config.vision_width, config.embed_dim);
        let image_size = i64::from(config.image_resolution);
        match &config.vision_layers {
            Layers::ResNet(layers) => {
                let shape = ModifiedResNetConfig {
                    image_size,
                    layers: *layers,
                    width,
                    heads: width * 32 / config.vision_head_width,
                    output: dim,
                };
                Ok(Half {
                    tower: Box::new(ModifiedResNet::new(weights, &shape)?),
                    projection: Projection::Identity,
                })
            }
            Layers::Transformer(layers) => {
                let shape = ClipVisionConfig {
                    hidden_size: width,
                    intermediate_size: 4 * width,
                    num_hidden_layers: *layers,
                    num_attention_heads: width / config.vision_head_width,
                    image_size,
                    // Zero is refused as no patch.
                    patch_size: config.vision_patch_size.unwrap_or_default(),
                    hidden_act: Activation::QuickGelu,
                    layer_norm_eps: 1e-5,
                };
                Ok(Half {
                    tower: Box::new(ClipVision::new(weights, shape, Naming::OpenClip)?),
                    projection: Linear::right(weights, "proj", width, dim)
                        .map(Projection::Linear)?,
                })
            }
            Layers::Written(_) => Err(EmbedError::file(
                self.files.display(CONFIG),
                "its vision_layers are neither a number nor four",
            )),
        }
    }
}

impl Layout for CnClip {
    fn tokens(&self) -> Result<Tokens, EmbedError> {
        Tokens::open(&self.files)
    }

    /// Both sides to the tower's, as the authors' code does it.
    fn preprocessor(&self) -> Result<Option<Preprocessor>, EmbedError> {
        let squash = Value::from_iter([("resize_mode", "squash")]);
        Preprocessor::from_open_clip(&squash, self.config.image_resolution)
            .map(Some)
            .map_err(|error| EmbedError::file(self.files.display(CONFIG), error))
    }

    fn load(&self, device: Device, kind: Kind) -> Result<Model, EmbedError> {
        let weights = super::weights(
            &self.files,
            &TRANSFORMERS_WEIGHTS,
            &[TOKENIZER],
            device,
            kind,
        )?;
        // Trained over several devices, a network's names begin so.
        let root = match weights.at("").has("module.logit_scale") {
            true => weights.at("module"),
            false => weights.at(""),
        };
        Ok(Model {
            text: self.text(&root)?,
            image: Some(self.image(&root.at("visual"))?),
            scale: softmax_scale(&root)?,
            model_type: "cn_clip".to_owned(),
            license: None,
            dim: self.config.embed_dim,
            parameters: weights.parameters(),
            fingerprint: weights.fingerprint(),
            device,
            kind,
        })
    }
}
