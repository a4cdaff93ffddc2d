//! Measures filtered searches over HTTP by the shape of the filter: documents with given vectors, one
//! client on a kept-alive connection. Prints a Markdown table.

use std::time::{Duration, Instant};

use clap::Parser;
use clipdb_tests::{Client, Server, machine, table, wait_until};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};

const PATH: &str = "/collections/filtered";
const DIM: usize = 64;
const BATCH: usize = 1000;

#[derive(Parser)]
#[command(about = "Measure filtered searches over HTTP on this machine")]
struct Arguments {
    /// Documents in the collection
    #[arg(long, default_value_t = 100_000)]
    documents: usize,
    /// Searches of each shape
    #[arg(long, default_value_t = 300)]
    searches: usize,
}

fn main() {
    let arguments = Arguments::parse();
    println!("{}", machine::describe());
    let server = Server::start();
    let client = server.client();
    client
        .put(PATH, &json!({"model": "none", "dim": DIM}))
        .expect(201);
    let mut random = StdRng::seed_from_u64(7);
    let started = Instant::now();
    for first in (0..arguments.documents).step_by(BATCH) {
        let numbers = first..arguments.documents.min(first + BATCH);
        let documents: Vec<Value> = numbers.map(|n| document(n, &mut random)).collect();
        client
            .post(&format!("{PATH}/documents"), &json!(documents))
            .expect(200);
    }
    let spent = started.elapsed().as_secs_f64();
    wait_until(|| client.get(PATH).expect(200).json()["index"]["building"] == false);
    let index = client.get(PATH).expect(200).json()["index"]["text"].clone();
    println!(
        "{} documents with vectors of {DIM} in {spent:.0} s; {} segments, the first {}",
        arguments.documents,
        index["segments"].as_array().map_or(0, Vec::len),
        index["segments"][0]["kind"]
    );
    table::head(&[
        "filter",
        "pass",
        "search p50 ms",
        "p99 ms",
        "alone p50 ms",
        "facet p50 ms",
    ]);
    for filter in shapes(arguments.documents) {
        let mut searches = times(
            client,
            &arguments,
            || json!({"vector": vector(&mut random), "filter": filter, "limit": 10}),
        );
        let mut browses = times(
            client,
            &arguments,
            || json!({"filter": filter, "limit": 10}),
        );
        let mut facets = times(
            client,
            &arguments,
            || json!({"filter": filter, "limit": 1, "facets": ["year", "tags"]}),
        );
        let pass = search(client, &json!({"filter": filter, "limit": 1}));
        table::row(&[
            format!("`{filter}`"),
            pass["total"]["value"].to_string(),
            format!("{:.1}", table::percentile(&mut searches, 0.5)),
            format!("{:.1}", table::percentile(&mut searches, 0.99)),
            format!("{:.1}", table::percentile(&mut browses, 0.5)),
            format!("{:.1}", table::percentile(&mut facets, 0.5)),
        ]);
    }
}

fn document(number: usize, random: &mut StdRng) -> Value {
    let mut metadata = json!({
        "half": random.random_bool(0.5),
        "year": random.random_range(2000..2025),
        "serial": number,
        "price": f64::from(random.random_range(0..100_000)) / 100.0,
        "name": format!("name {}", random.random_range(0..1_000_000)),
        "tags": [format!("t{}", random.random_range(0..50)), format!("t{}", random.random_range(0..50))],
        "place": {"lat": random.random_range(-90.0..90.0), "lon": random.random_range(-180.0..180.0)},
    });
    if random.random_bool(0.1) {
        metadata["rare"] = json!(true);
    }
    json!({"id": format!("d{number}"), "vectors": {"text": vector(random)}, "metadata": metadata})
}

fn vector(random: &mut StdRng) -> Vec<f32> {
    (0..DIM).map(|_| random.random_range(-1.0..1.0)).collect()
}

fn shapes(documents: usize) -> Vec<Value> {
    vec![
        json!({}),
        json!({"half": true}),
        json!({"year": {"$gte": 2020}}),
        json!({"serial": {"$lt": documents / 100}}),
        json!({"serial": {"$lt": documents / 1000}}),
        json!({"tags": "t7"}),
        json!({"tags": {"$in": ["t1", "t3", "t5", "t7", "t9", "t11"]}}),
        json!({"name": {"$contains": "999"}}),
        json!({"rare": {"$exists": false}}),
        json!({"half": true, "year": 2003, "tags": {"$ne": "t7"}}),
        json!({"$or": [{"year": 2001}, {"$not": {"rare": {"$exists": true}}}]}),
        json!({"place": {"$geo_radius": {"lat": 45.0, "lon": 5.0, "radius_m": 500_000}}}),
        json!({"$id": {"$in": ["d5", "d500", "d5000"]}}),
    ]
}

fn times(client: &Client, arguments: &Arguments, mut body: impl FnMut() -> Value) -> Vec<Duration> {
    (0..arguments.searches)
        .map(|_| {
            let body = body();
            let started = Instant::now();
            search(client, &body);
            started.elapsed()
        })
        .collect()
}

fn search(client: &Client, body: &Value) -> Value {
    client
        .post(&format!("{PATH}/search"), body)
        .expect(200)
        .json()
}
