//! M-CLIP (Carlsson et al. 2022): a text tower for many languages that was taught the
//! space of a CLIP whose image tower it goes with. A folder of two folders: `text/` as
//! M-CLIP publishes it, `image/` as CLIP does, in `transformers`' layout or OpenCLIP's.

use serde::Deserialize;
use sha2::{Digest, Sha256};
use tch::{Device, Kind};

use super::Layout;
use crate::EmbedError;
use crate::image::Preprocessor;
use crate::model::{Half, Model};
use crate::sources::{CONFIG, ModelFiles, TOKENIZER, TRANSFORMERS_WEIGHTS};
use crate::tokens::Tokens;
use crate::towers::{
    BERT_EPS, Bert, BertConfig, Linear, Projection, ROBERTA_EPS, ROBERTA_PADDING, TextTower,
    roberta,
};
use crate::weights::Scope;

pub(super) const TEXT: &str = "text";
pub(super) const IMAGE: &str = "image";

#[derive(Debug)]
pub(super) struct MClip {
    files: ModelFiles,
    config: Config,
    image: Box<dyn Layout>,
}

/// Of the text's folder.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Config {
    #[serde(rename = "model_type")]
    model_type: Option<String>,
    license: Option<String>,
    /// The name of the transformer that was taught; its configuration is nowhere here.
    model_base: String,
    num_dims: i64,
    transformer_dimensions: i64,
}

impl MClip {
    /// `image` is what the folder of that name holds.
    pub fn open(files: &ModelFiles, image: Box<dyn Layout>) -> Result<Self, EmbedError> {
        let files = files.folder(TEXT)?;
        let config: Config = files.json(CONFIG)?;
        if config
            .model_type
            .as_deref()
            .is_some_and(|it| it != "M-CLIP")
        {
            return Err(EmbedError::Unsupported {
                what: "text tower beside another's image tower",
                value: config.model_type.unwrap_or_default(),
                supported: "M-CLIP",
            });
        }
        Ok(Self {
            files,
            config,
            image,
        })
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
    fn tokens(&self) -> Result<Tokens, EmbedError> {
        Tokens::open(&self.files)
    }

    fn preprocessor(&self) -> Result<Option<Preprocessor>, EmbedError> {
        self.image.preprocessor()
    }

    fn load(&self, device: Device, kind: Kind) -> Result<Model, EmbedError> {
        let weights = super::weights(
            &self.files,
            &TRANSFORMERS_WEIGHTS,
            &[TOKENIZER],
            device,
            kind,
        )?;
        let tower = self.tower(&weights.at("transformer"))?;
        let (width, dim) = (tower.width(), self.config.num_dims);
        if width != self.config.transformer_dimensions {
            return Err(EmbedError::file(
                self.files.display(CONFIG),
                format!(
                    "it promises {} transformerDimensions, and the tensors have {width}",
                    self.config.transformer_dimensions
                ),
            ));
        }
        let projection = Linear::new(&weights.at("LinearTransformation"), width, dim)?;
        let image = self.image.load_image(device, kind)?;
        if image.dim != dim {
            return Err(EmbedError::file(
                self.files.display(CONFIG),
                format!(
                    "its texts have {dim} dimensions, and the pictures of the folder '{IMAGE}' \
                     {}: they belong to another model",
                    image.dim
                ),
            ));
        }
        let both = Sha256::digest(format!("{} {}", weights.fingerprint(), image.fingerprint));
        Ok(Model {
            model_type: "m-clip".to_owned(),
            license: self.config.license.clone(),
            dim,
            scale: image.scale,
            parameters: weights.parameters() + image.parameters,
            fingerprint: both.iter().map(|byte| format!("{byte:02x}")).collect(),
            text: Half {
                tower: Box::new(tower),
                projection: Projection::Linear(projection),
            },
            image: Some(image.half),
            device,
            kind,
        })
    }
}
