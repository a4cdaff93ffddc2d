//! Folders of exported graphs, for ONNX Runtime: CLIP-as-service's `textual.onnx` and
//! `visual.onnx`, which come alone; Optimum's, where both halves are one `model.onnx` or a
//! file each beside the configuration; and models of sentences in either way.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Deserialize;
use sha2::{Digest, Sha256};
use tch::{Device, Kind};

use super::sentence_modules::{self, Head, SentenceModules};
use super::{Layout, chinese_clip, siglip};
use crate::image::Preprocessor;
use crate::model::{Half, Model, Scale};
use crate::onnx::{self, Graph, OnnxImage, OnnxText, Role, Told};
use crate::sources::{CONFIG, MODULES, ModelFiles, PREPROCESSOR, TOKENIZER};
use crate::tokens::Tokens;
use crate::towers::{ImageTower, Projection, ROBERTA_PADDING, TextTower};
use crate::{EmbedError, EncoderSettings};

const PAIRS: [(&str, &str); 2] = [("textual", "visual"), ("text_model", "vision_model")];
const WHOLE: &str = "model";
/// Behind those names: nothing for a graph as it was exported, which is preferred, and what
/// `transformers.js` and others add to one in f16.
const PRECISIONS: [&str; 2] = ["", "_fp16"];
/// Where the hub's folders keep graphs beside other weights.
const SUBFOLDER: &str = "onnx";
/// Weights beyond protobuf's two gigabytes lie in a file of their own.
const EXTERNAL: [&str; 2] = ["_data", ".data"];

const CLIP_CONTEXT: usize = 77;
const SIGLIP_CONTEXT: usize = 64;
/// BERT's, and of most models of sentences.
const SENTENCE_CONTEXT: usize = 512;
/// Where CLIP's learned scale stops, and OpenAI's models have stopped.
const CLIP_SCALE: Scale = Scale {
    factor: 100.0,
    bias: None,
    assumed: true,
};
const SIGLIP: &str = "siglip";
const CHINESE_CLIP: &str = "chinese_clip";
/// Their positions begin behind the number of the padding, as RoBERTa's do.
const LIKE_ROBERTA: [&str; 4] = ["roberta", "xlm-roberta", "camembert", "mpnet"];
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
    /// Around a model of sentences.
    modules: Option<SentenceModules>,
    settings: EncoderSettings,
}

#[derive(Debug, Clone)]
enum Graphs {
    Two {
        text: PathBuf,
        image: PathBuf,
        /// Both once more in one, which alone gives logits.
        whole: Option<PathBuf>,
    },
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
    pad_token_id: Option<usize>,
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
    let folders = [folder.clone(), folder.join(SUBFOLDER)];
    PRECISIONS.iter().find_map(|precision| {
        let find_in = |folder: &PathBuf| find_in(folder, precision);
        folders.iter().find_map(find_in)
    })
}

fn find_in(folder: &Path, precision: &str) -> Option<Graphs> {
    let there = |name: &str| {
        let path = folder.join(format!("{name}{precision}.onnx"));
        path.is_file().then_some(path)
    };
    let two = PAIRS.iter().find_map(|(text, image)| {
        Some(Graphs::Two {
            text: there(text)?,
            image: there(image)?,
            whole: there(WHOLE),
        })
    });
    two.or_else(|| there(WHOLE).map(Graphs::One))
}

impl Onnx {
    /// `name` is the model's, by which prompts are known that a folder leaves out.
    pub fn open(
        files: &ModelFiles,
        name: &str,
        settings: &EncoderSettings,
    ) -> Result<Self, EmbedError> {
        let graphs = find(files).ok_or_else(|| {
            EmbedError::file(
                files.display("model.onnx"),
                "there are no graphs for ONNX Runtime: neither textual.onnx and visual.onnx, \
                 nor text_model.onnx and vision_model.onnx, nor model.onnx, here or in onnx/, \
                 nor the same with _fp16 before .onnx",
            )
        })?;
        let sentences = matches!(graphs, Graphs::One(_)) && files.has(MODULES);
        Ok(Self {
            config: match files.has(CONFIG) {
                true => files.json(CONFIG)?,
                false => Config::default(),
            },
            modules: sentences
                .then(|| SentenceModules::open(files, name))
                .transpose()?,
            files: files.clone(),
            graphs,
            settings: settings.clone(),
        })
    }

    fn is(&self, model_type: &str) -> bool {
        self.config.model_type.as_deref() == Some(model_type)
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
        let model_type = config.model_type.as_deref().unwrap_or_default();
        let told = config.text_config.max_position_embeddings;
        let told = told.or(config.max_position_embeddings.map(|positions| {
            let padding = config.pad_token_id.unwrap_or(ROBERTA_PADDING as usize);
            match LIKE_ROBERTA.contains(&model_type) {
                true => positions.saturating_sub(padding + 1),
                false => positions,
            }
        }));
        if let Some(modules) = &self.modules {
            let tuned = modules.max_length.and_then(|it| usize::try_from(it).ok());
            return told
                .into_iter()
                .chain(tuned)
                .min()
                .unwrap_or(SENTENCE_CONTEXT);
        }
        match model_type {
            SIGLIP => told.unwrap_or(SIGLIP_CONTEXT),
            CHINESE_CLIP => chinese_clip::CONTEXT as usize,
            _ => told.unwrap_or(CLIP_CONTEXT),
        }
    }

    fn is_pair(&self) -> bool {
        matches!(self.graphs, Graphs::Two { .. })
    }

    fn graph(&self, path: &Path, device: Device) -> Result<Arc<Graph>, EmbedError> {
        Graph::open(path, device, &self.settings).map(Arc::new)
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
        match &self.modules {
            Some(modules) => modules.tokens(),
            None if self.is(SIGLIP) => siglip::tokens(&self.files, self.context_length()),
            None => Tokens::open(&self.files),
        }
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
                supported: "f32, with which a graph runs in the precision it was exported in",
            });
        }
        let side = self
            .preprocessor()?
            .map_or(0, |preprocessor| preprocessor.size().0 as usize);
        let (text_path, image_path) = match &self.graphs {
            Graphs::Two { text, image, .. } => (text, image),
            Graphs::One(path) => (path, path),
        };
        let (text_file, image_file) = (text_path.display(), image_path.display());
        let (text_file, image_file) = (text_file.to_string(), image_file.to_string());
        let told = |file| Told {
            file,
            side,
            pooler: self.is(SIGLIP),
        };
        let graph = self.graph(text_path, device)?;
        let half = graph.half;
        let images = match &self.graphs {
            Graphs::Two { image, .. } => Some(self.graph(image, device)?),
            Graphs::One(_) => graph.takes(Role::Pixels).then(|| Arc::clone(&graph)),
        };
        if images.is_some() && side == 0 {
            return Err(EmbedError::file(
                self.files.display(PREPROCESSOR),
                format!("it is missing, and {image_file} takes pixels"),
            ));
        }
        let scale = self.scale(&graph, device, side)?;
        let image = images.map(|graph| OnnxImage::new(graph, &told(&image_file)));
        let image = image.transpose()?;
        let pooling = self.modules.as_ref().map(|modules| modules.pooling);
        let text = OnnxText::new(graph, &told(&text_file), self.context_length(), pooling)?;
        let head = match &self.modules {
            Some(modules) if text.pools() => modules.head(text.width(), Device::Cpu, kind)?,
            _ => Head {
                projection: Projection::Identity,
                dim: text.width(),
                parameters: 0,
                fingerprint: String::new(),
            },
        };
        if let Some(image) = &image
            && image.width() != head.dim
        {
            return Err(EmbedError::file(
                image_file,
                format!(
                    "its texts have {} dimensions and its pictures {}: export it with its \
                     projections",
                    head.dim,
                    image.width()
                ),
            ));
        }
        let model_type = self.config.model_type.as_deref();
        Ok(Model {
            model_type: model_type.unwrap_or("clip").to_owned(),
            license: self.config.license.clone(),
            dim: head.dim,
            scale,
            // Graphs do not tell.
            parameters: 0,
            fingerprint: self.fingerprint(&head)?,
            text: Half {
                tower: Box::new(text),
                projection: head.projection,
            },
            image: image.map(half_image),
            // Graphs take their inputs from memory, wherever they run.
            device: Device::Cpu,
            kind: if half { Kind::Half } else { Kind::Float },
        })
    }
}

impl Onnx {
    /// Read where a graph of both halves puts out logits, also one that lies beside the two
    /// that are used: it is loaded for that and dropped again.
    fn scale(&self, graph: &Graph, device: Device, side: usize) -> Result<Scale, EmbedError> {
        let bias = self.is(SIGLIP);
        let read = match &self.graphs {
            Graphs::One(_) if !graph.takes(Role::Pixels) => {
                return Ok(sentence_modules::SCALE);
            }
            Graphs::One(_) => onnx::scale(graph, side, bias),
            Graphs::Two { whole: None, .. } => None,
            Graphs::Two {
                whole: Some(whole), ..
            } => onnx::scale(&*self.graph(whole, device)?, side, bias),
        };
        Ok(read.unwrap_or(CLIP_SCALE))
    }

    /// SHA-256 of the graphs with their weights, and of how text and pixels are prepared.
    fn fingerprint(&self, head: &Head) -> Result<String, EmbedError> {
        let mut digest = Sha256::new();
        let graphs: &[&PathBuf] = match &self.graphs {
            Graphs::Two { text, image, .. } => &[text, image],
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
        if let Some(modules) = &self.modules {
            digest.update(modules.described());
        }
        digest.update(&head.fingerprint);
        Ok(format!("{:x}", digest.finalize()))
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
