//! The protocol over WebSocket: an upgrade of `GET /`. A binary frame is a message in protobuf, a
//! text frame one in JSON; a response has its request's form.

use clipdb_engine::{Engine, EngineError, blocking};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use actix_web::body::MessageBody;
use actix_web::dev::{Payload, ServiceRequest, ServiceResponse};
use actix_web::error::PayloadError;
use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderMap};
use actix_web::middleware::Next;
use actix_web::{FromRequest, HttpRequest, HttpResponse, Route, guard, web};
use actix_ws::{
    AggregatedMessage, AggregatedMessageStream, CloseCode, CloseReason, Closed, ProtocolError,
    Session,
};
use bytes::Bytes;
use futures_util::stream::{Stream, StreamExt, unfold};
use prost::Message;

use crate::clip_as_service::exchange;
use crate::clip_as_service::exchange::{IN_FLIGHT, Received};
use crate::clip_as_service::executor::Executor;
use crate::clip_as_service::frames;
use crate::clip_as_service::frames::BoundedFrames;
use crate::clip_as_service::message::{
    DataRequest, SUCCESS, Status, request_from_json, response_to_json,
};
use crate::clip_as_service::meter;
use crate::clip_as_service::meter::Shares;
use crate::clip_as_service::metrics::CallStatistics;
use crate::http::error::ApiError;
use crate::http::problem;
use crate::http::state::HttpState;

/// An idle connection is pinged after this time, and closed after as much time without a reply.
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);
/// The client's loop needs this time to raise the failure of a response.
const FAILURE_DELAY: Duration = Duration::from_millis(100);

/// The longest reason that fits into a close frame.
const REASON_BYTES: usize = 123;
/// The client's message after its last request: `bytes(True)`.
const END: &[u8] = &[0];
const END_IN_JSON: &str = "{}";

#[derive(Clone, Copy)]
enum Form {
    Protobuf,
    Json,
}

pub(crate) fn upgrade() -> Route {
    upgrades().to(open)
}

/// `GET /dry_run`: reports once that the server is ready.
pub(super) fn dry_run() -> Route {
    upgrades().to(open_dry_run)
}

fn upgrades() -> Route {
    web::get().guard(guard::fn_guard(|context| {
        is_upgrade(context.head().headers())
    }))
}

pub(crate) fn is_upgrade(headers: &HeaderMap) -> bool {
    headers
        .get(header::UPGRADE)
        .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"websocket"))
}

/// Marks the response to a failed upgrade, to any protocol, as not compressed: a compressed one
/// would lack the chunks that its head announces.
pub(crate) async fn disable_compression<B: MessageBody>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<B>, actix_web::Error> {
    let upgrade = request.headers().contains_key(header::UPGRADE);
    let mut answer = next.call(request).await?;
    if upgrade && answer.status() != StatusCode::SWITCHING_PROTOCOLS {
        answer.headers_mut().insert(
            header::CONTENT_ENCODING,
            header::HeaderValue::from_static("identity"),
        );
    }
    Ok(answer)
}

async fn open(
    state: web::Data<HttpState>,
    statistics: web::Data<CallStatistics>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, actix_web::Error> {
    let (engine, response, frames) = connect(&state, &request, payload).await?;
    let session = frames.session.clone();
    let executor = Executor::new(
        engine,
        state.settings.clip_as_service.clone(),
        CallStatistics::clone(&statistics),
    );
    let requests = frames.requests().take_until(state.stopping());
    actix_web::rt::spawn(serve_session(executor, session, requests));
    Ok(response)
}

async fn open_dry_run(
    state: web::Data<HttpState>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, actix_web::Error> {
    let (_, response, frames) = connect(&state, &request, payload).await?;
    let stopping = state.stopping();
    actix_web::rt::spawn(async move {
        tokio::select! {
            () = frames.send_ready() => {}
            () = stopping => {}
        }
    });
    Ok(response)
}

async fn connect(
    state: &HttpState,
    request: &HttpRequest,
    payload: web::Payload,
) -> Result<(Arc<Engine>, HttpResponse, Frames), actix_web::Error> {
    let engine = state.engine()?;
    let limit = state.settings.max_body_bytes;
    let pace = state.settings.pace;
    let share = meter::share_of(&engine, limit);
    let bounded = BoundedFrames::new(payload.into_inner(), share, limit, pace);
    let shares = bounded.shares();
    let mut bounded: Payload = Payload::Stream {
        payload: Box::pin(bounded),
    };
    let payload = web::Payload::from_request(request, &mut bounded).await?;
    let (response, session, frames) =
        actix_ws::handle_with_protocols(request, payload, &["bytes"])?;
    let frames = Frames {
        stream: frames
            .max_frame_size(limit)
            .aggregate_continuations()
            .max_continuation_size(limit),
        session,
        limit,
        shares,
    };
    Ok((engine, response, frames))
}

async fn serve_session(
    executor: Executor,
    mut session: Session,
    requests: impl Stream<Item = Result<Received<Form>, ApiError>>,
) {
    let responses = exchange::responses(executor, requests, IN_FLIGHT);
    futures_util::pin_mut!(responses);
    let mut failed = false;
    while let Some(response) = responses.next().await {
        let sent = match response {
            Ok((response, form)) => {
                failed |= response.is_failure();
                send(&mut session, response, form).await
            }
            Err(error) => Err(error),
        };
        match sent {
            Ok(Ok(())) => {}
            Ok(Err(Closed)) => return,
            Err(error) => {
                let detail = problem::detail(&error);
                tracing::info!(error = detail, "a WebSocket was closed");
                let reason = CloseReason {
                    // The client raises a ConnectionError with this description.
                    code: CloseCode::Error,
                    description: Some(shortened(detail)),
                };
                // The client may have disconnected already.
                let _ = session.close(Some(reason)).await;
                return;
            }
        }
    }
    if failed {
        // The client raises it only while it waits for more messages: a close frame right after
        // the response would hide the failure.
        tokio::time::sleep(FAILURE_DELAY).await;
    }
    // The client waits for the close frame after its last request; its library (aiohttp) notices a
    // frame without a code only when the connection ends, a second later.
    let _ = session.close(Some(CloseCode::Normal.into())).await;
}

async fn send(
    session: &mut Session,
    response: DataRequest,
    form: Form,
) -> Result<Result<(), Closed>, ApiError> {
    let sending = async {
        match form {
            Form::Protobuf => Ok(session.binary(response.encode_to_vec()).await),
            Form::Json => {
                let json = blocking(move || response_to_json(&response)).await??;
                Ok(session.text(json).await)
            }
        }
    };
    tokio::time::timeout(IDLE_TIMEOUT, sending)
        .await
        .unwrap_or_else(|_| {
            Err(ApiError::BrokenSocket(
                "the client does not read its responses".to_owned(),
            ))
        })
}

fn shortened(mut text: String) -> String {
    let end = (0..=REASON_BYTES.min(text.len()))
        .rev()
        .find(|end| text.is_char_boundary(*end));
    text.truncate(end.unwrap_or_default());
    text
}

struct Frames {
    stream: AggregatedMessageStream,
    session: Session,
    limit: usize,
    shares: Shares,
}

impl Frames {
    /// The client's requests, until it ends the stream or disconnects.
    fn requests(self) -> impl Stream<Item = Result<Received<Form>, ApiError>> {
        unfold(Some(self), |frames| async move {
            let mut frames = frames?;
            match frames.next().await {
                Ok(None) => None,
                Ok(Some(received)) => Some((Ok(received), Some(frames))),
                Err(error) => Some((Err(error), None)),
            }
        })
    }

    /// Responds to the client's first message, which is empty, in its form: the default status
    /// means success.
    async fn send_ready(mut self) {
        let sent = match self.message().await {
            Ok(Some(AggregatedMessage::Text(_))) => self.session.text(SUCCESS).await,
            Ok(Some(AggregatedMessage::Binary(_))) => {
                self.session.binary(Status::default().encode_to_vec()).await
            }
            _ => Ok(()),
        };
        // There is nothing to close if the client has disconnected.
        if sent.is_ok() {
            let _ = self.session.close(Some(CloseCode::Normal.into())).await;
        }
    }

    async fn next(&mut self) -> Result<Option<Received<Form>>, ApiError> {
        while let Some(message) = self.message().await? {
            let (request, form, share) = match message {
                AggregatedMessage::Binary(frame) if frame == END => return Ok(None),
                AggregatedMessage::Text(frame) if frame.trim() == END_IN_JSON => return Ok(None),
                AggregatedMessage::Binary(frame) => {
                    (from_protobuf(frame)?, Form::Protobuf, self.shares.next())
                }
                AggregatedMessage::Text(frame) => {
                    let share = self.shares.next();
                    let request = blocking(move || request_from_json(frame.as_bytes())).await??;
                    (request, Form::Json, share)
                }
                AggregatedMessage::Ping(payload) => {
                    if self.session.pong(&payload).await.is_err() {
                        return Ok(None);
                    }
                    continue;
                }
                AggregatedMessage::Pong(_) => continue,
                AggregatedMessage::Close(_) => return Ok(None),
            };
            return Ok(Some(Received {
                request,
                at: SystemTime::now(),
                form,
                share,
            }));
        }
        Ok(None)
    }

    async fn message(&mut self) -> Result<Option<AggregatedMessage>, ApiError> {
        for has_pinged in [false, true] {
            match tokio::time::timeout(IDLE_TIMEOUT, self.stream.recv()).await {
                Ok(None) => return Ok(None),
                Ok(Some(Ok(message))) => return Ok(Some(message)),
                Ok(Some(Err(error))) => return Err(self.stream_error(&error)),
                Err(_) if has_pinged || self.session.ping(b"").await.is_err() => break,
                Err(_) => {}
            }
        }
        Ok(None)
    }

    fn stream_error(&self, error: &ProtocolError) -> ApiError {
        match error {
            ProtocolError::Overflow => return frames::too_large(self.limit),
            // The error of `BoundedFrames`, which the codec passes on.
            ProtocolError::Io(error) => {
                let error = error
                    .get_ref()
                    .and_then(|error| error.downcast_ref::<PayloadError>());
                if let Some(PayloadError::Io(error)) = error
                    && let Some(error) = error.get_ref()
                    && let Some(error) = error.downcast_ref::<ApiError>()
                {
                    return match error {
                        ApiError::Engine(EngineError::TooLarge { .. }) => {
                            frames::too_large(self.limit)
                        }
                        ApiError::SlowBody(reason) => ApiError::SlowBody(reason.clone()),
                        ApiError::Engine(EngineError::Overloaded(seconds)) => {
                            EngineError::Overloaded(*seconds).into()
                        }
                        ApiError::BrokenSocket(reason) => ApiError::BrokenSocket(reason.clone()),
                        other => ApiError::BrokenSocket(other.to_string()),
                    };
                }
            }
            _ => {}
        }
        ApiError::BrokenSocket(error.to_string())
    }
}

fn from_protobuf(frame: Bytes) -> Result<DataRequest, ApiError> {
    DataRequest::decode(frame).map_err(|error| {
        ApiError::InvalidField(format!("a frame is not a jina.DataRequestProto: {error}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_fits_its_frame() {
        assert_eq!(shortened("short".to_owned()), "short");
        let long = shortened("é".repeat(100));
        assert!(long.len() <= REASON_BYTES && long.chars().all(|c| c == 'é'));
    }
}
