//! Wrong input is refused with its 4xx and its code. The rest of the batch is stored, and the server
//! continues.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use clipdb_tests::{Client, Collection, Setup, SharedServer, pictures};
use reqwest::Method;
use reqwest::blocking::{Body, multipart::Form};
use serde_json::{Value, json};

const MAX_BODY: usize = 1 << 20;
const MAX_LINE: usize = 64 << 10;

static SERVER: SharedServer = SharedServer::new(|| {
    let server = Setup::new()
        .flag("--max-body-bytes", &MAX_BODY.to_string())
        .flag("--max-line-bytes", &MAX_LINE.to_string())
        .flag("--max-text-bytes", "20000")
        .start();
    server
        .client()
        .collection("bad")
        .add(&json!({ "id": "witness", "text": "a witness of it all" }));
    server
});

const JSON: Option<&str> = Some("application/json");
const NDJSON: Option<&str> = Some("application/x-ndjson");

fn client() -> &'static Client {
    SERVER.client()
}

fn bad() -> Collection<'static> {
    client().existing("bad")
}

fn assert_still_serves() {
    assert_eq!(bad().ids(&json!({ "keywords": "witness" }))[0], "witness");
    bad().document("witness").expect(200);
}

fn send(body: &str) -> clipdb_tests::Answer {
    client().send(Method::POST, &bad().path("/documents"), JSON, body)
}

#[test]
fn invalid_json_is_refused() {
    for body in [
        "",
        "{",
        "nonsense",
        "[{\"text\":\"a\"}",
        "{\"text\":\"a\"} trailing",
        "\"\\ud800\"",
    ] {
        let answer = send(body);
        let code = answer.json()["code"].clone();
        assert_eq!(
            answer.status,
            if code == "invalid_json" { 400 } else { 422 },
            "{body}: {answer:?}"
        );
        assert!(
            code == "invalid_json" || code == "invalid_field",
            "{body}: {answer:?}"
        );
    }
    client()
        .send(
            Method::POST,
            &bad().path("/documents"),
            JSON,
            vec![b'{', b'"', 0xff, 0xfe],
        )
        .expect_problem(400, "invalid_json");
    let deep = "[".repeat(100_000);
    send(&deep).expect_problem(400, "invalid_json");
    client()
        .send(Method::POST, "/collections/bad/search", JSON, "{")
        .expect_problem(400, "invalid_json");
    client()
        .send(Method::POST, "/encode", JSON, "{")
        .expect_problem(400, "invalid_json");
    assert_still_serves();
}

#[test]
fn invalid_documents_are_refused() {
    for (body, code, named) in [
        (json!({}), "empty_document", "'text'"),
        (json!({ "id": "a" }), "empty_document", "'text'"),
        (json!({ "text": "   " }), "empty_document", "'text'"),
        (json!({ "txt": "a" }), "unknown_field", "txt"),
        (json!({ "text": 3 }), "invalid_field", "'text': "),
        (
            json!({ "text": "a", "metadata": [1] }),
            "invalid_field",
            "'metadata': ",
        ),
        (
            json!({ "text": "a", "metadata": "year" }),
            "invalid_field",
            "'metadata': ",
        ),
        (json!({ "id": 7, "text": "a" }), "invalid_field", "'id': "),
        (
            json!({ "image": { "bytes": "" } }),
            "unknown_field",
            "'image': unknown field `bytes`",
        ),
        (json!({ "image": {} }), "invalid_field", "exactly one"),
        (
            json!({ "image": { "base64": "!!!" } }),
            "invalid_base64",
            "",
        ),
        (json!({ "image": { "base64": "" } }), "invalid_image", ""),
        (
            json!({ "image": { "file": "nowhere" } }),
            "missing_part",
            "nowhere",
        ),
        (
            json!({ "image": { "url": "http://127.0.0.1:9/" } }),
            "url_ingest_disabled",
            "",
        ),
        (json!(7), "invalid_field", ""),
        (json!(null), "invalid_field", ""),
    ] {
        let problem = client()
            .post(&bad().path("/documents"), &body)
            .expect_problem(422, code);
        assert!(
            problem["detail"].as_str().unwrap().contains(named),
            "{body}: {problem}"
        );
    }
    assert_still_serves();
}

#[test]
fn a_body_of_the_wrong_shape_is_explained() {
    for (path, body, words) in [
        ("/encode", json!([[{ "text": "a" }]]), "expected an object"),
        (
            "/encode",
            json!({ "inputs": [["a", null]] }),
            "expected an object",
        ),
        ("/search", json!(["a"]), "expected an object"),
        (
            "/search",
            json!({ "text": "a", "limit": 1.5 }),
            "a whole number from 0",
        ),
        (
            "/search",
            json!({ "text": "a", "mode": 7 }),
            "one of \"hybrid\"",
        ),
        (
            "/search",
            json!({ "text": "a", "typos": 7 }),
            "'typos': invalid type: integer `7`, expected true or false",
        ),
        (
            "/rank",
            json!({ "query": "a", "candidates": [] }),
            "expected an object",
        ),
    ] {
        let problem = client()
            .post(path, &body)
            .expect_problem(422, "invalid_field");
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains(words), "{body}: {detail}");
    }
    let nulls = json!({ "index": { "kind": null }, "fields": null });
    client().put("/collections/nulls", &nulls).expect(201);
    let nulls = json!({ "text": "witness", "mode": null, "exact": null, "fusion": null });
    bad().search(&nulls).expect(200);
    assert_still_serves();
}

#[test]
fn invalid_images_are_refused() {
    let cases: [(&str, Vec<u8>, u16, &str); 8] = [
        ("cut", pictures::truncated_jpeg(), 422, "invalid_image"),
        (
            "huge",
            pictures::png_claiming(65_000, 65_000),
            413,
            "image_too_large",
        ),
        (
            "thin",
            pictures::png_claiming(0x7fff_ffff, 1),
            413,
            "image_too_large",
        ),
        (
            "larger-than-its-data",
            pictures::png_claiming(500, 500),
            422,
            "invalid_image",
        ),
        ("zero", pictures::png_claiming(0, 10), 422, "invalid_image"),
        (
            "random",
            pictures::random_bytes(7, 5_000),
            422,
            "invalid_image",
        ),
        (
            "text",
            b"GIF89a\x10\0\x10\0 and no more".to_vec(),
            422,
            "invalid_image",
        ),
        (
            "svg",
            b"<svg xmlns=\"http://www.w3.org/2000/svg\"/>".to_vec(),
            422,
            "invalid_image",
        ),
    ];
    for (id, bytes, status, code) in cases {
        client()
            .post(&bad().path("/documents"), &pictures::document(id, &bytes))
            .expect_problem(status, code);
        bad().document(id).expect_problem(404, "document_not_found");
        let query = json!({ "image": Client::image(&bytes) });
        bad().search(&query).expect_problem(status, code);
    }
    assert_still_serves();
}

#[test]
fn a_corrupt_image_is_accepted_or_refused() {
    for seed in 0..40 {
        let mut bytes = if seed % 2 == 0 {
            pictures::png(seed)
        } else {
            pictures::jpeg(seed)
        };
        for (position, noise) in pictures::random_bytes(seed, 12).into_iter().enumerate() {
            let at = (position * 7_919 + usize::from(noise) * 31) % bytes.len();
            bytes[at] = noise;
        }
        let answer = client().post(
            "/encode",
            &json!({ "inputs": [{ "image": Client::image(&bytes) }] }),
        );
        match answer.status {
            200 => {}
            413 => drop(answer.expect_problem(413, "image_too_large")),
            _ => drop(answer.expect_problem(422, "invalid_image")),
        }
    }
    assert_still_serves();
}

#[test]
fn only_the_bad_document_of_a_batch_fails() {
    let collection = client().collection("mixed");
    let good = |id: &str| json!({ "id": id, "text": format!("good {id}") });
    let documents = json!([
        good("first"),
        { "id": "no-picture", "image": Client::image(&pictures::random_bytes(1, 100)) },
        { "id": "field", "txet": "a" },
        { "id": "half", "text": "a text beside a broken picture", "image": Client::image(&pictures::truncated_jpeg()) },
        7,
        { "id": "\u{1}", "text": "a" },
        { "id": "long", "text": "x".repeat(20_001) },
        good("last"),
    ]);
    let answer = client()
        .post(&collection.path("/documents"), &documents)
        .expect(200)
        .json();
    assert_eq!(
        (&answer["created"], &answer["failed"]),
        (&json!(2), &json!(6)),
        "{answer:#}"
    );
    let results = answer["results"].as_array().unwrap();
    let codes: Vec<&Value> = results
        .iter()
        .map(|result| &result["error"]["code"])
        .collect();
    assert_eq!(
        json!(codes),
        json!([
            null,
            "invalid_image",
            "unknown_field",
            "invalid_image",
            "invalid_field",
            "invalid_document_id",
            "too_large",
            null
        ])
    );
    assert_eq!(results[2]["id"], "field");
    let stored: Vec<Value> = collection
        .list(100)
        .iter()
        .map(|document| document["id"].clone())
        .collect();
    assert_eq!(
        json!(stored),
        json!(["first", "last"]),
        "what could not be embedded is not stored, not in part either"
    );
}

#[test]
fn only_the_bad_line_of_a_stream_fails() {
    let collection = client().collection("lines");
    let long = format!("{{\"id\":\"long\",\"text\":\"{}\"}}", "x".repeat(MAX_LINE));
    let lines = [
        "{\"id\":\"a\",\"text\":\"alpha\"}",
        "{broken",
        &long,
        "{\"id\":\"b\"}",
        "{\"id\":\"c\",\"text\":\"gamma\"}",
    ];
    let path = collection.path("/documents");
    let answer = client()
        .send(Method::POST, &path, NDJSON, lines.join("\n"))
        .expect(200)
        .json();
    let codes: Vec<&Value> = answer["results"]
        .as_array()
        .unwrap()
        .iter()
        .map(|result| &result["error"]["code"])
        .collect();
    assert_eq!(
        json!(codes),
        json!([null, "invalid_json", "too_large", "empty_document", null])
    );
    assert_eq!(collection.summary()["documents"], 2);

    // Much more than the limit of a line or a body: a stream has no length limit.
    let many: String = (0..600)
        .map(|number| {
            format!(
                "{{\"id\":\"n{number}\",\"text\":\"{number}\",\"metadata\":{{\"fill\":\"{}\"}}}}\n",
                "y".repeat(3_000)
            )
        })
        .collect();
    assert!(many.len() > MAX_BODY);
    let answer = client()
        .send(Method::POST, &path, NDJSON, many)
        .expect(200)
        .json();
    assert_eq!(answer["created"], 600);
}

#[test]
fn too_large_bodies_are_refused() {
    let large = format!("{{\"text\":\"{}\"}}", "x".repeat(MAX_BODY));
    for path in [
        bad().path("/documents"),
        bad().path("/search"),
        "/encode".to_owned(),
    ] {
        let problem = client()
            .send(Method::POST, &path, JSON, large.clone())
            .expect_problem(413, "too_large");
        assert!(
            problem["detail"]
                .as_str()
                .unwrap()
                .contains("max_body_bytes"),
            "{problem}"
        );
        // Without a length the body is cut off where it exceeds the limit.
        let chunked = Body::new(std::io::Cursor::new(large.clone().into_bytes()));
        let request = client()
            .request(Method::POST, &path)
            .header("content-type", "application/json")
            .body(chunked);
        clipdb_tests::send(request).expect_problem(413, "too_large");
    }
    client()
        .put(
            &bad().document_path("a"),
            &json!({ "text": "x".repeat(MAX_BODY) }),
        )
        .expect_problem(413, "too_large");
    let text = "x".repeat(20_001);
    client()
        .post(&bad().path("/documents"), &json!({ "text": text }))
        .expect_problem(413, "too_large");
    bad()
        .search(&json!({ "text": text }))
        .expect_problem(413, "too_large");
    assert_still_serves();
}

#[test]
fn unknown_media_types_routes_and_methods_are_refused() {
    let path = bad().path("/documents");
    for kind in [
        "text/plain",
        "application/xml",
        "image/png",
        "application/x-www-form-urlencoded",
    ] {
        let problem = client()
            .send(Method::POST, &path, Some(kind), "x")
            .expect_problem(415, "unsupported_media_type");
        assert!(
            problem["detail"].as_str().unwrap().contains(kind),
            "{problem}"
        );
    }
    for nowhere in [
        "/nowhere",
        "/collections/bad/documents/a/b/c",
        "/page/../etc/passwd",
        "/page/none.js",
    ] {
        client().get(nowhere).expect_problem(404, "no_such_route");
    }
    for (method, path) in [
        (Method::DELETE, "/documents"),
        (Method::POST, "/collections"),
        (Method::PATCH, "/collections/bad"),
        (Method::GET, "/encode"),
        (Method::PUT, "/collections/bad/documents"),
        (Method::POST, "/collections/bad/documents/a/image"),
        (Method::POST, "/health"),
        (Method::POST, "/metrics"),
        (Method::DELETE, "/"),
    ] {
        client()
            .send(method.clone(), path, None, "")
            .expect_problem(405, "method_not_allowed");
    }
    assert_still_serves();
}

#[test]
fn malformed_forms_are_refused() {
    let path = bad().path("/documents");
    let kind = Some("multipart/form-data; boundary=XX");
    for body in [
        "",
        "no boundary at all",
        "--XX\r\n",
        "--XX\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nnever closed",
        "--XX--\r\n",
    ] {
        client()
            .send(Method::POST, &path, kind, body)
            .expect_problem(400, "invalid_multipart");
    }
    client()
        .send(Method::POST, &path, Some("multipart/form-data"), "x")
        .expect_problem(400, "invalid_multipart");
    client()
        .form(&path, Form::new().text("documents", "{broken"))
        .expect_problem(400, "invalid_json");
    client()
        .form(
            &bad().path("/search"),
            Form::new().text("a", "1").text("b", "2"),
        )
        .expect_problem(400, "invalid_multipart");
    assert_still_serves();
}

/// Sends the beginning of a request and disconnects.
fn break_off(request: &str) {
    let mut stream = TcpStream::connect(client().address()).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    std::thread::sleep(Duration::from_millis(30));
    stream.shutdown(Shutdown::Both).unwrap();
}

#[test]
fn a_client_may_disconnect_during_its_body() {
    let collection = client().collection("broken-off");
    let path = collection.path("/documents");
    let head = |kind: &str, length: usize| {
        format!(
            "POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\n\r\n"
        )
    };
    for round in 0..5 {
        break_off(&format!(
            "{}[{{\"id\":\"j{round}\",\"text\":\"half a",
            head("application/json", 500)
        ));
        break_off(&format!(
            "{}--XX\r\nContent-Disposition: form-data; name=\"a\"",
            head("multipart/form-data; boundary=XX", 500)
        ));
        let lines = format!(
            "{{\"id\":\"whole{round}\",\"text\":\"a whole line\"}}\n{{\"id\":\"half{round}\",\"te"
        );
        break_off(&format!("{}{lines}", head("application/x-ndjson", 500)));
        break_off("GET /collec");
    }
    // Complete lines may have been stored, partial ones never.
    let ids: Vec<Value> = collection
        .list(100)
        .iter()
        .map(|document| document["id"].clone())
        .collect();
    assert!(
        ids.iter()
            .all(|id| id.as_str().unwrap().starts_with("whole")),
        "{ids:?}"
    );
    assert_still_serves();
}

#[test]
fn bytes_that_are_not_http_are_refused() {
    for noise in [
        b"\x16\x03\x01\x02\x00".to_vec(),
        pictures::random_bytes(3, 400),
        b"GET / HTTP/9.9\r\n\r\n".to_vec(),
    ] {
        let mut stream = TcpStream::connect(client().address()).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(2)))
            .unwrap();
        stream.write_all(&noise).unwrap();
        let _ = stream.shutdown(Shutdown::Write);
        let _ = stream.read_to_end(&mut Vec::new());
    }
    assert_still_serves();
}

#[test]
fn abandoned_ingests_do_not_block_others() {
    let picture = Client::image(&pictures::jpeg(5));
    let body = json!(
        (0..20)
            .map(|_| json!({ "image": picture }))
            .collect::<Vec<_>>()
    )
    .to_string();
    assert!(body.len() < MAX_BODY);
    for _ in 0..3 {
        let request = format!(
            "POST /collections/bad/documents HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        break_off(&request);
    }
    bad().add(&json!({ "id": "after", "text": "after the abandoned ones" }));
    assert_eq!(bad().ids(&json!({ "keywords": "abandoned" })), ["after"]);
}
