//! The engine's counters, for `GET /metrics`.

use std::time::Duration;

use prometheus::{Histogram, HistogramOpts, IntCounter, IntCounterVec, Opts, Registry};

/// The engine's counters and the Prometheus registry that holds them. Clones share both.
#[derive(Clone)]
pub struct Statistics {
    registry: Registry,
    documents: IntCounterVec,
    groups: IntCounter,
    group_seconds: Histogram,
    group_size: Histogram,
    search_seconds: Histogram,
}

/// The upper bounds of the buckets of a histogram of seconds.
pub const SECONDS_BUCKETS: [f64; 12] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0,
];
const DOCUMENTS: [f64; 8] = [1.0, 2.0, 4.0, 16.0, 64.0, 128.0, 256.0, 512.0];

impl Statistics {
    /// Creates a registry and registers the engine's counters with it.
    ///
    /// # Errors
    /// A metric's name is invalid or used twice.
    pub fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let statistics = Self {
            documents: IntCounterVec::new(
                Opts::new(
                    "clipdb_documents_ingested_total",
                    "Documents ingested, by outcome",
                ),
                &["outcome"],
            )?,
            groups: IntCounter::new("clipdb_commit_groups_total", "Groups of writes committed")?,
            group_seconds: histogram(
                "clipdb_commit_group_seconds",
                "Time to make a group durable and searchable",
                &SECONDS_BUCKETS,
            )?,
            group_size: histogram(
                "clipdb_commit_group_documents",
                "Writes in a group",
                &DOCUMENTS,
            )?,
            search_seconds: histogram(
                "clipdb_search_seconds",
                "Time of a search inside the server",
                &SECONDS_BUCKETS,
            )?,
            registry,
        };
        statistics
            .registry
            .register(Box::new(statistics.documents.clone()))?;
        statistics
            .registry
            .register(Box::new(statistics.groups.clone()))?;
        statistics
            .registry
            .register(Box::new(statistics.group_seconds.clone()))?;
        statistics
            .registry
            .register(Box::new(statistics.group_size.clone()))?;
        statistics
            .registry
            .register(Box::new(statistics.search_seconds.clone()))?;
        Ok(statistics)
    }

    pub(crate) fn group_committed(&self, documents: usize, spent: Duration) {
        self.groups.inc();
        self.group_size.observe(documents as f64);
        self.group_seconds.observe(spent.as_secs_f64());
    }

    pub(crate) fn document_ingested(&self, stored: bool) {
        self.documents
            .with_label_values(&[if stored { "stored" } else { "failed" }])
            .inc();
    }

    pub(crate) fn searched(&self, spent: Duration) {
        self.search_seconds.observe(spent.as_secs_f64());
    }

    /// The registry, with which protocols register their own metrics.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Renders all registered metrics in the Prometheus text format.
    ///
    /// # Errors
    /// A metric family has no samples or no name.
    pub fn render(&self) -> Result<String, prometheus::Error> {
        prometheus::TextEncoder::new().encode_to_string(&self.registry.gather())
    }
}

fn histogram(name: &str, help: &str, buckets: &[f64]) -> Result<Histogram, prometheus::Error> {
    Histogram::with_opts(HistogramOpts::new(name, help).buckets(buckets.to_vec()))
}
