//! Finding the ONNX graphs in a folder.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use sha2::Sha256;

use crate::EmbedError;
use crate::sources::ModelFiles;

/// The names of the text tower's and the image tower's graph.
const PAIRS: [(&str, &str); 2] = [("textual", "visual"), ("text_model", "vision_model")];
/// The name of a graph with both towers, or with the only tower.
const JOINT: &str = "model";
/// Suffixes of these names, in order of preference: none for the exported precision, and that of
/// `transformers.js` and others for a conversion to f16.
const PRECISIONS: [&str; 2] = ["", "_fp16"];
/// The hub's repositories keep graphs in this folder if they have other weights too.
const SUBFOLDER: &str = "onnx";
/// Suffixes of the file with the weights of a graph that exceeds protobuf's two gigabytes.
const EXTERNAL_WEIGHTS: [&str; 2] = ["_data", ".data"];

#[derive(Debug, Clone)]
pub(super) enum GraphFiles {
    Pair {
        text: PathBuf,
        image: PathBuf,
        /// Both towers in one graph. It is only used to read the logit scale.
        joint: Option<PathBuf>,
    },
    Single(PathBuf),
}

impl GraphFiles {
    /// `None` if the folder has no graphs that form a model.
    pub fn find(files: &ModelFiles) -> Option<Self> {
        let ModelFiles::Folder(folder) = files else {
            return None;
        };
        let folders = [folder.clone(), folder.join(SUBFOLDER)];
        PRECISIONS.iter().find_map(|precision| {
            let find_in = |folder: &PathBuf| Self::find_in(folder, precision);
            folders.iter().find_map(find_in)
        })
    }

    fn find_in(folder: &Path, precision: &str) -> Option<Self> {
        let existing = |name: &str| {
            let path = folder.join(format!("{name}{precision}.onnx"));
            path.is_file().then_some(path)
        };
        let pair = PAIRS.iter().find_map(|(text, image)| {
            Some(Self::Pair {
                text: existing(text)?,
                image: existing(image)?,
                joint: existing(JOINT),
            })
        });
        pair.or_else(|| existing(JOINT).map(Self::Single))
    }

    pub fn is_pair(&self) -> bool {
        matches!(self, Self::Pair { .. })
    }

    /// The graph with the text tower.
    pub fn text(&self) -> &Path {
        match self {
            Self::Pair { text, .. } | Self::Single(text) => text,
        }
    }

    /// The graph with the image tower, if the model has one.
    pub fn image(&self) -> &Path {
        match self {
            Self::Pair { image, .. } | Self::Single(image) => image,
        }
    }

    /// Adds the graphs and their external weights to a fingerprint.
    pub fn add_to_fingerprint(&self, digest: &mut Sha256) -> Result<(), EmbedError> {
        let graphs: &[&PathBuf] = match self {
            Self::Pair { text, image, .. } => &[text, image],
            Self::Single(path) => &[path],
        };
        for path in graphs {
            add_file(digest, path)?;
            for suffix in EXTERNAL_WEIGHTS {
                let weights = with_suffix(path, suffix);
                if weights.is_file() {
                    add_file(digest, &weights)?;
                }
            }
        }
        Ok(())
    }
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    PathBuf::from(name)
}

fn add_file(digest: &mut Sha256, path: &Path) -> Result<(), EmbedError> {
    let mut file = std::fs::File::open(path).map_err(EmbedError::io(path))?;
    std::io::copy(&mut file, digest).map_err(EmbedError::io(path))?;
    Ok(())
}
