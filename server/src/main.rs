//! The `clipdb` binary: `serve` opens the database and its doors; the other
//! commands are clients of a running server, or look at models.

mod banner;
mod check;
mod client;
mod command_line;
mod configuration;
mod lifecycle;
mod models;
mod openmp;
mod table;
mod telemetry;

use std::process::ExitCode;

use clap::Parser;

use command_line::{Command, CommandLine};

fn main() -> ExitCode {
    match CommandLine::parse().command {
        Command::Serve(arguments) => {
            openmp::wait_asleep();
            lifecycle::serve(arguments)
        }
        Command::Models(arguments) => {
            openmp::wait_asleep();
            models::run(&arguments)
        }
        Command::Check(arguments) => check::run(&arguments),
        Command::Ingest(arguments) => report(client::ingest::run(&arguments)),
        Command::Search(arguments) => report(client::search::run(&arguments)),
        Command::Snapshot(arguments) => report(client::snapshot::run(&arguments)),
        Command::Restore(arguments) => report(client::restore::run(&arguments)),
        Command::Profile(arguments) => report(client::profile::run(&arguments)),
        Command::Recall(arguments) => report(client::recall::run(&arguments)),
    }
}

fn report(outcome: Result<ExitCode, client::ClientError>) -> ExitCode {
    outcome.unwrap_or_else(|error| {
        eprintln!("clipdb: {error}");
        ExitCode::FAILURE
    })
}
