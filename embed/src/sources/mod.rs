//! Where a model's files come from: the binary itself, a folder, the cache, the hub,
//! in this order.

mod bundled;
mod cache;
mod download;
mod files;
mod hub;
mod service;
mod wanted;

use std::path::{Path, PathBuf};

pub use bundled::{BundledModel, bundled_models};
pub use cache::{CachedModel, cached_models};
pub use hub::{KnownModel, known_models};
pub use service::{HubCopy, ServiceModel, service_models};

pub(crate) use files::{ModelFile, ModelFiles};

pub(crate) const CONFIG: &str = "config.json";
pub(crate) const TOKENIZER: &str = "tokenizer.json";
pub(crate) const TOKENIZER_CONFIG: &str = "tokenizer_config.json";
pub(crate) const PREPROCESSOR: &str = "preprocessor_config.json";
pub(crate) const WEIGHTS: &str = "model.safetensors";
pub(crate) const WEIGHTS_INDEX: &str = "model.safetensors.index.json";
pub(crate) const OPEN_CLIP_CONFIG: &str = "open_clip_config.json";
/// The names that a library gives its weights.
pub(crate) struct WeightFiles {
    /// The first of them that is there.
    pub safetensors: &'static [&'static str],
    /// What `torch.save` writes; read where there is nothing else.
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

/// `model_type` of the transformers that models of sentences are made of.
pub(crate) const SENTENCE_TYPES: [&str; 3] = ["bert", "roberta", "xlm-roberta"];
/// What sentence-transformers calls its files, and the module that has weights.
pub(crate) const MODULES: &str = "modules.json";
pub(crate) const SENTENCE_LENGTH: &str = "sentence_bert_config.json";
pub(crate) const SENTENCE_PROMPTS: &str = "config_sentence_transformers.json";
pub(crate) const DENSE: &str = "Dense";

use crate::EmbedError;

/// Whether a folder is laid out as a model; M-CLIP's are two folders in one, and
/// CLIP-as-service's graphs come without a configuration.
fn is_model(folder: &Path) -> bool {
    [CONFIG, OPEN_CLIP_CONFIG, "text/config.json", "textual.onnx"]
        .iter()
        .any(|config| folder.join(config).is_file())
}

/// A model's name and the place of its files.
#[derive(Debug, Clone)]
pub struct ModelSource {
    name: String,
    files: ModelFiles,
}

impl ModelSource {
    /// Finds `name`: a bundled model, a folder, a model in the cache, or one to fetch
    /// from the hub into the cache behind a progress bar; on the hub also by the name that
    /// CLIP-as-service gives it. Blocks, for as long as a download takes.
    ///
    /// # Errors
    /// [`EmbedError::ModelUnavailable`] when it is nowhere to be had, with what to do.
    pub fn resolve(name: &str, cache: &Path) -> Result<Self, EmbedError> {
        if let Some(model) = bundled_models().iter().find(|model| model.name == name) {
            return Ok(Self {
                name: name.to_owned(),
                files: ModelFiles::Bundled((model.files)()),
            });
        }
        if Path::new(name).is_dir() {
            return Self::folder(Path::new(name));
        }
        Self::pull(name, cache)
    }

    /// A folder in the Hugging Face layout, named after its last component.
    ///
    /// # Errors
    /// [`EmbedError::ModelUnavailable`] when it is no folder with a `config.json`.
    pub fn folder(path: &Path) -> Result<Self, EmbedError> {
        let unavailable = |reason: String| EmbedError::ModelUnavailable {
            name: path.display().to_string(),
            reason,
            advice: "A model is a folder with config.json, model.safetensors, tokenizer.json \
                     and preprocessor_config.json, or one in another layout that is known"
                .to_owned(),
        };
        let path = path
            .canonicalize()
            .map_err(|error| unavailable(error.to_string()))?;
        if !is_model(&path) {
            return Err(unavailable(
                "it holds no config.json and no open_clip_config.json".to_owned(),
            ));
        }
        let name = path.file_name().map_or_else(
            || "/".to_owned(),
            |name| name.to_string_lossy().into_owned(),
        );
        Ok(Self {
            name,
            files: ModelFiles::Folder(path),
        })
    }

    /// Fetches a model from the hub unless the cache has it. Blocks.
    ///
    /// # Errors
    /// [`EmbedError::ModelUnavailable`] when it cannot be had.
    pub fn pull(name: &str, cache: &Path) -> Result<Self, EmbedError> {
        let service = service::find(name);
        let on_hub = service.map_or(name, |model| model.hub);
        if let Some(folder) = cache::find(on_hub, cache) {
            return Ok(Self::in_folder(name, folder));
        }
        let copy = service.map(|model| model.copy);
        if let Some(HubCopy::ByHand(how)) = copy {
            let folder = cache::folder(on_hub, cache).unwrap_or_default();
            return Err(EmbedError::ModelUnavailable {
                name: name.to_owned(),
                reason: format!("the hub's copy, {on_hub}, cannot be read as it is"),
                advice: format!(
                    "Give the path of a folder, or put it at {}: {how}",
                    folder.display()
                ),
            });
        }
        let image = match copy {
            Some(HubCopy::WithImagesOf(image)) => Some(image),
            _ => None,
        };
        let folder = hub::pull(on_hub, image, cache)?;
        Ok(Self::in_folder(name, folder))
    }

    fn in_folder(name: &str, folder: PathBuf) -> Self {
        Self {
            name: name.to_owned(),
            files: ModelFiles::Folder(folder),
        }
    }

    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The folder of its files; `None` for a bundled model.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        match &self.files {
            ModelFiles::Folder(folder) => Some(folder),
            ModelFiles::Bundled(_) => None,
        }
    }

    pub(crate) fn files(&self) -> &ModelFiles {
        &self.files
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn service_names_are_found_in_the_cache_under_the_hub_s() {
        let cache = tempfile::tempdir().unwrap();
        let folder = cache.path().join("models/timm--resnet50_clip.openai");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join(OPEN_CLIP_CONFIG), "{}").unwrap();
        for name in ["RN50::openai", "RN50"] {
            let source = ModelSource::resolve(name, cache.path()).unwrap();
            assert_eq!((source.name(), source.path()), (name, Some(&*folder)));
        }
    }

    #[test]
    fn what_is_made_by_hand_says_how_and_is_found_once_it_is() {
        let cache = tempfile::tempdir().unwrap();
        let name = "CN-CLIP/RN50";
        let error = ModelSource::resolve(name, cache.path()).unwrap_err();
        let text = error.to_string();
        assert!(
            matches!(error, EmbedError::ModelUnavailable { .. }),
            "{text}"
        );
        assert!(text.contains("RBT3-chinese.json"), "{text}");
        let folder = cache.path().join("models/OFA-Sys--chinese-clip-rn50");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join(CONFIG), "{}").unwrap();
        assert!(ModelSource::resolve(name, cache.path()).is_ok());
    }
}
