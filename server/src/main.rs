//! The `clipdb` binary: `serve` opens the database and its doors; the other
//! commands are clients of a running server, or look at models.

mod banner;
mod check;
mod client;
mod command_line;
mod configuration;
mod environment;
mod lifecycle;
mod limits;
mod models;
mod table;
mod telemetry;

use std::process::ExitCode;

use clap::Parser;

use command_line::{Command, CommandLine};

/// For what Rust allocates; LibTorch and FAISS call glibc's `malloc` themselves. A search makes
/// hundreds of small allocations on one thread that another frees, and a bulk of documents
/// millions: this one takes a tenth less of the processor for both, and gives back what a build
/// needed.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let command = CommandLine::parse().command;
    if !matches!(command, Command::Serve(_) | Command::Models(_)) {
        environment::hide_key();
    }
    match command {
        Command::Serve(arguments) => {
            environment::prepare();
            environment::keep_files_private();
            lifecycle::serve(arguments)
        }
        Command::Models(arguments) => {
            environment::prepare();
            models::run(&arguments)
        }
        Command::Check(arguments) => {
            environment::keep_files_private();
            check::run(&arguments)
        }
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
