//! The metrics of CLIP-as-service's calls, by the names that its Grafana dashboard uses.

use std::sync::Arc;
use std::time::Duration;

use clipdb_engine::Value::Summary;
use clipdb_engine::{Labels, Metric, QueueStatistics, StageStatistics, TableCollector, describe};
use prometheus::{Gauge, Histogram, HistogramOpts, IntCounter, Opts, Registry};

use crate::http::state::HttpState;

/// The server is both the gateway and the executor; both have this name.
const RUNTIME: &str = "clipdb";

#[derive(Clone)]
pub struct CallStatistics {
    receiving: Histogram,
    sending: Histogram,
    processing: Histogram,
    request_bytes: Histogram,
    response_bytes: Histogram,
    documents: IntCounter,
    successful: IntCounter,
    failed: IntCounter,
    pending: Gauge,
}

/// A completed call.
#[derive(Debug, Clone, Copy)]
pub struct CallSeen {
    /// From the receipt to the response.
    pub total: Duration,
    /// The time inside the engine.
    pub processing: Duration,
    pub documents: usize,
    pub request_bytes: usize,
    pub response_bytes: usize,
    pub failed: bool,
}

impl CallStatistics {
    pub fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let opts = |name: &str, help: &str| {
            Opts::new(format!("jina_{name}"), help).const_label("runtime_name", RUNTIME)
        };
        let summary = |name, help, buckets: &[f64]| {
            let opts = HistogramOpts::from(opts(name, help)).buckets(buckets.to_vec());
            let made = Histogram::with_opts(opts)?;
            registry.register(Box::new(made.clone()))?;
            Ok::<_, prometheus::Error>(made)
        };
        let counter = |name, help| {
            let made = IntCounter::with_opts(opts(name, help))?;
            registry.register(Box::new(made.clone()))?;
            Ok::<_, prometheus::Error>(made)
        };
        let seconds = clipdb_engine::SECONDS_BUCKETS;
        let bytes = [1e3, 1e4, 1e5, 1e6, 1e7, 1e8];
        let pending = Gauge::with_opts(opts("number_of_pending_requests", "Calls in progress"))?;
        registry.register(Box::new(pending.clone()))?;
        Ok(Self {
            receiving: summary(
                "receiving_request_seconds",
                "Time from a call's receipt to its response",
                &seconds,
            )?,
            sending: summary(
                "sending_request_seconds",
                "Time that the gateway waited for the executor, which is the engine here",
                &seconds,
            )?,
            processing: summary(
                "process_request_seconds",
                "Time of a call inside the engine",
                &seconds,
            )?,
            request_bytes: summary("received_request_bytes", "Size of a call", &bytes)?,
            response_bytes: summary("sent_response_bytes", "Size of a response", &bytes)?,
            documents: counter("document_processed_total", "Documents of calls")?,
            successful: counter("successful_requests_total", "Calls that succeeded")?,
            failed: counter("failed_requests_total", "Calls that failed")?,
            pending,
        })
    }

    /// Counts a call as pending until the result is dropped.
    pub(crate) fn begun(&self) -> Pending {
        self.pending.inc();
        Pending(self.pending.clone())
    }

    pub(crate) fn ended(&self, seen: CallSeen) {
        self.receiving.observe(seen.total.as_secs_f64());
        self.sending.observe(seen.processing.as_secs_f64());
        self.processing.observe(seen.processing.as_secs_f64());
        self.request_bytes.observe(seen.request_bytes as f64);
        self.response_bytes.observe(seen.response_bytes as f64);
        self.documents.inc_by(seen.documents as u64);
        if seen.failed {
            self.failed.inc();
        } else {
            self.successful.inc();
        }
    }
}

/// A pending call; also ends when its client disconnects before the response.
pub(crate) struct Pending(Gauge);

impl Drop for Pending {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// The stages of the models, by the names that CLIP-as-service's Grafana board asks for.
const STAGES: [Metric<QueueStatistics>; 4] = [
    Metric {
        name: "jina_preprocess_texts_seconds",
        help: "Time to tokenise a text",
        value: Summary(|seen| preprocessing(&seen.text_stages)),
    },
    Metric {
        name: "jina_encode_texts_seconds",
        help: "Time of a batch of texts in the model",
        value: Summary(|seen| computing(&seen.text_stages)),
    },
    Metric {
        name: "jina_preprocess_images_seconds",
        help: "Time to decode and scale an image",
        value: Summary(|seen| preprocessing(&seen.image_stages)),
    },
    Metric {
        name: "jina_encode_images_seconds",
        help: "Time of a batch of images in the model",
        value: Summary(|seen| computing(&seen.image_stages)),
    },
];

fn preprocessing(stages: &StageStatistics) -> (u64, f64) {
    (stages.preprocessed, stages.preprocess_seconds)
}

fn computing(stages: &StageStatistics) -> (u64, f64) {
    (stages.batches, stages.model_seconds)
}

/// Reads the stages of the models of `state`'s engine, once there is one.
pub(crate) fn stage_collector(state: &Arc<HttpState>) -> Result<TableCollector, prometheus::Error> {
    let state = Arc::downgrade(state);
    Ok(TableCollector::new(describe(&STAGES)?, move || {
        let engine = state.upgrade().and_then(|state| state.engine().ok());
        let Some(engine) = engine else {
            return Vec::new();
        };
        let seen: Vec<(Labels, QueueStatistics)> = engine
            .models()
            .statistics()
            .map(|(model, seen)| {
                let runtime = ("runtime_name", RUNTIME.to_owned());
                (vec![runtime, ("model", model.to_owned())], seen)
            })
            .collect();
        let subjects = || seen.iter().map(|(labels, seen)| (labels, seen));
        STAGES
            .iter()
            .map(|metric| metric.family(subjects()))
            .collect()
    }))
}
