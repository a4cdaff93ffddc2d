//! What the loaded models count. The counters live in each model's own queue.

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
        value: Gauge(|seen| seen.replicas as f64),
    },
    Metric {
        name: "clipdb_model_texts_total",
        help: "Texts embedded",
        value: Counter(|seen| seen.texts as f64),
    },
    Metric {
        name: "clipdb_model_images_total",
        help: "Pictures embedded",
        value: Counter(|seen| seen.images as f64),
    },
    Metric {
        name: "clipdb_model_batches_total",
        help: "Batches that the model computed",
        value: Counter(|seen| seen.batches as f64),
    },
    Metric {
        name: "clipdb_model_failed_total",
        help: "Inputs that could not be embedded",
        value: Counter(|seen| seen.failed as f64),
    },
    Metric {
        name: "clipdb_model_abandoned_total",
        help: "Inputs whose client went away first",
        value: Counter(|seen| seen.abandoned as f64),
    },
    Metric {
        name: "clipdb_model_busy_seconds_total",
        help: "Time inside the model",
        value: Counter(|seen| seen.busy_seconds),
    },
    Metric {
        name: "clipdb_model_waiting_searches",
        help: "Inputs of searches that wait",
        value: Gauge(|seen| seen.waiting_search as f64),
    },
    Metric {
        name: "clipdb_model_waiting_ingests",
        help: "Inputs of documents that wait",
        value: Gauge(|seen| seen.waiting_ingest as f64),
    },
    Metric {
        name: "clipdb_model_decoding_bytes",
        help: "Memory that decoding pictures takes",
        value: Gauge(|seen| seen.decoding_bytes as f64),
    },
    Metric {
        name: "clipdb_text_queue_seconds",
        help: "A text's wait for the model",
        value: Summary(|seen| queueing(&seen.text_stages)),
    },
    Metric {
        name: "clipdb_text_model_seconds",
        help: "A text's batch in the model",
        value: Summary(|seen| sharing(&seen.text_stages)),
    },
    Metric {
        name: "clipdb_image_queue_seconds",
        help: "A picture's wait for the model",
        value: Summary(|seen| queueing(&seen.image_stages)),
    },
    Metric {
        name: "clipdb_image_model_seconds",
        help: "A picture's batch in the model",
        value: Summary(|seen| sharing(&seen.image_stages)),
    },
];

fn queueing(stages: &StageStatistics) -> (u64, f64) {
    (stages.answered, stages.queue_seconds)
}

fn sharing(stages: &StageStatistics) -> (u64, f64) {
    (stages.answered, stages.batch_seconds)
}

pub(crate) fn descriptions() -> Result<Vec<Desc>, prometheus::Error> {
    describe(&METRICS)
}

/// A sample for each model.
pub(crate) fn read(models: &Models) -> Vec<MetricFamily> {
    let seen: Vec<(Labels, QueueStatistics)> = models
        .statistics()
        .map(|(name, seen)| (vec![("model", name.to_owned())], seen))
        .collect();
    let subjects = || seen.iter().map(|(labels, seen)| (labels, seen));
    METRICS
        .iter()
        .map(|metric| metric.family(subjects()))
        .collect()
}
