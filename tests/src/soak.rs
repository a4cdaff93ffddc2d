//! Concurrent writers and readers for a given time, while collections are created and dropped and
//! snapshots are taken. No request may fail or hang. Memory has to level off, because the writes
//! replace earlier ones.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use reqwest::Method;
use serde_json::{Value, json};

use crate::client::{Answer, Client};
use crate::server::Server;
use crate::{machine, pictures};

/// The collection that all writers and readers use.
const STEADY: &str = "steady";
/// Ids per writer in it.
const IDS: usize = 48;
/// The pause of a reader between two requests. Searches have priority over ingest in the model's
/// queue, so readers without a pause would starve the writers.
const PAUSE: Duration = Duration::from_millis(200);
/// Samples of memory in a run.
const SAMPLES: u32 = 20;

/// The parameters of a run.
#[derive(Clone, Copy, Debug)]
pub struct Soak {
    pub seed: u64,
    pub writers: usize,
    pub readers: usize,
    pub duration: Duration,
}

/// The result of a run.
#[derive(Debug, Default)]
pub struct SoakReport {
    /// Failed requests and wrong responses.
    pub errors: Vec<String>,
    /// Milliseconds of each request, by its kind, ascending.
    pub reads: BTreeMap<&'static str, Vec<f64>>,
    pub writes: BTreeMap<&'static str, Vec<f64>>,
    /// Seconds since the start, and resident MiB.
    pub memory: Vec<(f64, f64)>,
    pub collections_dropped: usize,
    pub snapshots: usize,
}

struct Worker<'a> {
    client: &'a Client,
    ended: &'a AtomicBool,
    errors: &'a Mutex<Vec<String>>,
}

type Times = BTreeMap<&'static str, Vec<f64>>;

impl Soak {
    /// Runs against the server, which may hold other collections.
    pub fn run(&self, server: &Server) -> SoakReport {
        let (ended, errors) = (AtomicBool::new(false), Mutex::default());
        let worker = || Worker {
            client: server.client(),
            ended: &ended,
            errors: &errors,
        };
        server.client().collection(STEADY);
        let random = |number: usize| StdRng::seed_from_u64(self.seed ^ (number as u64) << 20);
        let mut report = SoakReport::default();
        thread::scope(|scope| {
            let writers: Vec<_> = (0..self.writers)
                .map(|number| {
                    let (worker, random) = (worker(), random(number));
                    scope.spawn(move || worker.write(number, random))
                })
                .collect();
            let readers: Vec<_> = (0..self.readers)
                .map(|number| {
                    let (worker, random) = (worker(), random(self.writers + number));
                    let writers = self.writers;
                    scope.spawn(move || worker.read(writers, random))
                })
                .collect();
            let collections = scope.spawn(|| worker().create_and_drop());
            let snapshots = scope.spawn(|| worker().take_snapshots());
            let started = Instant::now();
            for sample in 1..=SAMPLES {
                thread::sleep((self.duration * sample / SAMPLES).saturating_sub(started.elapsed()));
                let memory = machine::resident(server.pid());
                report
                    .memory
                    .push((started.elapsed().as_secs_f64(), memory));
            }
            ended.store(true, Ordering::Release);
            for writer in writers {
                gather(&mut report.writes, writer.join().unwrap());
            }
            for reader in readers {
                gather(&mut report.reads, reader.join().unwrap());
            }
            report.collections_dropped = collections.join().unwrap();
            report.snapshots = snapshots.join().unwrap();
        });
        report.errors = errors.into_inner().unwrap();
        let checked = server.client().existing(STEADY).check();
        if checked["agrees"] != true {
            report.errors.push(format!("at the end: {checked}"));
        }
        report
    }
}

fn gather(all: &mut Times, some: Times) {
    for (kind, times) in some {
        let all = all.entry(kind).or_default();
        all.extend(times);
        all.sort_by(f64::total_cmp);
    }
}

impl Worker<'_> {
    fn continues(&self) -> bool {
        !self.ended.load(Ordering::Acquire)
    }

    /// The response, if there was one, and how long it took in milliseconds. A status that is not
    /// expected is an error.
    fn ask(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        expected: &[u16],
    ) -> (Option<Answer>, f64) {
        let body = body.map_or_else(String::new, Value::to_string);
        let started = Instant::now();
        let answer = self
            .client
            .try_send(method, path, Some("application/json"), body);
        let took = started.elapsed();
        match &answer {
            Ok(answer) if expected.contains(&answer.status) => {}
            Ok(answer) => self.record_error(format!("{answer:?}")),
            Err(error) => self.record_error(format!("{path}, after {took:?}: {error:?}")),
        }
        (answer.ok(), took.as_secs_f64() * 1000.0)
    }

    fn record_error(&self, error: String) {
        self.errors.lock().unwrap().push(error);
    }

    fn write(&self, number: usize, mut random: StdRng) -> Times {
        let mut times = Times::new();
        let id = |random: &mut StdRng| format!("w{number}-{}", random.random_range(0..IDS));
        let text = |random: &mut StdRng| format!("note {} of {number}", random.random::<u32>());
        while self.continues() {
            let one = format!("/collections/{STEADY}/documents/{}", id(&mut random));
            let (kind, (_, took)) = match random.random_range(0..10) {
                0..4 => {
                    let documents: Vec<Value> = (0..4)
                        .map(|_| json!({ "id": id(&mut random), "text": text(&mut random) }))
                        .collect();
                    let path = format!("/collections/{STEADY}/documents");
                    (
                        "post 4",
                        self.ask(Method::POST, &path, Some(&json!(documents)), &[200]),
                    )
                }
                4..6 => {
                    let seed = random.random_range(0..200);
                    let body = json!({ "image": Client::image(&pictures::png(seed)) });
                    (
                        "put an image",
                        self.ask(Method::PUT, &one, Some(&body), &[200, 201]),
                    )
                }
                6..8 => {
                    let body = json!({ "metadata": { "seen": random.random::<u16>() } });
                    (
                        "patch",
                        self.ask(Method::PATCH, &one, Some(&body), &[200, 404]),
                    )
                }
                _ => ("delete", self.ask(Method::DELETE, &one, None, &[204, 404])),
            };
            times.entry(kind).or_default().push(took);
        }
        times
    }

    fn read(&self, writers: usize, mut random: StdRng) -> Times {
        let mut times = Times::new();
        let search = format!("/collections/{STEADY}/search");
        while self.continues() {
            let writer = random.random_range(0..writers.max(1));
            let (kind, (_, took)) = match random.random_range(0..10) {
                0..3 => {
                    let body = json!({ "text": format!("a note of {writer}"), "limit": 10 });
                    (
                        "hybrid search",
                        self.ask(Method::POST, &search, Some(&body), &[200]),
                    )
                }
                3..6 => {
                    let body = json!({ "keywords": format!("note {writer}"), "mode": "keyword" });
                    (
                        "keyword search",
                        self.ask(Method::POST, &search, Some(&body), &[200]),
                    )
                }
                6..9 => {
                    let id = random.random_range(0..IDS);
                    let path = format!("/collections/{STEADY}/documents/w{writer}-{id}");
                    ("get", self.ask(Method::GET, &path, None, &[200, 404]))
                }
                _ => {
                    let path = format!("/collections/{STEADY}/documents?limit=50");
                    ("list", self.ask(Method::GET, &path, None, &[200]))
                }
            };
            times.entry(kind).or_default().push(took);
            thread::sleep(PAUSE);
        }
        times
    }

    /// Creates a collection, fills it, searches it and drops it, repeatedly.
    fn create_and_drop(&self) -> usize {
        let mut dropped = 0;
        while self.continues() {
            let path = format!("/collections/passing-{}", dropped % 3);
            self.ask(Method::PUT, &path, Some(&json!({})), &[201]);
            let documents =
                json!([{ "id": "a", "text": "here for a moment" }, { "text": "and gone" }]);
            self.ask(
                Method::POST,
                &format!("{path}/documents"),
                Some(&documents),
                &[200],
            );
            let query = json!({ "text": "a moment" });
            let (found, _) = self.ask(
                Method::POST,
                &format!("{path}/search"),
                Some(&query),
                &[200],
            );
            if let Some(found) = found
                && found.status == 200
                && found.json()["hits"][0]["id"] != "a"
            {
                self.record_error(format!("{path}: {found:?}"));
            }
            self.ask(Method::DELETE, &path, None, &[204]);
            dropped += 1;
        }
        dropped
    }

    /// Takes a snapshot and removes it, repeatedly.
    fn take_snapshots(&self) -> usize {
        let mut taken = 0;
        let path = format!("/collections/{STEADY}/snapshots");
        while self.continues() {
            let (info, _) = self.ask(Method::POST, &path, None, &[201]);
            if let Some(info) = info.filter(|info| info.status == 201) {
                let id = info.json()["id"].as_str().unwrap_or_default().to_owned();
                self.ask(Method::DELETE, &format!("{path}/{id}"), None, &[204]);
                taken += 1;
            }
            thread::sleep(Duration::from_millis(500));
        }
        taken
    }
}

/// The value below which this proportion of the values lies.
pub fn quantile(ascending: &[f64], share: f64) -> f64 {
    let at = (ascending.len() as f64 * share) as usize;
    ascending
        .get(at.min(ascending.len().saturating_sub(1)))
        .copied()
        .unwrap_or(f64::NAN)
}
