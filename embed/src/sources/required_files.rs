//! The files to download for a model, by its layout.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::download::{Downloads, FetchError};
use super::file_names::{
    CONFIG, DENSE, MODULES, OPEN_CLIP_CONFIG, OPEN_CLIP_WEIGHTS, PREPROCESSOR, SENTENCE_LENGTH,
    SENTENCE_PROMPTS, SENTENCE_TYPES, TOKENIZER, TOKENIZER_CONFIG, TRANSFORMERS_WEIGHTS, WEIGHTS,
    WEIGHTS_INDEX, WeightFiles,
};

/// `model_type` of a text tower that uses another model's image tower.
const M_CLIP: &str = "M-CLIP";

/// Downloads the model's files into `staging`.
pub(super) fn fetch(downloads: &Downloads, staging: &Path) -> Result<(), FetchError> {
    if downloads.fetch(OPEN_CLIP_CONFIG)? {
        let WeightFiles {
            safetensors,
            pickle,
        } = OPEN_CLIP_WEIGHTS;
        for file in safetensors.iter().chain([&pickle]) {
            if downloads.fetch(file)? {
                // Optional if it is OpenAI's, which is decided when the model is loaded.
                downloads.fetch(TOKENIZER)?;
                return Ok(());
            }
        }
        // Some repositories have only transformers' weights of the same model.
    }
    downloads.require(CONFIG)?;
    #[derive(Deserialize)]
    struct Head {
        model_type: Option<String>,
    }
    let head: Head = read(staging, CONFIG)?;
    match head.model_type.as_deref() {
        Some(it) if SENTENCE_TYPES.contains(&it) => modules(downloads, staging)?,
        Some(M_CLIP) => {}
        _ => {
            downloads.require(PREPROCESSOR)?;
            downloads.fetch(TOKENIZER_CONFIG)?;
        }
    }
    downloads.require(TOKENIZER)?;
    weights(downloads, staging)
}

fn weights(downloads: &Downloads, staging: &Path) -> Result<(), FetchError> {
    if downloads.fetch(WEIGHTS)? {
        return Ok(());
    }
    #[derive(Deserialize)]
    struct Index {
        weight_map: HashMap<String, String>,
    }
    if !downloads.fetch(WEIGHTS_INDEX)? {
        let pickle = TRANSFORMERS_WEIGHTS.pickle;
        if downloads.fetch(pickle)? {
            return Ok(());
        }
        return Err(FetchError::Missing {
            file: format!("{WEIGHTS}, {WEIGHTS_INDEX} or {pickle}"),
        });
    }
    let index: Index = read(staging, WEIGHTS_INDEX)?;
    let mut shards: Vec<_> = index.weight_map.into_values().collect();
    shards.sort_unstable();
    shards.dedup();
    for shard in shards {
        // The index is untrusted: its names must not leave this folder.
        if shard.contains(['/', '\\']) || !shard.ends_with(".safetensors") {
            return Err(FetchError::Corrupt {
                file: WEIGHTS_INDEX.to_owned(),
                reason: format!("it names '{shard}' as a shard"),
            });
        }
        downloads.require(&shard)?;
    }
    Ok(())
}

/// Downloads the modules of a sentence model. Each has a folder.
fn modules(downloads: &Downloads, staging: &Path) -> Result<(), FetchError> {
    #[derive(Deserialize)]
    struct Module {
        path: String,
        #[serde(rename = "type")]
        class: String,
    }
    downloads.require(MODULES)?;
    downloads.fetch(SENTENCE_LENGTH)?;
    downloads.fetch(SENTENCE_PROMPTS)?;
    let modules: Vec<Module> = read(staging, MODULES)?;
    for module in modules.iter().filter(|module| !module.path.is_empty()) {
        let path = &module.path;
        if path.contains(['/', '\\', '.']) {
            return Err(FetchError::Corrupt {
                file: MODULES.to_owned(),
                reason: format!("it names '{path}' as a folder"),
            });
        }
        let folder = staging.join(path);
        fs::create_dir_all(&folder).map_err(FetchError::disk(&folder))?;
        // A module without settings has no configuration.
        downloads.fetch(&format!("{path}/{CONFIG}"))?;
        if module.class.ends_with(DENSE) {
            downloads.require(&format!("{path}/{WEIGHTS}"))?;
        }
    }
    Ok(())
}

fn read<T: DeserializeOwned>(staging: &Path, file: &str) -> Result<T, FetchError> {
    let path = staging.join(file);
    let text = fs::read(&path).map_err(FetchError::disk(&path))?;
    serde_json::from_slice(&text).map_err(|error| FetchError::Corrupt {
        file: file.to_owned(),
        reason: error.to_string(),
    })
}
