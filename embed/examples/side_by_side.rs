//! Two models or engines beside each other: `cargo run --release -p clipdb-embed --example
//! side_by_side -- ONE OTHER [THREADS]`. Their rounds alternate, so that whatever else runs
//! on the machine slows both alike, and medians are compared. For graphs
//! `CLIPDB_ONNX_RUNTIME` tells where the library lies.

mod picture;

use std::error::Error;
use std::path::Path;
use std::time::{Duration, Instant};

use bytes::Bytes;
use clipdb_embed::{DeviceChoice, Encoder, EncoderSettings, ModelSource, Priority};
use tokio::runtime::Runtime;

/// Each row is measured for so long, after a round of each that does not count.
const MEASURED: Duration = Duration::from_secs(10);
/// Eight and sixteen tokens of CLIP's, the two around them included.
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
    let picture = picture::jpeg()?;
    println!("| input | batch | {one}, ms | {other}, ms | {other} / {one} |");
    println!("|---|---|---|---|---|");
    for batch in [1, 8, 32] {
        let load = |model: &str| -> Result<Encoder, Box<dyn Error>> {
            let settings = EncoderSettings {
                threads,
                devices: DeviceChoice::Cpu.into(),
                batch_size: Some(batch),
                // Until a batch is full.
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
        row("picture", batch, &both, |encoder| {
            pictures(&runtime, encoder, &picture, batch)
        })?;
    }
    Ok(())
}

/// The time of the last of `batch` pictures in the model.
fn pictures(
    runtime: &Runtime,
    encoder: &Encoder,
    picture: &Bytes,
    batch: usize,
) -> Result<u64, Box<dyn Error>> {
    let waiting: Vec<_> = (0..batch)
        .map(|_| {
            let (encoder, picture) = (encoder.clone(), picture.clone());
            runtime.spawn(async move { encoder.image(picture, Priority::Ingest).await })
        })
        .collect();
    let mut last = 0;
    for task in waiting {
        last = runtime.block_on(task)??.timings.model_us;
    }
    Ok(last)
}

/// Prints the median time in the model of each, in milliseconds.
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
