//! The duration of each stage of a search, and its tracing span.

use std::time::Instant;

use tracing::Span;
use tracing::span::EnteredSpan;

/// The duration of each stage of one search, in microseconds.
#[derive(Debug, Clone, Copy, Default, serde::Serialize)]
pub struct SearchTimings {
    /// Waiting for the model.
    pub queue_us: u64,
    /// Decoding and resizing images, and tokenizing texts.
    pub preprocess_us: u64,
    /// Computing in the model.
    pub model_us: u64,
    /// Searching the vector index.
    pub vector_us: u64,
    /// Searching the keyword index.
    pub keyword_us: u64,
    /// Fusing the lists.
    pub fusion_us: u64,
    /// Counting facets.
    pub facets_us: u64,
    /// Reading the documents of the hits.
    pub fetch_us: u64,
    /// The complete search.
    pub total_us: u64,
}

impl SearchTimings {
    pub(crate) fn add_embedding(&mut self, spent: &clipdb_embed::Timings) {
        self.queue_us += spent.queue_us;
        self.preprocess_us += spent.preprocess_us;
        self.model_us += spent.model_us;
    }
}

/// A running stage of a search: its span and its start.
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
