//! `clipdb recall`: measures the recall of a collection's index against exact search, with stored
//! vectors as queries.

use super::connection::Connection;
use super::{ClientError, ServerArguments, print_out};
use crate::table;
use clap::Args;
use serde::Deserialize;
use std::process::ExitCode;

#[derive(Debug, Args)]
pub struct RecallArguments {
    /// Collection to measure [default: the value of --collection]
    #[arg(value_name = "COLLECTION")]
    pub name: Option<String>,

    /// Number of hits per query
    #[arg(short, default_value_t = 10, value_name = "K")]
    pub k: u32,

    /// Number of queries per kind of vector, sampled evenly from the stored vectors
    #[arg(long, default_value_t = 100, value_name = "N")]
    pub queries: u32,

    /// Number of candidates of a graph search [default: the collection's]
    #[arg(long, value_name = "N")]
    pub ef: Option<u32>,

    /// Number of lists that a search of an inverted file scans [default: the collection's]
    #[arg(long, value_name = "N")]
    pub nprobe: Option<u32>,

    /// Print the server's response as JSON
    #[arg(long)]
    pub json: bool,

    #[command(flatten)]
    pub server: ServerArguments,
}

#[derive(Deserialize)]
struct Response {
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
    index: Latency,
    exact: Latency,
}

#[derive(Deserialize)]
struct Latency {
    p50_ms: f64,
    p99_ms: f64,
}

/// Measures and prints the recall.
///
/// # Errors
/// The request fails.
pub fn run(arguments: &RecallArguments) -> Result<ExitCode, ClientError> {
    let mut server = arguments.server.clone();
    if let Some(name) = &arguments.name {
        server.collection.clone_from(name);
    }
    let connection = Connection::open(&server)?;
    let parameters = [
        ("k", Some(arguments.k)),
        ("queries", Some(arguments.queries)),
        ("ef", arguments.ef),
        ("nprobe", arguments.nprobe),
    ];
    let response = connection.recall(
        parameters
            .iter()
            .filter_map(|(name, value)| Some((*name, (*value)?))),
    )?;
    let output = if arguments.json {
        format!("{response:#}\n")
    } else {
        let response =
            serde_json::from_value(response).map_err(|error| ClientError::NotClipdb {
                server: connection.server(),
                detail: format!("invalid response to a recall measurement: {error}"),
            })?;
        render(&response, table::columns())
    };
    print_out(&output)?;
    Ok(ExitCode::SUCCESS)
}

fn render(response: &Response, width: usize) -> String {
    let rows: Vec<[String; 6]> = [("image", &response.image), ("text", &response.text)]
        .into_iter()
        .filter_map(|(name, kind)| Some((name, kind.as_ref()?)))
        .map(|(name, kind)| {
            let latency =
                |latency: &Latency| format!("{:.2} / {:.2}", latency.p50_ms, latency.p99_ms);
            [
                name.to_owned(),
                kind.vectors.to_string(),
                kind.built_as.clone(),
                format!("{:.3} ({} queries)", kind.recall, kind.queries),
                latency(&kind.index),
                latency(&kind.exact),
            ]
        })
        .collect();
    if rows.is_empty() {
        return "The collection has no vectors.\n".to_owned();
    }
    let recall = format!("recall@{}", response.k);
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
    fn each_kind_of_vector_is_a_row() {
        let response = serde_json::json!({
            "k": 10,
            "text": {
                "built_as": "hnsw", "vectors": 50_000, "queries": 100, "recall": 0.987,
                "index": {"p50_ms": 0.4, "p99_ms": 1.2},
                "exact": {"p50_ms": 9.0, "p99_ms": 12.5},
            },
        });
        let table = render(&serde_json::from_value(response).unwrap(), 120);
        for cell in [
            "recall@10",
            "0.987 (100 queries)",
            "0.40 / 1.20",
            "9.00 / 12.50",
            "hnsw",
        ] {
            assert!(table.contains(cell), "{table}");
        }
        let empty = render(
            &serde_json::from_value(serde_json::json!({"k": 5})).unwrap(),
            80,
        );
        assert_eq!(empty, "The collection has no vectors.\n");
    }
}
