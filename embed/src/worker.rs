//! A replica's device thread, the only thread that accesses its weights. All replicas of a model take
//! batches from the same queue.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tch::Device;

use crate::device::{self, ChosenDevice};
use crate::layouts;
use crate::model::Model;
use crate::queue::{Batch, Embedded, Entry, Limits, Priority, Queue};
use crate::statistics::Counters;
use crate::towers::YieldPoint;
use crate::{
    Calibration, DeviceChoice, EmbedError, Embedding, EncoderSettings, ModelCard, ModelSource,
    Precision, threads,
};

/// Batches on a CPU are small, because a search waits for the current layer of a batch of ingest.
/// With the bundled model an image takes 44, 45 and 58 ms on one thread in batches of 1, 2 and 8; a
/// sentence takes 14, 1.6 and 1.8 ms on two threads in batches of 1, 8 and 32
/// (`examples/throughput.rs`).
const CPU_TEXTS: usize = 16;
const CPU_IMAGES: usize = 2;
/// On a GPU a search waits for the complete batch. In f16 on an H200, ViT-L/14 takes 13 ms for 32
/// images, 65 ms for 128, and hardly more for 64 texts than for one.
const CUDA_TEXTS: usize = 64;
const CUDA_IMAGES: usize = 32;

/// The owner of a device thread. Dropping it closes the queue and joins the thread after all waiting
/// inputs are answered.
pub(crate) struct DeviceThread {
    queue: Arc<Queue>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for DeviceThread {
    fn drop(&mut self) {
        self.queue.close();
        if let Some(thread) = self.thread.take() {
            // The thread catches panics, so there is none to propagate.
            let _ = thread.join();
        }
    }
}

/// Facts about a loaded replica.
pub(crate) struct Loaded {
    pub card: ModelCard,
    /// The most inputs in one batch.
    pub largest_batch: usize,
}

/// Starts the thread and waits until it has loaded the model.
pub(crate) fn start(
    source: &ModelSource,
    settings: &EncoderSettings,
    device: DeviceChoice,
    queue: &Arc<Queue>,
    counters: &Arc<Counters>,
) -> Result<(Loaded, DeviceThread), EmbedError> {
    let owned = Arc::clone(queue);
    let (ready, loaded) = mpsc::channel();
    let (source, settings) = (source.clone(), settings.clone());
    let (queue, counters) = (Arc::clone(queue), Arc::clone(counters));
    let thread = std::thread::Builder::new()
        .name("clipdb-device".to_owned())
        .spawn(move || {
            let during = "loading the model";
            let model = catch_unwind(|| load(&source, &settings, device))
                .unwrap_or_else(|payload| Err(EmbedError::panicked(during, &*payload)));
            match model {
                Ok((model, card, limits)) => {
                    let largest_batch = limits.texts.max(limits.images);
                    // The receiver below waits for this message.
                    let _ = ready.send(Ok(Loaded {
                        card,
                        largest_batch,
                    }));
                    serve(&model, &limits, &queue, &counters);
                }
                Err(error) => {
                    let _ = ready.send(Err(error));
                }
            }
        })
        .map_err(EmbedError::io("the device thread"))?;
    let thread = DeviceThread {
        queue: owned,
        thread: Some(thread),
    };
    let loaded = loaded.recv().unwrap_or(Err(EmbedError::Stopped))?;
    Ok((loaded, thread))
}

fn load(
    source: &ModelSource,
    settings: &EncoderSettings,
    device: DeviceChoice,
) -> Result<(Model, ModelCard, Limits), EmbedError> {
    let begun = Instant::now();
    let chosen = device::choose(device)?;
    threads::use_threads(settings.threads);
    let layout = layouts::open(source, settings)?;
    let load_on = |device| layout.load(device, settings.precision.kind());
    let (model, chosen) = device::load_on(chosen, load_on)?;
    crate::allocation::trim_malloc();
    model.warm_up()?;
    let mut card = card_of(&model, layout.engine(), source.name(), &chosen);
    card.calibration = Calibration::read(source.files())?;
    let limits = limits_on(chosen.device, settings);
    tracing::info!(
        model = card.name,
        engine = card.engine,
        device = card.device,
        precision = card.precision,
        dim = card.dim,
        parameters = card.parameters,
        seconds = begun.elapsed().as_secs_f64(),
        "model loaded"
    );
    Ok((model, card, limits))
}

fn card_of(model: &Model, engine: &str, name: &str, chosen: &ChosenDevice) -> ModelCard {
    ModelCard {
        name: name.to_owned(),
        model_type: model.model_type.clone(),
        dim: usize::try_from(model.dim).unwrap_or_default(),
        engine: engine.to_owned(),
        device: chosen.name(),
        device_note: chosen.note.clone(),
        precision: Precision::of(model.kind).to_string(),
        replicas: 1,
        image_size: model.image_size().unwrap_or_default(),
        context_length: model.context_length(),
        license: model.license.clone(),
        fingerprint: model.fingerprint.clone(),
        logit_scale: model.scale.factor,
        logit_scale_assumed: model.scale.assumed,
        logit_bias: model.scale.bias,
        calibration: None,
        parameters: model.parameters,
        has_image: model.image.is_some(),
        has_text: true,
    }
}

fn limits_on(device: Device, settings: &EncoderSettings) -> Limits {
    let (texts, images) = match device {
        Device::Cpu => (CPU_TEXTS, CPU_IMAGES),
        _ => (CUDA_TEXTS, CUDA_IMAGES),
    };
    Limits {
        texts: settings.batch_size.unwrap_or(texts),
        images: settings.batch_size.unwrap_or(images),
        delay: settings.batch_delay,
    }
}

fn serve(model: &Model, limits: &Limits, queue: &Queue, counters: &Counters) {
    while let Some((priority, batch)) = queue.next(limits) {
        let timer = DeviceTimer::default();
        match priority {
            Priority::Search => run(model, batch, counters, &timer, &|| ()),
            Priority::Ingest => run(model, batch, counters, &timer, &|| {
                if let Some(searches) = queue.searches(limits) {
                    timer.exclude(|| {
                        run(model, searches, counters, &DeviceTimer::default(), &|| ());
                    });
                }
            }),
        }
    }
}

/// Measures the device time of a batch, without the searches that run at its yield points.
#[derive(Default)]
struct DeviceTimer {
    excluded: Cell<Duration>,
}

impl DeviceTimer {
    /// Runs `run` and excludes its time.
    fn exclude(&self, run: impl FnOnce()) {
        let begun = Instant::now();
        run();
        self.excluded.set(self.excluded.get() + begun.elapsed());
    }

    /// Returns the result of `run` and its time, without the excluded time.
    fn timed<T>(&self, run: impl FnOnce() -> T) -> (T, Duration) {
        let (begun, before) = (Instant::now(), self.excluded.get());
        let result = run();
        let excluded = self.excluded.get() - before;
        (result, begun.elapsed().saturating_sub(excluded))
    }
}

fn run(
    model: &Model,
    batch: Batch,
    counters: &Counters,
    timer: &DeviceTimer,
    yield_point: YieldPoint<'_>,
) {
    let (stages, kind, inputs) = match &batch {
        Batch::Texts(entries) => (&counters.text_stages, "texts", entries.len()),
        Batch::Images(entries) => (&counters.image_stages, "images", entries.len()),
    };
    let _span = tracing::info_span!("batch", kind, inputs).entered();
    let ((), busy) = timer.timed(|| match batch {
        Batch::Texts(entries) => {
            Counters::add(&counters.texts, entries.len());
            answer(entries, counters, timer, |texts| {
                model.texts(texts, yield_point)
            });
        }
        Batch::Images(entries) => {
            Counters::add(&counters.images, entries.len());
            answer(entries, counters, timer, |images| {
                model.images(images, yield_point)
            });
        }
    });
    stages.computed(busy);
}

/// Answers every entry. If a batch fails, its inputs run individually, so that one bad input does not
/// fail the others.
fn answer<I>(
    entries: Vec<Entry<I>>,
    counters: &Counters,
    timer: &DeviceTimer,
    run: impl Fn(&[&I]) -> Result<Vec<Vec<f32>>, EmbedError>,
) {
    let timed = |inputs: &[&I]| -> Result<(Vec<Vec<f32>>, Duration), EmbedError> {
        let (vectors, took) = timer.timed(|| catch_unwind(AssertUnwindSafe(|| run(inputs))));
        let vectors = vectors
            .unwrap_or_else(|payload| Err(EmbedError::panicked("running the model", &*payload)))?;
        Ok((vectors, took))
    };
    let inputs: Vec<&I> = entries.iter().map(|entry| &entry.input).collect();
    let results: Vec<Result<Embedded, EmbedError>> = match timed(&inputs) {
        Ok((vectors, model)) => vectors
            .into_iter()
            .map(|vector| embedded(vector, model))
            .collect(),
        Err(error) if inputs.len() == 1 => vec![Err(error)],
        Err(error) => {
            tracing::warn!(%error, inputs = inputs.len(), "a batch failed: its inputs run individually");
            let alone = |input| {
                let (vectors, model) = timed(&[input])?;
                embedded(vectors.into_iter().next().unwrap_or_default(), model)
            };
            inputs.iter().map(|input| alone(*input)).collect()
        }
    };
    let failed = results.iter().filter(|result| result.is_err()).count();
    Counters::add(&counters.failed, failed);
    for (entry, result) in entries.into_iter().zip(results) {
        // The client may have disconnected.
        let _ = entry.reply.send(result);
    }
}

fn embedded(vector: Vec<f32>, model: Duration) -> Result<Embedded, EmbedError> {
    let embedding = Embedding::normalised(vector)?;
    Ok(Embedded { embedding, model })
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;
    use crate::Priority;

    /// Runs `inputs` through `answer` as one batch.
    async fn answers(
        inputs: &[i32],
        run: impl Fn(&[&i32]) -> Result<Vec<Vec<f32>>, EmbedError>,
    ) -> Vec<Result<Embedded, EmbedError>> {
        let counters = Arc::new(Counters::default());
        let queue = Queue::new(inputs.len(), Arc::clone(&counters));
        let (mut entries, mut waiting) = (Vec::new(), Vec::new());
        for &input in inputs {
            let (reply, answer) = oneshot::channel();
            let permit = queue.permit(Priority::Ingest).await.unwrap();
            entries.push(Entry {
                input,
                reply,
                _permit: permit,
            });
            waiting.push(answer);
        }
        answer(entries, &counters, &DeviceTimer::default(), run);
        let mut results = Vec::new();
        for answer in waiting {
            results.push(answer.await.unwrap());
        }
        results
    }

    #[tokio::test]
    async fn a_bad_input_fails_alone() {
        let results = answers(&[1, 13, 2], |inputs| {
            assert!(!inputs.contains(&&13), "unlucky");
            Ok(inputs.iter().map(|input| vec![**input as f32]).collect())
        })
        .await;
        assert!(results[0].is_ok() && results[2].is_ok());
        let error = results[1].as_ref().err().unwrap().to_string();
        assert!(error.contains("unlucky"), "{error}");
    }

    #[test]
    fn excluded_time_does_not_count() {
        let timer = DeviceTimer::default();
        let search = Duration::from_millis(30);
        let ((), took) = timer.timed(|| timer.exclude(|| std::thread::sleep(search)));
        assert!(took < search, "{took:?}");
    }

    #[tokio::test]
    async fn a_vector_without_direction_fails_alone() {
        let results = answers(&[0, 1], |inputs| {
            Ok(inputs.iter().map(|input| vec![**input as f32]).collect())
        })
        .await;
        assert!(matches!(results[0], Err(EmbedError::NoDirection { .. })));
        assert_eq!(
            results[1].as_ref().ok().unwrap().embedding.as_slice(),
            [1.0]
        );
    }
}
