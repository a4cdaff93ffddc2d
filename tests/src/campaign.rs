//! Writers that are killed together with their server, and what was acknowledged
//! to them: all of that has to be there afterwards.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::client::{Client, Collection};
use crate::server::{Server, Stopped};

/// Marks asked for in one keyword search.
const MARKS: usize = 100;
/// A picture searched by its own bytes is this close to itself.
const ITSELF: f64 = 0.999;

/// A fixed list of documents, made by number, on their way into one collection.
pub struct Campaign<'a> {
    collection: &'a str,
    batch: usize,
    make: &'a (dyn Fn(usize) -> Value + Sync),
    waiting: Mutex<VecDeque<usize>>,
    acknowledged: Mutex<BTreeSet<usize>>,
}

/// A document that was acknowledged and is not as it was sent.
#[derive(Debug)]
pub struct Loss {
    pub id: String,
    pub what: String,
}

impl<'a> Campaign<'a> {
    /// `make` gives the document of a number, the same each time, without `metadata`;
    /// `batch` of them travel in one request.
    pub fn new(
        collection: &'a str,
        total: usize,
        batch: usize,
        make: &'a (dyn Fn(usize) -> Value + Sync),
    ) -> Self {
        Self {
            collection,
            batch,
            make,
            waiting: Mutex::new((0..total).collect()),
            acknowledged: Mutex::default(),
        }
    }

    pub fn acknowledged(&self) -> usize {
        self.acknowledged.lock().unwrap().len()
    }

    /// Writes, and kills the server amid that when `moment` returns.
    pub fn write_until_killed(
        &self,
        server: Server,
        writers: usize,
        moment: impl FnOnce(),
    ) -> Stopped {
        let client = server.client().clone();
        thread::scope(|scope| {
            for _ in 0..writers {
                scope.spawn(|| while self.write_one_batch(&client) {});
            }
            moment();
            server.kill()
        })
    }

    /// Writes all that is left.
    pub fn write_rest(&self, client: &Client, writers: usize) {
        thread::scope(|scope| {
            for _ in 0..writers {
                scope.spawn(|| while self.write_one_batch(client) {});
            }
        });
        let left = self.waiting.lock().unwrap().len();
        assert_eq!(left, 0, "the server took no more documents");
    }

    /// False when nothing is left, or no answer came.
    fn write_one_batch(&self, client: &Client) -> bool {
        let numbers: Vec<usize> = {
            let mut waiting = self.waiting.lock().unwrap();
            let count = waiting.len().min(self.batch);
            waiting.drain(..count).collect()
        };
        if numbers.is_empty() {
            return false;
        }
        let documents: Vec<Value> = numbers
            .iter()
            .map(|number| self.document(*number))
            .collect();
        let path = client.existing(self.collection).path("/documents");
        match client.try_post(&path, &Value::Array(documents)) {
            Some(answer) => {
                let answer = answer.expect(200).json();
                assert_eq!(answer["failed"], 0, "{answer:#}");
                self.acknowledged.lock().unwrap().extend(numbers);
                true
            }
            None => {
                self.waiting.lock().unwrap().extend(numbers);
                false
            }
        }
    }

    fn document(&self, number: usize) -> Value {
        let mut document = (self.make)(number);
        document["metadata"] = json!({ "mark": mark(number) });
        document
    }

    /// Everything acknowledged that is missing, changed or not found: by its id, by
    /// its bytes, by the keyword that only it holds; `sample` pictures by themselves.
    pub fn losses(&self, client: &Client, sample: usize) -> Vec<Loss> {
        let collection = client.existing(self.collection);
        let acknowledged: Vec<usize> = self.acknowledged.lock().unwrap().iter().copied().collect();
        let mut losses: Vec<Loss> = Vec::new();
        for numbers in acknowledged.chunks(MARKS) {
            losses.extend(unfound_by_keyword(&collection, numbers, |number| {
                self.id(number)
            }));
        }
        let step = acknowledged.len().div_ceil(sample.max(1)).max(1);
        for (position, number) in acknowledged.iter().enumerate() {
            let sent = self.document(*number);
            let searched = position % step == 0 && sample > 0;
            if let Err(what) = check(&collection, &sent, searched) {
                losses.push(Loss {
                    id: self.id(*number),
                    what,
                });
            }
        }
        losses
    }

    fn id(&self, number: usize) -> String {
        (self.make)(number)["id"].as_str().unwrap().to_owned()
    }
}

fn mark(number: usize) -> String {
    format!("mark{number}")
}

fn unfound_by_keyword(
    collection: &Collection<'_>,
    numbers: &[usize],
    id: impl Fn(usize) -> String,
) -> Vec<Loss> {
    let words: Vec<String> = numbers.iter().map(|number| mark(*number)).collect();
    let query = json!({ "keywords": words.join(" "), "mode": "keyword", "limit": 1000 });
    let found: BTreeSet<String> = collection.ids(&query).into_iter().collect();
    let ids = numbers.iter().map(|number| id(*number));
    ids.filter(|id| !found.contains(id))
        .map(|id| Loss {
            id,
            what: "not found by the keyword that only it holds".to_owned(),
        })
        .collect()
}

fn check(collection: &Collection<'_>, sent: &Value, searched: bool) -> Result<(), String> {
    let id = sent["id"].as_str().unwrap_or_default();
    let answer = collection.document(id);
    if answer.status != 200 {
        return Err(format!("{answer:?}"));
    }
    let stored = answer.json();
    if stored["text"] != sent["text"] || stored["metadata"] != sent["metadata"] {
        return Err(format!("it was sent as {sent} and is {stored}"));
    }
    let Some(base64) = sent["image"]["base64"].as_str() else {
        return Ok(());
    };
    let image = collection.image(id);
    if image.status != 200 || image.body != STANDARD.decode(base64).unwrap() {
        return Err("its picture's bytes are not those that were sent".to_owned());
    }
    if searched {
        let query = json!({ "image": sent["image"], "targets": ["image"], "limit": 10, "min_score": ITSELF });
        if !collection.ids(&query).iter().any(|found| found == id) {
            return Err("not found by its own picture".to_owned());
        }
    }
    Ok(())
}

/// Waits until `condition` holds; false when it does not within ten minutes.
pub fn wait_until(mut condition: impl FnMut() -> bool) -> bool {
    let started = Instant::now();
    while started.elapsed() < Duration::from_secs(600) {
        if condition() {
            return true;
        }
        thread::sleep(Duration::from_millis(5));
    }
    false
}
