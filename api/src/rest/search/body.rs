//! A search's JSON, and what it asks for once it is checked.

use clipdb_engine::{Content, Fusion, Method, Mode, Part, Query, Targets, View, Weights};
use serde::Deserialize;
use serde_json::Value;

use crate::http::body;
use crate::http::error::ApiError;
use crate::http::exact_json::UniqueValue;
use crate::rest::documents::wire::ImageBody;
use crate::rest::multipart::Files;
use crate::rest::search::view;
use crate::rest::search::view::FieldBody;
use crate::rest::vector::VectorBody;

const LIMIT: usize = 1000;
const OFFSET: usize = 10_000;
const PARTS: usize = 32;
const EFFORT: usize = 65_536;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SearchBody {
    pub(super) text: Option<String>,
    pub(super) image: Option<ImageBody>,
    pub(super) vector: Option<VectorBody>,
    pub(super) query: Option<Vec<PartBody>>,
    pub(super) mode: Option<ModeBody>,
    pub(super) keywords: Option<String>,
    pub(super) typos: Option<bool>,
    #[serde(default, deserialize_with = "body::null_is_absent")]
    pub(super) highlight: bool,
    pub(super) targets: Option<Vec<TargetBody>>,
    pub(super) fusion: Option<FusionBody>,
    pub(super) limit: Option<usize>,
    pub(super) offset: Option<usize>,
    pub(super) min_score: Option<f32>,
    pub(super) filter: Option<UniqueValue>,
    pub(super) sort: Option<Value>,
    pub(super) facets: Option<Vec<FieldBody>>,
    pub(super) group_by: Option<FieldBody>,
    pub(super) cursor: Option<String>,
    /// Which metadata the hits show; all where absent.
    pub(super) fields: Option<Vec<String>>,
    /// Compares everything, whatever the index.
    #[serde(default, deserialize_with = "body::null_is_absent")]
    pub(super) exact: bool,
    pub(super) ef: Option<usize>,
    pub(super) nprobe: Option<usize>,
    #[serde(default, deserialize_with = "body::null_is_absent")]
    pub(super) with_vectors: bool,
    #[serde(default, deserialize_with = "body::null_is_absent")]
    pub(super) explain: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PartBody {
    text: Option<String>,
    image: Option<ImageBody>,
    vector: Option<VectorBody>,
    weight: Option<f32>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum ModeBody {
    Hybrid,
    Vector,
    Keyword,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum TargetBody {
    Image,
    Text,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FusionBody {
    method: Option<MethodBody>,
    k: Option<f64>,
    #[serde(default, deserialize_with = "body::null_is_absent")]
    weights: WeightsBody,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum MethodBody {
    Rrf,
    Linear,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WeightsBody {
    image: Option<f64>,
    text: Option<f64>,
    keyword: Option<f64>,
}

impl SearchBody {
    pub(super) fn into_query(self, files: &mut Files) -> Result<Query, ApiError> {
        let mut parts = Vec::new();
        push_parts(&mut parts, self.text, self.image, self.vector, 1.0, files)?;
        let lone = parts.len();
        for part in self.query.unwrap_or_default() {
            let before = parts.len();
            push_parts(
                &mut parts,
                part.text,
                part.image,
                part.vector,
                part.weight.unwrap_or(1.0),
                files,
            )?;
            if parts.len() != before + 1 {
                return Err(invalid(
                    "each part of 'query' is exactly one of 'text', 'image' and 'vector'",
                ));
            }
        }
        if lone > 1 || (lone == 1 && parts.len() > 1) {
            return Err(invalid(
                "'text', 'image' and 'vector' exclude each other; combine them in a 'query' list",
            ));
        }
        if parts.len() > PARTS {
            return Err(invalid(&format!(
                "'query' has {} parts; it may have {PARTS}",
                parts.len()
            )));
        }
        let keywords = self.keywords.filter(|words| !words.trim().is_empty());
        let has_words = keywords.is_some()
            || parts
                .iter()
                .any(|part| part.weight > 0.0 && matches!(part.content, Content::Text(_)));
        let browses = self.filter.is_some()
            || self.sort.is_some()
            || self.facets.is_some()
            || self.group_by.is_some();
        let mode = match self.mode {
            None if parts.is_empty() && keywords.is_none() && browses => Mode::Browse,
            Some(ModeBody::Hybrid) => Mode::Hybrid,
            Some(ModeBody::Vector) => Mode::Vector,
            Some(ModeBody::Keyword) => Mode::Keyword,
            // Words alone have no vector to be compared by.
            None if parts.is_empty() => Mode::Keyword,
            None if has_words => Mode::Hybrid,
            None => Mode::Vector,
        };
        if parts.is_empty() && mode != Mode::Browse && (mode != Mode::Keyword || !has_words) {
            return Err(ApiError::EmptyQuery);
        }
        if mode == Mode::Keyword && !has_words {
            return Err(invalid("mode 'keyword' needs words: 'text' or 'keywords'"));
        }
        let query = Query {
            parts,
            keywords,
            typos: self.typos.unwrap_or(true),
            highlight: self.highlight,
            mode,
            targets: targets(self.targets)?,
            fusion: fusion(self.fusion)?,
            limit: self.limit.unwrap_or(10),
            offset: self.offset.unwrap_or(0),
            min_score: self.min_score,
            filter: self.filter.map(|filter| filter.0),
            view: View {
                order: view::order(self.sort)?,
                facets: view::facets(self.facets)?,
                group_by: view::group_by(self.group_by)?,
                cursor: view::cursor(self.cursor.as_deref())?,
            },
            exact: self.exact,
            ef: self.ef,
            nprobe: self.nprobe,
            with_vectors: self.with_vectors,
        };
        for (name, effort) in [("ef", query.ef), ("nprobe", query.nprobe)] {
            if let Some(effort) = effort.filter(|effort| !(1..=EFFORT).contains(effort)) {
                return Err(invalid(&format!(
                    "'{name}' is {effort}; it goes from 1 to {EFFORT}"
                )));
            }
        }
        if !(1..=LIMIT).contains(&query.limit) {
            return Err(invalid(&format!(
                "'limit' is {}; it goes from 1 to {LIMIT}",
                query.limit
            )));
        }
        if query.offset > OFFSET {
            return Err(invalid(&format!(
                "'offset' is {}; it goes to {OFFSET}",
                query.offset
            )));
        }
        query.check_words()?;
        if query.offset > 0 && query.view.cursor.is_some() {
            return Err(invalid(
                "'offset' and 'cursor' exclude each other; a cursor is where the page starts",
            ));
        }
        Ok(query)
    }
}

fn push_parts(
    parts: &mut Vec<Part>,
    text: Option<String>,
    image: Option<ImageBody>,
    vector: Option<VectorBody>,
    weight: f32,
    files: &mut Files,
) -> Result<(), ApiError> {
    if !weight.is_finite() || weight == 0.0 {
        return Err(invalid("a 'weight' is a number other than zero"));
    }
    if let Some(text) = text {
        if text.trim().is_empty() {
            return Err(ApiError::EmptyQuery);
        }
        parts.push(Part {
            content: Content::Text(text),
            weight,
        });
    }
    match image {
        None => {}
        Some(ImageBody {
            id: Some(id),
            base64: None,
            url: None,
            file: None,
        }) => {
            parts.push(Part {
                content: Content::ImageOf(id.parse()?),
                weight,
            });
        }
        Some(ImageBody { id: Some(_), .. }) => {
            return Err(invalid(
                "an image is exactly one of {\"base64\"}, {\"url\"}, {\"file\"} and {\"id\"}",
            ));
        }
        Some(image) => parts.push(Part {
            content: Content::Image(image.into_source(files)?),
            weight,
        }),
    }
    if let Some(vector) = vector {
        parts.push(Part {
            content: Content::Vector(vector.0),
            weight,
        });
    }
    Ok(())
}

fn targets(wanted: Option<Vec<TargetBody>>) -> Result<Targets, ApiError> {
    let Some(wanted) = wanted else {
        return Ok(Targets::BOTH);
    };
    if wanted.is_empty() {
        return Err(invalid("'targets' names 'image', 'text' or both"));
    }
    Ok(Targets {
        image: wanted.contains(&TargetBody::Image),
        text: wanted.contains(&TargetBody::Text),
    })
}

fn fusion(wanted: Option<FusionBody>) -> Result<Fusion, ApiError> {
    let Some(wanted) = wanted else {
        return Ok(Fusion::default());
    };
    let method = match (wanted.method, wanted.k) {
        (Some(MethodBody::Linear), Some(_)) => {
            return Err(invalid("'k' belongs to the method 'rrf'"));
        }
        (Some(MethodBody::Linear), None) => Method::Linear,
        (Some(MethodBody::Rrf) | None, None) => Method::default(),
        (Some(MethodBody::Rrf) | None, Some(k)) => Method::Rrf { k },
    };
    let defaults = Weights::default();
    let weights = Weights {
        image: wanted.weights.image.unwrap_or(defaults.image),
        text: wanted.weights.text.unwrap_or(defaults.text),
        keyword: wanted.weights.keyword.unwrap_or(defaults.keyword),
    };
    Fusion::new(method, weights)
        .map_err(|error| ApiError::InvalidField(format!("'fusion' is wrong: {error}")))
}

fn invalid(message: &str) -> ApiError {
    ApiError::InvalidField(message.to_owned())
}
