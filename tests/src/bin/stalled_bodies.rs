//! The cost of 500 half-sent bodies for other clients: the latency of searches and writes with and
//! without them, in alternating rounds.
//!
//! `stalled_bodies [CONNECTIONS]`
#![allow(clippy::unwrap_used, reason = "a measurement: a failure is a panic")]

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use clipdb_tests::{Client, Server, machine, quantile};
use serde_json::{Value, json};

const ROUNDS: usize = 4;
const SEARCHES: usize = 1500;
const WRITES: usize = 200;

const KINDS: [(&str, &str, &str); 5] = [
    (
        "documents",
        "multipart/form-data; boundary=bb",
        "--bb\r\ncontent-disposition: form-data; name=\"f\"; filename=\"a\"\r\n\r\n",
    ),
    ("documents", "application/json", "[{\"text\": \"half"),
    ("documents", "application/x-ndjson", "{\"text\": \"half"),
    ("search", "application/json", "{\"text\": \"half"),
    ("restore", "application/octet-stream", "half"),
];

fn main() {
    let wanted = std::env::args()
        .nth(1)
        .map_or(500, |count| count.parse().unwrap());
    let server = Server::start();
    let client = server.client();
    let collection = client.collection("measured");
    let documents: Vec<Value> = (0..2000)
        .map(|number| json!({ "id": number.to_string(), "text": format!("word{} of document {number}", number % 97) }))
        .collect();
    collection.add(&json!(documents));
    let measure = || {
        let mut searches = Vec::with_capacity(SEARCHES);
        for number in 0..SEARCHES {
            let query = json!({ "keywords": format!("word{}", number % 97) });
            searches.push(timed(|| {
                collection.search(&query).expect(200);
            }));
        }
        let mut writes = Vec::with_capacity(WRITES);
        for number in 0..WRITES {
            let document = json!({ "id": format!("w{number}"), "text": "a write" });
            writes.push(timed(|| {
                collection.add(&document);
            }));
        }
        [searches, writes]
    };
    measure();
    let mut all: [[Vec<f64>; 2]; 2] = Default::default();
    let mut most = 0;
    for _ in 0..ROUNDS {
        keep(&mut all[0], measure());
        let stalled = Stalled::open(client, wanted);
        keep(&mut all[1], measure());
        most = most.max(stalled.connections());
        drop(stalled);
        std::thread::sleep(Duration::from_millis(500));
    }
    for latencies in all.iter_mut().flatten() {
        latencies.sort_by(f64::total_cmp);
    }
    println!("{most} half-sent bodies, each with a byte per second; ms");
    for (kind, name) in ["search", "write"].into_iter().enumerate() {
        for share in [0.5, 0.99] {
            let [idle, with] = [0, 1].map(|state| quantile(&all[state][kind], share));
            println!(
                "{name} p{:.0}: {idle:.2} without, {with:.2} with: {:.2} times",
                share * 100.0,
                with / idle
            );
        }
    }
    println!(
        "memory of the server: {:.0} MB",
        machine::resident(server.pid())
    );
}

fn timed(work: impl FnOnce()) -> f64 {
    let begun = Instant::now();
    work();
    begun.elapsed().as_secs_f64() * 1e3
}

fn keep(all: &mut [Vec<f64>; 2], more: [Vec<f64>; 2]) {
    for (all, more) in all.iter_mut().zip(more) {
        all.extend(more);
    }
}

/// Connections whose bodies trickle. Those that the server closes are opened again.
struct Stalled {
    ended: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
    count: usize,
}

impl Stalled {
    fn open(client: &Client, count: usize) -> Self {
        let address = client.address().to_owned();
        let open = move |number: usize| {
            let (path, kind, beginning) = KINDS[number % KINDS.len()];
            let mut stream = TcpStream::connect(&address).unwrap();
            let head = format!(
                "POST /collections/measured/{path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: {kind}\r\ncontent-length: 125829120\r\n\r\n{beginning}"
            );
            stream.write_all(head.as_bytes()).unwrap();
            stream.set_nonblocking(true).unwrap();
            stream
        };
        let mut streams: Vec<TcpStream> = (0..count).map(&open).collect();
        let ended = Arc::new(AtomicBool::new(false));
        let own = Arc::clone(&ended);
        let thread = std::thread::spawn(move || {
            while !own.load(Ordering::Relaxed) {
                std::thread::sleep(Duration::from_secs(1));
                for (number, stream) in streams.iter_mut().enumerate() {
                    let gone = !matches!(stream.read(&mut [0]), Err(error) if error.kind() == std::io::ErrorKind::WouldBlock);
                    if gone || stream.write_all(b" ").is_err() {
                        *stream = open(number);
                    }
                }
            }
        });
        Self {
            ended,
            thread: Some(thread),
            count,
        }
    }

    fn connections(&self) -> usize {
        self.count
    }
}

impl Drop for Stalled {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}
