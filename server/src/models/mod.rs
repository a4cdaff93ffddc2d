//! `clipdb models`: what there is, and `pull` and `check`.

mod check;
mod list;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand};
use clipdb_api::engine::{EmbedError, ModelSource};

use crate::configuration::default_model_cache;

#[derive(Args)]
pub struct ModelsArguments {
    #[command(subcommand)]
    command: Option<ModelsCommand>,
    /// The folder that pulled models are kept in [default: ~/.cache/clipdb]
    #[arg(long, env = "CLIPDB_MODEL_CACHE", value_name = "DIR", global = true)]
    model_cache: Option<PathBuf>,
}

#[derive(Subcommand)]
enum ModelsCommand {
    /// Fetch a model from the hub into the cache
    Pull { name: String },
    /// Load a model, run it and report
    Check {
        /// A bundled model's name, a folder or a pulled model's name
        #[arg(value_name = "PATH|NAME")]
        model: String,
    },
}

pub fn run(arguments: &ModelsArguments) -> ExitCode {
    let cache = arguments
        .model_cache
        .clone()
        .unwrap_or_else(default_model_cache);
    let outcome = match &arguments.command {
        None => {
            print!("{}", list::table(&cache));
            Ok(())
        }
        Some(ModelsCommand::Pull { name }) => pull(name, &cache),
        Some(ModelsCommand::Check { model }) => check::run(model, &cache),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("clipdb: {error}");
            ExitCode::from(if matches!(error, EmbedError::ModelUnavailable { .. }) {
                2
            } else {
                1
            })
        }
    }
}

fn pull(name: &str, cache: &Path) -> Result<(), EmbedError> {
    let source = ModelSource::pull(name, cache)?;
    match source.path() {
        Some(folder) => println!("{name} is in {}", folder.display()),
        None => println!("{name} is in the binary"),
    }
    Ok(())
}
