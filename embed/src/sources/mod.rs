//! The sources of a model's files, in the order of the search: the binary itself, a folder, the
//! cache, the hub.

mod bundled;
mod cache;
mod clip_as_service;
mod download;
mod file_names;
mod files;
mod hub;
mod required_files;

use std::path::{Path, PathBuf};

pub use bundled::{BundledModel, bundled_models};
pub use cache::{CachedModel, cached_models};
pub use clip_as_service::{HubCopy, ServiceModel, service_models};
pub use hub::{KnownModel, known_models};

pub(crate) use file_names::{
    CALIBRATION, CONFIG, DENSE, M_CLIP_IMAGE, M_CLIP_TEXT, MODULES, OPEN_CLIP_CONFIG,
    OPEN_CLIP_WEIGHTS, PREPROCESSOR, SECOND_TOKENIZER, SENTENCE_LENGTH, SENTENCE_PROMPTS,
    SENTENCE_TYPES, TOKENIZER, TOKENIZER_CONFIG, TRANSFORMERS_WEIGHTS, WEIGHTS, WEIGHTS_INDEX,
    WeightFiles,
};
pub(crate) use files::{ModelFile, ModelFiles};

use crate::EmbedError;
use file_names::is_model;

/// A model's name and the location of its files.
#[derive(Debug, Clone)]
pub struct ModelSource {
    name: String,
    files: ModelFiles,
}

impl ModelSource {
    /// Finds `name`: a bundled model, the path of a folder, a model in the cache, or a model on
    /// the hub, which is downloaded into the cache with a progress bar. CLIP-as-service's names
    /// of models on the hub work too. Blocks during the download.
    ///
    /// # Errors
    /// [`EmbedError::ModelUnavailable`] if no source has it, with advice for the user.
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

    /// Opens a folder in a supported layout. Its name is the last component of the path.
    ///
    /// # Errors
    /// [`EmbedError::ModelUnavailable`] if it is not a folder with a model's configuration.
    pub fn folder(path: &Path) -> Result<Self, EmbedError> {
        let unavailable = |reason: String| EmbedError::ModelUnavailable {
            name: path.display().to_string(),
            reason,
            advice: "A model is a folder with config.json, model.safetensors, tokenizer.json \
                     and preprocessor_config.json, or a folder in another supported layout"
                .to_owned(),
        };
        let path = path
            .canonicalize()
            .map_err(|error| unavailable(error.to_string()))?;
        if !is_model(&path) {
            return Err(unavailable(
                "it has neither config.json nor open_clip_config.json".to_owned(),
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

    /// Downloads a model from the hub unless the cache has it. Blocks.
    ///
    /// # Errors
    /// [`EmbedError::ModelUnavailable`] if it cannot be downloaded, [`EmbedError::Io`] if the
    /// cache cannot be written.
    pub fn pull(name: &str, cache: &Path) -> Result<Self, EmbedError> {
        let service = clip_as_service::find(name);
        let on_hub = service.map_or(name, |model| model.hub);
        if let Some(folder) = cache::find(on_hub, cache) {
            return Ok(Self::in_folder(name, folder));
        }
        let copy = service.map(|model| model.copy);
        if let Some(HubCopy::ByHand(how)) = copy {
            let folder = cache::folder(on_hub, cache).unwrap_or_default();
            return Err(EmbedError::ModelUnavailable {
                name: name.to_owned(),
                reason: format!("the hub's copy, {on_hub}, has to be converted first"),
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

    /// The name to show to users.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The folder with its files; `None` for a bundled model.
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
    fn a_model_that_needs_conversion_explains_how_and_is_found_afterwards() {
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
