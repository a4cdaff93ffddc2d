//! sentence-transformers' modules around a transformer (Reimers and Gurevych 2019): `modules.json`
//! lists a pooling and optionally a dense layer; other files contain the maximum length and the
//! prompts. The same for both engines.

use std::collections::HashMap;

use serde::Deserialize;
use serde_json::Value;
use tch::{Device, Kind};

use super::prompts;
use crate::EmbedError;
use crate::model::Scale;
use crate::sources::{
    CONFIG, DENSE, MODULES, ModelFiles, SENTENCE_LENGTH as LENGTH, SENTENCE_PROMPTS as PROMPTS,
    TRANSFORMERS_WEIGHTS,
};
use crate::tokens::{Prompts, TextTokenizer};
use crate::towers::{Activation, Linear, Pooling, Projection};
use crate::weights::Weights;

/// The scale that sentence-transformers trains with. Folders do not contain it.
pub(super) const SCALE: Scale = Scale {
    factor: 20.0,
    bias: None,
    assumed: true,
};

#[derive(Debug)]
pub(super) struct SentenceModules {
    files: ModelFiles,
    pub pooling: Pooling,
    /// The folder of the dense layer.
    dense: Option<ModelFiles>,
    /// The length that the model was fine-tuned for, in tokens.
    pub max_length: Option<i64>,
    prompts: Prompts,
}

/// The layers after the pooling.
pub(super) struct Head {
    pub projection: Projection,
    pub dim: i64,
    pub parameters: u64,
    /// Empty without a dense layer.
    pub fingerprint: String,
}

impl Head {
    /// No layers: the pooled features are the embedding.
    pub fn identity(dim: i64) -> Self {
        Self {
            projection: Projection::Identity,
            dim,
            parameters: 0,
            fingerprint: String::new(),
        }
    }
}

#[derive(Debug, Deserialize)]
struct Module {
    path: String,
    #[serde(rename = "type")]
    class: String,
}

impl SentenceModules {
    /// `name` is the model's name, which its published prompts are looked up by.
    pub fn open(files: &ModelFiles, name: &str) -> Result<Self, EmbedError> {
        if !files.has(MODULES) {
            return Err(EmbedError::file(
                files.display(MODULES),
                "it is missing, and it defines how a text becomes one vector. Save the model \
                 with sentence-transformers",
            ));
        }
        let modules: Vec<Module> = files.json(MODULES)?;
        let mut pooling = None;
        let mut dense = None;
        for module in &modules {
            let class = module.class.rsplit('.').next().unwrap_or_default();
            match class {
                "Transformer" if module.path.is_empty() => {}
                "Pooling" => pooling = Some(read_pooling(&files.folder(&module.path)?)?),
                DENSE => dense = Some(files.folder(&module.path)?),
                // All embeddings are normalised anyway.
                "Normalize" => {}
                _ => {
                    return Err(EmbedError::Unsupported {
                        what: "sentence-transformers module",
                        value: format!("{class} in '{}'", module.path),
                        supported: "Transformer (in the folder itself), Pooling, Dense, Normalize",
                    });
                }
            }
        }
        Ok(Self {
            pooling: pooling.ok_or_else(|| {
                EmbedError::file(files.display(MODULES), "it names no Pooling module")
            })?,
            dense,
            max_length: max_length(files)?,
            prompts: match read_prompts(files)? {
                Some(prompts) => prompts,
                None => prompts::published(name).unwrap_or_default(),
            },
            files: files.clone(),
        })
    }

    pub fn tokenizer(&self) -> Result<TextTokenizer, EmbedError> {
        let mut tokenizer = TextTokenizer::open(&self.files)?;
        tokenizer.prompt_with(self.prompts.clone());
        Ok(tokenizer)
    }

    /// The settings that the fingerprint covers, because they change the vectors.
    pub fn fingerprint_part(&self) -> String {
        format!("{:?} {:?}", self.pooling, self.prompts)
    }

    /// Builds the head for `width` pooled features.
    pub fn head(&self, width: i64, device: Device, kind: Kind) -> Result<Head, EmbedError> {
        let Some(folder) = &self.dense else {
            return Ok(Head::identity(width));
        };
        let weights = Weights::open(folder, &TRANSFORMERS_WEIGHTS, device, kind)?;
        let (projection, dim) = read_dense(folder, &weights, width)?;
        Ok(Head {
            projection,
            dim,
            parameters: weights.parameters(),
            fingerprint: weights.fingerprint(),
        })
    }
}

fn read_pooling(folder: &ModelFiles) -> Result<Pooling, EmbedError> {
    #[derive(Deserialize)]
    struct Modes {
        #[serde(default = "yes")]
        include_prompt: bool,
        #[serde(flatten)]
        fields: HashMap<String, Value>,
    }
    fn yes() -> bool {
        true
    }
    let modes: Modes = folder.json(CONFIG)?;
    let refuse = |value: String| EmbedError::Unsupported {
        what: "pooling",
        value,
        supported: "either pooling_mode_mean_tokens or pooling_mode_cls_token, with include_prompt",
    };
    if !modes.include_prompt {
        return Err(refuse("include_prompt: false".to_owned()));
    }
    let mut chosen: Vec<&str> = modes
        .fields
        .iter()
        .filter(|(name, on)| name.starts_with("pooling_mode_") && **on == Value::Bool(true))
        .map(|(name, _)| name.as_str())
        .collect();
    chosen.sort_unstable();
    match chosen[..] {
        ["pooling_mode_mean_tokens"] => Ok(Pooling::Mean),
        ["pooling_mode_cls_token"] => Ok(Pooling::Cls),
        _ => Err(refuse(chosen.join(", "))),
    }
}

fn max_length(files: &ModelFiles) -> Result<Option<i64>, EmbedError> {
    #[derive(Deserialize)]
    struct Length {
        max_seq_length: Option<i64>,
        #[serde(default)]
        do_lower_case: bool,
    }
    if !files.has(LENGTH) {
        return Ok(None);
    }
    let length: Length = files.json(LENGTH)?;
    if length.do_lower_case {
        return Err(EmbedError::file(
            files.display(LENGTH),
            "do_lower_case is not supported: let tokenizer.json convert to lower case",
        ));
    }
    Ok(length.max_seq_length)
}

/// `None` without prompts in the folder, so that published ones can apply.
fn read_prompts(files: &ModelFiles) -> Result<Option<Prompts>, EmbedError> {
    #[derive(Deserialize)]
    struct Named {
        #[serde(default)]
        prompts: HashMap<String, String>,
        default_prompt_name: Option<String>,
    }
    if !files.has(PROMPTS) {
        return Ok(None);
    }
    let named: Named = files.json(PROMPTS)?;
    let find = |names: &[&str]| {
        let found = names.iter().find_map(|name| named.prompts.get(*name));
        found.cloned().unwrap_or_default()
    };
    let other = named.default_prompt_name.as_deref();
    // sentence-transformers writes empty prompts for a model without any.
    let prompts = Prompts {
        query: find(&["query"]),
        document: find(&["document", "passage", "corpus"]),
        other: find(other.as_slice()),
    };
    Ok((prompts != Prompts::default()).then_some(prompts))
}

/// Reads the dense layer and its number of outputs.
fn read_dense(
    folder: &ModelFiles,
    weights: &Weights,
    width: i64,
) -> Result<(Projection, i64), EmbedError> {
    #[derive(Deserialize)]
    struct Dense {
        out_features: i64,
        bias: bool,
        activation_function: String,
    }
    let config: Dense = folder.json(CONFIG)?;
    let scope = weights.at("linear");
    let linear = match config.bias {
        true => Linear::new(&scope, width, config.out_features)?,
        false => Linear::without_bias(&scope, width, config.out_features)?,
    };
    let activation = config.activation_function.rsplit('.').next();
    match activation {
        Some("Tanh") => Ok((
            Projection::Dense(linear, Activation::Tanh),
            config.out_features,
        )),
        Some("Identity") => Ok((Projection::Linear(linear), config.out_features)),
        _ => Err(EmbedError::Unsupported {
            what: "dense activation",
            value: config.activation_function,
            supported: "Tanh, Identity",
        }),
    }
}
