//! OpenCLIP's folders (Ilharco et al. 2021): `open_clip_config.json` beside the weights.
//! OpenAI's own models come in it too, as OpenCLIP keeps them on the hub.
//!
//! The activation is what the configuration says. OpenAI's and the early LAION-400M
//! weights were trained with the quick one, and their configurations say so.

use serde::Deserialize;
use serde_json::Value;
use tch::{Device, Kind};

use super::{ImageAlone, Layout, softmax_scale};
use crate::EmbedError;
use crate::image::Preprocessor;
use crate::model::{Half, Model};
use crate::sources::{ModelFiles, OPEN_CLIP_CONFIG, OPEN_CLIP_WEIGHTS, TOKENIZER};
use crate::tokens::Tokens;
use crate::towers::{
    Activation, BertConfig, ClipText, ClipTextConfig, ClipVision, ClipVisionConfig, ImageTower,
    Linear, Mlp, ModifiedResNet, ModifiedResNetConfig, Naming, Pooling, Projection, ROBERTA_EPS,
    ROBERTA_PADDING, TextTower, roberta,
};
use crate::weights::Scope;

/// The highest token is the end of text, as in OpenAI's code.
const END_IS_HIGHEST: u32 = 2;
const EPS: f64 = 1e-5;
/// Text towers of `transformers` that OpenCLIP's models have.
const ROBERTAS: [&str; 3] = ["roberta-base", "xlm-roberta-base", "xlm-roberta-large"];

#[derive(Debug)]
pub(super) struct OpenClip {
    files: ModelFiles,
    config: Config,
}

#[derive(Debug, Deserialize)]
struct Config {
    model_cfg: ModelConfig,
    #[serde(default)]
    preprocess_cfg: Value,
}

/// What is not listed here changes the network in ways that are not written yet: it is
/// refused by name.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ModelConfig {
    embed_dim: i64,
    #[serde(default)]
    quick_gelu: bool,
    vision_cfg: VisionConfig,
    text_cfg: TextConfig,
    /// Where the tensors' names begin with `text.`, which they tell themselves.
    #[serde(default, rename = "custom_text")]
    _custom_text: bool,
    #[serde(default, rename = "init_logit_scale")]
    _init_logit_scale: Option<f64>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct VisionConfig {
    image_size: Side,
    #[serde(default = "twelve")]
    layers: Layers,
    #[serde(default = "width_of_vision")]
    width: i64,
    #[serde(default = "head_width")]
    head_width: i64,
    #[serde(default = "four")]
    mlp_ratio: f64,
    patch_size: Option<i64>,
    /// Counts in training alone.
    #[serde(default, rename = "patch_dropout")]
    _patch_dropout: f64,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct TextConfig {
    #[serde(default = "context")]
    context_length: i64,
    #[serde(default = "vocabulary")]
    vocab_size: i64,
    #[serde(default = "width_of_text")]
    width: i64,
    #[serde(default = "heads_of_text")]
    heads: i64,
    #[serde(default = "layers_of_text")]
    layers: i64,
    #[serde(default = "four")]
    mlp_ratio: f64,
    /// Where there is one, the folder has it; else it is OpenAI's.
    hf_tokenizer_name: Option<String>,
    /// A transformer of another library in place of OpenCLIP's own.
    hf_model_name: Option<String>,
    #[serde(default = "mlp")]
    hf_proj_type: Option<HfProjection>,
    hf_pooler_type: Option<HfPooler>,
    /// Counts before training alone.
    #[serde(default, rename = "hf_model_pretrained")]
    _pretrained: bool,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum HfProjection {
    Linear,
    Mlp,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum HfPooler {
    MeanPooler,
    ClsLastHiddenStatePooler,
}

/// A square, told by one side or by both.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(untagged)]
enum Side {
    One(i64),
    Both(i64, i64),
}

/// Of a transformer, or of the four stages of a residual network.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(untagged)]
enum Layers {
    Transformer(i64),
    ResNet([i64; 4]),
}

// The defaults of OpenCLIP's CLIPVisionCfg and CLIPTextCfg.
fn twelve() -> Layers {
    Layers::Transformer(12)
}
fn width_of_vision() -> i64 {
    768
}
fn head_width() -> i64 {
    64
}
fn four() -> f64 {
    4.0
}
fn context() -> i64 {
    77
}
fn vocabulary() -> i64 {
    49408
}
fn width_of_text() -> i64 {
    512
}
fn heads_of_text() -> i64 {
    8
}
fn layers_of_text() -> i64 {
    12
}
fn mlp() -> Option<HfProjection> {
    Some(HfProjection::Mlp)
}

impl OpenClip {
    pub fn open(files: &ModelFiles) -> Result<Self, EmbedError> {
        Ok(Self {
            config: files.json(OPEN_CLIP_CONFIG)?,
            files: files.clone(),
        })
    }

    fn refuse(&self, reason: impl ToString) -> EmbedError {
        EmbedError::file(self.files.display(OPEN_CLIP_CONFIG), reason)
    }

    fn image_size(&self) -> Result<i64, EmbedError> {
        match self.config.model_cfg.vision_cfg.image_size {
            Side::One(side) => Ok(side),
            Side::Both(height, width) if height == width => Ok(height),
            Side::Both(height, width) => {
                Err(self.refuse(format!("a picture of {width}×{height} is no square")))
            }
        }
    }

    /// OpenCLIP's code holds OpenAI's tokenizer itself, so that folders may leave it out.
    fn leaves_out_openai_s_tokenizer(&self) -> bool {
        let text = &self.config.model_cfg.text_cfg;
        let names_none = text.hf_tokenizer_name.is_none() && text.hf_model_name.is_none();
        names_none && text.vocab_size == vocabulary() && !self.files.has(TOKENIZER)
    }

    /// The files that say how texts and pixels are prepared.
    fn preparation(&self) -> &'static [&'static str] {
        match self.leaves_out_openai_s_tokenizer() {
            true => &[OPEN_CLIP_CONFIG],
            false => &[TOKENIZER, OPEN_CLIP_CONFIG],
        }
    }

    fn activation(&self) -> Activation {
        match self.config.model_cfg.quick_gelu {
            true => Activation::QuickGelu,
            false => Activation::Gelu,
        }
    }

    /// RoBERTa or XLM-RoBERTa. Its configuration is told by name alone, and read off the
    /// tensors.
    fn roberta(&self, name: &str, weights: &Scope<'_>) -> Result<Half<dyn TextTower>, EmbedError> {
        let (dim, config) = (
            self.config.model_cfg.embed_dim,
            &self.config.model_cfg.text_cfg,
        );
        if !ROBERTAS.contains(&name.trim_start_matches("FacebookAI/")) {
            return Err(EmbedError::Unsupported {
                what: "text tower (hf_model_name)",
                value: name.to_owned(),
                supported: "roberta-base, xlm-roberta-base, xlm-roberta-large",
            });
        }
        let transformer = weights.at("text.transformer");
        let shape = BertConfig {
            pooling: match config.hf_pooler_type {
                None | Some(HfPooler::MeanPooler) => Pooling::Mean,
                Some(HfPooler::ClsLastHiddenStatePooler) => Pooling::Cls,
            },
            max_length: Some(config.context_length),
            ..BertConfig::of_tensors(&transformer, ROBERTA_EPS)?
        };
        let tower = roberta(&transformer, shape, ROBERTA_PADDING)?;
        let (width, projection) = (tower.width(), weights.at("text.proj"));
        let projection = match config.hf_proj_type {
            None if width == dim => Projection::Identity,
            None => return Err(self.refuse("its text tower has no hf_proj_type and needs one")),
            Some(HfProjection::Linear) => {
                Projection::Linear(Linear::without_bias(&projection, width, dim)?)
            }
            Some(HfProjection::Mlp) => {
                let hidden = (width + dim) / 2;
                Projection::Mlp(Mlp::new(
                    Linear::without_bias(&projection.at(0), width, hidden)?,
                    Activation::Gelu,
                    Linear::without_bias(&projection.at(2), hidden, dim)?,
                ))
            }
        };
        Ok(Half {
            tower: Box::new(tower),
            projection,
        })
    }

    fn text(&self, weights: &Scope<'_>) -> Result<Half<dyn TextTower>, EmbedError> {
        let (dim, config) = (
            self.config.model_cfg.embed_dim,
            &self.config.model_cfg.text_cfg,
        );
        if let Some(name) = &config.hf_model_name {
            return self.roberta(name, weights);
        }
        let weights = match weights.has("text.token_embedding.weight") {
            true => weights.at("text"),
            false => weights.clone(),
        };
        let tower = ClipText::new(
            &weights,
            ClipTextConfig {
                vocab_size: config.vocab_size,
                hidden_size: config.width,
                intermediate_size: inner(config.width, config.mlp_ratio),
                num_hidden_layers: config.layers,
                num_attention_heads: config.heads,
                max_position_embeddings: config.context_length,
                hidden_act: self.activation(),
                layer_norm_eps: EPS,
                eos_token_id: END_IS_HIGHEST,
            },
            Naming::OpenClip,
        )?;
        let projection = Linear::right(&weights, "text_projection", config.width, dim)?;
        Ok(Half {
            tower: Box::new(tower),
            projection: Projection::Linear(projection),
        })
    }

    fn image(&self, weights: &Scope<'_>) -> Result<Half<dyn ImageTower>, EmbedError> {
        let (dim, config) = (
            self.config.model_cfg.embed_dim,
            &self.config.model_cfg.vision_cfg,
        );
        let image_size = self.image_size()?;
        if config.head_width <= 0 {
            return Err(self.refuse("a head_width is above zero"));
        }
        match config.layers {
            Layers::ResNet(layers) => {
                let shape = ModifiedResNetConfig {
                    image_size,
                    layers,
                    width: config.width,
                    heads: config.width * 32 / config.head_width,
                    output: dim,
                };
                Ok(Half {
                    tower: Box::new(ModifiedResNet::new(weights, &shape)?),
                    projection: Projection::Identity,
                })
            }
            Layers::Transformer(layers) => {
                let shape = ClipVisionConfig {
                    hidden_size: config.width,
                    intermediate_size: inner(config.width, config.mlp_ratio),
                    num_hidden_layers: layers,
                    num_attention_heads: config.width / config.head_width,
                    image_size,
                    patch_size: config
                        .patch_size
                        .ok_or_else(|| self.refuse("its vision_cfg has no patch_size"))?,
                    hidden_act: self.activation(),
                    layer_norm_eps: EPS,
                };
                let projection = Linear::right(weights, "proj", config.width, dim)?;
                Ok(Half {
                    tower: Box::new(ClipVision::new(weights, shape, Naming::OpenClip)?),
                    projection: Projection::Linear(projection),
                })
            }
        }
    }
}

impl Layout for OpenClip {
    fn tokens(&self) -> Result<Tokens, EmbedError> {
        if self.leaves_out_openai_s_tokenizer() {
            let context = self.config.model_cfg.text_cfg.context_length;
            let context = usize::try_from(context).map_err(|error| self.refuse(error))?;
            return Tokens::from_json(clipdb_models::clip_tokenizer(), context);
        }
        Tokens::open(&self.files)
    }

    fn preprocessor(&self) -> Result<Option<Preprocessor>, EmbedError> {
        let side = u32::try_from(self.image_size()?).map_err(|error| self.refuse(error))?;
        Preprocessor::from_open_clip(&self.config.preprocess_cfg, side)
            .map(Some)
            .map_err(|error| self.refuse(error))
    }

    fn load(&self, device: Device, kind: Kind) -> Result<Model, EmbedError> {
        let preparation = self.preparation();
        let weights = super::weights(&self.files, &OPEN_CLIP_WEIGHTS, preparation, device, kind)?;
        let root = weights.at("");
        Ok(Model {
            text: self.text(&root)?,
            image: Some(self.image(&weights.at("visual"))?),
            scale: softmax_scale(&root)?,
            model_type: "open_clip".to_owned(),
            license: None,
            dim: self.config.model_cfg.embed_dim,
            parameters: weights.parameters(),
            fingerprint: weights.fingerprint(),
            device,
            kind,
        })
    }

    fn load_image(&self, device: Device, kind: Kind) -> Result<ImageAlone, EmbedError> {
        let preparation = [OPEN_CLIP_CONFIG];
        let weights = super::weights(&self.files, &OPEN_CLIP_WEIGHTS, &preparation, device, kind)?;
        Ok(ImageAlone {
            half: self.image(&weights.at("visual"))?,
            dim: self.config.model_cfg.embed_dim,
            scale: softmax_scale(&weights.at(""))?,
            parameters: weights.parameters(),
            fingerprint: weights.fingerprint(),
        })
    }
}

/// What lies between the two layers of a block: rounded down, as OpenCLIP rounds.
fn inner(width: i64, ratio: f64) -> i64 {
    (width as f64 * ratio) as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(config: &str) -> (tempfile::TempDir, ModelFiles) {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(OPEN_CLIP_CONFIG), config).unwrap();
        let files = ModelFiles::Folder(folder.path().to_owned());
        (folder, files)
    }

    #[test]
    fn openai_s_tokenizer_may_be_left_out() {
        let config = r#"{"model_cfg": {"embed_dim": 512, "text_cfg": {},
            "vision_cfg": {"image_size": 224, "patch_size": 32}}}"#;
        let (_folder, files) = folder(config);
        let tokens = OpenClip::open(&files).unwrap().tokens().unwrap();
        let ids = tokens.encode("a photo of a cat").unwrap().ids;
        assert_eq!(ids, [49406, 320, 1125, 539, 320, 2368, 49407]);
    }

    #[test]
    fn another_tokenizer_may_not() {
        let config = r#"{"model_cfg": {"embed_dim": 512, "text_cfg":
            {"hf_model_name": "roberta-base", "hf_tokenizer_name": "roberta-base"},
            "vision_cfg": {"image_size": 224, "patch_size": 32}}}"#;
        let (_folder, files) = folder(config);
        let error = OpenClip::open(&files).unwrap().tokens().err().unwrap();
        assert!(error.to_string().contains(TOKENIZER), "{error}");
    }
}
