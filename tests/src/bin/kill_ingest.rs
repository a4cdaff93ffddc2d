//! Kills the server ten times while 5,000 emoji and icons are ingested, and looks
//! each time whether everything acknowledged is there. Exit code 1 when it is not.

use std::process::ExitCode;
use std::thread::sleep;
use std::time::Duration;

use clap::Parser;
use clipdb_tests::{Campaign, Client, Server, corpus, machine, table, wait_until};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};

const COLLECTION: &str = "drawings";

#[derive(Parser)]
#[command(about = "Kills a server during an ingest and counts what is lost")]
struct Arguments {
    #[arg(long, default_value_t = 5_000)]
    documents: usize,
    #[arg(long, default_value_t = 10)]
    kills: usize,
    /// Requests on their way at once
    #[arg(long, default_value_t = 3)]
    writers: usize,
    /// Repeats a run's moments
    #[arg(long)]
    seed: Option<u64>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let seed = arguments.seed.unwrap_or_else(rand::random);
    let mut random = StdRng::seed_from_u64(seed);
    let drawings = corpus::drawings();
    let total = arguments.documents.min(drawings.len());
    let document = |number: usize| -> Value {
        json!({ "id": drawings[number].id(), "image": Client::image(&drawings[number].bytes()) })
    };
    println!(
        "{}; {total} drawings, {} writers; --seed {seed}",
        machine::describe(),
        arguments.writers
    );
    table::head(&[
        "kill",
        "after",
        "acknowledged",
        "lost",
        "stored",
        "ready again after",
    ]);

    let campaign = Campaign::new(COLLECTION, total, 16, &document);
    let mut server = Server::start();
    server.client().collection(COLLECTION);
    let mut lost = 0;
    for kill in 1..=arguments.kills {
        // Spread over the ingest, then at a random moment of a group's way.
        let threshold = total * (kill - 1) / arguments.kills
            + random.random_range(0..(total / arguments.kills / 2).max(1));
        let pause = Duration::from_micros(random.random_range(0..400_000));
        let stopped = campaign.write_until_killed(server, arguments.writers, || {
            wait_until(|| campaign.acknowledged() >= threshold);
            sleep(pause);
        });
        server = stopped.start();
        lost += report(&kill.to_string(), &campaign, &server, 40);
    }
    campaign.write_rest(server.client(), arguments.writers);
    lost += report("none", &campaign, &server, 200);
    if lost == 0 && campaign.acknowledged() == total {
        println!(
            "\nevery acknowledged document was there after each of {} kills",
            arguments.kills
        );
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn report(kill: &str, campaign: &Campaign<'_>, server: &Server, sample: usize) -> usize {
    let losses = campaign.losses(server.client(), sample);
    let stored = server.client().existing(COLLECTION).summary()["documents"].clone();
    table::row(&[
        kill.to_owned(),
        if kill == "none" {
            "the whole ingest".to_owned()
        } else {
            "kill -9".to_owned()
        },
        campaign.acknowledged().to_string(),
        losses.len().to_string(),
        stored.to_string(),
        format!("{:.1} s", server.ready_after().as_secs_f64()),
    ]);
    for loss in &losses {
        eprintln!("lost: {loss:?}");
    }
    losses.len()
}
