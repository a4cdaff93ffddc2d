//! Kills the server again and again amid mixed writes and looks each time whether everything
//! acknowledged is there, exactly. Exit code 1 when something is not.

use std::process::ExitCode;

use clap::Parser;
use clipdb_tests::{Report, Torture, machine, table};

#[derive(Parser)]
#[command(about = "Kills a server amid mixed writes and looks for what it had acknowledged")]
struct Arguments {
    #[arg(long, default_value_t = 100)]
    kills: usize,
    /// Requests on their way at once
    #[arg(long, default_value_t = 3)]
    writers: usize,
    /// Repeats a run's writes and moments
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
    let told = |kill: usize, report: &Report| {
        if kill.is_multiple_of(every) {
            let acknowledged: usize = report.acknowledged.values().sum();
            println!(
                "{kill} kills, {acknowledged} acknowledged writes, {} comparisons, {:.0} s",
                report.compared,
                report.took.as_secs_f64()
            );
        }
    };
    match torture.run(told) {
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
        ("unacknowledged documents, whole as before", report.undone),
        ("unacknowledged documents, whole as written", report.done),
        (
            "seals, builds and merges cut by the kill",
            report.builds_cut,
        ),
        ("segments on disk that are scanned", report.scanned_segments),
        ("segments on disk that are graphs", report.graphs),
    ] {
        table::row(&[what.to_owned(), count.to_string()]);
    }
    println!(
        "\nthe slowest start took {:.1} s; all took {:.0} s",
        report.longest_start.as_secs_f64(),
        report.took.as_secs_f64()
    );
}
