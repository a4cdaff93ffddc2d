//! Counters of an encoder, for metrics.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// A snapshot; totals count since the model was loaded.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct QueueStatistics {
    pub replicas: usize,
    pub waiting_search: usize,
    pub waiting_ingest: usize,
    pub batches: u64,
    pub texts: u64,
    pub images: u64,
    pub failed: u64,
    /// Inputs whose client went away before the device took them.
    pub abandoned: u64,
    /// The device threads' time inside the model, all replicas together.
    pub busy_seconds: f64,
    /// Bytes reserved by decodes under way.
    pub decoding_bytes: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub batches: AtomicU64,
    pub texts: AtomicU64,
    pub images: AtomicU64,
    pub failed: AtomicU64,
    pub abandoned: AtomicU64,
    busy_us: AtomicU64,
}

impl Counters {
    pub fn add(counter: &AtomicU64, count: usize) {
        counter.fetch_add(count as u64, Relaxed);
    }

    pub fn add_busy(&self, busy: Duration) {
        self.busy_us.fetch_add(micros(busy), Relaxed);
    }

    pub fn snapshot(&self) -> QueueStatistics {
        QueueStatistics {
            batches: self.batches.load(Relaxed),
            texts: self.texts.load(Relaxed),
            images: self.images.load(Relaxed),
            failed: self.failed.load(Relaxed),
            abandoned: self.abandoned.load(Relaxed),
            busy_seconds: self.busy_us.load(Relaxed) as f64 / 1e6,
            ..QueueStatistics::default()
        }
    }
}

/// Saturates after half a million years.
pub(crate) fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
