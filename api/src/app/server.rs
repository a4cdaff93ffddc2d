//! The HTTP server: the address it binds, every route, and the middleware in its order.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use actix_cors::Cors;
use actix_web::dev::Server;
use actix_web::http::header;
use actix_web::middleware::{Compress, DefaultHeaders, from_fn};
use actix_web::{App, HttpRequest, HttpServer, web};

use super::connections::{self, Connections};
use super::request_log;
use super::statistics::ProtocolStatistics;
use super::{access, base_path, callers, compression, methods, shared_paths};
use crate::clip_as_service::{self, websocket};
use crate::http::error::ApiError;
use crate::http::peer;
use crate::http::resource::resource;
use crate::http::state::{HttpSettings, HttpState};
use crate::http::tls::TlsIdentity;
use crate::rest::{self, page};

/// Seconds that requests in flight get to finish after a shutdown was requested.
const SHUTDOWN_SECONDS: u64 = 60;

/// Seconds that an idle connection stays open: longer than clients and load balancers keep one in
/// their pools (60 to 90). Otherwise it could be closed just as a request is sent on it.
const KEEP_ALIVE_SECONDS: u64 = 120;

/// Seconds in which the head of a connection's first request has to arrive.
const FIRST_REQUEST_SECONDS: u64 = 5;

/// Binds `address` and returns the server, to be awaited, with the address that it is bound to.
/// At most `max_connections` are open at once.
pub fn bind(
    state: Arc<HttpState>,
    statistics: &ProtocolStatistics,
    address: SocketAddr,
    tls: Option<&TlsIdentity>,
    workers: usize,
    max_connections: usize,
) -> std::io::Result<(Server, SocketAddr)> {
    let connections = Connections::new(max_connections);
    let calls = web::Data::new(statistics.calls.clone());
    let requests = web::Data::new(statistics.requests.clone());
    let server = HttpServer::new(move || {
        App::new()
            .app_data(web::Data::from(Arc::clone(&state)))
            .app_data(calls.clone())
            .app_data(requests.clone())
            .configure(routes)
            .default_service(web::to(no_such_route))
            .wrap(from_fn(methods::complete_allow))
            .wrap(from_fn(access::require_key))
            .wrap(cors(&state.settings))
            .wrap(from_fn(callers::admit))
            .wrap(from_fn(websocket::disable_compression))
            .wrap(from_fn(compression::skip_short_bodies))
            .wrap(Compress::default())
            .wrap(from_fn(compression::remove_mark))
            .wrap(from_fn(methods::serve_head))
            // Stored content is data: browsers must not guess another type for it.
            .wrap(DefaultHeaders::new().add((header::X_CONTENT_TYPE_OPTIONS, "nosniff")))
            .wrap(from_fn(base_path::strip))
            .wrap(from_fn(request_log::log))
            .wrap(from_fn(connections::watch))
    })
    .on_connect(move |io, data| {
        peer::register(io, data);
        connections.register(io, data);
    })
    // Otherwise a response in several pieces waits until the client acknowledges the first one,
    // which the client delays by 40 ms.
    .tcp_nodelay(true)
    .workers(workers)
    .max_connections((max_connections / workers).max(1))
    .client_request_timeout(Duration::from_secs(FIRST_REQUEST_SECONDS))
    .keep_alive(Duration::from_secs(KEEP_ALIVE_SECONDS))
    // When a client closes its connection, its requests that have not begun are dropped.
    .h1_allow_half_closed(false)
    .shutdown_timeout(SHUTDOWN_SECONDS)
    .disable_signals();
    let server = match tls {
        Some(tls) => server.bind_rustls_0_23(address, tls.config())?,
        None => server.bind(address)?,
    };
    let bound = server.addrs().first().copied().unwrap_or(address);
    Ok((server.run(), bound))
}

fn routes(config: &mut web::ServiceConfig) {
    // In the order of their use: actix compares a request with one after the other.
    shared_paths::routes(config);
    rest::routes(config);
    clip_as_service::http::routes(config);
    // The page, or a connection of CLIP-as-service's WebSocket protocol.
    config.service(resource("/", websocket::upgrade()).route(web::get().to(page::index)));
}

fn cors(settings: &HttpSettings) -> Cors {
    let base = Cors::default()
        .allow_any_method()
        .allow_any_header()
        .max_age(3600);
    settings
        .cors_origins
        .iter()
        .fold(base, |cors, origin| match origin.as_str() {
            "*" => cors.allow_any_origin(),
            origin => cors.allowed_origin(origin),
        })
}

async fn no_such_route(request: HttpRequest) -> Result<&'static str, ApiError> {
    let path = request.path();
    Err(clip_as_service::http::refused(path)
        .unwrap_or_else(|| ApiError::NoSuchRoute(path.to_owned())))
}
