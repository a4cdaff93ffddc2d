//! What a search answers, as JSON.

use clipdb_index::{ListKind, fusion};
use serde_json::{Map, Value, json};

use super::view::{cursor_text, picked};
use crate::CollectionName;
use crate::engine::{Answer, Hit};
use crate::error::ApiError;
use crate::rest::documents::wire::DocumentAnswer;

/// What of an answer is shown.
pub(super) struct Shape {
    pub(super) explain: bool,
    /// Of the metadata; all of it where absent.
    pub(super) fields: Option<Vec<String>>,
}

pub(super) fn answer_json(
    name: &CollectionName,
    answer: Answer,
    shape: &Shape,
) -> Result<Value, ApiError> {
    let took_ms = answer.timings.total_us as f64 / 1e3;
    let hits: Vec<Value> = answer
        .hits
        .into_iter()
        .map(|hit| hit_json(name, hit, &answer.lists, shape))
        .collect();
    let mut json = json!({
        "hits": hits,
        "total": { "value": answer.total, "kind": answer.total_kind },
        "took_ms": took_ms,
        "timings": answer.timings,
    });
    if let Some(next) = &answer.next {
        json["next_cursor"] = Value::String(cursor_text(next)?);
    }
    if !answer.facets.is_empty() {
        let mut counts = Map::new();
        let mut numbers = Map::new();
        for (field, facet) in answer.facets {
            if let Some((least, most)) = facet.numbers {
                numbers.insert(field.clone(), json!({ "min": least, "max": most }));
            }
            let values = facet.values.into_iter();
            let values = values.map(|(value, count)| json!({ "value": value, "count": count }));
            counts.insert(field, values.collect());
        }
        json["facets"] = Value::Object(counts);
        json["facet_stats"] = Value::Object(numbers);
    }
    if answer.truncated {
        json["truncated"] = Value::Bool(true);
    }
    Ok(json)
}

/// Explained by the lists that were asked, where that is wanted.
fn hit_json(name: &CollectionName, hit: Hit, lists: &[(ListKind, f64)], shape: &Shape) -> Value {
    let document = DocumentAnswer::new(name, hit.document);
    let mut json = json!({
        "id": document.id,
        "score": hit.score,
        "text": document.text,
        "image": document.image,
        "metadata": match &shape.fields {
            Some(fields) => picked(&document.metadata, fields),
            None => document.metadata,
        },
    });
    if let Some(group) = hit.group {
        json["group"] = group;
    }
    if let Some(distance_m) = hit.distance_m {
        json["distance_m"] = json!(distance_m);
    }
    if let Some(highlights) = hit.highlights {
        json["highlights"] = json!(highlights);
    }
    if shape.explain {
        let parts: Vec<Value> = lists
            .iter()
            .map(
                |(list, weight)| match hit.parts.iter().find(|part| part.list == *list) {
                    Some(part) => part_json(part),
                    None => silent_json(*list, *weight),
                },
            )
            .collect();
        json["explain"] = json!({ "score": hit.score, "parts": parts });
    }
    json
}

fn part_json(part: &fusion::Part) -> Value {
    json!({
        "list": list_name(part.list),
        "rank": part.rank,
        "raw": part.raw_score,
        "place": part.place,
        "closeness": part.closeness,
        "weight": part.weight,
        "contribution": part.contribution,
    })
}

/// A list that did not find the document says nothing against it.
fn silent_json(list: ListKind, weight: f64) -> Value {
    json!({
        "list": list_name(list),
        "rank": null,
        "raw": null,
        "place": null,
        "closeness": null,
        "weight": weight,
        "contribution": 0.0,
    })
}

fn list_name(list: ListKind) -> &'static str {
    match list {
        ListKind::Image => "image",
        ListKind::Text => "text",
        ListKind::Keyword => "keyword",
    }
}
