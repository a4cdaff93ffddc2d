//! The `clipdb` binary. `serve` runs the database server; the other commands are clients of a
//! running server or inspect models and data folders.

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

use clap::{CommandFactory, FromArgMatches};

use command_line::{Command, CommandLine};

/// Rust's allocator; LibTorch and FAISS call glibc's `malloc` themselves. A search makes hundreds of
/// small allocations that another thread frees, and a bulk ingest makes millions. mimalloc needs 10%
/// less CPU for both, and returns memory to the system after an index build.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let command = parse_command_line();
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

/// The command; ends the process on a usage error or a request for help.
fn parse_command_line() -> Command {
    let matches = CommandLine::command()
        .mut_subcommand("serve", configuration::defaults::show)
        .get_matches();
    match CommandLine::from_arg_matches(&matches) {
        Ok(line) => line.command,
        Err(error) => error.exit(),
    }
}

fn report(outcome: Result<ExitCode, client::ClientError>) -> ExitCode {
    outcome.unwrap_or_else(|error| {
        eprintln!("clipdb: {error}");
        ExitCode::FAILURE
    })
}
