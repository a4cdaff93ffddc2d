//! `POST /v1/embeddings`: texts, and images as data URIs.

use clipdb_engine::{Encoded, Encoder, EngineError, Input, Models, Priority, blocking, excerpt};
use std::collections::BTreeMap;

use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::{HttpRequest, HttpResponse, web};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::http::body;
use crate::http::data_uri::decode_base64;
use crate::http::error::ApiError;
use crate::http::state::{HttpState, Open};
use crate::rest::large_response;
use crate::rest::openai::OpenAiProblem;

/// OpenAI's limit.
const INPUTS: usize = 2048;
/// Names the fields of a request that were ignored.
const WARNING: HeaderName = HeaderName::from_static("x-clipdb-warning");
/// The most unknown fields that a warning names.
const NAMED: usize = 8;
const IMAGE: &str = "data:image/";
const NOT_TEXT: &str = "'input' must be a string or a list of strings";
const TOKENS: &str = "'input' has token numbers, which this server's models do not understand; \
                      send the text itself (in LangChain: check_embedding_ctx_length=False)";

/// OpenAI's fields. Fields that clients add for other servers (`input_type`, `truncate`, …) are
/// ignored, and named in the response's [`WARNING`].
#[derive(Deserialize)]
struct EmbeddingsBody {
    input: Value,
    model: Option<String>,
    #[serde(default, deserialize_with = "body::null_is_absent")]
    encoding_format: Format,
    dimensions: Option<usize>,
    /// An end user's name, for OpenAI's own purposes.
    #[serde(rename = "user")]
    _user: Option<IgnoredAny>,
    #[serde(flatten)]
    others: BTreeMap<String, IgnoredAny>,
}

#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Format {
    #[default]
    Float,
    Base64,
}

#[derive(Serialize)]
struct EmbeddingsAnswer {
    object: &'static str,
    data: Vec<Embedding>,
    model: String,
    usage: Usage,
}

#[derive(Serialize)]
struct Embedding {
    object: &'static str,
    index: usize,
    embedding: Numbers,
    /// The text was longer than the model's context; OpenAI's clients pass this field on.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    truncated: bool,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Numbers {
    Float(Vec<f32>),
    /// Little-endian `f32`, one after the other.
    Base64(String),
}

#[derive(Serialize)]
struct Usage {
    prompt_tokens: usize,
    total_tokens: usize,
}

pub(super) async fn create(
    opened: Result<Open, ApiError>,
    state: web::Data<HttpState>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, OpenAiProblem> {
    let Open(engine) = opened?;
    let (wanted, _share): (EmbeddingsBody, _) =
        body::read_json(&engine, &state.settings, &request, payload).await?;
    let (encoder, instead_of) = encoder_for(engine.models(), wanted.model.as_deref())?;
    let card = encoder.card();
    if let Some(dimensions) = wanted.dimensions.filter(|wanted| *wanted != card.dim) {
        return Err(ApiError::InvalidField(format!(
            "'dimensions' is {dimensions}, but the vectors of model '{}' have {} dimensions; omit it",
            card.name, card.dim
        ))
        .into());
    }
    let inputs = blocking(move || inputs(wanted.input)).await??;
    // A single input is usually a query, whose user is waiting.
    let priority = match inputs.len() {
        1 => Priority::Search,
        _ => Priority::Ingest,
    };
    let encoded = engine.encode(encoder, inputs, priority).await?;
    let tokens = encoded.iter().map(|input| input.tokens).sum();
    let data = encoded
        .into_iter()
        .enumerate()
        .map(|(index, input)| embedding(index, input, wanted.encoding_format));
    let body = EmbeddingsAnswer {
        object: "list",
        data: data.collect(),
        model: card.name.clone(),
        usage: Usage {
            prompt_tokens: tokens,
            total_tokens: tokens,
        },
    };
    let mut answer = large_response::ok(body).await?;
    if let Some(warning) = warning(&wanted.others, instead_of, &card.name)
        && let Ok(warning) = HeaderValue::try_from(warning)
    {
        answer.headers_mut().insert(WARNING, warning);
    }
    Ok(answer)
}

/// The model of this name. A name of OpenAI's own models, which clients use as a default, means the
/// default model.
fn encoder_for<'a>(
    models: &'a Models,
    wanted: Option<&'a str>,
) -> Result<(&'a Encoder, Option<&'a str>), ApiError> {
    match (models.chosen(wanted), wanted) {
        (Err(EngineError::UnknownModel { .. }), Some(name)) if is_openai_s(name) => {
            Ok((models.chosen(None)?, Some(name)))
        }
        (chosen, _) => Ok((chosen?, None)),
    }
}

/// `text-embedding-3-small`, `text-embedding-ada-002`, …, also with a router's prefix.
fn is_openai_s(name: &str) -> bool {
    let name = name.strip_prefix("openai/").unwrap_or(name);
    name.starts_with("text-embedding-")
}

fn warning(
    others: &BTreeMap<String, IgnoredAny>,
    instead_of: Option<&str>,
    model: &str,
) -> Option<String> {
    let mut warnings = Vec::new();
    if let Some(name) = instead_of {
        warnings.push(format!(
            "model '{}' is OpenAI's: '{model}' was used",
            excerpt(name)
        ));
    }
    if !others.is_empty() {
        let named: Vec<String> = others
            .keys()
            .take(NAMED)
            .map(|name| format!("'{}'", excerpt(name)))
            .collect();
        let more = match others.len().saturating_sub(NAMED) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        warnings.push(format!("ignored: {}{more}", named.join(", ")));
    }
    // A header is limited to these characters.
    let plain = |c: char| {
        if c.is_ascii_graphic() || c == ' ' {
            c
        } else {
            '?'
        }
    };
    (!warnings.is_empty()).then(|| warnings.join("; ").chars().map(plain).collect())
}

fn embedding(index: usize, input: Encoded, format: Format) -> Embedding {
    let embedding = match format {
        Format::Float => Numbers::Float(input.embedding.into_vec()),
        Format::Base64 => {
            let numbers = input.embedding.as_slice().iter();
            let bytes = numbers.flat_map(|number| number.to_le_bytes());
            Numbers::Base64(STANDARD.encode(bytes.collect::<Vec<u8>>()))
        }
    };
    Embedding {
        object: "embedding",
        index,
        embedding,
        truncated: input.truncated,
    }
}

/// A string or a list of strings. Lists of numbers are tokens, which other models can't decode.
fn inputs(given: Value) -> Result<Vec<Input>, ApiError> {
    let wrong = |reason: &str| ApiError::InvalidField(reason.to_owned());
    let list = match given {
        Value::String(text) => vec![Value::String(text)],
        Value::Array(list) if list.is_empty() || list.len() > INPUTS => {
            return Err(ApiError::InvalidField(format!(
                "'input' has {} items; it must have 1 to {INPUTS}",
                list.len()
            )));
        }
        Value::Array(list) => list,
        _ => return Err(wrong(NOT_TEXT)),
    };
    list.into_iter()
        .map(|item| match item {
            Value::String(text) if text.starts_with(IMAGE) => {
                decode_base64(&text).map(|bytes| Input::Image(bytes.into()))
            }
            Value::String(text) => Ok(Input::Text(text)),
            Value::Number(_) | Value::Array(_) => Err(wrong(TOKENS)),
            _ => Err(wrong(NOT_TEXT)),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use clipdb_engine::Embedding as Vector;
    use serde_json::json;

    use super::*;
    use clipdb_engine::ImageSource;

    #[test]
    fn texts_and_images_keep_their_order() {
        let found = inputs(json!(["a", "data:image/png;base64,aGk=", "data: a text"])).unwrap();
        assert!(matches!(&found[0], Input::Text(text) if text == "a"));
        assert!(
            matches!(&found[1], Input::Image(ImageSource::Bytes(bytes)) if bytes.as_ref() == b"hi")
        );
        assert!(matches!(&found[2], Input::Text(text) if text == "data: a text"));
        assert_eq!(inputs(json!("alone")).unwrap().len(), 1);
    }

    #[test]
    fn tokens_are_refused_with_a_hint() {
        for given in [json!([1, 2]), json!([[1, 2], [3]])] {
            let message = inputs(given).unwrap_err().to_string();
            assert!(message.contains("token numbers"), "{message}");
        }
        for given in [json!([]), json!(null), json!({}), json!([null]), json!(7)] {
            assert!(matches!(inputs(given), Err(ApiError::InvalidField(_))));
        }
        let image = inputs(json!("data:image/png,aGk="));
        assert!(matches!(image, Err(ApiError::InvalidBase64(_))));
    }

    #[test]
    fn base64_is_little_endian_floats() {
        let input = Encoded {
            embedding: Vector::normalised(vec![3.0, -4.0]).unwrap(),
            truncated: false,
            tokens: 1,
        };
        let Numbers::Base64(text) = embedding(0, input, Format::Base64).embedding else {
            panic!("expected base64");
        };
        assert_eq!(
            STANDARD.decode(text).unwrap(),
            [154, 153, 25, 63, 205, 204, 76, 191]
        );
    }

    #[test]
    fn ignored_fields_and_a_replaced_model_are_named() {
        let fields = |names: &[&str]| -> BTreeMap<String, IgnoredAny> {
            let names = names.iter().map(|name| (*name).to_owned());
            names.map(|name| (name, IgnoredAny)).collect()
        };
        assert_eq!(warning(&fields(&[]), None, "m"), None);
        let one = warning(&fields(&["truncate"]), None, "m").unwrap();
        assert_eq!(one, "ignored: 'truncate'");
        let both = warning(&fields(&["ü"]), Some("text-embedding-3-small"), "m").unwrap();
        assert_eq!(
            both,
            "model 'text-embedding-3-small' is OpenAI's: 'm' was used; ignored: '?'"
        );
        let many = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"];
        let many = warning(&fields(&many), None, "m").unwrap();
        assert!(many.ends_with("'h' and 2 more"), "{many}");
        for (name, is_theirs) in [
            ("text-embedding-ada-002", true),
            ("openai/text-embedding-3-large", true),
            ("clip-vit", false),
            ("my/text-embedding-x", false),
        ] {
            assert_eq!(is_openai_s(name), is_theirs, "{name}");
        }
    }
}
