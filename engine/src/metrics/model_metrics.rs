//! The metrics of the loaded models. Each model's queue keeps the counters.

use clipdb_embed::{QueueStatistics, StageStatistics};
use prometheus::core::Desc;
use prometheus::proto::MetricFamily;

use crate::metrics::metric::Value::{Counter, Gauge, Summary};
use crate::metrics::metric::{Labels, Metric, describe};
use crate::models::Models;

const METRICS: [Metric<QueueStatistics>; 14] = [
    Metric {
        name: "clipdb_model_replicas",
        help: "Copies of the model that compute at the same time",
        value: Gauge(|statistics| statistics.replicas as f64),
    },
    Metric {
        name: "clipdb_model_texts_total",
        help: "Texts embedded",
        value: Counter(|statistics| statistics.texts as f64),
    },
    Metric {
        name: "clipdb_model_images_total",
        help: "Images embedded",
        value: Counter(|statistics| statistics.images as f64),
    },
    Metric {
        name: "clipdb_model_batches_total",
        help: "Batches that the model computed",
        value: Counter(|statistics| statistics.batches as f64),
    },
    Metric {
        name: "clipdb_model_failed_total",
        help: "Inputs that could not be embedded",
        value: Counter(|statistics| statistics.failed as f64),
    },
    Metric {
        name: "clipdb_model_abandoned_total",
        help: "Inputs whose client disconnected before they were embedded",
        value: Counter(|statistics| statistics.abandoned as f64),
    },
    Metric {
        name: "clipdb_model_busy_seconds_total",
        help: "Time inside the model",
        value: Counter(|statistics| statistics.busy_seconds),
    },
    Metric {
        name: "clipdb_model_waiting_searches",
        help: "Inputs of searches that are waiting for the model",
        value: Gauge(|statistics| statistics.waiting_search as f64),
    },
    Metric {
        name: "clipdb_model_waiting_ingests",
        help: "Inputs of documents that are waiting for the model",
        value: Gauge(|statistics| statistics.waiting_ingest as f64),
    },
    Metric {
        name: "clipdb_model_decoding_bytes",
        help: "Memory in use for decoding images",
        value: Gauge(|statistics| statistics.decoding_bytes as f64),
    },
    Metric {
        name: "clipdb_text_queue_seconds",
        help: "Time that a text waits for the model",
        value: Summary(|statistics| queue_time(&statistics.text_stages)),
    },
    Metric {
        name: "clipdb_text_model_seconds",
        help: "Time that a text's batch spends in the model",
        value: Summary(|statistics| batch_time(&statistics.text_stages)),
    },
    Metric {
        name: "clipdb_image_queue_seconds",
        help: "Time that an image waits for the model",
        value: Summary(|statistics| queue_time(&statistics.image_stages)),
    },
    Metric {
        name: "clipdb_image_model_seconds",
        help: "Time that an image's batch spends in the model",
        value: Summary(|statistics| batch_time(&statistics.image_stages)),
    },
];

fn queue_time(stages: &StageStatistics) -> (u64, f64) {
    (stages.answered, stages.queue_seconds)
}

fn batch_time(stages: &StageStatistics) -> (u64, f64) {
    (stages.answered, stages.batch_seconds)
}

pub(crate) fn descriptions() -> Result<Vec<Desc>, prometheus::Error> {
    describe(&METRICS)
}

/// A sample for each model.
pub(crate) fn read(models: &Models) -> Vec<MetricFamily> {
    let by_model: Vec<(Labels, QueueStatistics)> = models
        .statistics()
        .map(|(name, statistics)| (vec![("model", name.to_owned())], statistics))
        .collect();
    let subjects = || {
        by_model
            .iter()
            .map(|(labels, statistics)| (labels, statistics))
    };
    METRICS
        .iter()
        .map(|metric| metric.family(subjects()))
        .collect()
}
