//! A stream of requests into a stream of responses, for long-lived connections.

use std::sync::Arc;
use std::time::SystemTime;

use futures_util::stream::{Stream, StreamExt};
use prost::Message;

use crate::clip_as_service::executor::Executor;
use crate::clip_as_service::message::DataRequest;
use crate::http::error::ApiError;
use clipdb_engine::MemoryPermit;

/// Concurrent requests of one stream, unless its client names a number.
pub(super) const IN_FLIGHT: usize = 100;

/// A request, with the form that its response must have.
pub(super) struct Received<F> {
    pub request: DataRequest,
    pub at: SystemTime,
    pub form: F,
    /// The memory of its bytes, if the listener has counted them.
    pub share: Option<MemoryPermit>,
}

/// Responses in the order of their requests, at most `in_flight` of which execute at once.
///
/// The next request is read once the one before it has its share of the memory budget, and while
/// fewer than `in_flight` execute. A client that does not read its responses thus blocks only its
/// own stream.
pub(super) fn responses<F, E>(
    executor: Executor,
    requests: impl Stream<Item = Result<Received<F>, E>>,
    in_flight: usize,
) -> impl Stream<Item = Result<(DataRequest, F), E>>
where
    E: From<ApiError>,
{
    let engine = Arc::clone(executor.engine());
    requests
        .then(move |received| {
            let engine = Arc::clone(&engine);
            async move {
                let mut received = received?;
                if received.share.is_none() {
                    let bytes = received.request.encoded_len();
                    received.share = Some(engine.admit(bytes).await.map_err(ApiError::from)?);
                }
                Ok(received)
            }
        })
        .map(move |admitted: Result<Received<F>, E>| {
            let executor = executor.clone();
            async move {
                let Received {
                    request,
                    at,
                    form,
                    share,
                } = admitted?;
                let answer = executor.execute(request, at).await;
                drop(share);
                Ok((answer, form))
            }
        })
        .buffered(in_flight)
}
