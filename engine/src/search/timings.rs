//! How long each stage of a search took, and the spans that show it.

use std::time::Instant;

use tracing::Span;
use tracing::span::EnteredSpan;

/// Microseconds spent in each stage of one search.
#[derive(Debug, Clone, Copy, Default, serde::Serialize)]
pub struct SearchTimings {
    pub queue_us: u64,
    pub preprocess_us: u64,
    pub model_us: u64,
    pub vector_us: u64,
    pub keyword_us: u64,
    pub fusion_us: u64,
    pub facets_us: u64,
    pub fetch_us: u64,
    pub total_us: u64,
}

impl SearchTimings {
    pub(crate) fn add_embedding(&mut self, spent: &clipdb_embed::Timings) {
        self.queue_us += spent.queue_us;
        self.preprocess_us += spent.preprocess_us;
        self.model_us += spent.model_us;
    }
}

/// One stage of a search: a span, and the time it takes.
pub(crate) struct Stage {
    begun: Instant,
    _span: EnteredSpan,
}

impl Stage {
    pub(crate) fn begin(span: Span) -> Self {
        Self {
            begun: Instant::now(),
            _span: span.entered(),
        }
    }

    /// Microseconds since it began.
    pub(crate) fn end(self) -> u64 {
        microseconds_since(self.begun)
    }
}

pub(crate) fn microseconds_since(begun: Instant) -> u64 {
    u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX)
}
