//! M-CLIP (Carlsson et al. 2022): a multilingual text tower that was trained for the space of a
//! CLIP, whose image tower it is combined with. A model consists of two folders: `text/` in M-CLIP's
//! layout, `image/` in CLIP's (`transformers`' or OpenCLIP's).

use serde::Deserialize;
use sha2::{Digest, Sha256};
use tch::{Device, Kind};

use super::folder::{different_dims, open_weights};
use super::layout::Layout;
use crate::EmbedError;
use crate::image::Preprocessor;
use crate::model::{Branch, Model};
use crate::sources::{
    CONFIG, M_CLIP_IMAGE, M_CLIP_TEXT, ModelFiles, TOKENIZER, TRANSFORMERS_WEIGHTS,
};
use crate::tokens::TextTokenizer;
use crate::towers::{
    BERT_EPS, Bert, BertConfig, Linear, Projection, ROBERTA_EPS, ROBERTA_PADDING, TextTower,
    roberta,
};
use crate::weights::{Scope, Weights};

#[derive(Debug)]
pub(super) struct MClip {
    /// The text's folder.
    files: ModelFiles,
    config: Config,
    image: Box<dyn Layout>,
}

/// The configuration in the text's folder.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Config {
    #[serde(rename = "model_type")]
    model_type: Option<String>,
    license: Option<String>,
    /// The name of the transformer. The folder does not contain its configuration.
    model_base: String,
    num_dims: i64,
    transformer_dimensions: i64,
}

impl MClip {
    /// `image` is the layout of the image's folder.
    pub fn open(files: &ModelFiles, image: Box<dyn Layout>) -> Result<Self, EmbedError> {
        let files = files.folder(M_CLIP_TEXT)?;
        let config: Config = files.json(CONFIG)?;
        match config.model_type.as_deref() {
            None | Some("M-CLIP") => Ok(Self {
                files,
                config,
                image,
            }),
            Some(other) => Err(EmbedError::Unsupported {
                what: "text tower with another model's image tower",
                value: other.to_owned(),
                supported: "M-CLIP",
            }),
        }
    }

    fn text(&self, weights: &Weights) -> Result<Branch<dyn TextTower>, EmbedError> {
        let tower = self.tower(&weights.at("transformer"))?;
        let width = tower.width();
        if width != self.config.transformer_dimensions {
            return Err(EmbedError::file(
                self.files.display(CONFIG),
                format!(
                    "it has {} transformerDimensions, and the tensors have {width}",
                    self.config.transformer_dimensions
                ),
            ));
        }
        let linear = weights.at("LinearTransformation");
        let projection = Linear::new(&linear, width, self.config.num_dims)?;
        Ok(Branch::text(tower, Projection::Linear(projection)))
    }

    fn tower(&self, weights: &Scope<'_>) -> Result<Bert, EmbedError> {
        let base = self.config.model_base.to_ascii_lowercase();
        if base.contains("xlm-roberta") {
            let config = BertConfig::of_tensors(weights, ROBERTA_EPS)?;
            return roberta(weights, config, ROBERTA_PADDING);
        }
        if base.contains("labse") || base.contains("bert-base") {
            return Bert::new(weights, &BertConfig::of_tensors(weights, BERT_EPS)?);
        }
        Err(EmbedError::Unsupported {
            what: "M-CLIP base",
            value: self.config.model_base.clone(),
            supported: "XLM-RoBERTa, LaBSE, BERT's base models",
        })
    }
}

impl Layout for MClip {
    fn tokenizer(&self) -> Result<TextTokenizer, EmbedError> {
        TextTokenizer::open(&self.files)
    }

    fn preprocessor(&self) -> Result<Option<Preprocessor>, EmbedError> {
        self.image.preprocessor()
    }

    fn load(&self, device: Device, kind: Kind) -> Result<Model, EmbedError> {
        let names = &TRANSFORMERS_WEIGHTS;
        let weights = open_weights(&self.files, names, &[TOKENIZER], device, kind)?;
        let text = self.text(&weights)?;
        let image = self.image.load_image(device, kind)?;
        let dim = self.config.num_dims;
        if image.dim != dim {
            let advice = format!(": the folder '{M_CLIP_IMAGE}' belongs to another model");
            let file = self.files.display(CONFIG);
            return Err(different_dims(file, dim, image.dim, &advice));
        }
        let both = Sha256::digest(format!("{} {}", weights.fingerprint(), image.fingerprint));
        Ok(Model {
            model_type: "m-clip".to_owned(),
            license: self.config.license.clone(),
            dim,
            scale: image.scale,
            parameters: weights.parameters() + image.parameters,
            fingerprint: both.iter().map(|byte| format!("{byte:02x}")).collect(),
            text,
            image: Some(image.branch),
            device,
            kind,
        })
    }
}
