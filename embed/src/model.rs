//! A dual encoder in memory: two towers and their projections into one space.

use serde::Deserialize;
use serde_json::Value;
use tch::{Device, Kind, Tensor};

use crate::EmbedError;
use crate::image::Pixels;
use crate::sources::{CONFIG, ModelFiles, PREPROCESSOR, TOKENIZER};
use crate::towers::{
    self, Branches, BranchesConfig, ImageTower, Linear, Pause, Projection, TextTower, TokenBatch,
};
use crate::weights::Weights;

pub(crate) struct DualEncoder {
    pub model_type: String,
    pub license: Option<String>,
    pub dim: i64,
    pub logit_scale: f64,
    pub parameters: u64,
    pub fingerprint: String,
    text: Box<dyn TextTower>,
    text_projection: Projection,
    image: Box<dyn ImageTower>,
    image_projection: Projection,
    device: Device,
    kind: Kind,
}

/// `config.json`, in either of its layouts.
#[derive(Deserialize)]
struct Config {
    model_type: String,
    license: Option<String>,
    logit_scale: Option<f64>,
    projection_dim: Option<i64>,
    embedding_dim: Option<i64>,
    #[serde(default)]
    text_config: Value,
    #[serde(default)]
    vision_config: Value,
    /// Where early CLIP files say what holds, whatever the two above say.
    text_config_dict: Option<Value>,
    vision_config_dict: Option<Value>,
    image_projection: Option<BranchesConfig>,
}

impl DualEncoder {
    /// # Errors
    /// When a file or tensor is missing or broken (it is named), or the configuration
    /// asks for what there is not.
    pub fn load(files: &ModelFiles, device: Device, kind: Kind) -> Result<Self, EmbedError> {
        let config: Config = files.json(CONFIG)?;
        let weights = Weights::open(files, device, kind)?;
        // Not the configuration, which also holds names and licences: where it matters,
        // other tensors are read.
        for file in [TOKENIZER, PREPROCESSOR] {
            weights.count_in(&files.bytes(file)?);
        }
        match config.model_type.as_str() {
            "clip" => Self::clip(config, &weights, device, kind),
            "clipdb-dual-encoder" => Self::clipdb(config, &weights, device, kind),
            _ => Err(EmbedError::Unsupported {
                what: "model type",
                value: config.model_type,
                supported: "clip, clipdb-dual-encoder",
            }),
        }
    }

    /// The layout of `transformers`' `CLIPModel`.
    fn clip(
        config: Config,
        weights: &Weights,
        device: Device,
        kind: Kind,
    ) -> Result<Self, EmbedError> {
        let dim = config.projection_dim.unwrap_or(512);
        let text = config.text_config_dict.unwrap_or(config.text_config);
        let vision = config.vision_config_dict.unwrap_or(config.vision_config);
        let text =
            towers::text_tower("clip_text_model", or_empty(text), &weights.at("text_model"))?;
        let image = towers::image_tower(
            "clip_vision_model",
            or_empty(vision),
            &weights.at("vision_model"),
        )?;
        let linear = |name, width| {
            Linear::without_bias(&weights.at(name), width, dim).map(Projection::Linear)
        };
        let scale = weights.get("logit_scale", &[])?;
        let scale = f64::try_from(scale.to_kind(Kind::Double).to_device(Device::Cpu))
            .map_err(EmbedError::torch("loading weights"))?;
        Ok(Self {
            text_projection: linear("text_projection", text.width())?,
            image_projection: linear("visual_projection", image.width())?,
            model_type: config.model_type,
            license: config.license,
            dim,
            logit_scale: scale.exp(),
            parameters: weights.parameters(),
            fingerprint: weights.fingerprint(),
            text,
            image,
            device,
            kind,
        })
    }

    /// The layout of the bundled model: any two towers, the text's features being the
    /// shared space.
    fn clipdb(
        config: Config,
        weights: &Weights,
        device: Device,
        kind: Kind,
    ) -> Result<Self, EmbedError> {
        let missing = |field: &str| EmbedError::file(CONFIG, format!("it has no '{field}'"));
        let dim = config
            .embedding_dim
            .ok_or_else(|| missing("embedding_dim"))?;
        let branches = config
            .image_projection
            .ok_or_else(|| missing("image_projection"))?;
        let text_type =
            tower_type(&config.text_config).ok_or_else(|| missing("text_config.model_type"))?;
        let image_type =
            tower_type(&config.vision_config).ok_or_else(|| missing("vision_config.model_type"))?;
        let text = towers::text_tower(&text_type, config.text_config, &weights.at("text_model"))?;
        let image = towers::image_tower(
            &image_type,
            config.vision_config,
            &weights.at("vision_model"),
        )?;
        if text.width() != dim {
            return Err(EmbedError::file(
                CONFIG,
                format!(
                    "the text tower is {} wide, and embedding_dim is {dim}",
                    text.width()
                ),
            ));
        }
        let branches = Branches::new(
            &weights.at("image_projection"),
            &branches,
            image.width(),
            dim,
        )?;
        Ok(Self {
            model_type: config.model_type,
            license: config.license,
            dim,
            logit_scale: config.logit_scale.ok_or_else(|| missing("logit_scale"))?,
            parameters: weights.parameters(),
            fingerprint: weights.fingerprint(),
            text,
            text_projection: Projection::Identity,
            image,
            image_projection: Projection::Branches(branches),
            device,
            kind,
        })
    }

    pub fn context_length(&self) -> usize {
        self.text.context_length()
    }

    pub fn image_size(&self) -> usize {
        self.image.image_size()
    }

    /// One vector a row of token numbers, not normalised.
    pub fn texts(&self, rows: &[&[u32]], pause: Pause<'_>) -> Result<Vec<Vec<f32>>, EmbedError> {
        let run = || {
            let batch = TokenBatch::new(rows, self.device)?;
            let features = self.text.forward(&batch, pause)?;
            self.vectors(&self.text_projection.forward(&features)?)
        };
        tch::no_grad(run).map_err(EmbedError::torch("embedding texts"))
    }

    /// One vector a picture, not normalised.
    pub fn images(
        &self,
        pictures: &[&Pixels],
        pause: Pause<'_>,
    ) -> Result<Vec<Vec<f32>>, EmbedError> {
        let run = || {
            let pixels = pictures
                .iter()
                .map(|picture| {
                    Tensor::f_from_slice(&picture.data)?.f_view([
                        3,
                        i64::from(picture.height),
                        i64::from(picture.width),
                    ])
                })
                .collect::<tch::Result<Vec<_>>>()?;
            let pixels = Tensor::f_stack(&pixels, 0)?
                .f_to_device(self.device)?
                .f_to_kind(self.kind)?;
            let features = self.image.forward(&pixels, pause)?;
            self.vectors(&self.image_projection.forward(&features)?)
        };
        tch::no_grad(run).map_err(EmbedError::torch("embedding pictures"))
    }

    /// Runs both towers once on nothing in particular: what does not work on this
    /// device in this precision is told at the start, and the first request is as fast
    /// as the second.
    pub fn warm_up(&self) -> Result<(), EmbedError> {
        let side = self.image_size();
        let blank = Pixels {
            data: vec![0.0; 3 * side * side],
            width: side as u32,
            height: side as u32,
        };
        self.images(&[&blank], &|| ())?;
        self.texts(&[&[0, 0], &[0, 0, 0]], &|| ())?;
        Ok(())
    }

    fn vectors(&self, output: &Tensor) -> tch::Result<Vec<Vec<f32>>> {
        Vec::<Vec<f32>>::try_from(&output.f_to_device(Device::Cpu)?.f_contiguous()?)
    }
}

fn tower_type(config: &Value) -> Option<String> {
    config.get("model_type")?.as_str().map(str::to_owned)
}

/// A part of the configuration that is absent has only defaults.
fn or_empty(config: Value) -> Value {
    if config.is_null() {
        Value::Object(serde_json::Map::new())
    } else {
        config
    }
}
