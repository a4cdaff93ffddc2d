//! Measures the throughput of a model: `cargo run --release -p clipdb-embed --example throughput --
//! [MODEL] [THREADS] [DEVICE] [REPLICAS] [PRECISION]`. `THREADS` is per replica. Prints a table. For
//! graphs, `CLIPDB_ONNX_RUNTIME` is the path of the library.

mod test_image;

use std::error::Error;
use std::path::Path;
use std::time::{Duration, Instant};

use clipdb_embed::{Encoder, EncoderSettings, ModelSource, Precision, Priority};

/// The measured time of each row, after one warm-up round.
const MEASURED: Duration = Duration::from_secs(4);
const SENTENCE: &str = "a photograph of an old stone bridge over a quiet river in autumn";

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let model = arguments.next().unwrap_or_else(|| "clipdb-mini".to_owned());
    let threads = arguments.next().map_or(Ok(2), |threads| threads.parse())?;
    let devices = arguments
        .next()
        .map_or(Ok(Default::default()), |device| device.parse())?;
    let replicas = arguments.next().map_or(Ok(1), |count| count.parse())?;
    let precision = arguments
        .next()
        .map_or(Ok(Precision::default()), |precision| precision.parse())?;
    let source = ModelSource::resolve(&model, Path::new("/nonexistent"))?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    let begun = Instant::now();
    let settings = |batch| EncoderSettings {
        replicas,
        threads,
        devices: clipdb_embed::Devices::clone(&devices),
        precision,
        batch_size: Some(batch),
        onnx_runtime: std::env::var_os("CLIPDB_ONNX_RUNTIME").map(Into::into),
        ..EncoderSettings::default()
    };
    let card = Encoder::load(&source, &settings(1))?.card().clone();
    println!(
        "{} on {} ({} M parameters) on {} in {}, {replicas} replicas of {threads} threads, loaded in {:.2} s",
        card.name,
        card.engine,
        card.parameters / 1_000_000,
        card.device,
        card.precision,
        begun.elapsed().as_secs_f64()
    );
    println!("| input | batch | per second | ms a batch in the model | ms to prepare one |");
    println!("|---|---|---|---|---|");
    let gpu = card.device.starts_with("cuda");
    let batches: &[usize] = if gpu { &[1, 8, 32, 128] } else { &[1, 8, 32] };
    for &batch in batches {
        let encoder = Encoder::load(&source, &settings(batch))?;
        row("text", batch, replicas * batch, || {
            let waiting: Vec<_> = (0..replicas)
                .map(|_| {
                    let (encoder, texts) = (encoder.clone(), vec![SENTENCE.to_owned(); batch]);
                    runtime.spawn(async move { encoder.texts(texts, Priority::Ingest).await })
                })
                .collect();
            let mut last = (0, 0);
            for task in waiting {
                let found = runtime.block_on(task)??;
                let timings = found.first().map(|text| text.timings).unwrap_or_default();
                last = (timings.preprocess_us / batch as u64, timings.model_us);
            }
            Ok(last)
        })?;
    }
    let image = test_image::jpeg()?;
    let batches: &[usize] = if gpu { &[1, 8, 32, 128] } else { &[1, 2, 4, 8] };
    for &batch in batches {
        let encoder = Encoder::load(&source, &settings(batch))?;
        // Two batches per replica are in flight, so that decoding overlaps with the model.
        let in_flight = 2 * replicas * batch;
        row("image", batch, in_flight, || {
            let waiting: Vec<_> = (0..in_flight)
                .map(|_| {
                    let (encoder, image) = (encoder.clone(), image.clone());
                    runtime.spawn(async move { encoder.image(image, Priority::Ingest).await })
                })
                .collect();
            let mut last = (0, 0);
            for task in waiting {
                let timings = runtime.block_on(task)??.timings;
                last = (timings.preprocess_us, timings.model_us);
            }
            Ok(last)
        })?;
    }
    Ok(())
}

/// Repeats `round` and prints its rate and mean times.
fn row(
    input: &str,
    batch: usize,
    per_round: usize,
    round: impl Fn() -> Result<(u64, u64), Box<dyn Error>>,
) -> Result<(), Box<dyn Error>> {
    round()?;
    let (mut rounds, mut prepare, mut model) = (0_u32, 0, 0);
    let begun = Instant::now();
    while begun.elapsed() < MEASURED {
        let (prepare_us, model_us) = round()?;
        prepare += prepare_us;
        model += model_us;
        rounds += 1;
    }
    let rate = f64::from(rounds) * per_round as f64 / begun.elapsed().as_secs_f64();
    let mean = |total: u64| total as f64 / f64::from(rounds) / 1000.0;
    println!(
        "| {input} | {batch} | {rate:.1} | {:.1} | {:.1} |",
        mean(model),
        mean(prepare)
    );
    Ok(())
}
