//! Every encoding of a body that clients send: compressed, with a byte order mark, chunked, forms
//! with any kind of file name; and their limits.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use clipdb_tests::{Answer, Client, Collection, Server, Setup, SharedServer, machine, pictures};
use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
use reqwest::Method;
use serde_json::{Value, json};

const MIB: usize = 1 << 20;
const MAX_BODY: usize = 8 * MIB;

static SERVER: SharedServer = SharedServer::new(start);

fn start() -> Server {
    Setup::new()
        .flag("--max-body-bytes", &MAX_BODY.to_string())
        .flag("--max-line-bytes", &MIB.to_string())
        .start()
}

fn client() -> &'static Client {
    SERVER.client()
}

const JSON: &str = "application/json";
const NDJSON: &str = "application/x-ndjson";
const FORM: &str = "multipart/form-data; boundary=bb";
const ENCODINGS: [&str; 6] = ["gzip", "x-gzip", "deflate", "raw deflate", "br", "zstd"];

fn encoded(encoding: &str, body: &[u8]) -> Vec<u8> {
    let level = Compression::default();
    match encoding {
        "gzip" | "x-gzip" => {
            let mut encoder = GzEncoder::new(Vec::new(), level);
            encoder.write_all(body).unwrap();
            encoder.finish().unwrap()
        }
        "deflate" => {
            let mut encoder = ZlibEncoder::new(Vec::new(), level);
            encoder.write_all(body).unwrap();
            encoder.finish().unwrap()
        }
        "raw deflate" => {
            let mut encoder = DeflateEncoder::new(Vec::new(), level);
            encoder.write_all(body).unwrap();
            encoder.finish().unwrap()
        }
        "br" => {
            let mut output = Vec::new();
            let parameters = brotli::enc::BrotliEncoderParams::default();
            brotli::BrotliCompress(&mut &*body, &mut output, &parameters).unwrap();
            output
        }
        "zstd" => zstd::encode_all(body, 3).unwrap(),
        other => panic!("{other}"),
    }
}

fn send(path: &str, kind: &str, encoding: &str, body: Vec<u8>) -> Answer {
    send_to(client(), path, kind, encoding, body)
}

fn send_to(client: &Client, path: &str, kind: &str, encoding: &str, body: Vec<u8>) -> Answer {
    let name = encoding.trim_start_matches("raw ");
    let request = client
        .request(Method::POST, path)
        .header("content-type", kind)
        .header("content-encoding", name)
        .body(body);
    clipdb_tests::send(request)
}

/// A multipart form of parts, each with a head and a content.
fn form(parts: &[(&[u8], &[u8])]) -> Vec<u8> {
    let mut body = Vec::new();
    for (head, content) in parts {
        body.extend_from_slice(b"--bb\r\n");
        body.extend_from_slice(head);
        body.extend_from_slice(b"\r\n\r\n");
        body.extend_from_slice(content);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(b"--bb--\r\n");
    body
}

fn documents_part(documents: &str) -> (&'static [u8], &[u8]) {
    (
        b"Content-Disposition: form-data; name=\"documents\"",
        documents.as_bytes(),
    )
}

fn file_head(names: &str) -> Vec<u8> {
    format!("Content-Disposition: form-data; {names}\r\nContent-Type: image/png").into_bytes()
}

fn post_form(collection: &Collection, body: Vec<u8>) -> Answer {
    client().send(
        Method::POST,
        &collection.path("/documents"),
        Some(FORM),
        body,
    )
}

fn codes(answer: &Value) -> Vec<&str> {
    let results = answer["results"].as_array().unwrap();
    let code = |result: &'_ Value| result["error"]["code"].as_str().map(str::to_owned);
    results
        .iter()
        .map(|result| match code(result) {
            Some(_) => result["error"]["code"].as_str().unwrap(),
            None => result["status"].as_str().unwrap(),
        })
        .collect()
}

#[test]
fn bodies_are_decompressed() {
    let collection = client().collection("inflated");
    let documents = collection.path("/documents");
    for encoding in ENCODINGS {
        let document = json!({ "id": encoding, "text": "words that are inflated" }).to_string();
        let created = send(
            &documents,
            JSON,
            encoding,
            encoded(encoding, document.as_bytes()),
        );
        assert_eq!(created.expect(200).json()["created"], 1, "{encoding}");
        let lines = (0..500)
            .map(|number| {
                format!("{{\"id\":\"{encoding} {number}\",\"text\":\"line {number}\"}}\n")
            })
            .collect::<String>();
        let lines = send(
            &documents,
            NDJSON,
            encoding,
            encoded(encoding, lines.as_bytes()),
        );
        assert_eq!(lines.expect(200).json()["created"], 500, "{encoding}");
        let picture = pictures::png(3);
        let head = file_head("name=\"f\"; filename=\"a.png\"");
        let parts = form(&[(&head, &picture)]);
        let taken = send(&documents, FORM, encoding, encoded(encoding, &parts));
        assert_eq!(taken.expect(200).json()["created"], 1, "{encoding}");
        let search = encoded(encoding, br#"{"keywords": "inflated"}"#);
        let found = send(&collection.path("/search"), JSON, encoding, search).expect(200);
        assert!(found.text().contains(encoding), "{encoding}");
        let input = encoded(encoding, br#"{"input": "a"}"#);
        send("/v1/embeddings", JSON, encoding, input).expect(200);
    }
    // Two concatenated members are one body.
    let two = [&b"{\"text\":"[..], b" \"two\"}"]
        .map(|half| encoded("gzip", half))
        .concat();
    send(&documents, JSON, "gzip", two).expect(200);
}

#[test]
fn a_snapshot_upload_may_be_compressed() {
    let collection = client().collection("copied");
    collection.add(&json!({ "id": "a", "text": "copied" }));
    let taken = client()
        .post(&collection.path("/snapshots"), &json!({}))
        .expect(201)
        .json();
    let path = format!(
        "{}/{}",
        collection.path("/snapshots"),
        taken["id"].as_str().unwrap()
    );
    let archive = client().get(&path).expect(200).body;
    let restore = client().existing("restored").path("/restore");
    let kind = "application/octet-stream";
    send(&restore, kind, "gzip", encoded("gzip", &archive)).expect(200);
    assert_eq!(client().existing("restored").document("a").status, 200);
}

#[test]
fn an_unknown_or_corrupt_encoding_is_refused_by_name() {
    let documents = client().collection("refused").path("/documents");
    let body = br#"{"text": "a"}"#;
    for encoding in ["compress", "gzip, br", "snappy"] {
        let problem = send(&documents, JSON, encoding, body.to_vec())
            .expect_problem(415, "unsupported_content_encoding");
        assert!(
            problem["detail"].as_str().unwrap().contains("zstd"),
            "{problem}"
        );
    }
    send(&documents, JSON, "identity", body.to_vec()).expect(200);
    for encoding in ["gzip", "deflate", "br", "zstd"] {
        let whole = encoded(encoding, &pictures::random_bytes(5, 5000));
        for broken in [
            b"{\"text\": \"a\"}".to_vec(),
            whole[..whole.len() / 2].to_vec(),
        ] {
            send(&documents, JSON, encoding, broken)
                .expect_problem(415, "invalid_content_encoding");
        }
    }
}

#[test]
fn a_decompressed_body_is_limited() {
    // Of its own, because other tests embed texts at the same time.
    let server = start();
    let collection = server.client().collection("bombs");
    let send =
        |path: &str, kind, encoding, body| send_to(server.client(), path, kind, encoding, body);
    let before = machine::resident(server.pid());
    let zeros = vec![b' '; 400 * MIB];
    for encoding in ["gzip", "br", "zstd"] {
        let bomb = encoded(encoding, &zeros);
        assert!(bomb.len() < MIB);
        for (path, kind) in [
            ("/documents", JSON),
            ("/search", JSON),
            ("/documents", FORM),
        ] {
            send(&collection.path(path), kind, encoding, bomb.clone())
                .expect_problem(413, "too_large");
        }
        // The limit of a line applies after decompression.
        send(&collection.path("/documents"), NDJSON, encoding, bomb);
    }
    let grown = machine::resident(server.pid()) - before;
    assert!(grown < 200.0, "{grown} MB");
}

#[test]
fn a_byte_order_mark_is_ignored() {
    let collection = client().collection("marked");
    let documents = collection.path("/documents");
    let mark = |text: &str| format!("\u{feff}{text}");
    let post =
        |path: &str, kind: &str, body: String| client().send(Method::POST, path, Some(kind), body);
    post(&documents, JSON, mark(r#"{"id": "a", "text": "marked"}"#)).expect(200);
    post(&documents, JSON, mark(r#"[{"id": "b", "text": "marked"}]"#)).expect(200);
    let lines = post(
        &documents,
        NDJSON,
        mark("{\"id\": \"c\", \"text\": \"marked\"}\n{\"id\": \"d\", \"text\": \"x\"}"),
    );
    assert_eq!(lines.expect(200).json()["created"], 2);
    let found = post(
        &collection.path("/search"),
        JSON,
        mark(r#"{"keywords": "marked"}"#),
    );
    assert_eq!(
        found.expect(200).json()["hits"].as_array().unwrap().len(),
        3
    );
    post("/encode", JSON, mark(r#"{"inputs": [{"text": "a"}]}"#)).expect(200);
    client()
        .send(
            Method::PUT,
            &collection.document_path("e"),
            Some(JSON),
            mark(r#"{"text": "a"}"#),
        )
        .expect(200);
    let text = mark("a text file");
    let part: (&[u8], &[u8]) = (
        b"Content-Disposition: form-data; name=\"t\"; filename=\"t.txt\"\r\nContent-Type: text/plain",
        text.as_bytes(),
    );
    let described = mark(r#"{"id": "f", "text": "marked"}"#);
    let answer = post_form(&collection, form(&[documents_part(&described), part]))
        .expect(200)
        .json();
    assert_eq!(answer["created"], 2, "{answer}");
    let id = answer["results"][1]["id"].as_str().unwrap();
    assert_eq!(collection.document(id).json()["text"], "a text file");
}

#[test]
fn file_names_are_read_in_every_encoding() {
    let collection = client().collection("names");
    let picture = pictures::png(4);
    let stored = |head: &[u8]| {
        let answer = post_form(&collection, form(&[(head, &picture)]))
            .expect(200)
            .json();
        let id = answer["results"][0]["id"]
            .as_str()
            .unwrap_or_else(|| panic!("{answer}"))
            .to_owned();
        collection.document(&id).json()["metadata"]["filename"].clone()
    };
    for names in [
        "name=\"f\"; filename*=UTF-8''Z%C3%BCrich.png",
        "name=f; filename=\"Zurich.png\"; filename*=utf-8'de'Z%C3%BCrich.png",
        "name=\"f\"; filename=\"=?utf-8?Q?Z=C3=BCrich.png?=\"",
        "name=\"f\"; filename=\"Zürich.png\"",
        "filename=\"Zürich.png\"; name=\"\"",
    ] {
        assert_eq!(stored(&file_head(names)), "Zürich.png", "{names}");
    }
    let latin: Vec<u8> = "name=\"f\"; filename=\"Zürich.png\""
        .chars()
        .map(|letter| letter as u8)
        .collect();
    let latin = [
        b"Content-Disposition: form-data; ".as_slice(),
        &latin,
        b"\r\nContent-Type: image/png",
    ]
    .concat();
    assert_eq!(stored(&latin), "Zürich.png");
    // A document refers to its file by any of these spellings.
    let described = documents_part(r#"{"id": "named", "image": {"file": "Zürich.png"}}"#);
    let answer = post_form(&collection, form(&[described, (&latin, &picture)]))
        .expect(200)
        .json();
    assert_eq!(answer["created"], 1, "{answer}");
    // Only a part without a name fails.
    let nameless: (&[u8], &[u8]) = (b"Content-Type: image/png", &picture);
    let fine = file_head("name=\"f\"; filename=\"ok.png\"");
    let answer = post_form(&collection, form(&[nameless, (&fine, &picture)]))
        .expect(200)
        .json();
    assert_eq!(codes(&answer), ["invalid_multipart", "created"], "{answer}");
}

#[test]
fn the_file_of_a_refused_document_is_not_stored() {
    let collection = client().collection("taken-along");
    let picture = pictures::png(5);
    let head = file_head("name=\"f\"; filename=\"f.png\"");
    let long = "x".repeat(300);
    for (documents, code) in [
        (
            r#"{"id": "a\tb", "image": {"file": "f"}}"#.to_owned(),
            "invalid_document_id",
        ),
        (
            format!(r#"{{"id": "{long}", "image": {{"file": "f.png"}}}}"#),
            "invalid_document_id",
        ),
        (
            r#"[{"image": {"file": "f"}, "text": "\ud800"}]"#.to_owned(),
            "invalid_json",
        ),
        (
            r#"[{"image": {"file": "f"}, "metadata": {"a": 1, "a": 2}}]"#.to_owned(),
            "invalid_field",
        ),
        (
            r#"{"image": {"file": "f"}, "vectors": {"image": [1, 2]}}"#.to_owned(),
            "wrong_dimension",
        ),
        (
            "{\"image\": {\"file\": \"f\"}, \"text\": tru}\n\n".to_owned(),
            "invalid_json",
        ),
    ] {
        let body = form(&[documents_part(&documents), (&head, &picture)]);
        let answer = post_form(&collection, body).expect(200).json();
        assert_eq!(codes(&answer), [code], "{documents}");
    }
    assert_eq!(collection.summary()["documents"], 0);
    // One image of two documents.
    let twice = r#"[{"id": "1", "image": {"file": "f"}}, {"id": "2", "image": {"file": "f"}}]"#;
    let answer = post_form(
        &collection,
        form(&[documents_part(twice), (&head, &picture)]),
    )
    .expect(200)
    .json();
    assert_eq!(codes(&answer), ["created", "created"]);
}

#[test]
fn only_the_bad_document_fails_in_every_encoding() {
    let collection = client().collection("alone");
    let bad: [(&[u8], &str); 8] = [
        (b"{\"id\": \"x\", \"text\": 1e999}", "invalid_json"),
        (b"{\"id\": \"x\", \"text\": \"\xff\"}", "invalid_json"),
        (b"{\"id\": \"x\", \"text\": \"\\ud800\"}", "invalid_json"),
        (b"{\"id\": \"x\", \"text\": tru}", "invalid_json"),
        (b"{\"id\": \"x\", \"text\": 7}", "invalid_field"),
        (
            b"{\"id\": \"x\", \"text\": \"a\", \"metadata\": {\"y\": 1, \"y\": 2}}",
            "invalid_field",
        ),
        (
            b"{\"id\": \"x\", \"text\": \"a\", \"metadata\": {\"y\": 18446744073709551616}}",
            "invalid_field",
        ),
        (
            b"{\"id\": \"x\", \"image\": {\"file\": \"nowhere\"}}",
            "missing_part",
        ),
    ];
    for (number, (document, code)) in bad.iter().enumerate() {
        let good =
            |at: usize| format!("{{\"id\": \"g{number}-{at}\", \"text\": \"good\"}}").into_bytes();
        let list = |between: &[u8]| [&good(1)[..], between, document, between, &good(2)].concat();
        let array = [b"[".as_slice(), &list(b", "), b"]"].concat();
        let shown = String::from_utf8_lossy(document);
        for (kind, body) in [
            (JSON, array.clone()),
            (NDJSON, list(b"\n")),
            (
                FORM,
                form(&[(
                    b"Content-Disposition: form-data; name=\"documents\"",
                    &array,
                )]),
            ),
            (
                FORM,
                form(&[(
                    b"Content-Disposition: form-data; name=\"documents\"",
                    &list(b"\n"),
                )]),
            ),
        ] {
            let answer = client().send(
                Method::POST,
                &collection.path("/documents"),
                Some(kind),
                body,
            );
            let answer = answer.expect(200).json();
            let found = codes(&answer);
            assert_eq!(found[1], *code, "{kind}: {shown}: {answer}");
            assert!(
                found[0] != "failed" && answer["failed"] == 1,
                "{kind}: {shown}: {answer}"
            );
            assert_eq!(answer["results"][1]["id"], "x", "{kind}: {shown}");
        }
    }
    let path = collection.document_path("g0-1");
    for body in [
        r#"{"metadata": {"a": 1, "a": 2}}"#,
        r#"{"metadata": {"a": -9223372036854775809}}"#,
    ] {
        client()
            .send(Method::PATCH, &path, Some(JSON), body)
            .expect_problem(422, "invalid_field");
        client()
            .send(Method::PUT, &path, Some(JSON), body)
            .expect_problem(422, "invalid_field");
    }
    let filter = r#"{"text": "good", "filter": {"year": {"$gte": 1}, "year": {"$lt": 5}}}"#;
    client()
        .send(
            Method::POST,
            &collection.path("/search"),
            Some(JSON),
            filter,
        )
        .expect_problem(422, "invalid_field");
    // 64-bit integers, and floats written as such, are accepted.
    collection.add(&json!({ "id": "wide", "text": "a", "metadata": { "a": u64::MAX, "b": i64::MIN, "c": 1e30 } }));
    assert_eq!(
        collection.document("wide").json()["metadata"]["a"],
        json!(u64::MAX)
    );
}

#[test]
fn an_unused_file_of_a_search_is_an_error() {
    let collection = client().collection("searched");
    collection.add(&json!({ "id": "a", "text": "something to find" }));
    let picture = pictures::png(6);
    let head = file_head("name=\"f\"; filename=\"a.png\"");
    let search = |search: &str, files: usize| {
        let mut parts: Vec<(&[u8], &[u8])> = vec![(
            b"Content-Disposition: form-data; name=\"search\"",
            search.as_bytes(),
        )];
        parts.extend(std::iter::repeat_n((&head[..], &picture[..]), files));
        client().send(
            Method::POST,
            &collection.path("/search"),
            Some(FORM),
            form(&parts),
        )
    };
    search(r#"{"text": "something"}"#, 0).expect(200);
    let problem = search(r#"{"text": "something"}"#, 1).expect_problem(422, "unnamed_part");
    assert!(
        problem["detail"].as_str().unwrap().contains("a.png"),
        "{problem}"
    );
    search(r#"{"image": {"file": "f"}}"#, 1).expect(200);
    search(r#"{"image": {"file": "f"}}"#, 2).expect_problem(422, "unnamed_part");
    search(r#"{"image": {"file": "g"}}"#, 1).expect_problem(422, "missing_part");
    for path in ["/encode", "/rank", "/v1/embeddings"] {
        let answer = client().send(Method::POST, path, Some(FORM), form(&[(&head, &picture)]));
        assert_eq!(
            answer.expect(415).json()["code"],
            "unsupported_media_type",
            "{path}"
        );
    }
}

#[test]
fn all_bytes_of_a_form_count_and_its_parts_are_limited() {
    let collection = client().collection("forms");
    let begun = Instant::now();
    let empty: (&[u8], &[u8]) = (b"Content-Disposition: form-data; name=\"a\"", b"");
    let many = form(&vec![empty; 100_000]);
    assert!(many.len() < MAX_BODY);
    post_form(&collection, many.clone()).expect_problem(413, "too_many_parts");
    // Generous, for a loaded machine: the refusal must not take time for each of the parts.
    assert!(
        begun.elapsed() < Duration::from_secs(20),
        "{:?}",
        begun.elapsed()
    );
    // Chunked: bytes that are not content count too.
    let long = format!(
        "Content-Disposition: form-data; name=\"{}\"",
        "n".repeat(4 * MIB)
    );
    for body in [
        form(&vec![empty; 200_000]),
        form(&[
            (long.as_bytes(), b""),
            (long.as_bytes(), b""),
            (long.as_bytes(), b""),
        ]),
        [vec![b'p'; MAX_BODY], form(&[empty])].concat(),
        [form(&[empty]), vec![b'e'; MAX_BODY]].concat(),
    ] {
        let chunked = reqwest::blocking::Body::new(std::io::Cursor::new(body));
        let request = client()
            .request(Method::POST, &collection.path("/documents"))
            .header("content-type", FORM)
            .body(chunked);
        clipdb_tests::send(request).expect_problem(413, "too_large");
    }
}

/// The first response of the server to these bytes.
fn raw(bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(client().address()).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(10)))
        .unwrap();
    stream.write_all(bytes).unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

#[test]
fn a_client_may_wait_for_100_continue() {
    let collection = client().collection("expected");
    let path = collection.path("/documents");
    let mut stream = TcpStream::connect(client().address()).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(10)))
        .unwrap();
    let body = r#"{"id": "a", "text": "waited"}"#;
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\nexpect: 100-continue\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    let mut asked = [0; 25];
    stream.read_exact(&mut asked).unwrap();
    assert_eq!(&asked, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(body.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[test]
fn unexpected_bodies_are_ignored() {
    let collection = client().collection("unexpected");
    collection.add(&json!({ "id": "a", "text": "a" }));
    let document = collection.document_path("a");
    for (method, path, status) in [
        ("GET", document.as_str(), "200"),
        ("GET", "/health", "200"),
        ("DELETE", document.as_str(), "204"),
    ] {
        let answer = raw(format!(
            "{method} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\
                 content-length: 10\r\n\r\n0123456789"
        )
        .as_bytes());
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status}")),
            "{method} {path}: {answer}"
        );
    }
}
