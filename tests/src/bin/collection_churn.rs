//! The cost that making and dropping collections has for searches of another one: their latency on an
//! idle server and while 200 collections are made and dropped, in turns.
//!
//! `collection_churn [COLLECTIONS]`
#![allow(
    clippy::unwrap_used,
    reason = "a measurement: failing is how it reports"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Instant;

use clipdb_tests::{Server, quantile};
use serde_json::{Value, json};

const ROUNDS: usize = 4;
const SEARCHES: usize = 2000;

fn main() {
    let wanted = std::env::args()
        .nth(1)
        .map_or(200, |count| count.parse().unwrap());
    let server = Server::start();
    let client = server.client();
    let collection = client.collection("measured");
    let documents: Vec<Value> = (0..2000)
        .map(|number| {
            let text = format!("word{} of document {number}", number % 97);
            json!({ "id": number.to_string(), "text": text })
        })
        .collect();
    collection.add(&json!(documents));
    let search = |number: usize| {
        let query = json!({ "keywords": format!("word{}", number % 97) });
        let begun = Instant::now();
        collection.search(&query).expect(200);
        begun.elapsed().as_secs_f64() * 1e3
    };
    // A first round warms the server up.
    let _: Vec<f64> = (0..SEARCHES).map(search).collect();
    let (mut idle, mut busy) = (Vec::new(), Vec::new());
    let mut changed = 0;
    for _ in 0..ROUNDS {
        idle.extend((0..SEARCHES).map(search));
        let ended = Arc::new(AtomicBool::new(false));
        let count = Arc::new(AtomicUsize::new(0));
        let churn = {
            let (client, ended, count) = (client.clone(), Arc::clone(&ended), Arc::clone(&count));
            std::thread::spawn(move || {
                for number in 0..wanted {
                    if ended.load(Ordering::Relaxed) {
                        break;
                    }
                    let path = format!("/collections/churn-{number}");
                    client.put(&path, &json!({ "model": "none", "dim": 4 }));
                    client.delete(&path);
                    count.fetch_add(1, Ordering::Relaxed);
                }
            })
        };
        let mut number = 0;
        while number < SEARCHES || !churn.is_finished() {
            if !churn.is_finished() {
                busy.push(search(number));
            }
            number += 1;
            if number > 20 * SEARCHES {
                ended.store(true, Ordering::Relaxed);
            }
        }
        churn.join().unwrap();
        changed += count.load(Ordering::Relaxed);
    }
    for latencies in [&mut idle, &mut busy] {
        latencies.sort_by(f64::total_cmp);
    }
    println!(
        "{changed} collections made and dropped during {} searches; ms",
        busy.len()
    );
    for share in [0.5, 0.99] {
        let (alone, with) = (quantile(&idle, share), quantile(&busy, share));
        println!(
            "search p{:.0}: {alone:.2} alone, {with:.2} meanwhile: {:.2} times",
            share * 100.0,
            with / alone
        );
    }
}
