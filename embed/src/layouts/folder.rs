//! The common part of all layouts whose weights are tensors: opening the folder, the files that are
//! read, and the fingerprint.

use serde::de::DeserializeOwned;
use tch::{Device, Kind};

use super::layout::{ImageBranch, Layout, cannot_be_combined};
use crate::EmbedError;
use crate::image::Preprocessor;
use crate::model::{Branch, Model, Scale};
use crate::sources::{
    CONFIG, ModelFiles, PREPROCESSOR, TOKENIZER, TRANSFORMERS_WEIGHTS, WeightFiles,
};
use crate::tokens::TextTokenizer;
use crate::towers::{ImageTower, TextTower};
use crate::weights::{Scope, Weights};

/// A model's configuration. The defaults of the trait are the files of `transformers`.
pub(super) trait Architecture: std::fmt::Debug + Sync {
    /// The name of the file with the configuration.
    const CONFIG: &'static str = CONFIG;
    const WEIGHTS: WeightFiles = TRANSFORMERS_WEIGHTS;

    /// The files that determine the tokens and pixels of an input. The fingerprint covers them and
    /// the tensors. It does not cover the configuration, which also contains names and licences:
    /// a different network reads different tensors.
    fn preparation(&self, _files: &ModelFiles) -> &'static [&'static str] {
        &[TOKENIZER, PREPROCESSOR]
    }

    fn tokenizer(&self, files: &ModelFiles) -> Result<TextTokenizer, EmbedError> {
        TextTokenizer::open(files)
    }

    fn preprocessor(&self, files: &ModelFiles) -> Result<Option<Preprocessor>, EmbedError> {
        read_preprocessor(files).map(Some)
    }

    /// Builds the towers. The fingerprint depends on the order in which tensors are read.
    fn towers(&self, files: &ModelFiles, weights: &Weights) -> Result<Towers, EmbedError>;

    /// Builds only the image tower. `open` opens the weights, with the files of the
    /// [`preparation`](Self::preparation) of images.
    fn image(
        &self,
        _files: &ModelFiles,
        _open: OpenWeights<'_>,
    ) -> Result<ImageBranch, EmbedError> {
        Err(cannot_be_combined())
    }
}

/// Opens the weights and adds the given files to their fingerprint.
pub(super) type OpenWeights<'a> = &'a dyn Fn(&[&str]) -> Result<Weights, EmbedError>;

/// The parts of a [`Model`] that depend on the architecture.
pub(super) struct Towers {
    pub model_type: String,
    pub license: Option<String>,
    pub dim: i64,
    pub scale: Scale,
    pub text: Branch<dyn TextTower>,
    pub image: Option<Branch<dyn ImageTower>>,
}

/// A model's folder with its configuration.
#[derive(Debug)]
pub(super) struct Folder<C> {
    files: ModelFiles,
    config: C,
}

impl<C: Architecture> Folder<C> {
    /// Reads the configuration.
    pub fn open(files: &ModelFiles) -> Result<Self, EmbedError>
    where
        C: DeserializeOwned,
    {
        Ok(Self::new(files, files.json(C::CONFIG)?))
    }

    pub fn new(files: &ModelFiles, config: C) -> Self {
        Self {
            files: files.clone(),
            config,
        }
    }
}

impl<C: Architecture> Layout for Folder<C> {
    fn tokenizer(&self) -> Result<TextTokenizer, EmbedError> {
        self.config.tokenizer(&self.files)
    }

    fn preprocessor(&self) -> Result<Option<Preprocessor>, EmbedError> {
        self.config.preprocessor(&self.files)
    }

    fn load(&self, device: Device, kind: Kind) -> Result<Model, EmbedError> {
        let preparation = self.config.preparation(&self.files);
        let weights = open_weights(&self.files, &C::WEIGHTS, preparation, device, kind)?;
        let towers = self.config.towers(&self.files, &weights)?;
        Ok(Model {
            model_type: towers.model_type,
            license: towers.license,
            dim: towers.dim,
            scale: towers.scale,
            parameters: weights.parameters(),
            fingerprint: weights.fingerprint(),
            text: towers.text,
            image: towers.image,
            device,
            kind,
        })
    }

    fn load_image(&self, device: Device, kind: Kind) -> Result<ImageBranch, EmbedError> {
        let open = |preparation: &[&str]| {
            open_weights(&self.files, &C::WEIGHTS, preparation, device, kind)
        };
        self.config.image(&self.files, &open)
    }
}

/// Opens the weights and adds the files `preparation` to their fingerprint.
pub(super) fn open_weights(
    files: &ModelFiles,
    names: &WeightFiles,
    preparation: &[&str],
    device: Device,
    kind: Kind,
) -> Result<Weights, EmbedError> {
    let weights = Weights::open(files, names, device, kind)?;
    for file in preparation {
        weights.add_to_fingerprint(&files.bytes(file)?);
    }
    Ok(weights)
}

/// Reads `preprocessor_config.json`.
pub(super) fn read_preprocessor(files: &ModelFiles) -> Result<Preprocessor, EmbedError> {
    Preprocessor::from_config(&files.bytes(PREPROCESSOR)?)
        .map_err(|error| EmbedError::file(files.display(PREPROCESSOR), error))
}

/// Reads the scale of a model that compares by softmax, which is stored as its logarithm.
pub(super) fn softmax_scale(weights: &Scope<'_>) -> Result<Scale, EmbedError> {
    Ok(Scale::learned(weights.scalar("logit_scale")?.exp()))
}

/// The error for a model whose towers produce vectors of different sizes.
pub(super) fn different_dims(file: String, texts: i64, images: i64, advice: &str) -> EmbedError {
    EmbedError::file(
        file,
        format!("its texts have {texts} dimensions and its images {images}{advice}"),
    )
}
