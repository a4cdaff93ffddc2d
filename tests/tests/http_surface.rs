//! HTTP semantics: HEAD, OPTIONS, `Allow`, conditional requests, ranges, compression, and the
//! latency of a kept-alive connection.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::{Duration, Instant};

use clipdb_tests::{
    Answer, Client, Python, Server, Setup, SharedServer, pictures, send, wait_until,
};
use reqwest::Method;
use serde_json::json;

const KEY: &str = "a-key-of-this-test";

static SERVER: SharedServer = SharedServer::new(|| {
    let server = Server::start();
    let client = server.client();
    client.collection("surface");
    let image = Client::image(&pictures::png(7));
    let document = json!({ "id": "p", "text": "a ferry", "image": image });
    client
        .post("/collections/surface/documents", &document)
        .expect(200);
    let long = json!({ "id": "long", "text": "many words of a ferry ".repeat(200) });
    client
        .post("/collections/surface/documents", &long)
        .expect(200);
    server
});

fn client() -> &'static Client {
    SERVER.client()
}

fn ask(method: Method, path: &str, headers: &[(&str, &str)]) -> Answer {
    let request = client().request(method, path);
    send(headers.iter().fold(request, |request, (name, value)| {
        request.header(*name, *value)
    }))
}

const READ: [&str; 20] = [
    "/health",
    "/ready",
    "/metrics",
    "/",
    "/docs",
    "/favicon.ico",
    "/page/page.css",
    "/openapi.json",
    "/collections",
    "/collections/surface",
    "/collections/surface/check",
    "/collections/surface/documents",
    "/collections/surface/documents/p",
    "/collections/surface/documents/p/image",
    "/collections/surface/documents/p/image?width=32",
    "/collections/surface/snapshots",
    "/search?q=ferry&collection=surface",
    "/tasks",
    "/v1/models",
    "/dry_run",
];

#[test]
fn head_is_get_without_a_body() {
    for path in READ {
        let (get, head) = (client().get(path), ask(Method::HEAD, path, &[]));
        assert_eq!((get.status, head.status), (200, 200), "{path}");
        assert!(head.body.is_empty(), "{path}");
        assert_eq!(
            get.header("content-type"),
            head.header("content-type"),
            "{path}"
        );
        assert_eq!(get.header("etag"), head.header("etag"), "{path}");
        let length = head.header("content-length").unwrap();
        // Other tests change lists, counts and times.
        let is_fixed = path.starts_with("/page/")
            || path.contains("/documents/p")
            || ["/", "/docs", "/favicon.ico", "/openapi.json"].contains(&path);
        if is_fixed {
            assert_eq!(length, get.body.len().to_string(), "{path}");
        }
    }
    for (path, status) in [
        ("/nowhere", 404),
        ("/collections/absent", 404),
        ("/collections/surface/documents/absent", 404),
        ("/search", 422),
        ("/documents", 405),
    ] {
        let head = ask(Method::HEAD, path, &[]);
        assert_eq!((head.status, head.body.len()), (status, 0), "{path}");
    }
    // With `Accept-Encoding` too: there is nothing to compress.
    let head = ask(
        Method::HEAD,
        "/openapi.json",
        &[("accept-encoding", "gzip")],
    );
    assert_eq!((head.status, head.body.len()), (200, 0));
}

/// Sends several requests in one write and reads until the server closes the connection.
fn pipelined(requests: &str) -> String {
    let mut stream = TcpStream::connect(client().address()).unwrap();
    stream.write_all(requests.as_bytes()).unwrap();
    let mut answers = String::new();
    stream.read_to_string(&mut answers).unwrap();
    answers
}

#[test]
fn requests_after_a_head_on_one_connection_are_answered() {
    let host = "host: localhost\r\n";
    let answers = pipelined(&format!(
        "HEAD /openapi.json HTTP/1.1\r\n{host}\r\nGET /health HTTP/1.1\r\n{host}\r\n\
         HEAD / HTTP/1.1\r\n{host}\r\nGET /health HTTP/1.1\r\n{host}connection: close\r\n\r\n"
    ));
    assert_eq!(answers.matches("HTTP/1.1 200 OK").count(), 4, "{answers}");
    assert_eq!(answers.matches("{\"").count(), 2, "{answers}");
    // There is no protocol to upgrade to.
    let answers = pipelined(&format!(
        "HEAD / HTTP/1.1\r\n{host}upgrade: websocket\r\nconnection: upgrade\r\n\r\n"
    ));
    assert!(answers.starts_with("HTTP/1.1 200 OK"), "{answers}");
}

#[test]
fn an_unsupported_method_is_answered_with_the_supported_ones() {
    for (path, allowed) in [
        ("/health", "GET, HEAD, OPTIONS"),
        ("/", "GET, HEAD, OPTIONS"),
        ("/documents", "POST, OPTIONS"),
        ("/collections", "GET, HEAD, OPTIONS"),
        ("/collections/surface", "PUT, GET, HEAD, DELETE, OPTIONS"),
        (
            "/collections/surface/documents",
            "POST, GET, HEAD, DELETE, OPTIONS",
        ),
        (
            "/collections/surface/documents/p",
            "GET, HEAD, PUT, PATCH, DELETE, OPTIONS",
        ),
        (
            "/collections/surface/documents/p/image",
            "GET, HEAD, OPTIONS",
        ),
        ("/collections/surface/restore", "POST, OPTIONS"),
        ("/search", "POST, GET, HEAD, OPTIONS"),
        ("/tasks/a", "GET, HEAD, DELETE, OPTIONS"),
        ("/v1/embeddings", "POST, OPTIONS"),
        ("/v1/models", "GET, HEAD, OPTIONS"),
        ("/post", "POST, OPTIONS"),
        ("/dry_run", "GET, HEAD, OPTIONS"),
        ("/page/page.js", "GET, HEAD, OPTIONS"),
    ] {
        for method in ["TRACE", "PROPFIND"] {
            let method = Method::from_bytes(method.as_bytes()).unwrap();
            let answer = ask(method.clone(), path, &[]);
            assert_eq!(answer.header("allow"), Some(allowed), "{path}");
            let problem = answer.expect_problem(405, "method_not_allowed");
            let detail = problem["detail"].as_str().unwrap();
            assert!(
                detail.contains(method.as_str()) && detail.contains(allowed),
                "{detail}"
            );
            if path.starts_with("/v1/") {
                assert_eq!(problem["error"]["code"], "method_not_allowed");
            }
        }
        let options = ask(Method::OPTIONS, path, &[]).expect(204);
        assert_eq!(options.header("allow"), Some(allowed), "{path}");
    }
    ask(Method::OPTIONS, "/nowhere", &[]).expect_problem(404, "no_such_route");
    ask(Method::OPTIONS, "/v1/nowhere", &[]).expect_problem(404, "no_such_route");
}

#[test]
fn without_the_key_no_method_reveals_routes() {
    let server = Setup::new().key(KEY).start();
    let stranger = server.client().with_key(None);
    for path in ["/collections", "/tasks", "/nowhere", "/v1/models"] {
        for method in [Method::OPTIONS, Method::HEAD, Method::TRACE] {
            let answer = send(stranger.request(method.clone(), path));
            assert_eq!(answer.status, 401, "{method} {path}");
            assert_eq!(answer.header("allow"), None, "{method} {path}");
        }
    }
    send(stranger.request(Method::OPTIONS, "/health")).expect(204);
    send(server.client().request(Method::OPTIONS, "/collections")).expect(204);
}

#[test]
fn every_response_forbids_content_sniffing() {
    for path in READ.into_iter().chain(["/nowhere", "/search"]) {
        let answer = client().get(path);
        assert_eq!(
            answer.header("x-content-type-options"),
            Some("nosniff"),
            "{path}"
        );
    }
}

#[test]
fn a_cached_response_is_not_sent_again() {
    let image = "/collections/surface/documents/p/image";
    for path in [
        "/",
        "/docs",
        "/favicon.ico",
        "/page/page.js",
        "/openapi.json",
        image,
        "/collections/surface/documents/p/image?width=32",
    ] {
        let tag = client()
            .get(path)
            .expect(200)
            .header("etag")
            .unwrap_or_else(|| panic!("{path} has no tag"))
            .to_owned();
        for known in [tag.as_str(), &format!("\"other\", {tag}"), "*"] {
            let again = ask(Method::GET, path, &[("if-none-match", known)]);
            assert_eq!(again.status, 304, "{path} {known}");
            assert!(again.body.is_empty());
            assert_eq!(again.header("etag"), Some(tag.as_str()), "{path}");
        }
        ask(Method::GET, path, &[("if-none-match", "\"other\"")]).expect(200);
        // With `Accept-Encoding`, like browsers.
        let both = [("if-none-match", tag.as_str()), ("accept-encoding", "gzip")];
        ask(Method::GET, path, &both).expect(304);
        ask(Method::HEAD, path, &[("if-none-match", &tag)]).expect(304);
    }
}

#[test]
fn an_image_can_be_requested_conditionally_by_date() {
    client().collection("dated");
    let path = "/collections/dated/documents/d";
    let put = |seed: u64| {
        let image = Client::image(&pictures::png(seed));
        client().put(path, &json!({ "image": image })).expect(200);
    };
    put(1);
    let image = format!("{path}/image");
    let first = client().get(&image).expect(200);
    assert_eq!(first.header("last-modified"), None, "it may change yet");
    let mut settled = first;
    let has_date = wait_until(|| {
        settled = client().get(&image).expect(200);
        settled.header("last-modified").is_some()
    });
    assert!(has_date, "{settled:?}");
    let date = settled.header("last-modified").unwrap().to_owned();
    let since = |date: &str| ask(Method::GET, &image, &[("if-modified-since", date)]).status;
    assert_eq!(since(&date), 304);
    assert_eq!(since("Sun, 06 Nov 1994 08:49:37 GMT"), 200);
    put(2);
    assert_eq!(since(&date), 200, "another image");
}

#[test]
fn a_snapshot_can_be_downloaded_in_ranges() {
    let taken = client()
        .post("/collections/surface/snapshots", &json!({}))
        .expect(201);
    let path = taken.header("location").unwrap().to_owned();
    let whole = client().get(&path).expect(200);
    assert_eq!(whole.header("accept-ranges"), Some("bytes"));
    let tag = whole.header("etag").unwrap().to_owned();
    let length = whole.body.len();
    let part = |range: &str| ask(Method::GET, &path, &[("range", range)]);
    for (range, from, to) in [
        ("bytes=0-0".to_owned(), 0, 1),
        ("bytes=10-99".to_owned(), 10, 100),
        (format!("bytes={}-", length - 7), length - 7, length),
        ("bytes=-5".to_owned(), length - 5, length),
        (format!("bytes=3-{}", length * 2), 3, length),
    ] {
        let some = part(&range).expect(206);
        assert_eq!(some.body, whole.body[from..to], "{range}");
        assert_eq!(
            some.header("content-range"),
            Some(format!("bytes {from}-{}/{length}", to - 1).as_str())
        );
    }
    let behind = part(&format!("bytes={length}-"));
    assert_eq!(
        behind.header("content-range"),
        Some(format!("bytes */{length}").as_str())
    );
    behind.expect_problem(416, "range_not_satisfiable");
    for (if_range, status) in [(tag.as_str(), 206), ("\"other\"", 200)] {
        let headers = [("range", "bytes=0-9"), ("if-range", if_range)];
        ask(Method::GET, &path, &headers).expect(status);
    }
    ask(Method::GET, &path, &[("if-none-match", &tag)]).expect(304);
    let head = ask(Method::HEAD, &path, &[]).expect(200);
    assert_eq!(
        head.header("content-length"),
        Some(length.to_string().as_str())
    );
}

#[test]
fn only_long_responses_are_compressed() {
    let encoding = |path: &str, accepted: &str| {
        let answer = ask(Method::GET, path, &[("accept-encoding", accepted)]).expect(200);
        answer.header("content-encoding").map(str::to_owned)
    };
    for accepted in ["gzip", "gzip, deflate", "gzip, deflate, br, zstd"] {
        for path in ["/openapi.json", "/page/page.js", "/metrics"] {
            assert!(encoding(path, accepted).is_some(), "{path} {accepted}");
        }
        for path in [
            "/health",
            "/tasks",
            "/collections/surface/documents/p",
            "/collections/surface/documents/p/image",
        ] {
            assert_eq!(encoding(path, accepted), None, "{path} {accepted}");
        }
    }
    assert_eq!(encoding("/openapi.json", "identity"), None);
}

/// Reads one complete response, with a length or chunked.
fn read_response(reader: &mut impl BufRead) {
    let mut length = None;
    let mut chunked = false;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        let line = line.trim_end().to_ascii_lowercase();
        if line.is_empty() {
            break;
        }
        if let Some(value) = line.strip_prefix("content-length:") {
            length = Some(value.trim().parse::<usize>().unwrap());
        }
        chunked |= line == "transfer-encoding: chunked";
    }
    if chunked {
        loop {
            let mut size = String::new();
            reader.read_line(&mut size).unwrap();
            let size = usize::from_str_radix(size.trim(), 16).unwrap();
            let mut chunk = vec![0; size + 2];
            reader.read_exact(&mut chunk).unwrap();
            if size == 0 {
                return;
            }
        }
    }
    let mut body = vec![0; length.unwrap()];
    reader.read_exact(&mut body).unwrap();
}

/// With Nagle's algorithm a response in several pieces waits for the client's delayed
/// acknowledgement of the first, which takes 40 ms.
#[test]
fn gzip_on_a_kept_alive_connection_is_not_delayed() {
    for path in [
        "/search?q=ferry&collection=surface&mode=keyword",
        "/openapi.json",
    ] {
        // In one piece, like clients send it: with several the client itself would wait.
        let request = format!(
            "GET {path} HTTP/1.1\r\nhost: localhost\r\naccept-encoding: gzip, deflate\r\n\r\n"
        );
        let mut stream = TcpStream::connect(client().address()).unwrap();
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let mut median = || {
            let mut took: Vec<Duration> = (0..21)
                .map(|_| {
                    let started = Instant::now();
                    stream.write_all(request.as_bytes()).unwrap();
                    read_response(&mut reader);
                    started.elapsed()
                })
                .collect();
            took.sort();
            took[10]
        };
        // A delayed acknowledgement slows down every round, a busy machine only some of them.
        let fastest = (0..10)
            .map(|_| median())
            .find(|took| *took < Duration::from_millis(20));
        assert!(fastest.is_some(), "{path}: more than 20 ms in ten rounds");
    }
}

/// `requests` and `httpx` with their default headers, over HTTP and HTTPS.
#[test]
fn python_clients_are_not_delayed() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("python_clients");
    let python = Python::environment("python-clients", &folder.join("requirements.txt"));
    let tls = Setup::new().tls().start();
    let image = Client::image(&pictures::png(7));
    let long =
        json!({ "id": "long", "text": "many words of a ferry ".repeat(200), "image": image });
    tls.client().post("/documents", &long).expect(200);
    client().post("/documents", &long).expect(200);
    let certificate = tls.certificate();
    for (base, trusted) in [
        (client().base(), "-"),
        (tls.client().base(), certificate.to_str().unwrap()),
    ] {
        let arguments = [base, trusted, "--at-most-ms", "20"];
        let run = || python.run(&folder.join("latency.py"), &arguments);
        // A delayed acknowledgement slows down every run, a busy machine only some of them.
        let finished = (0..3).map(|_| run()).find(|run| run.code == Some(0));
        let finished = finished.unwrap_or_else(run);
        assert_eq!(
            finished.code,
            Some(0),
            "{}{}",
            finished.stdout,
            finished.stderr
        );
    }
}
