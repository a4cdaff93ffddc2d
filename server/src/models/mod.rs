//! `clipdb models`: lists, pulls and checks models.

mod check;
mod list;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand};
use clipdb_api::engine::{EmbedError, ModelSource};

use crate::configuration::defaults;

#[derive(Args)]
pub struct ModelsArguments {
    #[command(subcommand)]
    command: Option<ModelsCommand>,
    /// Folder for pulled models [default: ~/.cache/clipdb]
    #[arg(long, env = "CLIPDB_MODEL_CACHE", value_name = "DIR", global = true)]
    model_cache: Option<PathBuf>,
}

#[derive(Subcommand)]
enum ModelsCommand {
    /// Download a model from the hub into the cache
    Pull { name: String },
    /// Load a model, run it and print its properties
    Check {
        /// Name of a bundled or pulled model, or a folder
        #[arg(value_name = "PATH|NAME")]
        model: String,
    },
}

pub fn run(arguments: &ModelsArguments) -> ExitCode {
    let cache = arguments
        .model_cache
        .clone()
        .unwrap_or_else(defaults::model_cache);
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
