//! Requests that a foreign web page makes a visitor's browser send to a server without a key. None
//! of them changes anything, whatever the method and the protocol, or under a host name of its own
//! (DNS rebinding).
#![allow(clippy::unwrap_used, reason = "a test")]

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

use clipdb_tests::{Answer, Client, Python, Server, Setup, SharedServer, send};
use reqwest::Method;
use serde_json::json;

const EVIL: &str = "http://evil.example";
const KEY: &str = "a-key-of-this-test";

static SERVER: SharedServer = SharedServer::new(Server::start);

fn client() -> &'static Client {
    SERVER.client()
}

fn ask(client: &Client, method: Method, path: &str, headers: &[(&str, &str)]) -> Answer {
    let request = client.request(method, path).body("{\"text\": \"a\"}");
    send(headers.iter().fold(request, |request, (name, value)| {
        request.header(*name, *value)
    }))
}

const WRITES: [(Method, &str); 16] = [
    (Method::PUT, "/collections/a"),
    (Method::DELETE, "/collections/a"),
    (Method::POST, "/documents"),
    (Method::POST, "/collections/a/documents"),
    (Method::PUT, "/collections/a/documents/b"),
    (Method::PATCH, "/collections/a/documents/b"),
    (Method::DELETE, "/collections/a/documents/b"),
    (Method::DELETE, "/collections/a/documents?filter=%7B%7D"),
    (Method::POST, "/collections/a/restore"),
    (Method::POST, "/collections/a/snapshots"),
    (Method::POST, "/collections/a/compact"),
    (Method::DELETE, "/tasks/a"),
    (Method::POST, "/post"),
    (Method::POST, "/index"),
    (Method::POST, "/search"),
    (Method::POST, "/v1/embeddings"),
];

#[test]
fn a_page_of_another_origin_changes_nothing() {
    let before = client().get("/collections").expect(200).text();
    let senders: [&[(&str, &str)]; 8] = [
        &[("origin", EVIL)],
        &[("origin", "null")],
        // Another port of the same machine is another origin.
        &[("origin", "http://127.0.0.1:3000")],
        &[("origin", "http://localhost")],
        &[("sec-fetch-site", "cross-site")],
        &[("sec-fetch-site", "same-site")],
        &[("origin", EVIL), ("sec-fetch-site", "cross-site")],
        // Content types that a form and `fetch` can send without a preflight.
        &[("origin", EVIL), ("content-type", "text/plain")],
    ];
    for (method, path) in WRITES {
        for sender in senders {
            let answer = ask(client(), method.clone(), path, sender);
            assert_eq!(answer.header("access-control-allow-origin"), None);
            answer.expect_problem(403, "foreign_origin");
        }
    }
    for kind in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
    ] {
        let headers = [("origin", EVIL), ("content-type", kind)];
        ask(client(), Method::POST, "/documents", &headers).expect_problem(403, "foreign_origin");
    }
    assert_eq!(client().get("/collections").expect(200).text(), before);
}

#[test]
fn the_server_s_own_page_programs_and_reads_still_work() {
    let base = client().base();
    let put = |headers: &[(&str, &str)]| {
        let request = client()
            .request(Method::PUT, "/collections/own")
            .json(&json!({}));
        send(headers.iter().fold(request, |request, (name, value)| {
            request.header(*name, *value)
        }))
    };
    put(&[]).expect(201);
    put(&[("origin", base)]).expect(200);
    put(&[("origin", base), ("sec-fetch-site", "same-origin")]).expect(200);
    // Behind a proxy that changes `Host`, the browser's own header counts.
    put(&[
        ("origin", "https://search.example.org"),
        ("sec-fetch-site", "same-origin"),
    ])
    .expect(200);
    // An address that the visitor enters in the browser.
    put(&[("sec-fetch-site", "none")]).expect(200);
    // A read changes nothing, and the page cannot see its response.
    for path in ["/collections", "/", "/health"] {
        let headers = [("origin", EVIL), ("sec-fetch-site", "cross-site")];
        let answer = ask(client(), Method::GET, path, &headers).expect(200);
        assert_eq!(answer.header("access-control-allow-origin"), None);
    }
}

#[test]
fn a_configured_origin_may_write() {
    let server = Setup::new()
        .flag("--cors-origin", "https://app.example.org")
        .start();
    let put = |origin: &str| {
        let request = server.client().request(Method::PUT, "/collections/a");
        send(request.header("origin", origin).json(&json!({})))
    };
    let named = put("https://app.example.org").expect(201);
    assert_eq!(
        named.header("access-control-allow-origin"),
        Some("https://app.example.org")
    );
    put("https://app.example.org.evil.example").expect_problem(403, "foreign_origin");
    put("http://app.example.org").expect_problem(403, "foreign_origin");
    let any = Setup::new().flag("--cors-origin", "*").start();
    let request = any.client().request(Method::PUT, "/collections/a");
    send(request.header("origin", EVIL).json(&json!({}))).expect(201);
}

/// The first line of the response to `head`, which is sent as it is.
fn status_of(address: &str, head: &str) -> u16 {
    let mut stream = TcpStream::connect(address).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    stream.write_all(head.as_bytes()).unwrap();
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).unwrap();
    let answer = String::from_utf8(answer.to_vec()).unwrap();
    answer.split(' ').nth(1).unwrap().parse().unwrap()
}

fn status_for_host(address: &str, host: &str, path: &str) -> u16 {
    status_of(
        address,
        &format!("GET {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n"),
    )
}

#[test]
fn a_server_without_a_key_accepts_only_its_own_names() {
    let address = client().address();
    let port = address.rsplit(':').next().unwrap();
    for host in [
        "localhost".to_owned(),
        format!("localhost:{port}"),
        "LocalHost:1".to_owned(),
        "clipdb.localhost".to_owned(),
        address.to_owned(),
        "127.0.0.9".to_owned(),
        "[::1]:8080".to_owned(),
        "0.0.0.0:8080".to_owned(),
    ] {
        assert_eq!(
            status_for_host(address, &host, "/collections"),
            200,
            "{host}"
        );
    }
    for host in [
        "evil.example",
        "evil.example:8080",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "127.0.0.1@evil.example",
        "10.0.0.1:8080",
        "",
    ] {
        for path in [
            "/collections",
            "/",
            "/health",
            "/openapi.json",
            "/search?q=a",
            "/nowhere",
        ] {
            assert_eq!(status_for_host(address, host, path), 403, "{host} {path}");
        }
    }
    let problem = ask(
        client(),
        Method::GET,
        "/collections",
        &[("host", "evil.example:8080")],
    )
    .expect_problem(403, "foreign_host");
    let detail = problem["detail"].as_str().unwrap();
    assert!(
        detail.contains("evil.example:8080") && detail.contains("--allowed-host"),
        "{detail}"
    );
    // A request line with an absolute URL has its own host.
    let absolute = "GET http://evil.example/collections HTTP/1.1\r\nhost: localhost\r\n\r\n";
    assert_eq!(status_of(address, absolute), 403);
    // Programs other than browsers, without a host.
    assert_eq!(status_of(address, "GET /collections HTTP/1.0\r\n\r\n"), 200);
}

#[test]
fn a_configured_host_name_is_served() {
    let server = Setup::new()
        .flag("--allowed-host", "search.example.org,box.lan")
        .start();
    let address = server.client().address();
    for (host, status) in [
        ("search.example.org", 200),
        ("search.example.org:443", 200),
        ("BOX.lan:8080", 200),
        ("localhost", 200),
        ("example.org", 403),
        ("x.search.example.org", 403),
    ] {
        assert_eq!(
            status_for_host(address, host, "/collections"),
            status,
            "{host}"
        );
    }
    let any = Setup::new().flag("--allowed-host", "*").start();
    assert_eq!(
        status_for_host(any.client().address(), "any.example", "/collections"),
        200
    );
    // With a key a page cannot send a valid request, whatever its host name.
    let keyed = Setup::new().key(KEY).start();
    let request = keyed.client().request(Method::GET, "/collections");
    send(request.header("host", "any.example")).expect(200);
}

#[test]
fn a_server_on_every_address_accepts_addresses_but_no_names() {
    let open = Setup::new()
        .flag("--listen", "0.0.0.0:0")
        .switch("--no-auth")
        .start();
    let port = open
        .client()
        .address()
        .rsplit(':')
        .next()
        .unwrap()
        .to_owned();
    let address = format!("127.0.0.1:{port}");
    for (host, status) in [
        ("192.168.1.7:8080", 200),
        ("[2001:db8::7]:8080", 200),
        ("localhost", 200),
        ("evil.example", 403),
        ("box.lan", 403),
    ] {
        assert_eq!(
            status_for_host(&address, host, "/collections"),
            status,
            "{host}"
        );
    }
}

fn upgrade(address: &str, path: &str, headers: &str) -> u16 {
    status_of(
        address,
        &format!(
            "GET {path} HTTP/1.1\r\n{headers}upgrade: websocket\r\nconnection: Upgrade\r\n\
             sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        ),
    )
}

#[test]
fn the_same_rules_apply_to_websockets() {
    let address = client().address();
    let own = format!("host: {address}\r\n");
    for path in ["/", "/dry_run"] {
        for (headers, status) in [
            (own.clone(), 101),
            (format!("{own}origin: http://{address}\r\n"), 101),
            (format!("{own}origin: {EVIL}\r\n"), 403),
            (format!("{own}origin: null\r\n"), 403),
            (format!("{own}origin: http://localhost:3000\r\n"), 403),
            (format!("{own}sec-fetch-site: cross-site\r\n"), 403),
            // To the browser a rebound name is the page's own origin.
            (
                format!("host: evil.example:8080\r\norigin: {EVIL}:8080\r\n"),
                403,
            ),
        ] {
            assert_eq!(upgrade(address, path, &headers), status, "{path} {headers}");
        }
    }
}

/// gRPC has the host in `:authority`. A browser can send such requests over TLS.
#[test]
fn the_same_rules_apply_to_grpc() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("python_clients");
    let python = Python::environment("python-clients", &folder.join("requirements.txt"));
    let server = Setup::new().tls().grpc().start();
    let finished = python.run(&folder.join("authority.py"), &[&server.grpc()]);
    assert_eq!(
        (finished.code, finished.stdout.trim()),
        (Some(0), "ok"),
        "{}",
        finished.stderr
    );
}

#[test]
fn a_key_from_a_file_or_standard_input_is_required_and_never_shown() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("key");
    std::fs::write(&file, format!("{KEY}\n")).unwrap();
    let server = Setup::new()
        .flag("--api-key-file", file.to_str().unwrap())
        .start();
    server.client().get("/collections").expect(401);
    let with_key = server.client().with_key(Some(KEY));
    with_key.get("/collections").expect(200);

    // A key given as a flag is removed from the command line, which all users can read.
    let flagged = Setup::new().key(KEY).start();
    flagged.client().get("/collections").expect(200);
    let line = std::fs::read(format!("/proc/{}/cmdline", flagged.pid())).unwrap();
    let line = String::from_utf8_lossy(&line).replace('\0', " ");
    assert!(line.contains("serve") && !line.contains(KEY), "{line}");

    for (setup, message) in [
        (
            Setup::new().flag("--api-key-file", "/nowhere/key"),
            "/nowhere/key",
        ),
        (
            Setup::new()
                .key(KEY)
                .flag("--api-key-file", file.to_str().unwrap()),
            "'api_key'",
        ),
        // Standard input is empty.
        (Setup::new().flag("--api-key-file", "-"), "api_key_file"),
    ] {
        let refused = setup.refused();
        assert_eq!(refused.code, Some(2), "{}", refused.stderr);
        assert!(refused.stderr.contains(message), "{}", refused.stderr);
        assert!(!refused.stderr.contains(KEY));
    }
}
