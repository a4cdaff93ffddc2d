//! `clipdb models check`: loads a model, runs it and prints its properties.

use std::path::Path;
use std::time::{Duration, Instant};

use clipdb_api::engine::{EmbedError, Encoder, EncoderSettings, ModelSource, Priority};

use crate::configuration::defaults::onnx_runtime_in;

const TEXT: &str = "a photo of a red umbrella in the rain";
const IMAGE: &[u8] = include_bytes!("../../../models/clipdb-mini/golden/umbrella.png");
/// Number of runs; the median is printed.
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
    print_field("type", &card.model_type);
    print_field("dimensions", card.dim);
    print_field(
        "parameters",
        match card.parameters {
            0 => "unknown for graphs".to_owned(),
            count => format!("{:.1} million", count as f64 / 1e6),
        },
    );
    print_field(
        "towers",
        match (card.has_text, card.has_image) {
            (true, true) => "text and image",
            (true, false) => "text",
            (false, true) => "image",
            (false, false) => "none",
        },
    );
    if card.has_text {
        print_field("context", format!("{} tokens", card.context_length));
    }
    if card.has_image {
        print_field("image size", format!("{0} × {0} pixels", card.image_size));
    }
    print_field(
        "logit scale",
        match card.logit_scale_assumed {
            true => format!("{:.2}, assumed: not in its files", card.logit_scale),
            false => format!("{:.2}", card.logit_scale),
        },
    );
    print_field("licence", card.license.as_deref().unwrap_or("not stated"));
    print_field("engine", &card.engine);
    print_field("device", format!("{}, {}", card.device, card.precision));
    print_field("loaded in", format!("{:.2} s", loaded.as_secs_f64()));
    let runtime = actix_web::rt::System::new();
    if card.has_text {
        print_field("one text", milliseconds(runtime.block_on(texts(&encoder))?));
    }
    if card.has_image {
        print_field(
            "one image",
            milliseconds(runtime.block_on(images(&encoder))?),
        );
    }
    Ok(())
}

fn print_field(name: &str, value: impl std::fmt::Display) {
    println!("  {name:<11} {value}");
}

fn milliseconds(duration: Duration) -> String {
    format!(
        "{:.1} ms in a batch of one, from bytes to vector",
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

async fn images(encoder: &Encoder) -> Result<Duration, EmbedError> {
    let mut runs = Vec::with_capacity(RUNS);
    for _ in 0..RUNS {
        let started = Instant::now();
        encoder.image(IMAGE.into(), Priority::Search).await?;
        runs.push(started.elapsed());
    }
    Ok(median(runs))
}

fn median(mut runs: Vec<Duration>) -> Duration {
    runs.sort_unstable();
    runs[runs.len() / 2]
}
