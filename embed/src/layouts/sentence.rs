//! sentence-transformers' folders (Reimers and Gurevych 2019): `modules.json` lists what
//! a text goes through: a transformer, a pooling, now and then a dense layer. Texts alone.

use std::collections::HashMap;

use serde::Deserialize;
use serde_json::Value;
use tch::{Device, Kind};

use super::{Layout, prompts};
use crate::EmbedError;
use crate::image::Preprocessor;
use crate::model::{Half, Model, Scale};
use crate::sources::{
    CONFIG, DENSE, MODULES, ModelFiles, SENTENCE_LENGTH as LENGTH, SENTENCE_PROMPTS as PROMPTS,
    TOKENIZER, TRANSFORMERS_WEIGHTS,
};
use crate::tokens::{Prompts, Tokens};
use crate::towers::{
    Activation, Bert, BertConfig, Linear, Pooling, Projection, ROBERTA_PADDING, TextTower, parse,
    roberta,
};
use crate::weights::Weights;

/// The scale with which sentence-transformers trains, which no folder tells.
const LOGIT_SCALE: f64 = 20.0;

#[derive(Debug)]
pub(super) struct Sentence {
    files: ModelFiles,
    config: Config,
    pooling: Pooling,
    /// The folder of a dense layer.
    dense: Option<ModelFiles>,
    max_length: Option<i64>,
    prompts: Prompts,
}

#[derive(Debug, Deserialize)]
struct Config {
    model_type: String,
    license: Option<String>,
    pad_token_id: Option<i64>,
    #[serde(flatten)]
    bert: Value,
}

#[derive(Debug, Deserialize)]
struct Module {
    path: String,
    #[serde(rename = "type")]
    class: String,
}

impl Sentence {
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
            config: files.json(CONFIG)?,
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

    fn tower(&self, weights: &Weights) -> Result<Bert, EmbedError> {
        let config = BertConfig {
            pooling: self.pooling,
            max_length: self.max_length,
            ..parse(CONFIG, self.config.bert.clone())?
        };
        match self.config.model_type.as_str() {
            "bert" => Bert::new(&weights.at(""), &config),
            _ => {
                let padding = self.config.pad_token_id.unwrap_or(ROBERTA_PADDING);
                roberta(&weights.at(""), config, padding)
            }
        }
    }
}

impl Layout for Sentence {
    fn tokens(&self) -> Result<Tokens, EmbedError> {
        let mut tokens = Tokens::open(&self.files)?;
        tokens.prompt_with(self.prompts.clone());
        Ok(tokens)
    }

    fn preprocessor(&self) -> Result<Option<Preprocessor>, EmbedError> {
        Ok(None)
    }

    fn load(&self, device: Device, kind: Kind) -> Result<Model, EmbedError> {
        let weights = super::weights(
            &self.files,
            &TRANSFORMERS_WEIGHTS,
            &[TOKENIZER],
            device,
            kind,
        )?;
        weights.count_in(format!("{:?} {:?}", self.pooling, self.prompts).as_bytes());
        let tower = self.tower(&weights)?;
        let mut parameters = weights.parameters();
        let (projection, dim) = match &self.dense {
            None => (Projection::Identity, tower.width()),
            Some(folder) => {
                let dense = Weights::open(folder, &TRANSFORMERS_WEIGHTS, device, kind)?;
                let (projection, dim) = read_dense(folder, &dense, tower.width())?;
                parameters += dense.parameters();
                weights.count_in(dense.fingerprint().as_bytes());
                (projection, dim)
            }
        };
        Ok(Model {
            model_type: self.config.model_type.clone(),
            license: self.config.license.clone(),
            dim,
            scale: Scale {
                factor: LOGIT_SCALE,
                bias: None,
            },
            parameters,
            fingerprint: weights.fingerprint(),
            text: Half {
                tower: Box::new(tower),
                projection,
            },
            image: None,
            device,
            kind,
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
