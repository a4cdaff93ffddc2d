//! A search's JSON, and the query that it becomes.

use clipdb_engine::{Content, Cut, Fusion, Method, Mode, Part, Query, Targets, View, Weights};
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
    /// The least confidence of a hit.
    pub(super) min_confidence: Option<f32>,
    pub(super) cutoff: Option<CutoffBody>,
    pub(super) filter: Option<UniqueValue>,
    pub(super) sort: Option<Value>,
    pub(super) facets: Option<Vec<FieldBody>>,
    pub(super) group_by: Option<FieldBody>,
    pub(super) cursor: Option<String>,
    /// The metadata that the hits show; all of it if absent.
    pub(super) fields: Option<Vec<String>>,
    /// Compares every vector instead of using the index.
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

/// The least confidence of a hit, or `auto`.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(untagged, expecting = "it must be \"auto\" or a number from 0 to 1")]
pub(super) enum CutoffBody {
    Named(NamedCutoff),
    At(f32),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum NamedCutoff {
    Auto,
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

impl CutoffBody {
    /// From a query string.
    pub(super) fn from_text(text: &str) -> Result<Self, ApiError> {
        match text.parse() {
            _ if text == "auto" => Ok(Self::Named(NamedCutoff::Auto)),
            Ok(confidence) => Ok(Self::At(confidence)),
            Err(_) => Err(invalid("'cutoff' must be \"auto\" or a number from 0 to 1")),
        }
    }
}

impl SearchBody {
    /// Checks the search; an image named by `file` is one of `files`.
    pub(super) fn into_query(mut self, files: &mut Files) -> Result<Query, ApiError> {
        let parts = self.take_parts(files)?;
        let keywords = self.keywords.take();
        let keywords = keywords.filter(|words| !words.trim().is_empty());
        let query = Query {
            mode: self.mode(&parts, keywords.as_deref())?,
            parts,
            keywords,
            typos: self.typos.unwrap_or(true),
            highlight: self.highlight,
            targets: targets(self.targets)?,
            fusion: fusion(self.fusion)?,
            limit: self.limit.unwrap_or(10),
            offset: self.offset.unwrap_or(0),
            min_score: self.min_score,
            cut: cut(self.min_confidence, self.cutoff)?,
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
        query.check_bounds()?;
        Ok(query)
    }

    /// One of 'text', 'image' and 'vector', or the list 'query'.
    fn take_parts(&mut self, files: &mut Files) -> Result<Vec<Part>, ApiError> {
        let alone = PartBody {
            text: self.text.take(),
            image: self.image.take(),
            vector: self.vector.take(),
            weight: None,
        };
        let mut parts = alone.into_parts(files)?;
        let alone = parts.len();
        for part in self.query.take().unwrap_or_default() {
            let Ok([part]) = <[Part; 1]>::try_from(part.into_parts(files)?) else {
                return Err(invalid(
                    "each part of 'query' must have exactly one of 'text', 'image' and 'vector'",
                ));
            };
            parts.push(part);
        }
        if alone > 1 || (alone == 1 && parts.len() > 1) {
            return Err(invalid(
                "'text', 'image' and 'vector' exclude each other; combine them in a 'query' list",
            ));
        }
        Ok(parts)
    }

    /// The mode of the request, or the one that fits what it searches by.
    fn mode(&self, parts: &[Part], keywords: Option<&str>) -> Result<Mode, ApiError> {
        let has_words = keywords.is_some()
            || parts
                .iter()
                .any(|part| part.weight > 0.0 && matches!(part.content, Content::Text(_)));
        let browses = self.filter.is_some()
            || self.sort.is_some()
            || self.facets.is_some()
            || self.group_by.is_some();
        let mode = match self.mode {
            Some(ModeBody::Hybrid) => Mode::Hybrid,
            Some(ModeBody::Vector) => Mode::Vector,
            Some(ModeBody::Keyword) => Mode::Keyword,
            None if parts.is_empty() && keywords.is_none() && browses => Mode::Browse,
            // Keywords alone have no vector.
            None if parts.is_empty() => Mode::Keyword,
            None if has_words => Mode::Hybrid,
            None => Mode::Vector,
        };
        match mode {
            Mode::Browse => Ok(mode),
            Mode::Keyword if !has_words && parts.is_empty() => Err(ApiError::EmptyQuery),
            Mode::Keyword if !has_words => {
                Err(invalid("mode 'keyword' needs a 'text' or 'keywords'"))
            }
            Mode::Hybrid | Mode::Vector if parts.is_empty() => Err(ApiError::EmptyQuery),
            Mode::Hybrid | Mode::Vector | Mode::Keyword => Ok(mode),
        }
    }
}

impl PartBody {
    /// One part for each of 'text', 'image' and 'vector' that is there.
    fn into_parts(self, files: &mut Files) -> Result<Vec<Part>, ApiError> {
        let weight = self.weight.unwrap_or(1.0);
        if !weight.is_finite() || weight == 0.0 {
            return Err(invalid("a 'weight' must be a number other than zero"));
        }
        let mut contents = Vec::new();
        if let Some(text) = self.text {
            if text.trim().is_empty() {
                return Err(ApiError::EmptyQuery);
            }
            contents.push(Content::Text(text));
        }
        if let Some(image) = self.image {
            contents.push(image_content(image, files)?);
        }
        contents.extend(self.vector.map(|vector| Content::Vector(vector.0)));
        let parts = contents.into_iter();
        Ok(parts.map(|content| Part { content, weight }).collect())
    }
}

/// Bytes, a URL or a file, or the image of a stored document.
fn image_content(image: ImageBody, files: &mut Files) -> Result<Content, ApiError> {
    match image {
        ImageBody {
            id: Some(id),
            base64: None,
            url: None,
            file: None,
        } => Ok(Content::ImageOf(id.parse()?)),
        ImageBody { id: Some(_), .. } => Err(invalid(
            "an image must have exactly one of 'base64', 'url', 'file' and 'id'",
        )),
        image => image.into_source(files).map(Content::Image),
    }
}

fn cut(min_confidence: Option<f32>, cutoff: Option<CutoffBody>) -> Result<Cut, ApiError> {
    let mut least: f32 = 0.0;
    let of_cutoff = match cutoff {
        Some(CutoffBody::At(confidence)) => Some(confidence),
        Some(CutoffBody::Named(NamedCutoff::Auto)) | None => None,
    };
    for (name, confidence) in [("min_confidence", min_confidence), ("cutoff", of_cutoff)] {
        let Some(confidence) = confidence else {
            continue;
        };
        if !(0.0..=1.0).contains(&confidence) {
            let message = format!("'{name}' is {confidence}; it must be from 0 to 1");
            return Err(ApiError::InvalidField(message));
        }
        least = least.max(confidence);
    }
    Ok(Cut {
        least,
        auto: cutoff == Some(CutoffBody::Named(NamedCutoff::Auto)),
    })
}

fn targets(wanted: Option<Vec<TargetBody>>) -> Result<Targets, ApiError> {
    let Some(wanted) = wanted else {
        return Ok(Targets::BOTH);
    };
    if wanted.is_empty() {
        return Err(invalid("'targets' must name 'image', 'text' or both"));
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
            return Err(invalid("'k' is for the method 'rrf' only"));
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
        .map_err(|error| ApiError::InvalidField(format!("'fusion' is invalid: {error}")))
}

fn invalid(message: &str) -> ApiError {
    ApiError::InvalidField(message.to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::http::problem;

    fn query(search: Value) -> Result<Query, &'static str> {
        body::parse::<SearchBody>(search.to_string().as_bytes())
            .and_then(|search| search.into_query(&mut Files::default()))
            .map_err(|error| problem::code(&error))
    }

    #[test]
    fn the_mode_follows_from_what_is_searched_by() {
        for (search, mode) in [
            (json!({"text": "a"}), Mode::Hybrid),
            (json!({"vector": [1.0]}), Mode::Vector),
            (json!({"image": {"id": "a"}}), Mode::Vector),
            (json!({"vector": [1.0], "keywords": "a"}), Mode::Hybrid),
            (json!({"keywords": "a"}), Mode::Keyword),
            (json!({"keywords": "a", "filter": {"b": 1}}), Mode::Keyword),
            (json!({"filter": {"b": 1}}), Mode::Browse),
            (json!({"sort": "b"}), Mode::Browse),
            (json!({"facets": ["b"], "keywords": " "}), Mode::Browse),
            (json!({"group_by": "b"}), Mode::Browse),
            (json!({"text": "a", "mode": "vector"}), Mode::Vector),
            (json!({"text": "a", "mode": "keyword"}), Mode::Keyword),
            (
                json!({"query": [{"text": "a", "weight": -1}, {"vector": [1]}]}),
                Mode::Vector,
            ),
        ] {
            let shown = search.to_string();
            assert_eq!(query(search).map(|query| query.mode), Ok(mode), "{shown}");
        }
    }

    #[test]
    fn what_can_not_be_searched_is_refused_by_code() {
        for (search, code) in [
            (json!({}), "empty_query"),
            (json!({"text": " "}), "empty_query"),
            (json!({"keywords": " "}), "empty_query"),
            (json!({"mode": "keyword"}), "empty_query"),
            (json!({"mode": "hybrid", "keywords": "a"}), "empty_query"),
            (json!({"mode": "vector", "filter": {}}), "empty_query"),
            (json!({"mode": "keyword", "vector": [1]}), "invalid_field"),
            (json!({"text": "a", "vector": [1]}), "invalid_field"),
            (
                json!({"text": "a", "query": [{"text": "b"}]}),
                "invalid_field",
            ),
            (
                json!({"query": [{"text": "a", "vector": [1]}]}),
                "invalid_field",
            ),
            (json!({"query": [{}]}), "invalid_field"),
            (
                json!({"query": [{"text": "a", "weight": 0}]}),
                "invalid_field",
            ),
            (json!({"image": {}}), "invalid_field"),
            (json!({"image": {"id": "a", "url": "b"}}), "invalid_field"),
            (json!({"image": {"file": "a"}}), "missing_part"),
            (json!({"text": "a", "targets": []}), "invalid_field"),
            (json!({"text": "a", "limit": 1001}), "invalid_field"),
            (json!({"text": "a", "offset": 10_001}), "invalid_field"),
            (json!({"text": "a", "ef": 0}), "invalid_field"),
            (json!({"text": "a", "cursor": "?"}), "invalid_field"),
            (
                json!({"text": "a", "fusion": {"method": "linear", "k": 1}}),
                "invalid_field",
            ),
            (json!({"text": "a", "sort": 5}), "invalid_field"),
            (json!({"txt": "a"}), "unknown_field"),
        ] {
            let shown = search.to_string();
            assert_eq!(query(search).err(), Some(code), "{shown}");
        }
    }
}
