//! The WebSocket door: an upgrade of `GET /`. Each binary frame is a message in protobuf,
//! each text frame one in JSON; a response has its request's form.

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
use crate::http::state::RestState;

/// A connection that says nothing for so long is asked whether it is still there, and
/// closed when it says nothing for as long again.
const PATIENCE: Duration = Duration::from_secs(60);
/// The client's loop needs it to raise what an answer says.
const UNTIL_A_FAILURE_IS_SEEN: Duration = Duration::from_millis(100);

/// What a close frame has room for.
const REASON_BYTES: usize = 123;
/// How the client says that it has no more requests: `bytes(True)`.
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

/// Of `GET /dry_run`: whether the server is ready, which is said once.
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

/// Says of an answer to an upgrade, to any protocol, that it is not compressed: compressed
/// it would come without the frames that its head promises.
pub(crate) async fn answer_whole<B: MessageBody>(
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
    state: web::Data<RestState>,
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
    state: web::Data<RestState>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, actix_web::Error> {
    let (_, response, frames) = connect(&state, &request, payload).await?;
    let stopping = state.stopping();
    actix_web::rt::spawn(async move {
        tokio::select! {
            () = frames.say_ready() => {}
            () = stopping => {}
        }
    });
    Ok(response)
}

async fn connect(
    state: &RestState,
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
                let said = problem::detail(&error);
                tracing::info!(error = said, "a WebSocket was closed");
                let reason = CloseReason {
                    // What the client makes a ConnectionError of, with this description.
                    code: CloseCode::Error,
                    description: Some(shortened(said)),
                };
                // The client may have gone already.
                let _ = session.close(Some(reason)).await;
                return;
            }
        }
    }
    if failed {
        // It raises that only while it listens for more: a close that comes with the answer hides
        // the failure.
        tokio::time::sleep(UNTIL_A_FAILURE_IS_SEEN).await;
    }
    // The client waits for it after its last request; its WebSocket library (aiohttp)
    // sees a close frame without a code only when the connection ends, a second later.
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
    tokio::time::timeout(PATIENCE, sending)
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
    /// Until the client says that there are no more, or goes.
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

    /// Answers the client's first message, which is empty, in its form: a status that says
    /// nothing is one of success.
    async fn say_ready(mut self) {
        let said = match self.message().await {
            Ok(Some(AggregatedMessage::Text(_))) => self.session.text(SUCCESS).await,
            Ok(Some(AggregatedMessage::Binary(_))) => {
                self.session.binary(Status::default().encode_to_vec()).await
            }
            _ => Ok(()),
        };
        // Of one that has gone there is nothing to close.
        if said.is_ok() {
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
        for asked in [false, true] {
            match tokio::time::timeout(PATIENCE, self.stream.recv()).await {
                Ok(None) => return Ok(None),
                Ok(Some(Ok(message))) => return Ok(Some(message)),
                Ok(Some(Err(error))) => return Err(self.wrong(&error)),
                Err(_) if asked || self.session.ping(b"").await.is_err() => break,
                Err(_) => {}
            }
        }
        Ok(None)
    }

    fn wrong(&self, error: &ProtocolError) -> ApiError {
        match error {
            ProtocolError::Overflow => return frames::too_large(self.limit),
            // What `BoundedFrames` says, as it comes through the codec.
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
        ApiError::InvalidField(format!("a frame is no jina.DataRequestProto: {error}"))
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
