//! What sentence-transformers puts around a transformer (Reimers and Gurevych 2019):
//! `modules.json` lists a pooling and now and then a dense layer behind it; files beside it
//! tell how long texts may be and what stands before them. The same whatever runs the
//! transformer.

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
use crate::tokens::{Prompts, Tokens};
use crate::towers::{Activation, Linear, Pooling, Projection};
use crate::weights::Weights;

/// With what sentence-transformers trains, which no folder tells.
pub(super) const SCALE: Scale = Scale {
    factor: 20.0,
    bias: None,
    assumed: true,
};

#[derive(Debug)]
pub(super) struct SentenceModules {
    files: ModelFiles,
    pub pooling: Pooling,
    /// The folder of a dense layer.
    dense: Option<ModelFiles>,
    pub max_length: Option<i64>,
    prompts: Prompts,
}

/// What stands behind the pooling.
pub(super) struct Head {
    pub projection: Projection,
    pub dim: i64,
    pub parameters: u64,
    /// Empty where nothing does.
    pub fingerprint: String,
}

#[derive(Debug, Deserialize)]
struct Module {
    path: String,
    #[serde(rename = "type")]
    class: String,
}

impl SentenceModules {
    /// `name` is the model's, by which its authors' prompts are known.
    pub fn open(files: &ModelFiles, name: &str) -> Result<Self, EmbedError> {
        if !files.has(MODULES) {
            return Err(EmbedError::file(
                files.display(MODULES),
                "it is missing: without it a transformer of words does not say how a text \
                 becomes one vector. Save the model with sentence-transformers",
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
                // All embeddings here are.
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

    pub fn tokens(&self) -> Result<Tokens, EmbedError> {
        let mut tokens = Tokens::open(&self.files)?;
        tokens.prompt_with(self.prompts.clone());
        Ok(tokens)
    }

    /// For the fingerprint: what of this makes other vectors of the same features.
    pub fn described(&self) -> String {
        format!("{:?} {:?}", self.pooling, self.prompts)
    }

    /// `width` is that of the pooled features.
    pub fn head(&self, width: i64, device: Device, kind: Kind) -> Result<Head, EmbedError> {
        let Some(folder) = &self.dense else {
            return Ok(Head {
                projection: Projection::Identity,
                dim: width,
                parameters: 0,
                fingerprint: String::new(),
            });
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
        supported: "pooling_mode_mean_tokens and pooling_mode_cls_token, one of them, prompts included",
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
            "do_lower_case is not supported: let tokenizer.json make small letters",
        ));
    }
    Ok(length.max_seq_length)
}

/// None when the folder has none, so that they may be known from elsewhere.
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
    // sentence-transformers writes empty ones where there are none.
    let prompts = Prompts {
        query: find(&["query"]),
        document: find(&["document", "passage", "corpus"]),
        other: find(other.as_slice()),
    };
    Ok((prompts != Prompts::default()).then_some(prompts))
}

/// The layer, and the dimensions that leave it.
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
