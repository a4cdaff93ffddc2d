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
        .map(|hit| hit_json(name, hit, explain))
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

fn hit_json(name: &CollectionName, hit: Hit, explain: bool) -> Value {
    let document = DocumentAnswer::new(name, hit.document);
    let mut json = json!({
        "id": document.id,
        "score": hit.score,
        "text": document.text,
        "image": document.image,
        "metadata": document.metadata,
    });
    if explain {
        let parts: Vec<Value> = hit.parts.iter().map(part_json).collect();
        json["explain"] = json!({ "score": hit.score, "parts": parts });
    }
    json
}

fn part_json(part: &fusion::Part) -> Value {
    let list = match part.list {
        ListKind::Image => "image",
        ListKind::Text => "text",
        ListKind::Keyword => "keyword",
    };
    json!({
        "list": list,
        "rank": part.rank,
        "raw": part.raw_score,
        "place": part.place,
        "closeness": part.closeness,
        "weight": part.weight,
        "contribution": part.contribution,
    })
}
