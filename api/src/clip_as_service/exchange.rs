//! A stream of requests into a stream of responses, for the doors that stay open.

use std::sync::Arc;
use std::time::SystemTime;

use futures_util::stream::{Stream, StreamExt};
use prost::Message;

use crate::clip_as_service::executor::Executor;
use crate::clip_as_service::message::DataRequest;
use crate::http::error::ApiError;
use clipdb_engine::Share;

/// Requests of one stream that are worked on at once where its client names no number.
pub(super) const IN_FLIGHT: usize = 100;

/// A request with what its door has to know to send the response.
pub(super) struct Received<F> {
    pub request: DataRequest,
    pub at: SystemTime,
    pub form: F,
    /// The memory of its bytes, where its door has counted them.
    pub share: Option<Share>,
}

/// Responses in the order of their requests, `in_flight` of which are worked on at once.
///
/// The next request is taken once the one before it has its share of the memory for
/// documents under way, and no more than are in flight: a client that does not read its
/// responses stops its own stream and nobody else's.
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
