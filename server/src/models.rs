//! `clipdb models`: what there is, and `pull` and `check`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use clap::{Args, Subcommand};
use clipdb_embed::sources::{bundled_models, cached_models, known_models};
use clipdb_embed::{EmbedError, Encoder, EncoderSettings, ModelSource, Priority};

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
    /// Load a model, run it once and report
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
            list(&cache);
            Ok(())
        }
        Some(ModelsCommand::Pull { name }) => pull(name, &cache),
        Some(ModelsCommand::Check { model }) => check(model, &cache),
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

fn list(cache: &Path) {
    println!("In the binary:");
    for model in bundled_models() {
        println!("  {:<32} {}", model.name, model.about);
    }
    println!("\nPulled, in {}:", cache.display());
    let cached = cached_models(cache);
    if cached.is_empty() {
        println!("  none");
    }
    for model in &cached {
        println!("  {:<32} {} MB", model.name, model.bytes / 1_000_000);
    }
    println!(
        "\nOn the hub ('clipdb models pull NAME', or any other CLIP in the Hugging Face layout):"
    );
    for model in known_models() {
        println!("  {:<32} {}", model.name, model.about);
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

fn check(model: &str, cache: &Path) -> Result<(), EmbedError> {
    let source = ModelSource::resolve(model, cache)?;
    let started = Instant::now();
    let encoder = Encoder::load(&source, &EncoderSettings::default())?;
    let loaded = started.elapsed();
    let card = encoder.card();
    println!("{}", card.name);
    println!("  type        {}", card.model_type);
    println!("  dimensions  {}", card.dim);
    println!("  parameters  {:.1} million", card.parameters as f64 / 1e6);
    println!(
        "  licence     {}",
        card.license.as_deref().unwrap_or("not stated")
    );
    println!("  device      {}, {}", card.device, card.precision);
    println!("  loaded in   {:.2} s", loaded.as_secs_f64());
    if card.has_text {
        let started = Instant::now();
        let probe = vec!["a photo of a cat".to_owned()];
        let embedded =
            actix_web::rt::System::new().block_on(encoder.texts(probe, Priority::Search))?;
        println!(
            "  a text      {} numbers of length 1 in {:.1} ms",
            embedded.first().map_or(0, |text| text.embedding.dim()),
            started.elapsed().as_secs_f64() * 1e3
        );
    }
    Ok(())
}
