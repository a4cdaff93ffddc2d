//! What a search answers, as JSON.

use clipdb_index::{ListKind, fusion};
use serde_json::{Value, json};

use crate::CollectionName;
use crate::engine::{Answer, Hit};
use crate::rest::documents::wire::DocumentAnswer;

pub(super) fn answer_json(name: &CollectionName, answer: Answer, explain: bool) -> Value {
    let took_ms = answer.timings.total_us as f64 / 1e3;
    let hits: Vec<Value> = answer
        .hits
        .into_iter()
        .map(|hit| hit_json(name, hit, explain.then_some(&answer.lists)))
        .collect();
    let mut json = json!({
        "hits": hits,
        "total": { "value": answer.total, "kind": answer.total_kind },
        "took_ms": took_ms,
        "timings": answer.timings,
    });
    if answer.truncated {
        json["truncated"] = Value::Bool(true);
    }
    json
}

/// Explained by the lists that were asked, where any are given.
fn hit_json(name: &CollectionName, hit: Hit, explain: Option<&Vec<(ListKind, f64)>>) -> Value {
    let document = DocumentAnswer::new(name, hit.document);
    let mut json = json!({
        "id": document.id,
        "score": hit.score,
        "text": document.text,
        "image": document.image,
        "metadata": document.metadata,
    });
    if let Some(highlights) = hit.highlights {
        json["highlights"] = json!(highlights);
    }
    if let Some(lists) = explain {
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
