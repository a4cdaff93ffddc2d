//! Folders with ONNX graphs, for ONNX Runtime: CLIP-as-service's `textual.onnx` and `visual.onnx`
//! without any other file, Optimum's with both towers in one `model.onnx` or in a file each, and
//! sentence models in either form.

use std::path::Path;
use std::sync::Arc;

use serde::Deserialize;
use sha2::{Digest, Sha256};
use tch::{Device, Kind};

use super::folder::{different_dims, read_preprocessor};
use super::layout::Layout;
use super::onnx_files::GraphFiles;
use super::sentence_modules::{self, Head, SentenceModules};
use super::{chinese_clip, siglip};
use crate::image::Preprocessor;
use crate::model::{Branch, Model, Scale};
use crate::onnx::{self, Graph, GraphContext, LogitBias, OnnxImage, OnnxText, Role};
use crate::sources::{CONFIG, MODULES, ModelFiles, PREPROCESSOR, TOKENIZER};
use crate::tokens::TextTokenizer;
use crate::towers::{ImageTower, Projection, ROBERTA_PADDING, TextTower};
use crate::{EmbedError, EncoderSettings};

const CLIP_CONTEXT: usize = 77;
const SIGLIP_CONTEXT: usize = 64;
/// BERT's context, which most sentence models share.
const SENTENCE_CONTEXT: usize = 512;
/// The upper limit of CLIP's learned scale, which OpenAI's models have reached.
const CLIP_SCALE: Scale = Scale::assumed(100.0);
const SIGLIP: &str = "siglip";
const CHINESE_CLIP: &str = "chinese_clip";
/// Models whose positions start after the id of the padding token, as RoBERTa's do.
const LIKE_ROBERTA: [&str; 4] = ["roberta", "xlm-roberta", "camembert", "mpnet"];
/// The preprocessing of OpenAI's models, for folders that contain only graphs.
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
    graphs: GraphFiles,
    config: Config,
    /// Of a sentence model.
    modules: Option<SentenceModules>,
    settings: EncoderSettings,
}

#[derive(Debug, Default, Deserialize)]
struct Config {
    model_type: Option<String>,
    license: Option<String>,
    #[serde(default)]
    text_config: TextConfig,
    /// Of a text-only model.
    max_position_embeddings: Option<usize>,
    pad_token_id: Option<usize>,
}

#[derive(Debug, Default, Deserialize)]
struct TextConfig {
    max_position_embeddings: Option<usize>,
}

impl Onnx {
    /// `name` is the model's name, which its published prompts are looked up by.
    pub fn open(
        files: &ModelFiles,
        name: &str,
        settings: &EncoderSettings,
    ) -> Result<Self, EmbedError> {
        let graphs = GraphFiles::find(files).ok_or_else(|| {
            EmbedError::file(
                files.display("model.onnx"),
                "the folder has no graphs for ONNX Runtime: neither textual.onnx and \
                 visual.onnx, nor text_model.onnx and vision_model.onnx, nor model.onnx, here or \
                 in onnx/, with or without _fp16 before .onnx",
            )
        })?;
        let is_sentence_model = !graphs.is_pair() && files.has(MODULES);
        Ok(Self {
            config: match files.has(CONFIG) {
                true => files.json(CONFIG)?,
                false => Config::default(),
            },
            modules: is_sentence_model
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

    fn context_length(&self) -> usize {
        let positions = self.positions();
        if let Some(modules) = &self.modules {
            let tuned = modules.max_length.and_then(|it| usize::try_from(it).ok());
            let lengths = positions.into_iter().chain(tuned);
            return lengths.min().unwrap_or(SENTENCE_CONTEXT);
        }
        match self.config.model_type.as_deref() {
            Some(SIGLIP) => positions.unwrap_or(SIGLIP_CONTEXT),
            Some(CHINESE_CLIP) => chinese_clip::CONTEXT as usize,
            _ => positions.unwrap_or(CLIP_CONTEXT),
        }
    }

    /// The number of usable positions, if the configuration has it.
    fn positions(&self) -> Option<usize> {
        let config = &self.config;
        let model_type = config.model_type.as_deref().unwrap_or_default();
        config.text_config.max_position_embeddings.or_else(|| {
            let positions = config.max_position_embeddings?;
            let padding = config.pad_token_id.unwrap_or(ROBERTA_PADDING as usize);
            Some(match LIKE_ROBERTA.contains(&model_type) {
                true => positions.saturating_sub(padding + 1),
                false => positions,
            })
        })
    }

    fn graph(&self, path: &Path, device: Device) -> Result<Arc<Graph>, EmbedError> {
        Graph::open(path, device, &self.settings).map(Arc::new)
    }

    /// The graph with the image tower, if there is one.
    fn image_graph(
        &self,
        text: &Arc<Graph>,
        device: Device,
    ) -> Result<Option<Arc<Graph>>, EmbedError> {
        match &self.graphs {
            GraphFiles::Pair { image, .. } => self.graph(image, device).map(Some),
            GraphFiles::Single(_) => Ok(text.takes(Role::Pixels).then(|| Arc::clone(text))),
        }
    }

    /// The side of the images in pixels; 0 without preprocessing.
    fn image_side(&self) -> Result<usize, EmbedError> {
        let preprocessor = self.preprocessor()?;
        Ok(preprocessor.map_or(0, |preprocessor| preprocessor.size().0 as usize))
    }

    fn context(&self, graph: &Path, side: usize) -> GraphContext {
        GraphContext {
            file: graph.display().to_string(),
            side,
            pooler_is_shared: self.is(SIGLIP),
        }
    }

    /// Reads the scale from the logits of a graph with both towers. If the towers are in two graphs
    /// and a third has both, that one is loaded temporarily.
    fn scale(&self, graph: &Graph, device: Device, side: usize) -> Result<Scale, EmbedError> {
        let bias = match self.is(SIGLIP) {
            true => LogitBias::Present,
            false => LogitBias::Absent,
        };
        let scale = match &self.graphs {
            GraphFiles::Single(_) if !graph.takes(Role::Pixels) => {
                return Ok(sentence_modules::SCALE);
            }
            GraphFiles::Single(_) => onnx::scale(graph, side, bias),
            GraphFiles::Pair { joint: None, .. } => None,
            GraphFiles::Pair {
                joint: Some(joint), ..
            } => onnx::scale(&*self.graph(joint, device)?, side, bias),
        };
        Ok(scale.unwrap_or(CLIP_SCALE))
    }

    fn head(&self, text: &OnnxText, kind: Kind) -> Result<Head, EmbedError> {
        match &self.modules {
            Some(modules) if text.pools() => modules.head(text.width(), Device::Cpu, kind),
            _ => Ok(Head::identity(text.width())),
        }
    }

    /// SHA-256 of the graphs, their weights, and the files that determine tokens and pixels. Without
    /// such files, CLIP's own tokenizer and preprocessing apply.
    fn fingerprint(&self, head: &Head) -> Result<String, EmbedError> {
        let mut digest = Sha256::new();
        self.graphs.add_to_fingerprint(&mut digest)?;
        for file in [TOKENIZER, PREPROCESSOR] {
            if self.files.has(file) {
                digest.update(self.files.bytes(file)?);
            }
        }
        if let Some(modules) = &self.modules {
            digest.update(modules.fingerprint_part());
        }
        digest.update(&head.fingerprint);
        Ok(format!("{:x}", digest.finalize()))
    }
}

impl Layout for Onnx {
    fn engine(&self) -> &'static str {
        "ONNX Runtime"
    }

    fn tokenizer(&self) -> Result<TextTokenizer, EmbedError> {
        if self.graphs.is_pair() && !self.files.has(TOKENIZER) {
            return TextTokenizer::from_json(clipdb_models::clip_tokenizer(), CLIP_CONTEXT);
        }
        match &self.modules {
            Some(modules) => modules.tokenizer(),
            None if self.is(SIGLIP) => siglip::tokenizer(&self.files, self.context_length()),
            None => TextTokenizer::open(&self.files),
        }
    }

    fn preprocessor(&self) -> Result<Option<Preprocessor>, EmbedError> {
        if self.files.has(PREPROCESSOR) {
            return read_preprocessor(&self.files).map(Some);
        }
        if !self.graphs.is_pair() {
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
                supported: "f32, with which a graph runs in the precision of its export",
            });
        }
        let side = self.image_side()?;
        let text_graph = self.graph(self.graphs.text(), device)?;
        let image_graph = self.image_graph(&text_graph, device)?;
        let image_context = self.context(self.graphs.image(), side);
        if image_graph.is_some() && side == 0 {
            return Err(EmbedError::file(
                self.files.display(PREPROCESSOR),
                format!("it is missing, and {} takes pixels", image_context.file),
            ));
        }
        let scale = self.scale(&text_graph, device, side)?;
        let kind_of_graph = match text_graph.is_half {
            true => Kind::Half,
            false => Kind::Float,
        };
        let image = image_graph
            .map(|graph| OnnxImage::new(graph, &image_context))
            .transpose()?;
        let pooling = self.modules.as_ref().map(|modules| modules.pooling);
        let text = OnnxText::new(
            text_graph,
            &self.context(self.graphs.text(), side),
            self.context_length(),
            pooling,
        )?;
        let head = self.head(&text, kind)?;
        if let Some(image) = &image
            && image.width() != head.dim
        {
            let advice = ": export it with its projections";
            let dims = (head.dim, image.width());
            return Err(different_dims(image_context.file, dims.0, dims.1, advice));
        }
        let model_type = self.config.model_type.as_deref();
        Ok(Model {
            model_type: model_type.unwrap_or("clip").to_owned(),
            license: self.config.license.clone(),
            dim: head.dim,
            scale,
            // ONNX Runtime does not report the number.
            parameters: 0,
            fingerprint: self.fingerprint(&head)?,
            text: Branch::text(text, head.projection),
            image: image.map(|tower| Branch::image(tower, Projection::Identity)),
            // Graphs read their inputs from main memory, wherever they run.
            device: Device::Cpu,
            kind: kind_of_graph,
        })
    }
}
