//! Downloading models from the Hugging Face hub or a mirror.
//!
//! Files are downloaded to a hidden folder in the cache. It is renamed to the model's folder once
//! all files are complete and verified. An interrupted download resumes.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use super::download::{Downloads, FetchError};
use super::file_names::{M_CLIP_IMAGE, M_CLIP_TEXT};
use super::{cache, required_files};
use crate::EmbedError;

/// The environment variable with the base URL of a mirror.
const HUB_VARIABLE: &str = "CLIPDB_HUB";
const HUB: &str = "https://huggingface.co";

/// A recommended model on the hub.
#[derive(Debug)]
pub struct KnownModel {
    /// Its name on the hub: `owner/name`.
    pub name: &'static str,
    /// Dimensions of an embedding.
    pub dim: usize,
    /// The size of the download.
    pub bytes: u64,
    /// SPDX identifier.
    pub license: &'static str,
    /// One line for users.
    pub about: &'static str,
}

/// The recommended models.
#[must_use]
pub fn known_models() -> &'static [KnownModel] {
    &[
        KnownModel {
            name: "openai/clip-vit-base-patch32",
            dim: 512,
            bytes: 608_000_000,
            license: "MIT",
            about: "CLIP ViT-B/32: the fastest of the three",
        },
        KnownModel {
            name: "openai/clip-vit-base-patch16",
            dim: 512,
            bytes: 602_000_000,
            license: "MIT",
            about: "CLIP ViT-B/16: more detail in images, 4 times the work",
        },
        KnownModel {
            name: "openai/clip-vit-large-patch14",
            dim: 768,
            bytes: 1_714_000_000,
            license: "MIT",
            about: "CLIP ViT-L/14: the best of the three, for a GPU",
        },
    ]
}

/// Downloads `name` into the cache and returns its folder. With `image`, `name` is a text tower
/// and `image` is the model with its image tower.
pub(super) fn pull(name: &str, image: Option<&str>, cache: &Path) -> Result<PathBuf, EmbedError> {
    let hub = std::env::var(HUB_VARIABLE).unwrap_or_else(|_| HUB.to_owned());
    pull_from(hub.trim_end_matches('/'), name, image, cache)
}

fn pull_from(
    hub: &str,
    name: &str,
    image: Option<&str>,
    cache: &Path,
) -> Result<PathBuf, EmbedError> {
    let unavailable = |reason: String| EmbedError::ModelUnavailable {
        name: name.to_owned(),
        reason,
        advice: advice(),
    };
    let Some(folder) = cache::folder(name, cache) else {
        return Err(unavailable(
            "it is neither a bundled model, nor a folder, nor a name on the hub (owner/name)"
                .to_owned(),
        ));
    };
    let parent = folder.parent().unwrap_or(cache);
    fs::create_dir_all(parent).map_err(EmbedError::io(parent))?;
    let lock_path = hidden_sibling(&folder, "lock");
    let lock = File::create(&lock_path).map_err(EmbedError::io(&lock_path))?;
    // Two servers that start at the same time must not write the same file.
    lock.lock().map_err(EmbedError::io(&lock_path))?;
    if let Some(found) = cache::find(name, cache) {
        return Ok(found);
    }
    let staging = hidden_sibling(&folder, "partial");
    fs::create_dir_all(&staging).map_err(EmbedError::io(&staging))?;
    tracing::info!(model = name, %hub, "downloading the model");
    let fetch = |name: &str, folder: &Path| {
        fs::create_dir_all(folder).map_err(FetchError::disk(folder))?;
        let downloads = Downloads::new(format!("{hub}/{name}/resolve/main"), folder)?;
        required_files::fetch(&downloads, folder)
    };
    let pulled = match image {
        None => fetch(name, &staging),
        Some(image) => fetch(name, &staging.join(M_CLIP_TEXT))
            .and_then(|()| fetch(image, &staging.join(M_CLIP_IMAGE))),
    };
    pulled.map_err(|error| match error {
        FetchError::Disk { path, source } => EmbedError::Io { path, source },
        other => unavailable(other.to_string()),
    })?;
    fs::rename(&staging, &folder).map_err(EmbedError::io(&folder))?;
    File::open(parent)
        .and_then(|parent| parent.sync_all())
        .map_err(EmbedError::io(parent))?;
    Ok(folder)
}

/// `/models/owner--name` to `/models/.owner--name.SUFFIX`.
fn hidden_sibling(folder: &Path, suffix: &str) -> PathBuf {
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    folder.with_file_name(format!(".{name}.{suffix}"))
}

fn advice() -> String {
    let bundled: Vec<_> = super::bundled_models()
        .iter()
        .map(|model| model.name)
        .collect();
    format!(
        "Use a bundled model ({}), give the path of a model's folder, or download it on a machine \
         with a network: 'clipdb models pull'",
        bundled.join(", ")
    )
}

#[cfg(test)]
mod tests;
