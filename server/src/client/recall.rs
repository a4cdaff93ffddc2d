//! `clipdb recall`: how much of what an exact search finds a collection's index finds, on
//! the collection's own vectors.

use super::connection::Connection;
use super::{ClientError, ServerArguments, print_out};
use crate::table;
use clap::Args;
use serde::Deserialize;
use std::process::ExitCode;

#[derive(Debug, Args)]
pub struct RecallArguments {
    /// Collection to measure [default: the one of --collection]
    #[arg(value_name = "COLLECTION")]
    pub name: Option<String>,

    /// Hits of each query
    #[arg(short, default_value_t = 10, value_name = "K")]
    pub k: u32,

    /// Queries of each kind: stored vectors, taken evenly from all
    #[arg(long, default_value_t = 100, value_name = "N")]
    pub queries: u32,

    /// Candidates that a graph search keeps [default: the collection's]
    #[arg(long, value_name = "N")]
    pub ef: Option<u32>,

    /// Lists that a search of an inverted file looks into [default: the collection's]
    #[arg(long, value_name = "N")]
    pub nprobe: Option<u32>,

    /// Print the server's answer as JSON
    #[arg(long)]
    pub json: bool,

    #[command(flatten)]
    pub server: ServerArguments,
}

#[derive(Deserialize)]
struct Answer {
    k: u32,
    image: Option<Kind>,
    text: Option<Kind>,
}

#[derive(Deserialize)]
struct Kind {
    built_as: String,
    vectors: u64,
    queries: u64,
    recall: f64,
    index: Spent,
    exact: Spent,
}

#[derive(Deserialize)]
struct Spent {
    p50_ms: f64,
    p99_ms: f64,
}

/// Asks and prints.
///
/// # Errors
/// Whatever the server or the way to it objects to.
pub fn run(arguments: &RecallArguments) -> Result<ExitCode, ClientError> {
    let mut server = arguments.server.clone();
    if let Some(name) = &arguments.name {
        server.collection.clone_from(name);
    }
    let connection = Connection::open(&server)?;
    let wanted = [
        ("k", Some(arguments.k)),
        ("queries", Some(arguments.queries)),
        ("ef", arguments.ef),
        ("nprobe", arguments.nprobe),
    ];
    let answer = connection.recall(
        wanted
            .iter()
            .filter_map(|(name, value)| Some((*name, (*value)?))),
    )?;
    let output = if arguments.json {
        format!("{answer:#}\n")
    } else {
        let answer = serde_json::from_value(answer).map_err(|error| ClientError::NotClipdb {
            server: connection.server(),
            detail: format!("the answer to a recall: {error}"),
        })?;
        describe(&answer, table::columns())
    };
    print_out(&output)?;
    Ok(ExitCode::SUCCESS)
}

fn describe(answer: &Answer, width: usize) -> String {
    let rows: Vec<[String; 6]> = [("image", &answer.image), ("text", &answer.text)]
        .into_iter()
        .filter_map(|(name, kind)| Some((name, kind.as_ref()?)))
        .map(|(name, kind)| {
            let spent = |spent: &Spent| format!("{:.2} / {:.2}", spent.p50_ms, spent.p99_ms);
            [
                name.to_owned(),
                kind.vectors.to_string(),
                kind.built_as.clone(),
                format!("{:.3} ({} queries)", kind.recall, kind.queries),
                spent(&kind.index),
                spent(&kind.exact),
            ]
        })
        .collect();
    if rows.is_empty() {
        return "The collection holds no vectors.\n".to_owned();
    }
    let recall = format!("recall@{}", answer.k);
    let header = [
        "vectors of",
        "number",
        "index",
        recall.as_str(),
        "index ms p50 / p99",
        "exact ms p50 / p99",
    ];
    table::render(header, &rows, width)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_is_a_row_and_none_is_a_sentence() {
        let answer = serde_json::json!({
            "k": 10,
            "text": {
                "built_as": "hnsw", "vectors": 50_000, "queries": 100, "recall": 0.987,
                "index": {"p50_ms": 0.4, "p99_ms": 1.2},
                "exact": {"p50_ms": 9.0, "p99_ms": 12.5},
            },
        });
        let table = describe(&serde_json::from_value(answer).unwrap(), 120);
        for cell in [
            "recall@10",
            "0.987 (100 queries)",
            "0.40 / 1.20",
            "9.00 / 12.50",
            "hnsw",
        ] {
            assert!(table.contains(cell), "{table}");
        }
        let empty = describe(
            &serde_json::from_value(serde_json::json!({"k": 5})).unwrap(),
            80,
        );
        assert_eq!(empty, "The collection holds no vectors.\n");
    }
}
