//! What a loaded model says of itself.

#[derive(Debug, Clone, PartialEq)]
pub struct ModelCard {
    pub name: String,
    /// `model_type` of its configuration.
    pub model_type: String,
    /// Components of an embedding.
    pub dim: usize,
    /// `LibTorch` or `ONNX Runtime`.
    pub engine: String,
    /// `cpu`, or `cuda:0` and so on; several after commas.
    pub device: String,
    /// Why the device is not a faster one, when `auto` looked for one.
    pub device_note: Option<String>,
    pub precision: String,
    /// Copies of it that compute at the same time.
    pub replicas: usize,
    /// Pixels of the square the image tower sees, along one side; 0 without one.
    pub image_size: usize,
    /// Tokens the text tower sees, the special ones included.
    pub context_length: usize,
    pub license: Option<String>,
    /// SHA-256 of the weights as stored and of how text and pixels are prepared, in
    /// hexadecimal: vectors of two models compare only where this is equal.
    pub fingerprint: String,
    /// What cosines are multiplied by before a softmax over candidates.
    pub logit_scale: f64,
    /// The model's files do not tell that factor: it is what its kind is usually trained with.
    pub logit_scale_assumed: bool,
    /// Added to that product by a model that judges each pair by itself, with a sigmoid.
    pub logit_bias: Option<f64>,
    /// Numbers in the weights; 0 where a graph does not tell.
    pub parameters: u64,
    pub has_image: bool,
    pub has_text: bool,
}
