//! The interface of a layout.

use tch::{Device, Kind};

use crate::EmbedError;
use crate::image::Preprocessor;
use crate::model::{Branch, Model, Scale};
use crate::sources::M_CLIP_IMAGE;
use crate::tokens::TextTokenizer;
use crate::towers::ImageTower;
use crate::weights::Weights;

/// A model's folder. Its configuration has been read, its weights have not.
pub(crate) trait Layout: std::fmt::Debug + Sync {
    /// Reads the tokenizer.
    fn tokenizer(&self) -> Result<TextTokenizer, EmbedError>;

    /// Reads the image preprocessing; `None` for a text-only model.
    fn preprocessor(&self) -> Result<Option<Preprocessor>, EmbedError>;

    /// Reads the weights and builds the model.
    ///
    /// # Errors
    /// Names the file or tensor that is missing or corrupt, or the part of the configuration that
    /// is not supported.
    fn load(&self, device: Device, kind: Kind) -> Result<Model, EmbedError>;

    /// The library that runs the networks.
    fn engine(&self) -> &'static str {
        "LibTorch"
    }

    /// Loads only the image tower, to combine it with another model's text tower.
    ///
    /// # Errors
    /// As [`load`](Self::load), and in layouts that do not support it.
    fn load_image(&self, _device: Device, _kind: Kind) -> Result<ImageBranch, EmbedError> {
        Err(cannot_be_combined())
    }
}

/// A model's image tower without its text tower.
pub(crate) struct ImageBranch {
    pub branch: Branch<dyn ImageTower>,
    pub dim: i64,
    pub scale: Scale,
    pub parameters: u64,
    pub fingerprint: String,
}

impl ImageBranch {
    /// `weights` are those that all other arguments have been read from.
    pub fn new(branch: Branch<dyn ImageTower>, dim: i64, scale: Scale, weights: &Weights) -> Self {
        Self {
            branch,
            dim,
            scale,
            parameters: weights.parameters(),
            fingerprint: weights.fingerprint(),
        }
    }
}

/// The error of layouts without a separable image tower.
pub(super) fn cannot_be_combined() -> EmbedError {
    EmbedError::file(
        M_CLIP_IMAGE,
        "only CLIP's image tower, in transformers' layout or OpenCLIP's, can be combined with \
         another text tower",
    )
}
