//! Models from the Hugging Face hub, or a mirror of it.
//!
//! Files gather in a hidden folder beside the cache's models; it gets the model's name
//! when all of them are there and verified. An interrupted pull goes on where it was.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use super::download::{Downloads, FetchError};
use super::{cache, wanted};
use crate::EmbedError;

/// Overrides where models are pulled from.
const HUB_VARIABLE: &str = "CLIPDB_HUB";
const HUB: &str = "https://huggingface.co";

/// A model on the hub that is known to work.
#[derive(Debug)]
pub struct KnownModel {
    pub name: &'static str,
    pub dim: usize,
    /// Of all that is fetched.
    pub bytes: u64,
    pub license: &'static str,
    pub about: &'static str,
}

#[must_use]
pub fn known_models() -> &'static [KnownModel] {
    &[
        KnownModel {
            name: "openai/clip-vit-base-patch32",
            dim: 512,
            bytes: 608_000_000,
            license: "MIT",
            about: "CLIP ViT-B/32: the quickest of the three",
        },
        KnownModel {
            name: "openai/clip-vit-base-patch16",
            dim: 512,
            bytes: 602_000_000,
            license: "MIT",
            about: "CLIP ViT-B/16: finer pictures, 4 times the work",
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

/// Pulls `name` into the cache and gives its folder; with `image`, `name` is a text tower,
/// and the other the model that has its image tower.
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
            "it is no bundled model, no folder, and no name of the hub (owner/name)".to_owned(),
        ));
    };
    let parent = folder.parent().unwrap_or(cache);
    fs::create_dir_all(parent).map_err(EmbedError::io(parent))?;
    let lock_path = beside(&folder, "lock");
    let lock = File::create(&lock_path).map_err(EmbedError::io(&lock_path))?;
    // Two servers that start together must not write one file twice.
    lock.lock().map_err(EmbedError::io(&lock_path))?;
    if let Some(found) = cache::find(name, cache) {
        return Ok(found);
    }
    let staging = beside(&folder, "partial");
    fs::create_dir_all(&staging).map_err(EmbedError::io(&staging))?;
    tracing::info!(model = name, %hub, "fetching the model");
    let fetch = |name: &str, folder: &Path| {
        fs::create_dir_all(folder).map_err(FetchError::disk(folder))?;
        let downloads = Downloads::new(format!("{hub}/{name}/resolve/main"), folder)?;
        wanted::fetch(&downloads, folder)
    };
    let pulled = match image {
        None => fetch(name, &staging),
        Some(image) => {
            fetch(name, &staging.join("text")).and_then(|()| fetch(image, &staging.join("image")))
        }
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
fn beside(folder: &Path, suffix: &str) -> PathBuf {
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    folder.with_file_name(format!(".{name}.{suffix}"))
}

fn advice() -> String {
    let bundled: Vec<_> = super::bundled_models()
        .iter()
        .map(|model| model.name)
        .collect();
    format!(
        "Use a bundled model ({}), the path of a model's folder, or fetch it where there is a \
         network with 'clipdb models pull'",
        bundled.join(", ")
    )
}

#[cfg(test)]
mod tests;
