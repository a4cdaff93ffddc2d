//! Folders of exported graphs, for ONNX Runtime: CLIP-as-service's `textual.onnx` and
//! `visual.onnx`, which come alone, and Optimum's, where both halves are one
//! `model.onnx` or a file each beside the configuration.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Deserialize;
use sha2::{Digest, Sha256};
use tch::{Device, Kind};

use super::Layout;
use crate::image::Preprocessor;
use crate::model::{Half, Model, Scale};
use crate::onnx::{Graph, OnnxImage, OnnxText, Role};
use crate::sources::{CONFIG, ModelFiles, PREPROCESSOR, TOKENIZER};
use crate::tokens::Tokens;
use crate::towers::{ImageTower, Projection, TextTower};
use crate::{EmbedError, EncoderSettings};

const PAIRS: [(&str, &str); 2] = [
    ("textual.onnx", "visual.onnx"),
    ("text_model.onnx", "vision_model.onnx"),
];
const WHOLE: &str = "model.onnx";
/// Where the hub's folders keep graphs beside other weights.
const SUBFOLDER: &str = "onnx";
/// Weights beyond protobuf's two gigabytes lie in a file of their own.
const EXTERNAL: [&str; 2] = ["_data", ".data"];

const CLIP_CONTEXT: usize = 77;
/// Where CLIP's learned scale stops: a graph does not tell its own.
const CLIP_LOGIT_SCALE: f64 = 100.0;
/// Preprocessing of OpenAI's models, for folders that hold nothing but graphs.
const CLIP_PREPROCESSOR: &str = r#"{
    "do_resize": true, "size": {"shortest_edge": 224}, "resample": 3,
    "do_center_crop": true, "crop_size": {"height": 224, "width": 224},
    "do_rescale": true, "rescale_factor": 0.00392156862745098, "do_normalize": true,
    "image_mean": [0.48145466, 0.4578275, 0.40821073],
    "image_std": [0.26862954, 0.26130258, 0.27577711], "do_convert_rgb": true
}"#;

#[derive(Debug)]
pub(super) struct Onnx {
    files: ModelFiles,
    graphs: Graphs,
    config: Config,
    settings: EncoderSettings,
}

#[derive(Debug, Clone)]
enum Graphs {
    Two { text: PathBuf, image: PathBuf },
    One(PathBuf),
}

#[derive(Debug, Default, Deserialize)]
struct Config {
    model_type: Option<String>,
    license: Option<String>,
    #[serde(default)]
    text_config: TextConfig,
    /// Of a text model alone.
    max_position_embeddings: Option<usize>,
}

#[derive(Debug, Default, Deserialize)]
struct TextConfig {
    max_position_embeddings: Option<usize>,
}

/// Whether a folder holds graphs that make a model.
pub(super) fn has_graphs(files: &ModelFiles) -> bool {
    find(files).is_some()
}

fn find(files: &ModelFiles) -> Option<Graphs> {
    let ModelFiles::Folder(folder) = files else {
        return None;
    };
    [folder.clone(), folder.join(SUBFOLDER)]
        .iter()
        .find_map(|folder| find_in(folder))
}

fn find_in(folder: &Path) -> Option<Graphs> {
    let there = |name: &str| {
        let path = folder.join(name);
        path.is_file().then_some(path)
    };
    let two = PAIRS.iter().find_map(|(text, image)| {
        Some(Graphs::Two {
            text: there(text)?,
            image: there(image)?,
        })
    });
    two.or_else(|| there(WHOLE).map(Graphs::One))
}

impl Onnx {
    pub fn open(files: &ModelFiles, settings: &EncoderSettings) -> Result<Self, EmbedError> {
        let graphs = find(files).ok_or_else(|| {
            EmbedError::file(
                files.display(WHOLE),
                "there are no graphs for ONNX Runtime: neither textual.onnx and visual.onnx, \
                 nor text_model.onnx and vision_model.onnx, nor model.onnx, here or in onnx/",
            )
        })?;
        Ok(Self {
            config: match files.has(CONFIG) {
                true => files.json(CONFIG)?,
                false => Config::default(),
            },
            files: files.clone(),
            graphs,
            settings: settings.clone(),
        })
    }

    /// What the folder tells of how text and pixels are prepared: nothing where CLIP's own
    /// tokenizer and preprocessing hold.
    fn preparation(&self) -> Result<Vec<Vec<u8>>, EmbedError> {
        [TOKENIZER, PREPROCESSOR]
            .iter()
            .filter(|file| self.files.has(file))
            .map(|file| Ok(self.files.bytes(file)?.into_owned()))
            .collect()
    }

    fn context_length(&self) -> usize {
        let config = &self.config;
        let told = config.text_config.max_position_embeddings;
        told.or(config.max_position_embeddings)
            .unwrap_or(CLIP_CONTEXT)
    }

    fn is_pair(&self) -> bool {
        matches!(self.graphs, Graphs::Two { .. })
    }
}

impl Layout for Onnx {
    fn engine(&self) -> &'static str {
        "ONNX Runtime"
    }

    fn tokens(&self) -> Result<Tokens, EmbedError> {
        if self.is_pair() && !self.files.has(TOKENIZER) {
            return Tokens::from_json(clipdb_models::clip_tokenizer(), CLIP_CONTEXT);
        }
        Tokens::open(&self.files)
    }

    fn preprocessor(&self) -> Result<Option<Preprocessor>, EmbedError> {
        if self.files.has(PREPROCESSOR) {
            return super::preprocessor(&self.files).map(Some);
        }
        if !self.is_pair() {
            return Ok(None);
        }
        Preprocessor::from_config(CLIP_PREPROCESSOR.as_bytes())
            .map(Some)
            .map_err(|error| EmbedError::file(self.files.display(PREPROCESSOR), error))
    }

    fn load(&self, device: Device, kind: Kind) -> Result<Model, EmbedError> {
        if kind != Kind::Float {
            return Err(EmbedError::Unsupported {
                what: "precision on ONNX Runtime",
                value: format!("{kind:?}"),
                supported: "f32",
            });
        }
        let side = self
            .preprocessor()?
            .map_or(0, |preprocessor| preprocessor.size().0 as usize);
        let open = |path: &Path| Graph::open(path, device, &self.settings).map(Arc::new);
        let shown = |path: &Path| path.display().to_string();
        let text =
            |graph, path: &Path| OnnxText::new(graph, &shown(path), self.context_length(), side);
        let (text, image) = match &self.graphs {
            Graphs::Two { text: path, image } => (
                text(open(path)?, path)?,
                Some(OnnxImage::new(open(image)?, &shown(image), side)?),
            ),
            Graphs::One(path) => {
                let graph = open(path)?;
                if graph.takes(Role::Pixels) && side == 0 {
                    return Err(EmbedError::file(
                        self.files.display(PREPROCESSOR),
                        "it is missing, and model.onnx takes pixels",
                    ));
                }
                let image = graph
                    .takes(Role::Pixels)
                    .then(|| OnnxImage::new(Arc::clone(&graph), &shown(path), side))
                    .transpose()?;
                (text(graph, path)?, image)
            }
        };
        if let Some(image) = &image
            && image.width() != text.width()
        {
            return Err(EmbedError::file(
                self.files.display(WHOLE),
                format!(
                    "its texts have {} dimensions and its pictures {}: export it with its \
                     projections",
                    text.width(),
                    image.width()
                ),
            ));
        }
        Ok(Model {
            model_type: self
                .config
                .model_type
                .clone()
                .unwrap_or_else(|| "clip".to_owned()),
            license: self.config.license.clone(),
            dim: text.width(),
            scale: Scale {
                factor: CLIP_LOGIT_SCALE,
                bias: None,
            },
            // Graphs do not tell.
            parameters: 0,
            fingerprint: self.fingerprint()?,
            text: half(text),
            image: image.map(half_image),
            // Graphs take their inputs from memory, wherever they run.
            device: Device::Cpu,
            kind,
        })
    }
}

impl Onnx {
    /// SHA-256 of the graphs with their weights, and of how text and pixels are prepared.
    fn fingerprint(&self) -> Result<String, EmbedError> {
        let mut digest = Sha256::new();
        let graphs: &[&PathBuf] = match &self.graphs {
            Graphs::Two { text, image } => &[text, image],
            Graphs::One(path) => &[path],
        };
        for path in graphs {
            count_in(&mut digest, path)?;
            for suffix in EXTERNAL {
                let mut name = path.as_os_str().to_owned();
                name.push(suffix);
                if Path::new(&name).is_file() {
                    count_in(&mut digest, Path::new(&name))?;
                }
            }
        }
        for bytes in self.preparation()? {
            digest.update(bytes);
        }
        Ok(format!("{:x}", digest.finalize()))
    }
}

fn half(tower: OnnxText) -> Half<dyn TextTower> {
    Half {
        tower: Box::new(tower),
        projection: Projection::Identity,
    }
}

fn half_image(tower: OnnxImage) -> Half<dyn ImageTower> {
    Half {
        tower: Box::new(tower),
        projection: Projection::Identity,
    }
}

fn count_in(digest: &mut Sha256, path: &Path) -> Result<(), EmbedError> {
    let mut file = std::fs::File::open(path).map_err(EmbedError::io(path))?;
    std::io::copy(&mut file, digest).map_err(EmbedError::io(path))?;
    Ok(())
}
