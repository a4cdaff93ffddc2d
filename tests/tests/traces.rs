//! Spans over OTLP: a collector receives one for each request and for each of its stages.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::thread;

use clipdb_tests::Setup;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::trace::v1::Span;
use reqwest::Method;
use serde_json::json;
use tonic::{Request, Response, Status};

type Spans = Arc<Mutex<Vec<Span>>>;

#[derive(Clone, Default)]
struct Collector(Spans);

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let resources = request.into_inner().resource_spans.into_iter();
        let scopes = resources.flat_map(|resource| resource.scope_spans);
        let mut spans = self.0.lock().unwrap();
        spans.extend(scopes.flat_map(|scope| scope.spans));
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

/// A collector on its own port, and the spans that it received.
fn collector() -> (SocketAddr, Spans) {
    let collector = Collector::default();
    let spans = Arc::clone(&collector.0);
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            tonic::transport::Server::builder()
                .add_service(TraceServiceServer::new(collector))
                .serve_with_incoming(tonic::transport::server::TcpIncoming::from(listener))
                .await
                .unwrap();
        });
    });
    (address, spans)
}

#[test]
fn each_stage_of_a_request_is_a_span() {
    let (address, spans) = collector();
    let server = Setup::new()
        .flag("--otlp", &format!("http://{address}"))
        .start();
    let client = server.client();
    client
        .post("/documents", &json!({ "text": "a private matter" }))
        .expect(200);
    client.get("/search?q=matter").expect(200);
    client
        .post("/post", &json!({ "data": [{ "text": "a call" }] }))
        .expect(200);
    let (trace, caller) = ("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7");
    let continued = client
        .request(Method::GET, "/search?q=other")
        .header("traceparent", format!("00-{trace}-{caller}-01"));
    clipdb_tests::send(continued).expect(200);
    server.stop();

    let spans = spans.lock().unwrap();
    let by_id: HashMap<&[u8], &Span> = spans
        .iter()
        .map(|span| (span.span_id.as_slice(), span))
        .collect();
    // Each stage is a descendant of its request's span.
    let path = |span: &Span| {
        let mut names = vec![span.name.clone()];
        let mut above = by_id.get(span.parent_span_id.as_slice());
        while let Some(span) = above {
            names.insert(0, span.name.clone());
            above = by_id.get(span.parent_span_id.as_slice());
        }
        names.join("/")
    };
    let paths: Vec<String> = spans.iter().map(path).collect();
    for wanted in [
        "request",
        "request/embed",
        "request/embed/preprocess",
        "request/embed/model",
        "request/vector_search",
        "request/keyword_search",
        "request/fusion",
        "request/fetch",
        "request/call/embed/model",
        "batch",
        "commit",
    ] {
        assert!(
            paths.iter().any(|path| path == wanted),
            "{wanted}: {paths:?}"
        );
    }
    // A caller's trace continues.
    let hex = |bytes: &[u8]| {
        bytes
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect::<String>()
    };
    let continued: Vec<&Span> = spans
        .iter()
        .filter(|span| hex(&span.trace_id) == trace)
        .collect();
    assert!(continued.len() > 3, "{continued:?}");
    let request = continued
        .iter()
        .find(|span| span.name == "request")
        .unwrap();
    assert_eq!(hex(&request.parent_span_id), caller);
    // Spans leave the machine, so they contain no data.
    assert!(!format!("{spans:?}").contains("matter"));
}

#[test]
fn a_missing_collector_delays_nothing() {
    let server = Setup::new().flag("--otlp", "http://127.0.0.1:9").start();
    server
        .client()
        .post("/documents", &json!({ "text": "words" }))
        .expect(200);
    let stopped = server.stop();
    assert!(stopped.status.success());
}

#[test]
fn an_invalid_address_is_reported() {
    let refused = Setup::new().flag("--otlp", "not an address").refused();
    assert_eq!(refused.code, Some(2));
    assert!(refused.stderr.contains("'otlp'"), "{}", refused.stderr);
}
