//! Images by URL: fetched if the settings allow it, and never from an address that only the server
//! can reach.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::LazyLock;
use std::thread;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use clipdb_tests::{Setup, SharedServer, pictures};
use serde_json::{Value, json};

const LIMIT: usize = 100_000;

/// A site with images, on a host that is not public: the settings have to name it.
static SITE: LazyLock<String> = LazyLock::new(|| {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    thread::spawn(move || {
        for stream in listener.incoming() {
            thread::spawn(move || serve(stream.unwrap()));
        }
    });
    address
});

static SERVER: SharedServer = SharedServer::new(|| {
    Setup::new()
        .switch("--url-ingest")
        .flag("--url-ingest-allow", "127.0.0.1")
        .flag("--max-url-bytes", &LIMIT.to_string())
        // Ten images are fetched concurrently.
        .flag("--ingest-memory-mib", "1")
        .start()
});

fn serve(mut stream: TcpStream) {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        if stream.read(&mut byte).unwrap_or(0) == 0 {
            return;
        }
        request.push(byte[0]);
    }
    let request = String::from_utf8(request).unwrap();
    let path = request.split(' ').nth(1).unwrap();
    let port = SITE.rsplit(':').next().unwrap();
    let answer = match path.trim_start_matches('/') {
        "endless" => {
            // Sends no length and never ends.
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n");
            while stream.write_all(&[0; 4096]).is_ok() {}
            return;
        }
        "long" => format!(
            "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
            LIMIT + 1
        )
        .into(),
        "moved" => redirection("/red-apple"),
        "inside" => redirection(&format!("http://127.0.0.2:{port}/red-apple")),
        "metadata" => redirection("http://169.254.169.254/latest/meta-data"),
        "file" => redirection("file:///etc/passwd"),
        "round" => redirection("/round"),
        "page" => ok(b"<html>no picture</html>"),
        name if pictures::DRAWINGS.contains(&name) => ok(&pictures::drawing(name)),
        _ => b"HTTP/1.1 404 Not Found\r\nconnection: close\r\ncontent-length: 0\r\n\r\n".to_vec(),
    };
    let _ = stream.write_all(&answer);
}

fn ok(body: &[u8]) -> Vec<u8> {
    let head = format!(
        "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

fn redirection(to: &str) -> Vec<u8> {
    format!(
        "HTTP/1.1 302 Found\r\nconnection: close\r\nlocation: {to}\r\ncontent-length: 0\r\n\r\n"
    )
    .into()
}

fn at(path: &str) -> Value {
    json!({ "url": format!("http://{}/{path}", *SITE) })
}

#[test]
fn an_image_by_url_is_the_image_itself() {
    let drawings = SERVER.client().collection("url-pictures");
    drawings.add(&json!([
        { "id": "apple", "image": at("red-apple") },
        { "id": "castle", "image": at("castle"), "metadata": { "kind": "building" } },
    ]));
    let stored = drawings.image("apple");
    assert_eq!(stored.body, pictures::drawing("red-apple"));
    let found = drawings.ids(&json!({ "image": at("castle"), "limit": 1 }));
    assert_eq!(found, ["castle"]);

    SERVER
        .client()
        .patch(
            &drawings.document_path("apple"),
            &json!({ "image": at("umbrella") }),
        )
        .expect(200);
    assert_eq!(drawings.image("apple").body, pictures::drawing("umbrella"));
    drawings.add(&json!({ "id": "moved", "image": at("moved") }));
    assert_eq!(drawings.image("moved").body, pictures::drawing("red-apple"));
}

#[test]
fn images_beyond_the_memory_budget_wait_for_each_other() {
    let drawings = SERVER.client().collection("url-many");
    let dim = drawings.summary()["dim"].as_u64().unwrap() as usize;
    let documents: Vec<Value> = (0..40)
        .map(|n| {
            let image = at(pictures::DRAWINGS[n % pictures::DRAWINGS.len()]);
            json!({ "image": image, "vectors": { "image": vec![1.0; dim] } })
        })
        .collect();
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| drawings.add(&json!(documents)));
        }
    });
    assert_eq!(drawings.summary()["documents"], 120);
}

#[test]
fn encode_rank_and_search_accept_urls() {
    let bytes = STANDARD.encode(pictures::drawing("dog-face"));
    let encoded = SERVER
        .client()
        .post(
            "/encode",
            &json!({ "inputs": [{ "image": at("dog-face") }, { "image": { "base64": bytes } }] }),
        )
        .expect(200)
        .json();
    // Two places of one batch may differ in the last bit.
    let number = |at: usize, dimension: usize| encoded["vectors"][at][dimension].as_f64().unwrap();
    for dimension in 0..576 {
        let difference = (number(0, dimension) - number(1, dimension)).abs();
        assert!(difference < 1e-6, "dimension {dimension}: {difference}");
    }

    let post = json!({
        "execEndpoint": "/encode",
        "data": [{ "uri": format!("http://{}/dog-face", *SITE) }],
    });
    let answer = SERVER.client().post("/post", &post).expect(200).json();
    assert!(answer["data"][0]["embedding"].is_array(), "{answer}");
}

#[test]
fn only_the_document_with_the_bad_url_fails_with_a_reason() {
    for (path, code, output) in [
        ("nowhere", "url_not_fetched", "404"),
        ("round", "url_not_fetched", "redirects"),
        (
            "inside",
            "url_not_fetched",
            "127.0.0.2 is not a public address",
        ),
        ("metadata", "url_not_fetched", "169.254.169.254"),
        ("file", "url_not_fetched", "file"),
        ("long", "too_large", "max_url_bytes"),
        ("endless", "too_large", "max_url_bytes"),
        ("page", "invalid_image", ""),
    ] {
        fails(at(path), code, output);
    }
    for (url, output) in [
        (
            "http://169.254.169.254/latest/meta-data",
            "not a public address",
        ),
        ("http://localhost/", "not a public address"),
        ("http://[::1]/", "not a public address"),
        ("http://0/", "not a public address"),
        ("http://user:secret@127.0.0.1/", "password"),
        ("file:///etc/passwd", "neither http nor https"),
        ("gopher://127.0.0.1/", "neither http nor https"),
        ("red-apple.png", "not a valid URL"),
    ] {
        let code = match url {
            "http://localhost/" => "url_not_fetched",
            _ => "url_refused",
        };
        fails(json!({ "url": url }), code, output);
    }
}

/// Such an image is refused, and the next document is stored.
fn fails(image: Value, code: &str, output: &str) {
    let documents = json!([{ "id": "bad", "image": image }, { "id": "good", "text": "words" }]);
    let path = SERVER.client().collection("url-bad").path("/documents");
    let answer = SERVER.client().post(&path, &documents).expect(200).json();
    let error = &answer["results"][0]["error"];
    assert_eq!(error["code"], code, "{answer}");
    assert!(
        error["detail"].as_str().unwrap().contains(output),
        "{answer}"
    );
    assert_ne!(answer["results"][1]["status"], "failed", "{answer}");
}
