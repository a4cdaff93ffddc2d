//! The gRPC door: `/jina.JinaRPC/Call`, a stream of requests and one of responses; and what
//! the client asks before, whether the server is ready.

use clipdb_engine::{EngineError, quoted};
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
use crate::http::state::RestState;
use crate::http::tls::TlsIdentity;
use crate::http::trace_context::TRACEPARENT;

const MOST_IN_FLIGHT: usize = 1000;
/// A connection whose other end has gone without a word is found out and closed.
const PROBE_EVERY: Duration = Duration::from_secs(30);
const PROBE_PATIENCE: Duration = Duration::from_secs(20);
/// After the last response a client that is asked to go has so long to do it.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// Streams under way get to finish so long after a stop was asked for.
const SHUTDOWN: Duration = Duration::from_secs(60);
/// What a client may send ahead: pictures are large, and a round trip may be long.
const STREAM_WINDOW: u32 = 4 << 20;
const CONNECTION_WINDOW: u32 = 8 << 20;

/// The open door.
pub struct GrpcServer {
    pub address: SocketAddr,
    ended: oneshot::Receiver<()>,
}

impl GrpcServer {
    /// Comes once the state is told to stop and every stream has had its answers.
    pub async fn ended(self) {
        // An error is an end as well.
        let _ = self.ended.await;
    }
}

/// Binds `address` and serves on threads of its own until `state` is told to stop, `most`
/// connections at once.
pub fn bind(
    state: Arc<RestState>,
    statistics: CallStatistics,
    address: SocketAddr,
    tls: Option<&TlsIdentity>,
    workers: usize,
    most: usize,
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
        .name("clipdb-grpc-door".to_owned())
        .spawn(move || {
            if let Err(error) = runtime.block_on(serve(state, statistics, listener, tls, most)) {
                tracing::error!(%error, "the gRPC door closed");
            }
            // Nobody waits for it when the start has failed elsewhere.
            let _ = end.send(());
        })?;
    Ok(GrpcServer { address, ended })
}

async fn serve(
    state: Arc<RestState>,
    statistics: CallStatistics,
    listener: std::net::TcpListener,
    tls: Option<Identity>,
    most: usize,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let incoming = connections::accepted(tokio::net::TcpListener::from_std(listener)?, most);
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
        .http2_keepalive_timeout(Some(PROBE_PATIENCE))
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .serve_with_incoming_shutdown(service, incoming, stopping);
    // A client that neither answers nor goes would hold the door until it is probed.
    let drained = async {
        stopped.await;
        // Either way, of an error or a timeout, there is nothing more to wait for.
        let _ = tokio::time::timeout(SHUTDOWN, left.wait_for(|open| *open == 0)).await;
        tokio::time::sleep(LAST_WORDS).await;
    };
    tokio::select! {
        served = serving => served?,
        () = drained => {}
    }
    Ok(())
}

#[derive(Clone)]
struct JinaRpc {
    state: Arc<RestState>,
    statistics: CallStatistics,
    open_streams: Arc<watch::Sender<usize>>,
}

/// Counts among the open streams while it lives.
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
                // Without its engine the stream is refused before it is read.
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
                    door: self.clone(),
                    shares,
                };
                // Clients set no limit; a server has to bound what one message may hold in memory.
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
                    "there is no {} here; clipdb serves /jina.JinaRPC/Call",
                    quoted(other)
                ));
                Box::pin(ready(Ok(status.into_http())))
            }
        }
    }
}

/// An answer that says the same to everybody, once the models are loaded.
struct ReadyService<T>(Arc<RestState>, fn() -> T);

impl<T: Send + 'static> UnaryService<()> for ReadyService<T> {
    type Response = T;
    type Future = std::future::Ready<Result<Response<T>, Status>>;

    fn call(&mut self, request: Request<()>) -> Self::Future {
        let Self(state, answer) = self;
        ready(if !carries_key(state, request.metadata()) {
            Err(ApiError::Unauthorized.into())
        } else if let Err(error) = state.engine() {
            Err(error.into())
        } else {
            Ok(Response::new(answer()))
        })
    }
}

struct CallService {
    door: JinaRpc,
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
        let state = &self.door.state;
        if !carries_key(state, request.metadata()) {
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
            self.door.statistics.clone(),
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
                Err(status) => Err(named(status, limit)),
            });
        let open = OpenStream::new(&self.door.open_streams);
        let responses = exchange::responses(executor, requests, in_flight).map(move |response| {
            let _counted = &open;
            response.map(|(response, ())| response)
        });
        Ok(Response::new(responses.boxed()))
    }
}

/// The same rules as for HTTP: over TLS a browser may send a page's bytes here too.
fn admit<B>(state: &RestState, request: &HttpRequest<B>) -> Result<(), ApiError> {
    let authority = request
        .uri()
        .authority()
        .map(|authority| authority.as_str());
    let header = |name: &str| request.headers().get(name).map(|value| value.as_bytes());
    let host = header("host").map(|host| std::str::from_utf8(host).unwrap_or_default());
    let sender = Sender {
        origin: header("origin"),
        site: header("sec-fetch-site"),
    };
    let settings = &state.settings;
    settings.hosts.check(authority.into_iter().chain(host))?;
    check_origin(sender, authority.or(host), &settings.cors_origins)
}

/// For what goes wrong beside the calls, whose own failures are responses.
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

/// A message over the limit, with the setting that is the limit; others as they are.
fn named(status: Status, limit: usize) -> Status {
    match status.code() {
        // tonic's, of which it makes no other use.
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

/// The key as it is, which is how the client sends it, or as a bearer's.
fn carries_key(state: &RestState, metadata: &MetadataMap) -> bool {
    let given = metadata
        .get("authorization")
        .and_then(|value| value.to_str().ok());
    state.settings.admits(given, true)
}

/// `__prefetch__`: how many requests the client wants worked on at once.
fn in_flight(metadata: &MetadataMap) -> usize {
    metadata
        .get("__prefetch__")
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.parse().ok())
        .map_or(IN_FLIGHT, |wanted: usize| wanted.clamp(1, MOST_IN_FLIGHT))
}
