//! Runs blocking work (FFI, synchronous I/O, decoding, held locks) off the async threads.

use crate::error::EngineError;

/// Runs `work` on tokio's blocking pool, within the caller's tracing span, and waits for its result.
///
/// # Errors
/// [`EngineError::Interrupted`] if `work` panicked or the runtime is shutting down.
pub async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, EngineError> {
    let span = tracing::Span::current();
    tokio::task::spawn_blocking(move || span.in_scope(work))
        .await
        .map_err(|_| EngineError::Interrupted)
}
