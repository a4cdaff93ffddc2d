//! Measures clipdb on this machine: rate of ingest, memory, latency of searches while idle and during
//! an ingest, time of a restart, and the accuracy of searches for drawings. Prints Markdown tables;
//! run by `make bench`.

use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use clap::Parser;
use clipdb_tests::corpus::{self, Drawing};
use clipdb_tests::{Client, Python, Server, machine, table};
use rand::SeedableRng;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use serde_json::{Value, json};

const COLLECTION: &str = "bench";
/// The pause between two searches during an ingest: the load of a few users.
const PAUSE: Duration = Duration::from_millis(50);

#[derive(Parser)]
#[command(about = "Measure ingest and search on this machine")]
struct Arguments {
    /// Emoji and icons to ingest
    #[arg(long, default_value_t = 5_000)]
    pictures: usize,
    /// Sentences of the novel to ingest
    #[arg(long, default_value_t = 3_000)]
    texts: usize,
    /// Concurrent requests during an ingest
    #[arg(long, default_value_t = 2)]
    clients: usize,
    /// Documents per request
    #[arg(long, default_value_t = 32)]
    batch: usize,
    /// Searches of each kind while idle
    #[arg(long, default_value_t = 300)]
    searches: usize,
}

/// The kinds of searches.
const KINDS: [&str; 4] = ["text", "image", "hybrid", "keyword"];

fn main() {
    let arguments = Arguments::parse();
    let mut drawings = corpus::drawings();
    drawings.shuffle(&mut StdRng::seed_from_u64(1));
    drawings.truncate(arguments.pictures);
    let sentences = corpus::sentences(&corpus::novel());
    let sentences = &sentences[..arguments.texts.min(sentences.len())];
    println!("{}", machine::describe());
    println!(
        "{} drawings of 128 × 128 pixels, {} sentences of a novel; {} concurrent requests of {} documents each",
        drawings.len(),
        sentences.len(),
        arguments.clients,
        arguments.batch
    );

    let server = Server::start();
    let client = server.client();
    let device = client.get("/ready").expect(200).json()["models"][0].clone();
    println!("model {}, device {}", device["name"], device["device"]);
    client.collection(COLLECTION);
    let idle_memory = machine::resident(server.pid());
    let first_start = server.ready_after();

    let pictures: Vec<Value> = drawings.iter().map(picture_document).collect();
    let texts: Vec<Value> = sentences
        .iter()
        .enumerate()
        .map(|(number, text)| text_document(number, text))
        .collect();
    let (quiet, busy) = pictures.split_at(pictures.len() / 2);
    let (quiet_texts, busy_texts) = texts.split_at(texts.len() / 2);
    let mut rates = vec![
        ("images", "none", ingest(client, quiet, &arguments)),
        ("texts", "none", ingest(client, quiet_texts, &arguments)),
    ];
    let queries = Queries {
        drawings: &drawings,
        sentences,
    };
    let during = Mutex::new(Latencies::default());
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| search_during_ingest(client, &queries, &during, &done));
        rates.push(("images", "searches", ingest(client, busy, &arguments)));
        rates.push(("texts", "searches", ingest(client, busy_texts, &arguments)));
        done.store(true, Ordering::Release);
    });
    let after = machine::resident(server.pid());

    table::head(&[
        "ingest of",
        "concurrent load",
        "documents",
        "seconds",
        "documents per second",
    ]);
    for (what, load, (documents, spent)) in &rates {
        let seconds = spent.as_secs_f64();
        let rate = *documents as f64 / seconds;
        table::row(&[
            (*what).into(),
            (*load).into(),
            documents.to_string(),
            format!("{seconds:.1}"),
            format!("{rate:.1}"),
        ]);
    }

    let mut idle = Latencies::default();
    for number in 0..arguments.searches {
        for kind in KINDS {
            idle.add(kind, queries.time(client, kind, number));
        }
    }
    table::head(&[
        "search",
        "idle p50 ms",
        "idle p99 ms",
        "during ingest p50 ms",
        "during ingest p99 ms",
        "searches idle / during",
    ]);
    let during = during.into_inner().unwrap_or_default();
    for kind in KINDS {
        table::row(&latency_row(kind, &idle, &during));
    }
    print_clients(client);
    print_found(client, &drawings);
    print_memory_and_restart(server, idle_memory, after, first_start);
}

/// Python clients with their default headers.
fn print_clients(client: &Client) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("python_clients");
    let python = Python::environment("python-clients", &folder.join("requirements.txt"));
    let arguments = [client.base(), "-", "--collection", COLLECTION];
    let finished = python.run(&folder.join("latency.py"), &arguments);
    println!("\n{}{}", finished.stdout, finished.stderr);
}

fn picture_document(drawing: &Drawing) -> Value {
    json!({
        "id": drawing.id(),
        "image": Client::image(&drawing.bytes()),
        "metadata": { "set": drawing.set, "concept": drawing.concept },
    })
}

fn text_document(number: usize, text: &str) -> Value {
    json!({ "id": format!("sentence-{number}"), "text": text, "metadata": { "book": "Pride and Prejudice" } })
}

/// The number of documents and the time.
fn ingest(client: &Client, documents: &[Value], arguments: &Arguments) -> (usize, Duration) {
    let batches = Mutex::new(documents.chunks(arguments.batch));
    let started = Instant::now();
    thread::scope(|scope| {
        for _ in 0..arguments.clients {
            scope.spawn(|| {
                while let Some(batch) = batches.lock().ok().and_then(|mut batches| batches.next()) {
                    client.existing(COLLECTION).add(&json!(batch));
                }
            });
        }
    });
    (documents.len(), started.elapsed())
}

struct Queries<'a> {
    drawings: &'a [Drawing],
    sentences: &'a [String],
}

impl Queries<'_> {
    fn time(&self, client: &Client, kind: &str, number: usize) -> Duration {
        let query = self.query(kind, number);
        let started = Instant::now();
        client.existing(COLLECTION).hits(&query);
        started.elapsed()
    }

    fn query(&self, kind: &str, number: usize) -> Value {
        let drawing = &self.drawings[number * 7 % self.drawings.len()];
        match kind {
            "text" => json!({ "text": drawing.words(), "mode": "vector" }),
            "image" => json!({ "image": Client::image(&drawing.bytes()) }),
            "keyword" => {
                json!({ "text": self.sentences[number * 11 % self.sentences.len()], "mode": "keyword" })
            }
            _ => json!({ "text": self.sentences[number * 13 % self.sentences.len()] }),
        }
    }
}

fn search_during_ingest(
    client: &Client,
    queries: &Queries<'_>,
    found: &Mutex<Latencies>,
    done: &AtomicBool,
) {
    let mut number = 0;
    while !done.load(Ordering::Acquire) {
        for kind in KINDS {
            let spent = queries.time(client, kind, number);
            if let Ok(mut found) = found.lock() {
                found.add(kind, spent);
            }
            thread::sleep(PAUSE);
        }
        number += 1;
    }
}

#[derive(Default)]
struct Latencies(Vec<(String, Duration)>);

impl Latencies {
    fn add(&mut self, kind: &str, spent: Duration) {
        self.0.push((kind.to_owned(), spent));
    }

    fn of(&self, kind: &str) -> Vec<Duration> {
        self.0
            .iter()
            .filter(|(other, _)| other == kind)
            .map(|(_, spent)| *spent)
            .collect()
    }
}

fn latency_row(kind: &str, idle: &Latencies, during: &Latencies) -> Vec<String> {
    let (mut idle, mut during) = (idle.of(kind), during.of(kind));
    let mut cells = vec![kind.to_owned()];
    for values in [&mut idle, &mut during] {
        for share in [0.5, 0.99] {
            cells.push(format!("{:.1}", table::percentile(values, share)));
        }
    }
    cells.push(format!("{} / {}", idle.len(), during.len()));
    cells
}

/// The accuracy of searches for the concepts of each set by name, among all images.
fn print_found(client: &Client, drawings: &[Drawing]) {
    table::head(&[
        "searches for the names of",
        "queries",
        "first hit correct",
        "a correct hit in the first ten",
    ]);
    let mut sets: Vec<&str> = drawings
        .iter()
        .map(|drawing| drawing.set.as_str())
        .collect();
    sets.sort_unstable();
    sets.dedup();
    for set in sets {
        let mut asked: Vec<&Drawing> = drawings
            .iter()
            .filter(|drawing| drawing.set == set)
            .collect();
        asked.sort_by_key(|drawing| &drawing.name);
        asked.truncate(300);
        let ranks: Vec<Option<usize>> = asked.iter().map(|drawing| rank(client, drawing)).collect();
        let share = |within: usize| {
            let right = ranks
                .iter()
                .flatten()
                .filter(|rank| **rank < within)
                .count();
            format!("{:.2}", right as f64 / ranks.len() as f64)
        };
        table::row(&[set.to_owned(), ranks.len().to_string(), share(1), share(10)]);
    }
}

fn rank(client: &Client, drawing: &Drawing) -> Option<usize> {
    let query = json!({ "text": drawing.words(), "mode": "vector", "targets": ["image"] });
    let hits = client.existing(COLLECTION).hits(&query);
    hits.iter()
        .position(|hit| hit["metadata"]["concept"] == drawing.concept.as_str())
}

fn print_memory_and_restart(server: Server, idle: f64, after: f64, first_start: Duration) {
    let peak = machine::resident_peak(server.pid());
    let graceful = server.stop().start();
    let after_stop = graceful.ready_after();
    let restarted = machine::resident(graceful.pid());
    let killed = graceful.kill().start();
    table::head(&["process memory", "MiB"]);
    for (what, mebibytes) in [
        ("idle, empty", idle),
        ("after the ingest", after),
        ("at its peak", peak),
        ("after a restart with all documents", restarted),
    ] {
        table::row(&[what.to_owned(), format!("{mebibytes:.0}")]);
    }
    table::head(&["ready after", "seconds"]);
    for (what, spent) in [
        ("on an empty folder", first_start),
        ("a stop", after_stop),
        ("kill -9", killed.ready_after()),
    ] {
        table::row(&[what.to_owned(), format!("{:.2}", spent.as_secs_f64())]);
    }
}
