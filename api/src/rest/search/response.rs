//! A search's response as JSON.

use std::collections::BTreeMap;

use clipdb_engine::{
    Answer, CollectionName, Facet, Hit, HitPassage, ListKind, SearchTimings, TotalKind, VectorKind,
    Warning, fusion,
};
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::http::base_path::BasePath;
use crate::http::error::ApiError;
use crate::rest::documents::wire::DocumentAnswer;
use crate::rest::search::view::{cursor_text, picked};

/// The optional parts of the response.
pub(super) struct Shown {
    pub(super) explain: bool,
    /// The metadata to show; all of it if absent.
    pub(super) fields: Option<Vec<String>>,
}

#[derive(Serialize)]
pub(super) struct ResponseBody {
    hits: Vec<HitBody>,
    total: Total,
    no_match: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<WarningBody>,
    took_ms: f64,
    timings: SearchTimings,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    facets: Option<Map<String, Value>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    facet_stats: Option<Map<String, Value>>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    truncated: bool,
}

#[derive(Serialize)]
struct WarningBody {
    code: &'static str,
    detail: String,
}

#[derive(Serialize)]
struct Total {
    value: usize,
    kind: TotalKind,
}

#[derive(Serialize)]
struct HitBody {
    id: String,
    score: Option<f64>,
    confidence: Option<f64>,
    text: Option<String>,
    image: Option<String>,
    metadata: Map<String, Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    group: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    distance_m: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    passage: Option<HitPassage>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    vectors: BTreeMap<&'static str, Vec<f32>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    highlights: Option<BTreeMap<String, Vec<String>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    explain: Option<Explanation>,
}

#[derive(Serialize)]
struct Explanation {
    score: Option<f64>,
    parts: Vec<PartBody>,
}

/// A hit's place in one ranked list. If the list does not contain the hit, all fields except its
/// name and weight are null.
#[derive(Serialize)]
struct PartBody {
    list: &'static str,
    rank: Option<usize>,
    raw: Option<f32>,
    place: Option<f64>,
    closeness: Option<f64>,
    weight: f64,
    contribution: f64,
}

impl ResponseBody {
    pub(super) fn new(
        base: &BasePath,
        name: &CollectionName,
        answer: Answer,
        shown: &Shown,
    ) -> Result<Self, ApiError> {
        let lists = answer.lists;
        let hits = answer.hits.into_iter();
        let hits = hits.map(|hit| HitBody::new(base, name, hit, &lists, shown));
        let (facets, facet_stats) = if answer.facets.is_empty() {
            (None, None)
        } else {
            let (facets, stats) = facets_json(answer.facets);
            (Some(facets), Some(stats))
        };
        Ok(Self {
            hits: hits.collect(),
            total: Total {
                value: answer.total,
                kind: answer.total_kind,
            },
            no_match: answer.no_match,
            warnings: answer.warnings.iter().map(WarningBody::new).collect(),
            took_ms: answer.timings.total_us as f64 / 1e3,
            timings: answer.timings,
            next_cursor: answer.next.as_ref().map(cursor_text).transpose()?,
            facets,
            facet_stats,
            truncated: answer.truncated,
        })
    }
}

impl WarningBody {
    fn new(warning: &Warning) -> Self {
        Self {
            code: warning.code(),
            detail: warning.to_string(),
        }
    }
}

impl HitBody {
    /// `lists` are those of the query, which the explanation covers.
    fn new(
        base: &BasePath,
        name: &CollectionName,
        hit: Hit,
        lists: &[(ListKind, f64)],
        shown: &Shown,
    ) -> Self {
        let explain = shown.explain.then(|| Explanation {
            score: hit.score,
            parts: lists
                .iter()
                .map(|(list, weight)| PartBody::new(&hit.parts, *list, *weight))
                .collect(),
        });
        let mut vectors = BTreeMap::new();
        for (kind, vector) in hit.vectors {
            let kind = match kind {
                VectorKind::Image => "image",
                VectorKind::Text => "text",
            };
            // A long text has several vectors; show the first.
            vectors.entry(kind).or_insert(vector);
        }
        let document = DocumentAnswer::new(base, name, hit.document);
        Self {
            id: document.id,
            score: hit.score,
            // Four digits say more than the calibration knows.
            confidence: hit.confidence.map(|sure| (sure * 1e4).round() / 1e4),
            text: document.text,
            image: document.image,
            metadata: match &shown.fields {
                Some(fields) => picked(&document.metadata, fields),
                None => document.metadata,
            },
            group: hit.group,
            distance_m: hit.distance_m,
            passage: hit.passage,
            vectors,
            highlights: hit.highlights,
            explain,
        }
    }
}

impl PartBody {
    fn new(parts: &[fusion::Part], list: ListKind, weight: f64) -> Self {
        let part = parts.iter().find(|part| part.list == list);
        Self {
            list: list_name(list),
            rank: part.map(|part| part.rank),
            raw: part.map(|part| part.raw_score),
            place: part.map(|part| part.place),
            closeness: part.map(|part| part.closeness),
            weight: part.map_or(weight, |part| part.weight),
            contribution: part.map_or(0.0, |part| part.contribution),
        }
    }
}

/// The counts of each field, and the smallest and largest of its numbers.
fn facets_json(found: Vec<(String, Facet)>) -> (Map<String, Value>, Map<String, Value>) {
    let mut counts = Map::new();
    let mut numbers = Map::new();
    for (field, facet) in found {
        if let Some((least, most)) = facet.numbers {
            numbers.insert(field.clone(), json!({ "min": least, "max": most }));
        }
        let values = facet.values.into_iter();
        let values = values.map(|(value, count)| json!({ "value": value, "count": count }));
        counts.insert(field, values.collect());
    }
    (counts, numbers)
}

fn list_name(list: ListKind) -> &'static str {
    match list {
        ListKind::Image => "image",
        ListKind::Text => "text",
        ListKind::Keyword => "keyword",
    }
}
