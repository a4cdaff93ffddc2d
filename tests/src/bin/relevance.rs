//! Measures how well texts are ranked: nDCG@10 and recall@100 of a test collection in TREC's form,
//! by mode and fusion, on the real server.
//!
//! `plain RRF` (k = 60, absent = 0) and `convex sum` (0.4 of BM25 by the list's best, 0.6 of the
//! cosine) are computed here from the server's keyword list and vector list, for comparison.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use clap::Parser;
use clipdb_tests::baseline::{Ranking, plain_rrf, ranking};
use clipdb_tests::trec::{Numbering, TestCollection, Topic, ndcg_at_10, recall_at_100};
use clipdb_tests::{Collection, Setup, machine, table};
use serde_json::{Value, json};

const DEPTH: usize = 200;
const KEYWORD_SHARE: f64 = 0.4;

#[derive(Parser)]
#[command(about = "Measure nDCG@10 and recall@100 on a test collection in TREC's form")]
struct Arguments {
    /// File of `<DOC>` elements
    #[arg(long)]
    documents: PathBuf,
    /// File of `<top>` elements
    #[arg(long)]
    topics: PathBuf,
    /// File of lines `TOPIC 0 DOCUMENT GRADE`
    #[arg(long)]
    judgments: PathBuf,
    /// The judgments count the topics from 1 instead of naming their `<num>` (Cranfield)
    #[arg(long)]
    count_topics: bool,
    /// Model of the collection: a bundled one, a folder, or a name on the hub
    #[arg(long)]
    model: Option<String>,
    /// Write the fetched lists as NDJSON, one line per topic
    #[arg(long)]
    save: Option<PathBuf>,
}

fn main() {
    let arguments = Arguments::parse();
    let numbering = if arguments.count_topics {
        Numbering::Counted
    } else {
        Numbering::Named
    };
    let read = TestCollection::read(
        &text(&arguments.documents),
        &text(&arguments.topics),
        &text(&arguments.judgments),
        numbering,
    );
    let mut setup = Setup::new();
    if let Some(model) = &arguments.model {
        setup = setup.flag("--model", model);
    }
    let server = setup.start();
    let collection = server.client().collection("relevance");
    let documents: Vec<Value> = read
        .documents
        .iter()
        .map(|document| json!({ "id": document.id, "text": document.text }))
        .collect();
    for batch in documents.chunks(64) {
        collection.add(&json!(batch));
    }
    println!("{}", machine::describe());
    println!(
        "{} documents, {} topics",
        documents.len(),
        read.topics.len()
    );

    let rankings: Vec<Vec<(&str, Ranking)>> = read
        .topics
        .iter()
        .map(|topic| rankings(&collection, &topic.title))
        .collect();
    if let Some(path) = &arguments.save {
        save(path, &read.topics, &rankings);
    }
    print(&read.topics, &rankings);
}

/// Every compared ranking of one question, by name.
fn rankings(collection: &Collection<'_>, words: &str) -> Vec<(&'static str, Ranking)> {
    let ask = |query: Value| -> Ranking {
        let hits = collection.hits(&query);
        hits.iter()
            .map(|hit| {
                let id = hit["id"].as_str().unwrap_or_default().to_owned();
                (id, hit["score"].as_f64().unwrap_or(f64::NAN))
            })
            .collect()
    };
    // As in a hybrid search, the words are plain words, whatever punctuation they contain.
    let plain = words.replace(|letter: char| !letter.is_alphanumeric(), " ");
    let keyword = ask(json!({ "text": plain, "mode": "keyword", "limit": DEPTH }));
    let vector = ask(json!({ "text": words, "mode": "vector", "limit": DEPTH }));
    vec![
        ("hybrid", ask(json!({ "text": words, "limit": DEPTH }))),
        (
            "hybrid, linear",
            ask(json!({ "text": words, "limit": DEPTH, "fusion": { "method": "linear" } })),
        ),
        ("plain RRF", plain_rrf(&[&keyword, &vector])),
        ("convex sum", convex_sum(&keyword, &vector)),
        ("keyword", keyword),
        ("vector", vector),
    ]
}

fn convex_sum(keyword: &Ranking, vector: &Ranking) -> Ranking {
    let full = keyword.first().map_or(1.0, |(_, score)| *score);
    let mut sums: HashMap<&str, f64> = HashMap::new();
    for (id, score) in keyword {
        *sums.entry(id).or_default() += KEYWORD_SHARE * score / full;
    }
    for (id, cosine) in vector {
        *sums.entry(id).or_default() += (1.0 - KEYWORD_SHARE) * cosine;
    }
    ranking(sums)
}

fn print(topics: &[Topic], rankings: &[Vec<(&str, Ranking)>]) {
    table::head(&["ranking", "nDCG@10", "recall@100"]);
    let names = rankings
        .first()
        .into_iter()
        .flatten()
        .map(|(name, _)| *name);
    for (index, name) in names.enumerate() {
        let mean = |measure: fn(&[String], &HashMap<String, u32>) -> f64| {
            let values = topics.iter().zip(rankings).map(|(topic, rankings)| {
                let ids: Vec<String> = rankings[index].1.iter().map(|(id, _)| id.clone()).collect();
                measure(&ids, &topic.grades)
            });
            format!("{:.3}", values.sum::<f64>() / topics.len() as f64)
        };
        table::row(&[name.to_owned(), mean(ndcg_at_10), mean(recall_at_100)]);
    }
}

fn save(path: &Path, topics: &[Topic], rankings: &[Vec<(&str, Ranking)>]) {
    let lines = topics.iter().zip(rankings).map(|(topic, rankings)| {
        let lists: HashMap<&str, &Ranking> = rankings.iter().map(|(name, hits)| (*name, hits)).collect();
        format!("{}\n", json!({ "topic": topic.number, "title": topic.title, "grades": topic.grades, "lists": lists }))
    });
    fs::write(path, lines.collect::<String>())
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}

/// Old collections are in Latin-1 now and then.
fn text(path: &Path) -> String {
    let bytes = fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    String::from_utf8(bytes)
        .unwrap_or_else(|error| error.into_bytes().into_iter().map(char::from).collect())
}
