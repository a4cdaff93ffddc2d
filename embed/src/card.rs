//! The description of a loaded model.

use crate::Calibration;

/// The description of a loaded model.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelCard {
    /// The name that it was loaded by.
    pub name: String,
    /// `model_type` of its configuration.
    pub model_type: String,
    /// Dimensions of an embedding.
    pub dim: usize,
    /// `LibTorch` or `ONNX Runtime`.
    pub engine: String,
    /// `cpu` or `cuda:0` and so on; several are separated by commas.
    pub device: String,
    /// The reason why `auto` did not choose CUDA.
    pub device_note: Option<String>,
    /// `f32`, `f16` or `bf16`.
    pub precision: String,
    /// Copies of the model that compute concurrently.
    pub replicas: usize,
    /// The side of the square images that the image tower reads, in pixels; 0 without an image
    /// tower.
    pub image_size: usize,
    /// The most tokens that the text tower reads, including special ones.
    pub context_length: usize,
    /// The licence in the configuration.
    pub license: Option<String>,
    /// SHA-256 in hexadecimal of the stored weights, the tokenizer and the preprocessing. Vectors of
    /// two models are comparable only if their fingerprints are equal.
    pub fingerprint: String,
    /// The factor that turns a cosine into a logit.
    pub logit_scale: f64,
    /// The model's files do not contain the factor: it is the usual one for its kind of model.
    pub logit_scale_assumed: bool,
    /// Added to the logit by a model that applies a sigmoid to each pair, such as SigLIP.
    pub logit_bias: Option<f64>,
    /// How sure its cosines are; `None` if the folder says nothing about it.
    pub calibration: Option<Calibration>,
    /// The number of weights; 0 if unknown, as for ONNX graphs.
    pub parameters: u64,
    /// The model embeds images.
    pub has_image: bool,
    /// The model embeds texts.
    pub has_text: bool,
}
