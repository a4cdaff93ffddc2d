//! What the loaded models count, for `GET /metrics`: read when asked, since the
//! counters live in each model's own queue.

use std::fmt::Write;

use clipdb_embed::{QueueStatistics, StageStatistics};

use super::Models;

struct Metric {
    name: &'static str,
    kind: &'static str,
    help: &'static str,
    value: fn(&QueueStatistics) -> f64,
}

const METRICS: [Metric; 10] = [
    gauge(
        "clipdb_model_replicas",
        "Copies of the model that compute at the same time",
        |seen| seen.replicas as f64,
    ),
    counter("clipdb_model_texts_total", "Texts embedded", |seen| {
        seen.texts as f64
    }),
    counter("clipdb_model_images_total", "Pictures embedded", |seen| {
        seen.images as f64
    }),
    counter(
        "clipdb_model_batches_total",
        "Batches that the model computed",
        |seen| seen.batches as f64,
    ),
    counter(
        "clipdb_model_failed_total",
        "Inputs that could not be embedded",
        |seen| seen.failed as f64,
    ),
    counter(
        "clipdb_model_abandoned_total",
        "Inputs whose client went away first",
        |seen| seen.abandoned as f64,
    ),
    counter(
        "clipdb_model_busy_seconds_total",
        "Time inside the model",
        |seen| seen.busy_seconds,
    ),
    gauge(
        "clipdb_model_waiting_searches",
        "Inputs of searches that wait",
        |seen| seen.waiting_search as f64,
    ),
    gauge(
        "clipdb_model_waiting_ingests",
        "Inputs of documents that wait",
        |seen| seen.waiting_ingest as f64,
    ),
    gauge(
        "clipdb_model_decoding_bytes",
        "Memory that decoding pictures takes",
        |seen| seen.decoding_bytes as f64,
    ),
];

/// A summary; `jina_` are the names that CLIP-as-service's Grafana board asks for.
struct Stage {
    name: &'static str,
    help: &'static str,
    /// How often, and seconds.
    seen: fn(&QueueStatistics) -> (u64, f64),
}

const STAGES: [Stage; 8] = [
    Stage {
        name: "jina_preprocess_texts_seconds",
        help: "Making tokens",
        seen: |seen| preprocessing(&seen.text_stages),
    },
    Stage {
        name: "jina_encode_texts_seconds",
        help: "A batch of texts in the model",
        seen: |seen| computing(&seen.text_stages),
    },
    Stage {
        name: "jina_preprocess_images_seconds",
        help: "Decoding and scaling a picture",
        seen: |seen| preprocessing(&seen.image_stages),
    },
    Stage {
        name: "jina_encode_images_seconds",
        help: "A batch of pictures in the model",
        seen: |seen| computing(&seen.image_stages),
    },
    Stage {
        name: "clipdb_text_queue_seconds",
        help: "A text's wait for the model",
        seen: |seen| queueing(&seen.text_stages),
    },
    Stage {
        name: "clipdb_text_model_seconds",
        help: "A text's batch in the model",
        seen: |seen| sharing(&seen.text_stages),
    },
    Stage {
        name: "clipdb_image_queue_seconds",
        help: "A picture's wait for the model",
        seen: |seen| queueing(&seen.image_stages),
    },
    Stage {
        name: "clipdb_image_model_seconds",
        help: "A picture's batch in the model",
        seen: |seen| sharing(&seen.image_stages),
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

const fn counter(
    name: &'static str,
    help: &'static str,
    value: fn(&QueueStatistics) -> f64,
) -> Metric {
    Metric {
        name,
        kind: "counter",
        help,
        value,
    }
}

const fn gauge(
    name: &'static str,
    help: &'static str,
    value: fn(&QueueStatistics) -> f64,
) -> Metric {
    Metric {
        name,
        kind: "gauge",
        help,
        value,
    }
}

impl Models {
    /// In Prometheus' text format, a sample a model.
    pub fn metrics(&self) -> String {
        let seen: Vec<_> = self
            .all()
            .iter()
            .map(|encoder| (label(&encoder.card().name), encoder.statistics()))
            .collect();
        let mut text = String::new();
        for Metric {
            name,
            kind,
            help,
            value,
        } in METRICS
        {
            // Writing to a String can't fail.
            let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
            for (model, statistics) in &seen {
                let _ = writeln!(text, "{name}{{model=\"{model}\"}} {}", value(statistics));
            }
        }
        for Stage {
            name,
            help,
            seen: of,
        } in STAGES
        {
            let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} summary");
            for (model, statistics) in &seen {
                let (count, seconds) = of(statistics);
                let labels = format!("{{runtime_name=\"clipdb\",model=\"{model}\"}}");
                let _ = writeln!(
                    text,
                    "{name}_sum{labels} {seconds}\n{name}_count{labels} {count}"
                );
            }
        }
        text
    }
}

/// A label's value may hold anything but these three as they are.
pub(super) fn label(name: &str) -> String {
    name.replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}
