//! The WebSocket door: an upgrade of `GET /`. Each binary frame is a message in protobuf,
//! each text frame one in JSON; a response has its request's form.

use std::time::{Duration, SystemTime};

use actix_web::dev::Payload;
use actix_web::http::header::{self, HeaderMap};
use actix_web::{FromRequest, HttpRequest, HttpResponse, ResponseError, Route, guard, web};
use actix_ws::{
    AggregatedMessage, AggregatedMessageStream, CloseCode, CloseReason, Closed, ProtocolError,
    Session,
};
use bytes::Bytes;
use futures_util::stream::{Stream, StreamExt, unfold};
use prost::Message;

use super::call::Calls;
use super::exchange::{self, IN_FLIGHT, Received};
use super::frames::BoundedFrames;
use super::message::{DataRequest, request_from_json, response_to_json};
use crate::engine::blocking;
use crate::error::ApiError;
use crate::rest::{RestState, body};

/// A connection that says nothing for so long is asked whether it is still there, and
/// closed when it says nothing for as long again.
const PATIENCE: Duration = Duration::from_secs(60);
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
    web::get()
        .guard(guard::fn_guard(|context| {
            is_upgrade(context.head().headers())
        }))
        .to(open)
}

pub(crate) fn is_upgrade(headers: &HeaderMap) -> bool {
    headers
        .get(header::UPGRADE)
        .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"websocket"))
}

/// An answer that is no upgrade. It says that it is not compressed, since what is sent
/// compressed in answer to an upgrade comes without the frames that its head promises.
pub(crate) fn refusal(error: &ApiError) -> HttpResponse {
    let mut answer = error.error_response();
    answer.headers_mut().insert(
        header::CONTENT_ENCODING,
        header::HeaderValue::from_static("identity"),
    );
    answer
}

async fn open(
    state: web::Data<RestState>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, actix_web::Error> {
    let allowed = check_origin(&request, &state.settings.cors_origins);
    let engine = match allowed.and_then(|()| state.engine()) {
        Ok(engine) => engine,
        Err(error) => return Ok(refusal(&error)),
    };
    let limit = state.settings.max_body_bytes;
    let mut bounded: Payload = Payload::Stream {
        payload: Box::pin(BoundedFrames::new(payload.into_inner(), limit)),
    };
    let payload = web::Payload::from_request(&request, &mut bounded).await?;
    let (response, session, frames) =
        actix_ws::handle_with_protocols(&request, payload, &["bytes"])?;
    let frames = Frames {
        stream: frames
            .max_frame_size(limit)
            .aggregate_continuations()
            .max_continuation_size(limit),
        session: session.clone(),
        limit,
    };
    let calls = Calls::new(engine, state.settings.clip_as_service.clone());
    let requests = frames.requests().take_until(state.stopping());
    actix_web::rt::spawn(talk(calls, session, requests));
    Ok(response)
}

/// A browser lets any page open a WebSocket to any address, CORS or not: a page of
/// another origin is let in only where the settings name it.
fn check_origin(request: &HttpRequest, allowed: &[String]) -> Result<(), ApiError> {
    let headers = request.headers();
    let Some(origin) = headers.get(header::ORIGIN) else {
        return Ok(());
    };
    let origin = origin.to_str().unwrap_or_default();
    let own = headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok())
        .is_some_and(|host| origin.split_once("://").is_some_and(|(_, of)| of == host));
    if own || allowed.iter().any(|one| one == "*" || one == origin) {
        Ok(())
    } else {
        Err(ApiError::ForeignOrigin(origin.to_owned()))
    }
}

async fn talk(
    calls: Calls,
    mut session: Session,
    requests: impl Stream<Item = Result<Received<Form>, ApiError>>,
) {
    let responses = exchange::responses(calls, requests, IN_FLIGHT);
    futures_util::pin_mut!(responses);
    while let Some(response) = responses.next().await {
        let sent = match response {
            Ok((response, form)) => send(&mut session, response, form).await,
            Err(error) => Err(error),
        };
        match sent {
            Ok(Ok(())) => {}
            Ok(Err(Closed)) => return,
            Err(error) => {
                tracing::info!(%error, "a WebSocket was closed");
                let reason = CloseReason {
                    // What the client makes a ConnectionError of, with this description.
                    code: CloseCode::Error,
                    description: Some(shortened(error.to_string())),
                };
                // The client may have gone already.
                let _ = session.close(Some(reason)).await;
                return;
            }
        }
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
                let json = blocking(move || response_to_json(&response))
                    .await?
                    .map_err(body::json_error)?;
                Ok(session.text(json).await)
            }
        }
    };
    tokio::time::timeout(PATIENCE, sending)
        .await
        .unwrap_or_else(|_| {
            Err(ApiError::BrokenBody(
                "it does not read its responses".to_owned(),
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

    async fn next(&mut self) -> Result<Option<Received<Form>>, ApiError> {
        while let Some(message) = self.message().await? {
            let (request, form) = match message {
                AggregatedMessage::Binary(frame) if frame == END => return Ok(None),
                AggregatedMessage::Text(frame) if frame.trim() == END_IN_JSON => return Ok(None),
                AggregatedMessage::Binary(frame) => (from_protobuf(frame)?, Form::Protobuf),
                AggregatedMessage::Text(frame) => {
                    let request = blocking(move || request_from_json(frame.as_bytes()))
                        .await?
                        .map_err(body::json_error)?;
                    (request, Form::Json)
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
            ProtocolError::Overflow => ApiError::TooLarge {
                what: "the frame",
                limit: self.limit as u64,
                setting: "max_body_bytes",
            },
            _ => ApiError::BrokenBody(error.to_string()),
        }
    }
}

fn from_protobuf(frame: Bytes) -> Result<DataRequest, ApiError> {
    DataRequest::decode(frame).map_err(|error| {
        ApiError::BrokenBody(format!("a frame is no jina.DataRequestProto: {error}"))
    })
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    #[test]
    fn pages_of_other_origins_are_kept_out() {
        let check = |origin: Option<&str>, allowed: &[&str]| {
            let request = TestRequest::get().insert_header((header::HOST, "localhost:8080"));
            let request = match origin {
                Some(origin) => request.insert_header((header::ORIGIN, origin)),
                None => request,
            };
            let allowed: Vec<String> = allowed.iter().map(|one| (*one).to_owned()).collect();
            check_origin(&request.to_http_request(), &allowed)
        };
        assert!(check(None, &[]).is_ok());
        assert!(check(Some("http://localhost:8080"), &[]).is_ok());
        assert!(check(Some("https://evil.example"), &[]).is_err());
        assert!(check(Some("null"), &[]).is_err());
        assert!(check(Some("https://mine.example"), &["https://mine.example"]).is_ok());
        assert!(check(Some("https://any.example"), &["*"]).is_ok());
    }

    #[test]
    fn a_reason_fits_its_frame() {
        assert_eq!(shortened("short".to_owned()), "short");
        let long = shortened("é".repeat(100));
        assert!(long.len() <= REASON_BYTES && long.chars().all(|c| c == 'é'));
    }
}
