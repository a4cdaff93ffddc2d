//! OpenCLIP's folders (Ilharco et al. 2021): `open_clip_config.json` and the weights. OpenCLIP
//! publishes OpenAI's models in this layout too.
//!
//! The configuration determines the activation. OpenAI's and the early LAION-400M weights were
//! trained with QuickGELU, and their configurations say so.

use serde::Deserialize;
use serde_json::Value;

use super::folder::{Architecture, OpenWeights, Towers, softmax_scale};
use super::layout::ImageBranch;
use super::open_clip_vision::{VisionNetwork, VisionShape};
use crate::EmbedError;
use crate::image::Preprocessor;
use crate::model::Branch;
use crate::sources::{ModelFiles, OPEN_CLIP_CONFIG, OPEN_CLIP_WEIGHTS, TOKENIZER, WeightFiles};
use crate::tokens::TextTokenizer;
use crate::towers::{
    Activation, BertConfig, ClipText, ClipTextConfig, END_IS_HIGHEST, ImageTower, Linear, Mlp,
    Naming, Pooling, Projection, ROBERTA_EPS, ROBERTA_PADDING, TextTower, roberta,
};
use crate::weights::{Scope, Weights};

const EPS: f64 = 1e-5;
/// Text towers of `transformers` that OpenCLIP's models use.
const ROBERTAS: [&str; 3] = ["roberta-base", "xlm-roberta-base", "xlm-roberta-large"];

#[derive(Debug, Deserialize)]
pub(super) struct OpenClip {
    model_cfg: ModelConfig,
    #[serde(default)]
    preprocess_cfg: Value,
}

/// An unknown field is an error, because it changes the network in a way that is not supported.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ModelConfig {
    embed_dim: i64,
    #[serde(default)]
    quick_gelu: bool,
    vision_cfg: VisionConfig,
    text_cfg: TextConfig,
    /// Whether the names of tensors start with `text.`, which the names themselves show.
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
    /// Applies only to training.
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
    /// If present, the folder contains the tokenizer. Otherwise it is OpenAI's.
    hf_tokenizer_name: Option<String>,
    /// A transformer of `transformers` in place of OpenCLIP's own.
    hf_model_name: Option<String>,
    #[serde(default = "mlp")]
    hf_proj_type: Option<HfProjection>,
    hf_pooler_type: Option<HfPooler>,
    /// Applies only to the start of training.
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

/// A square, given by one side or by both.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(untagged)]
enum Side {
    One(i64),
    Both(i64, i64),
}

/// The layers of a transformer, or of the four stages of a residual network.
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
#[allow(
    clippy::unnecessary_wraps,
    reason = "serde's default of an optional field"
)]
fn mlp() -> Option<HfProjection> {
    Some(HfProjection::Mlp)
}

impl OpenClip {
    fn image_size(&self, files: &ModelFiles) -> Result<i64, EmbedError> {
        match self.model_cfg.vision_cfg.image_size {
            Side::One(side) => Ok(side),
            Side::Both(height, width) if height == width => Ok(height),
            Side::Both(height, width) => Err(invalid(
                files,
                format!("images must be square, not {width}×{height}"),
            )),
        }
    }

    /// Folders may omit OpenAI's tokenizer, because OpenCLIP's code contains it.
    fn omits_openai_s_tokenizer(&self, files: &ModelFiles) -> bool {
        let text = &self.model_cfg.text_cfg;
        let names_none = text.hf_tokenizer_name.is_none() && text.hf_model_name.is_none();
        names_none && text.vocab_size == vocabulary() && !files.has(TOKENIZER)
    }

    fn activation(&self) -> Activation {
        match self.model_cfg.quick_gelu {
            true => Activation::QuickGelu,
            false => Activation::Gelu,
        }
    }

    fn text(
        &self,
        files: &ModelFiles,
        weights: &Scope<'_>,
    ) -> Result<Branch<dyn TextTower>, EmbedError> {
        match &self.model_cfg.text_cfg.hf_model_name {
            Some(name) => self.roberta(name, files, weights),
            None => self.clip_text(weights),
        }
    }

    fn clip_text(&self, weights: &Scope<'_>) -> Result<Branch<dyn TextTower>, EmbedError> {
        let (dim, config) = (self.model_cfg.embed_dim, &self.model_cfg.text_cfg);
        let weights = match weights.has("text.token_embedding.weight") {
            true => weights.at("text"),
            false => weights.clone(),
        };
        let shape = ClipTextConfig {
            vocab_size: config.vocab_size,
            hidden_size: config.width,
            intermediate_size: inner(config.width, config.mlp_ratio),
            num_hidden_layers: config.layers,
            num_attention_heads: config.heads,
            max_position_embeddings: config.context_length,
            hidden_act: self.activation(),
            layer_norm_eps: EPS,
            eos_token_id: END_IS_HIGHEST,
        };
        let tower = ClipText::new(&weights, shape, Naming::OpenClip)?;
        let projection = Linear::transposed(&weights, "text_projection", config.width, dim)?;
        Ok(Branch::text(tower, Projection::Linear(projection)))
    }

    /// RoBERTa or XLM-RoBERTa. The folder contains only its name; its configuration is derived
    /// from the tensors.
    fn roberta(
        &self,
        name: &str,
        files: &ModelFiles,
        weights: &Scope<'_>,
    ) -> Result<Branch<dyn TextTower>, EmbedError> {
        let config = &self.model_cfg.text_cfg;
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
        let projection = self.hf_projection(files, &weights.at("text.proj"), tower.width())?;
        Ok(Branch::text(tower, projection))
    }

    fn hf_projection(
        &self,
        files: &ModelFiles,
        weights: &Scope<'_>,
        width: i64,
    ) -> Result<Projection, EmbedError> {
        let dim = self.model_cfg.embed_dim;
        match self.model_cfg.text_cfg.hf_proj_type {
            None if width == dim => Ok(Projection::Identity),
            None => Err(invalid(files, "its text tower needs an hf_proj_type")),
            Some(HfProjection::Linear) => {
                Linear::without_bias(weights, width, dim).map(Projection::Linear)
            }
            Some(HfProjection::Mlp) => {
                let hidden = (width + dim) / 2;
                Ok(Projection::Mlp(Mlp::new(
                    Linear::without_bias(&weights.at(0), width, hidden)?,
                    Activation::Gelu,
                    Linear::without_bias(&weights.at(2), hidden, dim)?,
                )))
            }
        }
    }

    fn vision(&self, files: &ModelFiles) -> Result<VisionShape, EmbedError> {
        let config = &self.model_cfg.vision_cfg;
        let image_size = self.image_size(files)?;
        if config.head_width <= 0 {
            return Err(invalid(files, "head_width must be positive"));
        }
        Ok(VisionShape {
            image_size,
            width: config.width,
            head_width: config.head_width,
            dim: self.model_cfg.embed_dim,
            network: match config.layers {
                Layers::ResNet(layers) => VisionNetwork::ResNet { layers },
                Layers::Transformer(layers) => VisionNetwork::Transformer {
                    layers,
                    patch_size: config
                        .patch_size
                        .ok_or_else(|| invalid(files, "its vision_cfg has no patch_size"))?,
                    inner: inner(config.width, config.mlp_ratio),
                    activation: self.activation(),
                },
            },
        })
    }

    fn image_branch(
        &self,
        files: &ModelFiles,
        weights: &Scope<'_>,
    ) -> Result<Branch<dyn ImageTower>, EmbedError> {
        let shape = self.vision(files)?;
        let projection = shape.projection(weights)?;
        Ok(Branch {
            tower: shape.tower(weights)?,
            projection,
        })
    }
}

impl Architecture for OpenClip {
    const CONFIG: &'static str = OPEN_CLIP_CONFIG;
    const WEIGHTS: WeightFiles = OPEN_CLIP_WEIGHTS;

    fn preparation(&self, files: &ModelFiles) -> &'static [&'static str] {
        match self.omits_openai_s_tokenizer(files) {
            true => &[OPEN_CLIP_CONFIG],
            false => &[TOKENIZER, OPEN_CLIP_CONFIG],
        }
    }

    fn tokenizer(&self, files: &ModelFiles) -> Result<TextTokenizer, EmbedError> {
        if self.omits_openai_s_tokenizer(files) {
            let context = self.model_cfg.text_cfg.context_length;
            let context = usize::try_from(context).map_err(|error| invalid(files, error))?;
            return TextTokenizer::from_json(clipdb_models::clip_tokenizer(), context);
        }
        TextTokenizer::open(files)
    }

    fn preprocessor(&self, files: &ModelFiles) -> Result<Option<Preprocessor>, EmbedError> {
        let side = u32::try_from(self.image_size(files)?).map_err(|error| invalid(files, error))?;
        Preprocessor::from_open_clip(&self.preprocess_cfg, side)
            .map(Some)
            .map_err(|error| invalid(files, error))
    }

    fn towers(&self, files: &ModelFiles, weights: &Weights) -> Result<Towers, EmbedError> {
        let root = weights.at("");
        Ok(Towers {
            text: self.text(files, &root)?,
            image: Some(self.image_branch(files, &weights.at("visual"))?),
            scale: softmax_scale(&root)?,
            model_type: "open_clip".to_owned(),
            license: None,
            dim: self.model_cfg.embed_dim,
        })
    }

    fn image(&self, files: &ModelFiles, open: OpenWeights<'_>) -> Result<ImageBranch, EmbedError> {
        let weights = open(&[OPEN_CLIP_CONFIG])?;
        let branch = self.image_branch(files, &weights.at("visual"))?;
        let scale = softmax_scale(&weights.at(""))?;
        let dim = self.model_cfg.embed_dim;
        Ok(ImageBranch::new(branch, dim, scale, &weights))
    }
}

fn invalid(files: &ModelFiles, reason: impl ToString) -> EmbedError {
    EmbedError::file(files.display(OPEN_CLIP_CONFIG), reason)
}

/// The width of the hidden layer of an MLP, rounded down as in OpenCLIP.
fn inner(width: i64, ratio: f64) -> i64 {
    (width as f64 * ratio) as i64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layouts::folder::Folder;
    use crate::layouts::layout::Layout;

    fn folder(config: &str) -> (tempfile::TempDir, ModelFiles) {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(OPEN_CLIP_CONFIG), config).unwrap();
        let files = ModelFiles::Folder(folder.path().to_owned());
        (folder, files)
    }

    #[test]
    fn openai_s_tokenizer_may_be_omitted() {
        let config = r#"{"model_cfg": {"embed_dim": 512, "text_cfg": {},
            "vision_cfg": {"image_size": 224, "patch_size": 32}}}"#;
        let (_folder, files) = folder(config);
        let folder = Folder::<OpenClip>::open(&files).unwrap();
        let tokenizer = folder.tokenizer().unwrap();
        let ids = tokenizer.encode("a photo of a cat").unwrap().ids;
        assert_eq!(ids, [49406, 320, 1125, 539, 320, 2368, 49407]);
    }

    #[test]
    fn another_tokenizer_may_not_be_omitted() {
        let config = r#"{"model_cfg": {"embed_dim": 512, "text_cfg":
            {"hf_model_name": "roberta-base", "hf_tokenizer_name": "roberta-base"},
            "vision_cfg": {"image_size": 224, "patch_size": 32}}}"#;
        let (_folder, files) = folder(config);
        let folder = Folder::<OpenClip>::open(&files).unwrap();
        let error = folder.tokenizer().err().unwrap();
        assert!(error.to_string().contains(TOKENIZER), "{error}");
    }
}
