//! Kills the server repeatedly during mixed writes and compares it each time with all acknowledged
//! writes. The exit code is 1 if anything differs.

use std::process::ExitCode;

use clap::Parser;
use clipdb_tests::{Report, Torture, machine, table};

#[derive(Parser)]
#[command(
    about = "Kill a server during mixed writes and verify that every acknowledged write survives"
)]
struct Arguments {
    #[arg(long, default_value_t = 100)]
    kills: usize,
    /// Concurrent requests
    #[arg(long, default_value_t = 3)]
    writers: usize,
    /// Reproduces the writes and the kills of a run
    #[arg(long)]
    seed: Option<u64>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let torture = Torture {
        seed: arguments.seed.unwrap_or_else(rand::random),
        kills: arguments.kills,
        writers: arguments.writers,
    };
    let replay = format!(
        "--seed {} --kills {} --writers {}",
        torture.seed, torture.kills, torture.writers
    );
    println!("{}; {replay}", machine::describe());
    let every = (arguments.kills / 20).max(1);
    let after_kill = |kill: usize, report: &Report| {
        if kill.is_multiple_of(every) {
            let acknowledged: usize = report.acknowledged.values().sum();
            println!(
                "{kill} kills, {acknowledged} acknowledged writes, {} comparisons, {:.0} s",
                report.compared,
                report.took.as_secs_f64()
            );
        }
    };
    match torture.run(after_kill) {
        Ok(report) => {
            show(&report);
            ExitCode::SUCCESS
        }
        Err(failure) => {
            eprintln!("{failure}\nreplay with {replay}");
            ExitCode::FAILURE
        }
    }
}

fn show(report: &Report) {
    println!();
    table::head(&["kills", "number"]);
    for (moment, kills) in &report.kills {
        table::row(&[(*moment).to_owned(), kills.to_string()]);
    }
    println!();
    table::head(&["acknowledged", "number"]);
    for (kind, count) in &report.acknowledged {
        table::row(&[(*kind).to_owned(), count.to_string()]);
    }
    println!();
    table::head(&["found after the kills", "number"]);
    for (what, count) in [
        ("documents compared with the journal", report.compared),
        (
            "given vectors compared with searches",
            report.vectors_compared,
        ),
        ("wrong", 0),
        (
            "unacknowledged documents, intact in the old version",
            report.undone,
        ),
        (
            "unacknowledged documents, intact in the new version",
            report.done,
        ),
        (
            "kills that interrupted a seal, a build or a merge",
            report.interrupted_builds,
        ),
        ("segments on disk that are scanned", report.scanned_segments),
        ("segments on disk that are graphs", report.graphs),
    ] {
        table::row(&[what.to_owned(), count.to_string()]);
    }
    println!(
        "\nthe slowest startup took {:.1} s; the run took {:.0} s",
        report.longest_startup.as_secs_f64(),
        report.took.as_secs_f64()
    );
}
