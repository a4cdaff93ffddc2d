//! Compares the speed of two models or engines: `cargo run --release -p clipdb-embed --example
//! side_by_side -- ONE OTHER [THREADS]`. Rounds alternate, so that other load on the machine affects
//! both alike, and medians are compared. For graphs, `CLIPDB_ONNX_RUNTIME` is the path of the
//! library.

mod test_image;

use std::error::Error;
use std::path::Path;
use std::time::{Duration, Instant};

use bytes::Bytes;
use clipdb_embed::{DeviceChoice, Encoder, EncoderSettings, ModelSource, Priority};
use tokio::runtime::Runtime;

/// The measured time of each row, after one warm-up round of each model.
const MEASURED: Duration = Duration::from_secs(10);
/// 8 and 16 of CLIP's tokens, including special ones.
const SHORT: &str = "a red umbrella in the rain";
const SENTENCE: &str = "a photograph of an old stone bridge over a quiet river in autumn";

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let models: Vec<String> = arguments.by_ref().take(2).collect();
    let [one, other] = models.as_slice() else {
        return Err("name two models".into());
    };
    let threads = arguments.next().map_or(Ok(2), |threads| threads.parse())?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    let image = test_image::jpeg()?;
    println!("| input | batch | {one}, ms | {other}, ms | {other} / {one} |");
    println!("|---|---|---|---|---|");
    for batch in [1, 8, 32] {
        let load = |model: &str| -> Result<Encoder, Box<dyn Error>> {
            let settings = EncoderSettings {
                threads,
                devices: DeviceChoice::Cpu.into(),
                batch_size: Some(batch),
                // Waits until a batch is full.
                batch_delay: Duration::from_secs(1),
                onnx_runtime: std::env::var_os("CLIPDB_ONNX_RUNTIME").map(Into::into),
                ..EncoderSettings::default()
            };
            let source = ModelSource::resolve(model, Path::new("/nonexistent"))?;
            Ok(Encoder::load(&source, &settings)?)
        };
        let both = [load(one)?, load(other)?];
        for (name, text) in [("text of 8 tokens", SHORT), ("text of 16 tokens", SENTENCE)] {
            row(name, batch, &both, |encoder| {
                let texts = vec![text.to_owned(); batch];
                let found = runtime.block_on(encoder.texts(texts, Priority::Ingest))?;
                Ok(found.first().map_or(0, |text| text.timings.model_us))
            })?;
        }
        row("image", batch, &both, |encoder| {
            embed_images(&runtime, encoder, &image, batch)
        })?;
    }
    Ok(())
}

/// Embeds `batch` images and returns the time of the last one in the model, in microseconds.
fn embed_images(
    runtime: &Runtime,
    encoder: &Encoder,
    image: &Bytes,
    batch: usize,
) -> Result<u64, Box<dyn Error>> {
    let waiting: Vec<_> = (0..batch)
        .map(|_| {
            let (encoder, image) = (encoder.clone(), image.clone());
            runtime.spawn(async move { encoder.image(image, Priority::Ingest).await })
        })
        .collect();
    let mut last = 0;
    for task in waiting {
        last = runtime.block_on(task)??.timings.model_us;
    }
    Ok(last)
}

/// Prints the median time in each model, in milliseconds.
fn row(
    input: &str,
    batch: usize,
    both: &[Encoder; 2],
    round: impl Fn(&Encoder) -> Result<u64, Box<dyn Error>>,
) -> Result<(), Box<dyn Error>> {
    let mut times = [Vec::new(), Vec::new()];
    for encoder in both {
        round(encoder)?;
    }
    let begun = Instant::now();
    while begun.elapsed() < MEASURED {
        for (encoder, times) in both.iter().zip(&mut times) {
            times.push(round(encoder)?);
        }
    }
    let [one, other] = times.map(|mut times| {
        times.sort_unstable();
        times[times.len() / 2] as f64 / 1000.0
    });
    println!(
        "| {input} | {batch} | {one:.2} | {other:.2} | {:.2} |",
        other / one
    );
    Ok(())
}
