//! Concurrent writers and readers: latencies, memory, errors. The exit code is 1 if a request failed.

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use clipdb_tests::{Server, Soak, machine, quantile, table};

#[derive(Parser)]
#[command(about = "Write and read concurrently, and report latency, memory and errors")]
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
    let soak = Soak {
        seed: arguments.seed.unwrap_or_else(rand::random),
        writers: arguments.writers,
        readers: arguments.readers,
        duration: Duration::from_secs_f64(arguments.minutes * 60.0),
    };
    println!("{}; {soak:?}\n", machine::describe());
    let server = Server::start();
    let report = soak.run(&server);
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
        "\n{} collections created and dropped, {} snapshots taken; {} errors",
        report.collections_dropped,
        report.snapshots,
        report.errors.len()
    );
    for error in report.errors.iter().take(20) {
        eprintln!("{error}");
    }
    ExitCode::from(u8::from(!report.errors.is_empty()))
}
