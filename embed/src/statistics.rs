//! An encoder's counters, for metrics.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use crate::Timings;

/// A snapshot of an encoder's counters. Totals count from the load of the model.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct QueueStatistics {
    /// Copies of the model.
    pub replicas: usize,
    /// Inputs of searches in the queue.
    pub waiting_search: usize,
    /// Inputs of ingest in the queue.
    pub waiting_ingest: usize,
    /// Batches computed.
    pub batches: u64,
    /// Texts in these batches.
    pub texts: u64,
    /// Images in these batches.
    pub images: u64,
    /// The stages of texts.
    pub text_stages: StageStatistics,
    /// The stages of images.
    pub image_stages: StageStatistics,
    /// Inputs that failed on the device.
    pub failed: u64,
    /// Inputs whose client disconnected before the device took them.
    pub abandoned: u64,
    /// The time that all device threads spent in the model.
    pub busy_seconds: f64,
    /// Bytes reserved by decodes in progress.
    pub decoding_bytes: u64,
}

/// Counters of the stages of one kind of input.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct StageStatistics {
    /// Tokenizations, or images decoded and preprocessed.
    pub preprocessed: u64,
    /// The time of preprocessing.
    pub preprocess_seconds: f64,
    /// Batches computed.
    pub batches: u64,
    /// The time that device threads spent in the model.
    pub model_seconds: f64,
    /// Inputs that were answered.
    pub answered: u64,
    /// The time that inputs waited for the device, summed over inputs.
    pub queue_seconds: f64,
    /// The time of the inputs' batches, summed over inputs: an input waits for its complete batch.
    pub batch_seconds: f64,
}

#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub texts: AtomicU64,
    pub images: AtomicU64,
    pub text_stages: Stages,
    pub image_stages: Stages,
    pub failed: AtomicU64,
    pub abandoned: AtomicU64,
}

#[derive(Debug, Default)]
pub(crate) struct Stages {
    preprocessed: AtomicU64,
    preprocess_us: AtomicU64,
    batches: AtomicU64,
    model_us: AtomicU64,
    answered: AtomicU64,
    queue_us: AtomicU64,
    batch_us: AtomicU64,
}

impl Stages {
    pub fn preprocessed(&self, took: Duration) {
        self.preprocessed.fetch_add(1, Relaxed);
        self.preprocess_us.fetch_add(micros(took), Relaxed);
    }

    pub fn computed(&self, took: Duration) {
        self.batches.fetch_add(1, Relaxed);
        self.model_us.fetch_add(micros(took), Relaxed);
    }

    pub fn answered(&self, timings: &Timings) {
        self.answered.fetch_add(1, Relaxed);
        self.queue_us.fetch_add(timings.queue_us, Relaxed);
        self.batch_us.fetch_add(timings.model_us, Relaxed);
    }

    fn snapshot(&self) -> StageStatistics {
        let seconds = |micros: &AtomicU64| micros.load(Relaxed) as f64 / 1e6;
        StageStatistics {
            preprocessed: self.preprocessed.load(Relaxed),
            preprocess_seconds: seconds(&self.preprocess_us),
            batches: self.batches.load(Relaxed),
            model_seconds: seconds(&self.model_us),
            answered: self.answered.load(Relaxed),
            queue_seconds: seconds(&self.queue_us),
            batch_seconds: seconds(&self.batch_us),
        }
    }
}

impl Counters {
    pub fn add(counter: &AtomicU64, count: usize) {
        counter.fetch_add(count as u64, Relaxed);
    }

    pub fn snapshot(&self) -> QueueStatistics {
        let (texts, images) = (self.text_stages.snapshot(), self.image_stages.snapshot());
        QueueStatistics {
            text_stages: texts,
            image_stages: images,
            batches: texts.batches + images.batches,
            busy_seconds: texts.model_seconds + images.model_seconds,
            texts: self.texts.load(Relaxed),
            images: self.images.load(Relaxed),
            failed: self.failed.load(Relaxed),
            abandoned: self.abandoned.load(Relaxed),
            ..QueueStatistics::default()
        }
    }
}

/// Saturates after half a million years.
pub(crate) fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
