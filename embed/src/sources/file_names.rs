//! The names of the files in a model's folder, by the library that writes them.

use std::path::Path;

pub(crate) const CONFIG: &str = "config.json";
pub(crate) const TOKENIZER: &str = "tokenizer.json";
/// Of the second network of a text tower.
pub(crate) const SECOND_TOKENIZER: &str = "second_tokenizer.json";
pub(crate) const TOKENIZER_CONFIG: &str = "tokenizer_config.json";
pub(crate) const PREPROCESSOR: &str = "preprocessor_config.json";
pub(crate) const CALIBRATION: &str = "calibration.json";
pub(crate) const WEIGHTS: &str = "model.safetensors";
pub(crate) const WEIGHTS_INDEX: &str = "model.safetensors.index.json";
pub(crate) const OPEN_CLIP_CONFIG: &str = "open_clip_config.json";

/// The subfolders of an M-CLIP model.
pub(crate) const M_CLIP_TEXT: &str = "text";
pub(crate) const M_CLIP_IMAGE: &str = "image";

/// `model_type` of the transformers in sentence models.
pub(crate) const SENTENCE_TYPES: [&str; 3] = ["bert", "roberta", "xlm-roberta"];
/// sentence-transformers' list of modules, its length limit and its prompts.
pub(crate) const MODULES: &str = "modules.json";
pub(crate) const SENTENCE_LENGTH: &str = "sentence_bert_config.json";
pub(crate) const SENTENCE_PROMPTS: &str = "config_sentence_transformers.json";
/// sentence-transformers' only module with weights, other than the transformer.
pub(crate) const DENSE: &str = "Dense";

/// The names that a library gives to files of weights.
#[derive(Debug)]
pub(crate) struct WeightFiles {
    /// The first that exists is read.
    pub safetensors: &'static [&'static str],
    /// Written by `torch.save`. Read only if no safetensors file exists.
    pub pickle: &'static str,
}

pub(crate) const TRANSFORMERS_WEIGHTS: WeightFiles = WeightFiles {
    safetensors: &[WEIGHTS],
    pickle: "pytorch_model.bin",
};
pub(crate) const OPEN_CLIP_WEIGHTS: WeightFiles = WeightFiles {
    safetensors: &[
        "open_clip_model.safetensors",
        "open_clip_pytorch_model.safetensors",
    ],
    pickle: "open_clip_pytorch_model.bin",
};

/// Whether a folder looks like a model. M-CLIP's folders contain two folders, and
/// CLIP-as-service's ONNX graphs come without a configuration.
pub(super) fn is_model(folder: &Path) -> bool {
    [CONFIG, OPEN_CLIP_CONFIG, "text/config.json", "textual.onnx"]
        .iter()
        .any(|config| folder.join(config).is_file())
}
