//! What the loaded models count, for `GET /metrics`: read when asked, since the
//! counters live in each model's own queue.

use clipdb_embed::{QueueStatistics, StageStatistics};

use crate::metrics::metric::Value::{Counter, Gauge, Summary};
use crate::metrics::metric::{Metric, label};
use crate::models::Models;

const METRICS: [Metric<QueueStatistics>; 10] = [
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
];

/// `jina_` are the names that CLIP-as-service's Grafana board asks for.
const STAGES: [Metric<QueueStatistics>; 8] = [
    Metric {
        name: "jina_preprocess_texts_seconds",
        help: "Making tokens",
        value: Summary(|seen| preprocessing(&seen.text_stages)),
    },
    Metric {
        name: "jina_encode_texts_seconds",
        help: "A batch of texts in the model",
        value: Summary(|seen| computing(&seen.text_stages)),
    },
    Metric {
        name: "jina_preprocess_images_seconds",
        help: "Decoding and scaling a picture",
        value: Summary(|seen| preprocessing(&seen.image_stages)),
    },
    Metric {
        name: "jina_encode_images_seconds",
        help: "A batch of pictures in the model",
        value: Summary(|seen| computing(&seen.image_stages)),
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

fn preprocessing(stages: &StageStatistics) -> (u64, f64) {
    (stages.preprocessed, stages.preprocess_seconds)
}

fn computing(stages: &StageStatistics) -> (u64, f64) {
    (stages.batches, stages.model_seconds)
}

fn queueing(stages: &StageStatistics) -> (u64, f64) {
    (stages.answered, stages.queue_seconds)
}

fn sharing(stages: &StageStatistics) -> (u64, f64) {
    (stages.answered, stages.batch_seconds)
}

impl Models {
    /// In Prometheus' text format, a sample a model.
    pub fn metrics(&self) -> String {
        let seen: Vec<_> = self
            .all()
            .iter()
            .map(|encoder| {
                let model = format!("model=\"{}\"", label(&encoder.card().name));
                let stage = format!("runtime_name=\"clipdb\",{model}");
                (model, stage, encoder.statistics())
            })
            .collect();
        let mut text = String::new();
        for metric in METRICS {
            let of = seen.iter().map(|(model, _, seen)| (model.as_str(), seen));
            metric.write(&mut text, of);
        }
        for metric in STAGES {
            let of = seen.iter().map(|(_, stage, seen)| (stage.as_str(), seen));
            metric.write(&mut text, of);
        }
        text
    }
}
