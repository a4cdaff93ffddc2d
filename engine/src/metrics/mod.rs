//! The engine's metrics. Protocols register their own with its registry.

pub(crate) mod engine_metrics;
pub(crate) mod metric;
pub(crate) mod model_metrics;
pub(crate) mod statistics;
pub(crate) mod vector_metrics;
