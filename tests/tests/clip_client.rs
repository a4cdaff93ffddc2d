//! CLIP-as-service's own client, unmodified, against the real binary: every call over every
//! protocol. `clip_client/calls.py` makes the calls and checks the responses.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use clipdb_tests::{Python, Server, Setup, SharedServer};

static SERVER: SharedServer = SharedServer::new(|| Setup::new().grpc().start());

const KEY: &str = "a-key-of-this-test";

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("clip_client")
}

/// The Python environment with the client.
static PYTHON: LazyLock<Python> = LazyLock::new(|| {
    Python::environment("clip-client", &folder().join("requirements.txt"))
        // Its threads share the cores with the server's.
        .variable("OMP_NUM_THREADS", "1")
});

/// Runs the named checks, or all of them, over `url`.
fn calls(python: &Python, server: &Server, url: &str, names: &[&str]) {
    let mut arguments = vec![url, server.client().base()];
    arguments.extend(names);
    let finished = python.run(&folder().join("calls.py"), &arguments);
    println!("{}", finished.stdout);
    assert!(
        finished.code == Some(0) && finished.stdout.contains(" passed, 0 failed"),
        "over {url}:\n{}\n{}",
        finished.stdout,
        finished.stderr
    );
}

/// The output of `examples/clip-client/search.py`.
fn example(arguments: &[&str]) -> String {
    let finished = PYTHON
        .clone()
        .variable("CLIP_SERVER", &format!("grpc://{}", SERVER.grpc()))
        .variable("CLIPDB_SERVER", SERVER.client().base())
        .run(
            &folder().join("../../examples/clip-client/search.py"),
            arguments,
        );
    assert_eq!(
        finished.code,
        Some(0),
        "{}\n{}",
        finished.stdout,
        finished.stderr
    );
    finished.stdout
}

/// The line after the query's own line.
fn best<'a>(stdout: &'a str, question: &str) -> &'a str {
    let mut lines = stdout.lines().skip_while(|line| line.trim() != question);
    lines
        .nth(1)
        .unwrap_or_else(|| panic!("nothing was found: {stdout}"))
}

#[test]
fn the_examples_find_the_right_documents() {
    let drawings = folder().join("../../models/clipdb-mini/golden");
    let drawing = |name: &str| drawings.join(name).to_str().unwrap().to_owned();
    for _ in 0..2 {
        let stdout = example(&["pictures", &drawing(""), "bad weather"]);
        assert!(
            best(&stdout, "\"bad weather\"").ends_with("umbrella.png"),
            "{stdout}"
        );
    }
    let stored = SERVER.client().get("/collections/clip-client-pictures");
    assert_eq!(stored.expect(200).json()["documents"], 5);

    let scratch = tempfile::tempdir().unwrap();
    let text = scratch.path().join("text.txt");
    std::fs::write(
        &text,
        "The old castle stood upon a hill.\nShe ate a ripe apple.\n\nHe barked like a dog.\n",
    )
    .unwrap();
    let stdout = example(&[
        "sentences",
        text.to_str().unwrap(),
        &drawing("castle.png"),
        &drawing("red-apple.png"),
    ]);
    assert!(
        best(&stdout, "castle.png").contains("castle stood"),
        "{stdout}"
    );
    assert!(
        best(&stdout, "red-apple.png").contains("ripe apple"),
        "{stdout}"
    );

    let stdout = example(&["profile"]);
    assert!(
        stdout.contains("Client-server network") && stdout.contains("CLIP model"),
        "{stdout}"
    );
}

fn port(address: &str) -> &str {
    address.rsplit(':').next().unwrap_or_default()
}

#[test]
fn over_grpc() {
    calls(&PYTHON, &SERVER, &format!("grpc://{}", SERVER.grpc()), &[]);
}

#[test]
fn over_http() {
    calls(&PYTHON, &SERVER, SERVER.client().base(), &[]);
}

#[test]
fn over_websocket() {
    let url = format!("ws://{}", SERVER.client().address());
    calls(&PYTHON, &SERVER, &url, &[]);
}

/// Some of the calls: TLS affects only the connection and large messages.
const SOME: [&str; 6] = [
    "encode_mixed_keeps_the_order",
    "encode_asynchronously",
    "encode_a_large_picture",
    "profile",
    "rank",
    "index_and_search",
];

#[test]
fn over_tls() {
    let server = Setup::new().grpc().tls().start();
    let certificate = server.certificate();
    let certificate = certificate.to_str().unwrap();
    let python = PYTHON
        .clone()
        .variable("GRPC_DEFAULT_SSL_ROOTS_FILE_PATH", certificate)
        .variable("SSL_CERT_FILE", certificate);
    let main = port(server.client().address());
    for url in [
        format!("grpcs://localhost:{}", port(&server.grpc())),
        format!("https://localhost:{main}"),
        format!("wss://localhost:{main}"),
    ] {
        calls(&python, &server, &url, &SOME);
    }
}

#[test]
fn with_a_key() {
    let server = Setup::new().grpc().key(KEY).start();
    let python = PYTHON.clone().variable("KEY", KEY);
    for url in [
        format!("grpc://{}", server.grpc()),
        server.client().base().to_owned(),
    ] {
        let names = [
            "the_key_is_asked_for",
            "encode_mixed_keeps_the_order",
            "encode_asynchronously",
            "a_path_or_url_is_not_followed",
            "rank",
            "index_and_search",
        ];
        calls(&python, &server, &url, &names);
    }
    // The client cannot send a key over WebSocket, so the server refuses it.
    let url = format!("ws://{}", server.client().address());
    calls(&python, &server, &url, &["kept_out"]);
}
