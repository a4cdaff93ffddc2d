//! The API key, and requests from web pages of other origins.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::io::{Read, Write};
use std::net::TcpStream;

use clipdb_tests::{Answer, Client, Server, Setup, SharedServer, send};
use reqwest::Method;
use serde_json::json;

const KEY: &str = "a-key-of-this-test";
const ORIGIN: &str = "https://app.example.org";

static SERVER: SharedServer =
    SharedServer::new(|| Setup::new().key(KEY).flag("--cors-origin", ORIGIN).start());

fn with(key: Option<&str>) -> Client {
    SERVER.client().with_key(key)
}

#[test]
fn only_liveness_and_the_page_work_without_the_key() {
    let routes = [
        (Method::GET, "/collections"),
        (Method::PUT, "/collections/a"),
        (Method::GET, "/collections/a"),
        (Method::DELETE, "/collections/a"),
        (Method::POST, "/documents"),
        (Method::POST, "/collections/a/documents"),
        (Method::GET, "/collections/a/documents"),
        (Method::GET, "/collections/a/documents/b"),
        (Method::PUT, "/collections/a/documents/b"),
        (Method::PATCH, "/collections/a/documents/b"),
        (Method::DELETE, "/collections/a/documents/b"),
        (Method::GET, "/collections/a/documents/b/image"),
        (Method::POST, "/search"),
        (Method::GET, "/search?q=a"),
        (Method::POST, "/collections/a/search"),
        (Method::POST, "/encode"),
        (Method::POST, "/rank"),
        (Method::POST, "/v1/embeddings"),
        (Method::GET, "/v1/models"),
        (Method::GET, "/v1/models/a"),
        (Method::POST, "/post"),
        (Method::POST, "/index"),
        (Method::GET, "/dry_run"),
        (Method::GET, "/metrics"),
        (Method::GET, "/openapi.json"),
        (Method::GET, "/nowhere"),
        (Method::GET, "//health"),
    ];
    for key in [
        None,
        Some("wrong"),
        Some(""),
        Some("a-key-of-this-tesT"),
        Some("a-key-of-this-test2"),
    ] {
        for (method, path) in &routes {
            let answer = with(key).send(method.clone(), path, None, "");
            assert_eq!(
                answer.header("www-authenticate"),
                Some("Bearer"),
                "{method} {path}: {answer:?}"
            );
            answer.expect_problem(401, "unauthorized");
        }
        for path in ["/health", "/ready", "/", "/docs", "/favicon.ico"] {
            with(key).get(path).expect(200);
        }
    }
}

/// Sends the path exactly as written, unlike well-behaved clients.
fn status_of(path: &str) -> String {
    let mut stream = TcpStream::connect(SERVER.client().address()).unwrap();
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.split(' ').nth(1).unwrap_or_default().to_owned()
}

#[test]
fn a_malformed_path_does_not_bypass_the_key() {
    for path in [
        "/health/../collections",
        "/page/../collections",
        "/page/%2e%2e/collections",
        "/page/..%2fcollections",
        "/./collections",
    ] {
        let status = status_of(path);
        assert!(status == "401" || status == "404", "{path}: {status}");
    }
    assert_eq!(status_of("/health"), "200");
    assert_eq!(status_of("/collections"), "401");
}

#[test]
fn every_route_works_with_the_key() {
    with(Some(KEY)).get("/collections").expect(200);
    with(Some(KEY))
        .post("/documents", &json!({ "id": "a", "text": "guarded words" }))
        .expect(200);
    with(Some(KEY)).get("/search?q=guarded").expect(200);
    with(Some(KEY)).get("/openapi.json").expect(200);
    let lower = SERVER
        .client()
        .with_key(None)
        .request(Method::GET, "/collections")
        .header("authorization", format!("bearer {KEY}"));
    send(lower).expect(200);
    for wrong in [
        KEY.to_owned(),
        format!("Basic {KEY}"),
        format!("Bearer{KEY}"),
        "Bearer".to_owned(),
    ] {
        let request = SERVER
            .client()
            .with_key(None)
            .request(Method::GET, "/collections")
            .header("authorization", wrong);
        send(request).expect_problem(401, "unauthorized");
    }
}

fn preflight(origin: &str) -> Answer {
    let request = with(None)
        .request(Method::OPTIONS, "/collections/a/search")
        .header("origin", origin)
        .header("access-control-request-method", "POST")
        .header(
            "access-control-request-headers",
            "authorization,content-type",
        );
    send(request)
}

#[test]
fn only_a_configured_origin_may_send_requests() {
    let allowed = preflight(ORIGIN).expect(200);
    assert_eq!(allowed.header("access-control-allow-origin"), Some(ORIGIN));
    assert!(
        allowed
            .header("access-control-allow-methods")
            .unwrap()
            .contains("POST")
    );
    let headers = allowed
        .header("access-control-allow-headers")
        .unwrap()
        .to_lowercase();
    assert!(
        headers.contains("authorization") && headers.contains("content-type"),
        "{headers}"
    );
    assert_eq!(
        preflight("https://evil.example").header("access-control-allow-origin"),
        None
    );

    let call = |origin: &str| {
        send(
            with(Some(KEY))
                .request(Method::GET, "/collections")
                .header("origin", origin),
        )
    };
    assert_eq!(
        call(ORIGIN)
            .expect(200)
            .header("access-control-allow-origin"),
        Some(ORIGIN)
    );
    assert_eq!(
        call("https://evil.example").header("access-control-allow-origin"),
        None
    );
    // An allowed page can read a refusal.
    let refused = send(
        with(None)
            .request(Method::GET, "/collections")
            .header("origin", ORIGIN),
    )
    .expect(401);
    assert_eq!(refused.header("access-control-allow-origin"), Some(ORIGIN));
}

#[test]
fn the_server_s_own_page_needs_no_configuration() {
    let server = Server::start();
    let base = server.client().base().to_owned();
    let request = server
        .client()
        .request(Method::PUT, "/collections/a")
        .header("origin", &base)
        .json(&json!({}));
    send(request).expect(201);
    let page = server.client().get("/").expect_kind(200, "text/html");
    let policy = page.header("content-security-policy").unwrap();
    assert!(policy.contains("default-src 'self'"), "{policy}");
}

#[test]
fn a_request_id_is_returned() {
    let request = with(None)
        .request(Method::GET, "/health")
        .header("x-request-id", "mine-1");
    assert_eq!(send(request).header("x-request-id"), Some("mine-1"));
    assert!(
        with(None)
            .get("/health")
            .header("x-request-id")
            .is_some_and(|id| id.len() > 8)
    );
}
