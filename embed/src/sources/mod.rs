//! Where a model's files come from: the binary itself, a folder, the cache, the hub,
//! in this order.

mod bundled;
mod cache;
mod download;
mod files;
mod hub;

use std::path::{Path, PathBuf};

pub use bundled::{BundledModel, bundled_models};
pub use cache::{CachedModel, cached_models};
pub use hub::{KnownModel, known_models};

pub(crate) use files::{ModelFile, ModelFiles};

pub(crate) const CONFIG: &str = "config.json";
pub(crate) const TOKENIZER: &str = "tokenizer.json";
pub(crate) const PREPROCESSOR: &str = "preprocessor_config.json";
pub(crate) const WEIGHTS: &str = "model.safetensors";
pub(crate) const WEIGHTS_INDEX: &str = "model.safetensors.index.json";

use crate::EmbedError;

/// A model's name and the place of its files.
#[derive(Debug, Clone)]
pub struct ModelSource {
    name: String,
    files: ModelFiles,
}

impl ModelSource {
    /// Finds `name`: a bundled model, a folder, a model in the cache, or one to fetch
    /// from the hub into the cache behind a progress bar. Blocks, for as long as a
    /// download takes.
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
        Self::cached(name, cache).map_or_else(|| Self::pull(name, cache), Ok)
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
                     and preprocessor_config.json"
                .to_owned(),
        };
        let path = path
            .canonicalize()
            .map_err(|error| unavailable(error.to_string()))?;
        if !path.join(CONFIG).is_file() {
            return Err(unavailable("it holds no config.json".to_owned()));
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
        if let Some(source) = Self::cached(name, cache) {
            return Ok(source);
        }
        let folder = hub::pull(name, cache)?;
        Ok(Self::in_folder(name, folder))
    }

    fn cached(name: &str, cache: &Path) -> Option<Self> {
        cache::find(name, cache).map(|folder| Self::in_folder(name, folder))
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
