//! The gRPC listener: `/jina.JinaRPC/Call`, a stream of requests and one of responses; and the
//! calls by which a client checks that the server is ready.

use clipdb_engine::{EngineError, excerpt};
use std::convert::Infallible;
use std::future::ready;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};

use futures_util::future::BoxFuture;
use futures_util::stream::{BoxStream, StreamExt};
use http::{Request as HttpRequest, Response as HttpResponse};
use tokio::sync::{oneshot, watch};
use tonic::body::Body;
use tonic::metadata::MetadataMap;
use tonic::server::{Grpc, StreamingService, UnaryService};
use tonic::transport::{Identity, Server, ServerTlsConfig};
use tonic::{Code, Request, Response, Status, Streaming};
use tonic_prost::ProstCodec;
use tower_service::Service;

use crate::clip_as_service::connections;
use crate::clip_as_service::exchange;
use crate::clip_as_service::exchange::{IN_FLIGHT, Received};
use crate::clip_as_service::executor::Executor;
use crate::clip_as_service::grpc_body::MeteredBody;
use crate::clip_as_service::message;
use crate::clip_as_service::message::DataRequest;
use crate::clip_as_service::meter;
use crate::clip_as_service::meter::Shares;
use crate::clip_as_service::metrics::CallStatistics;
use crate::http::callers::{Sender, check_origin};
use crate::http::error::ApiError;
use crate::http::problem;
use crate::http::state::HttpState;
use crate::http::tls::TlsIdentity;
use crate::http::trace_context::TRACEPARENT;

const MOST_IN_FLIGHT: usize = 1000;
/// A connection whose other end has disappeared is detected and closed.
const PROBE_EVERY: Duration = Duration::from_secs(30);
const PROBE_TIMEOUT: Duration = Duration::from_secs(20);
/// How long clients have to disconnect after the last response of a shutdown.
const DISCONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// How long open streams have to finish after a shutdown was requested.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(60);
/// Bytes that a client may send ahead: images are large, and a round trip may be long.
const STREAM_WINDOW: u32 = 4 << 20;
const CONNECTION_WINDOW: u32 = 8 << 20;

/// The running listener.
pub struct GrpcServer {
    pub address: SocketAddr,
    ended: oneshot::Receiver<()>,
}

impl GrpcServer {
    /// Completes once the state is stopping and every stream has received its responses.
    pub async fn ended(self) {
        // An error is an end too.
        let _ = self.ended.await;
    }
}

/// Binds `address` and serves on threads of its own until `state` is stopping, at most
/// `max_connections` at once.
pub fn bind(
    state: Arc<HttpState>,
    statistics: CallStatistics,
    address: SocketAddr,
    tls: Option<&TlsIdentity>,
    workers: usize,
    max_connections: usize,
) -> std::io::Result<GrpcServer> {
    let tls = tls.map(|tls| Identity::from_pem(&tls.certificates, &tls.key));
    let listener = std::net::TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(workers)
        .thread_name("clipdb-grpc")
        .enable_all()
        .build()?;
    let (end, ended) = oneshot::channel();
    std::thread::Builder::new()
        .name("clipdb-grpc-io".to_owned())
        .spawn(move || {
            if let Err(error) =
                runtime.block_on(serve(state, statistics, listener, tls, max_connections))
            {
                tracing::error!(%error, "the gRPC listener failed");
            }
            // There is no receiver if the startup has failed elsewhere.
            let _ = end.send(());
        })?;
    Ok(GrpcServer { address, ended })
}

async fn serve(
    state: Arc<HttpState>,
    statistics: CallStatistics,
    listener: std::net::TcpListener,
    tls: Option<Identity>,
    max_connections: usize,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let incoming = connections::accepted(listener, max_connections);
    let mut server = Server::builder();
    if let Some(identity) = tls {
        server = server.tls_config(ServerTlsConfig::new().identity(identity))?;
    }
    let open_streams = watch::Sender::new(0);
    let mut left = open_streams.subscribe();
    let (stopping, stopped) = (state.stopping(), state.stopping());
    let service = JinaRpc {
        state,
        statistics,
        open_streams: Arc::new(open_streams),
    };
    let serving = server
        .http2_keepalive_interval(Some(PROBE_EVERY))
        .http2_keepalive_timeout(Some(PROBE_TIMEOUT))
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .serve_with_incoming_shutdown(service, incoming, stopping);
    // An unresponsive client would otherwise delay the shutdown until it is probed.
    let drained = async {
        stopped.await;
        // After an error or a timeout there is nothing more to wait for.
        let _ = tokio::time::timeout(SHUTDOWN_TIMEOUT, left.wait_for(|open| *open == 0)).await;
        tokio::time::sleep(DISCONNECT_TIMEOUT).await;
    };
    tokio::select! {
        served = serving => served?,
        () = drained => {}
    }
    Ok(())
}

#[derive(Clone)]
struct JinaRpc {
    state: Arc<HttpState>,
    statistics: CallStatistics,
    open_streams: Arc<watch::Sender<usize>>,
}

/// Counts as an open stream until it is dropped.
struct OpenStream(Arc<watch::Sender<usize>>);

impl OpenStream {
    fn new(open: &Arc<watch::Sender<usize>>) -> Self {
        open.send_modify(|open| *open += 1);
        Self(Arc::clone(open))
    }
}

impl Drop for OpenStream {
    fn drop(&mut self) {
        self.0.send_modify(|open| *open -= 1);
    }
}

impl Service<HttpRequest<Body>> for JinaRpc {
    type Response = HttpResponse<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<HttpResponse<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: HttpRequest<Body>) -> Self::Future {
        if let Err(error) = admit(&self.state, &request) {
            return Box::pin(ready(Ok(Status::from(error).into_http())));
        }
        match request.uri().path() {
            "/jina.JinaRPC/Call" => {
                let settings = &self.state.settings;
                let (limit, pace) = (settings.max_body_bytes, settings.pace);
                // Without an engine the stream is refused before it is read.
                let (request, shares) = match self.state.engine() {
                    Ok(engine) => {
                        let (head, body) = request.into_parts();
                        let share = meter::share_of(&engine, limit);
                        let body = MeteredBody::new(body, share, pace);
                        let shares = body.shares();
                        (HttpRequest::from_parts(head, Body::new(body)), shares)
                    }
                    Err(_) => (request, Shares::default()),
                };
                let service = CallService {
                    rpc: self.clone(),
                    shares,
                };
                // Clients set no limit; the server has to bound the memory of one message.
                let mut grpc = Grpc::new(ProstCodec::<DataRequest, DataRequest>::default())
                    .max_decoding_message_size(limit)
                    .max_encoding_message_size(usize::MAX);
                Box::pin(async move { Ok(grpc.streaming(service, request).await) })
            }
            "/jina.JinaGatewayDryRunRPC/dry_run" => {
                let service = ReadyService(Arc::clone(&self.state), message::Status::default);
                let mut grpc = Grpc::new(ProstCodec::<message::Status, ()>::default());
                Box::pin(async move { Ok(grpc.unary(service, request).await) })
            }
            "/jina.JinaInfoRPC/_status" => {
                let service = ReadyService(Arc::clone(&self.state), message::Info::of_this_server);
                let mut grpc = Grpc::new(ProstCodec::<message::Info, ()>::default());
                Box::pin(async move { Ok(grpc.unary(service, request).await) })
            }
            other => {
                let status = Status::unimplemented(format!(
                    "{} is not supported; clipdb serves /jina.JinaRPC/Call",
                    excerpt(other)
                ));
                Box::pin(ready(Ok(status.into_http())))
            }
        }
    }
}

/// Returns the same response to every client, once the models are loaded.
struct ReadyService<T>(Arc<HttpState>, fn() -> T);

impl<T: Send + 'static> UnaryService<()> for ReadyService<T> {
    type Response = T;
    type Future = std::future::Ready<Result<Response<T>, Status>>;

    fn call(&mut self, request: Request<()>) -> Self::Future {
        let Self(state, answer) = self;
        ready(if !has_key(state, request.metadata()) {
            Err(ApiError::Unauthorized.into())
        } else if let Err(error) = state.engine() {
            Err(error.into())
        } else {
            Ok(Response::new(answer()))
        })
    }
}

struct CallService {
    rpc: JinaRpc,
    shares: Shares,
}

impl StreamingService<DataRequest> for CallService {
    type Response = DataRequest;
    type ResponseStream = BoxStream<'static, Result<DataRequest, Status>>;
    type Future = std::future::Ready<Result<Response<Self::ResponseStream>, Status>>;

    fn call(&mut self, request: Request<Streaming<DataRequest>>) -> Self::Future {
        ready(self.open(request))
    }
}

impl CallService {
    fn open(
        &self,
        request: Request<Streaming<DataRequest>>,
    ) -> Result<Response<BoxStream<'static, Result<DataRequest, Status>>>, Status> {
        let state = &self.rpc.state;
        if !has_key(state, request.metadata()) {
            return Err(ApiError::Unauthorized.into());
        }
        let engine = state.engine()?;
        let traceparent = request
            .metadata()
            .get(TRACEPARENT)
            .and_then(|value| value.to_str().ok());
        let executor = Executor::new(
            engine,
            state.settings.clip_as_service.clone(),
            self.rpc.statistics.clone(),
        )
        .in_trace(traceparent);
        let in_flight = in_flight(request.metadata());
        let limit = state.settings.max_body_bytes;
        let shares = self.shares.clone();
        let requests = request
            .into_inner()
            .take_until(state.stopping())
            .map(move |request| match request {
                Ok(request) => Ok(Received {
                    request,
                    at: SystemTime::now(),
                    form: (),
                    share: shares.next(),
                }),
                Err(status) => Err(with_setting(status, limit)),
            });
        let open = OpenStream::new(&self.rpc.open_streams);
        let responses = exchange::responses(executor, requests, in_flight).map(move |response| {
            let _counted = &open;
            response.map(|(response, ())| response)
        });
        Ok(Response::new(responses.boxed()))
    }
}

/// The rules of HTTP apply: over TLS a browser may send a page's bytes to this listener too.
fn admit<B>(state: &HttpState, request: &HttpRequest<B>) -> Result<(), ApiError> {
    let authority = request.uri().authority().map(http::uri::Authority::as_str);
    let header = |name: &str| request.headers().get(name).map(http::HeaderValue::as_bytes);
    let host = header("host").map(|host| std::str::from_utf8(host).unwrap_or_default());
    let sender = Sender {
        origin: header("origin"),
        site: header("sec-fetch-site"),
    };
    let settings = &state.settings;
    settings.hosts.check(authority.into_iter().chain(host))?;
    check_origin(sender, authority.or(host), &settings.cors_origins)
}

/// For failures outside the calls, whose own failures are responses.
impl From<ApiError> for Status {
    fn from(error: ApiError) -> Self {
        match error {
            ApiError::Unauthorized => Self::unauthenticated(problem::detail(&error)),
            ApiError::SlowBody(_) => Self::deadline_exceeded(problem::detail(&error)),
            ApiError::ForeignHost(_) | ApiError::ForeignOrigin(_) => {
                Self::permission_denied(problem::detail(&error))
            }
            _ => Self::unavailable(problem::detail(&error)),
        }
    }
}

/// Names the setting that limits a message's size; other errors remain unchanged.
fn with_setting(status: Status, limit: usize) -> Status {
    match status.code() {
        // tonic uses this code for nothing else.
        Code::OutOfRange => Status::out_of_range(
            EngineError::TooLarge {
                what: "the message",
                limit: limit as u64,
                setting: "max_body_bytes",
            }
            .to_string(),
        ),
        _ => status,
    }
}

/// The plain key, which the client sends, or `Bearer KEY`.
fn has_key(state: &HttpState, metadata: &MetadataMap) -> bool {
    let given = metadata
        .get("authorization")
        .and_then(|value| value.to_str().ok());
    state.settings.admits(given, true)
}

/// `__prefetch__`: how many requests the client wants to execute at once.
fn in_flight(metadata: &MetadataMap) -> usize {
    metadata
        .get("__prefetch__")
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.parse().ok())
        .map_or(IN_FLIGHT, |wanted: usize| wanted.clamp(1, MOST_IN_FLIGHT))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_client_chooses_how_many_requests_execute_at_once() {
        for (given, expected) in [
            (None, IN_FLIGHT),
            (Some("7"), 7),
            (Some("0"), 1),
            (Some("5000"), MOST_IN_FLIGHT),
            (Some("-1"), IN_FLIGHT),
            (Some("many"), IN_FLIGHT),
        ] {
            let mut metadata = MetadataMap::new();
            if let Some(given) = given {
                metadata.insert("__prefetch__", given.parse().unwrap());
            }
            assert_eq!(in_flight(&metadata), expected, "{given:?}");
        }
    }

    #[test]
    fn errors_have_grpc_s_codes() {
        for (error, code) in [
            (ApiError::Unauthorized, Code::Unauthenticated),
            (ApiError::SlowBody(String::new()), Code::DeadlineExceeded),
            (ApiError::ForeignHost(String::new()), Code::PermissionDenied),
            (
                ApiError::ForeignOrigin(String::new()),
                Code::PermissionDenied,
            ),
            (ApiError::Starting(String::new()), Code::Unavailable),
        ] {
            assert_eq!(Status::from(error).code(), code);
        }
        let large = with_setting(Status::out_of_range("too long"), 7);
        assert!(large.message().contains("max_body_bytes"), "{large}");
        let other = with_setting(Status::internal("broken"), 7);
        assert_eq!(other.message(), "broken");
    }
}
