//! Writers and readers beside each other: latencies, memory, errors. Exit code 1 when a request
//! failed.

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use clipdb_tests::{Crowd, Server, machine, quantile, table};

#[derive(Parser)]
#[command(about = "Writes and reads at once, and tells of latency, memory and errors")]
struct Arguments {
    #[arg(long, default_value_t = 10.0)]
    minutes: f64,
    #[arg(long, default_value_t = 32)]
    writers: usize,
    #[arg(long, default_value_t = 32)]
    readers: usize,
    #[arg(long)]
    seed: Option<u64>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let crowd = Crowd {
        seed: arguments.seed.unwrap_or_else(rand::random),
        writers: arguments.writers,
        readers: arguments.readers,
        lasts: Duration::from_secs_f64(arguments.minutes * 60.0),
    };
    println!("{}; {crowd:?}\n", machine::describe());
    let server = Server::start();
    let report = crowd.run(&server);
    table::head(&["request", "number", "p50 ms", "p99 ms", "longest ms"]);
    for (kind, times) in report.reads.iter().chain(&report.writes) {
        table::row(&[
            (*kind).to_owned(),
            times.len().to_string(),
            format!("{:.1}", quantile(times, 0.5)),
            format!("{:.1}", quantile(times, 0.99)),
            format!("{:.1}", quantile(times, 1.0)),
        ]);
    }
    println!();
    table::head(&["after s", "resident MiB"]);
    for (seconds, memory) in &report.memory {
        table::row(&[format!("{seconds:.0}"), format!("{memory:.0}")]);
    }
    println!(
        "\n{} collections made and dropped, {} snapshots meanwhile; {} errors",
        report.collections_dropped,
        report.snapshots,
        report.errors.len()
    );
    for error in report.errors.iter().take(20) {
        eprintln!("{error}");
    }
    ExitCode::from(u8::from(!report.errors.is_empty()))
}
