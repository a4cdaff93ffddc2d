//! `clipdb models check`: loads a model, runs it and tells what it is.

use std::path::Path;
use std::time::{Duration, Instant};

use clipdb_api::engine::{EmbedError, Encoder, EncoderSettings, ModelSource, Priority};

use crate::configuration::onnx_runtime_in;

const TEXT: &str = "a photo of a red umbrella in the rain";
const PICTURE: &[u8] = include_bytes!("../../../models/clipdb-mini/golden/umbrella.png");
/// Runs that a median is taken of.
const RUNS: usize = 9;

pub(super) fn run(model: &str, cache: &Path) -> Result<(), EmbedError> {
    let source = ModelSource::resolve(model, cache)?;
    let started = Instant::now();
    let settings = EncoderSettings {
        onnx_runtime: onnx_runtime_in(cache),
        ..EncoderSettings::default()
    };
    let encoder = Encoder::load(&source, &settings)?;
    let loaded = started.elapsed();
    let card = encoder.card();
    println!("{}", card.name);
    tell("type", &card.model_type);
    tell("dimensions", card.dim);
    tell(
        "parameters",
        match card.parameters {
            0 => "not told by graphs".to_owned(),
            count => format!("{:.1} million", count as f64 / 1e6),
        },
    );
    tell(
        "towers",
        match (card.has_text, card.has_image) {
            (true, true) => "text and image",
            (true, false) => "text",
            (false, true) => "image",
            (false, false) => "none",
        },
    );
    if card.has_text {
        tell("context", format!("{} tokens", card.context_length));
    }
    if card.has_image {
        tell("image size", format!("{0} × {0} pixels", card.image_size));
    }
    tell(
        "logit scale",
        match card.logit_scale_assumed {
            true => format!("{:.2}, assumed: its files do not tell", card.logit_scale),
            false => format!("{:.2}", card.logit_scale),
        },
    );
    tell("licence", card.license.as_deref().unwrap_or("not stated"));
    tell("engine", &card.engine);
    tell("device", format!("{}, {}", card.device, card.precision));
    tell("loaded in", format!("{:.2} s", loaded.as_secs_f64()));
    let runtime = actix_web::rt::System::new();
    if card.has_text {
        tell("a text", milliseconds(runtime.block_on(texts(&encoder))?));
    }
    if card.has_image {
        tell(
            "a picture",
            milliseconds(runtime.block_on(pictures(&encoder))?),
        );
    }
    Ok(())
}

fn tell(what: &str, value: impl std::fmt::Display) {
    println!("  {what:<11} {value}");
}

fn milliseconds(duration: Duration) -> String {
    format!(
        "{:.1} ms alone, from its bytes to its vector",
        duration.as_secs_f64() * 1e3
    )
}

async fn texts(encoder: &Encoder) -> Result<Duration, EmbedError> {
    let mut runs = Vec::with_capacity(RUNS);
    for _ in 0..RUNS {
        let started = Instant::now();
        encoder
            .texts(vec![TEXT.to_owned()], Priority::Search)
            .await?;
        runs.push(started.elapsed());
    }
    Ok(median(runs))
}

async fn pictures(encoder: &Encoder) -> Result<Duration, EmbedError> {
    let mut runs = Vec::with_capacity(RUNS);
    for _ in 0..RUNS {
        let started = Instant::now();
        encoder.image(PICTURE.into(), Priority::Search).await?;
        runs.push(started.elapsed());
    }
    Ok(median(runs))
}

fn median(mut runs: Vec<Duration>) -> Duration {
    runs.sort_unstable();
    runs[runs.len() / 2]
}
