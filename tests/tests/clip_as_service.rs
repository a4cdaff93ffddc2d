//! The CLIP-as-service protocol without its client: requests of `curl` and browsers, and invalid
//! ones. `clip_client.rs` tests the client.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use clipdb_tests::{Answer, Client, Server, Setup, SharedServer, pictures};
use reqwest::Method;
use serde_json::{Value, json};

static SERVER: SharedServer = SharedServer::new(|| Setup::new().grpc().start());

const KEY: &str = "a-key-of-this-test";

fn client() -> &'static Client {
    SERVER.client()
}

fn post(body: &Value) -> Value {
    client().post("/post", body).expect(200).json()
}

/// The description in the status of a failed call.
fn failure(body: &Value) -> String {
    let answer = post(body);
    assert_eq!(answer["header"]["status"]["code"], 1, "{answer}");
    answer["header"]["status"]["description"]
        .as_str()
        .unwrap()
        .to_owned()
}

fn picture() -> String {
    STANDARD.encode(pictures::png(7))
}

#[test]
fn json_from_curl_is_accepted() {
    let answer = post(&json!({
        "data": [
            { "text": "hello" },
            { "id": "mine", "blob": picture() },
            { "uri": format!("data:image/png;base64,{}", picture()) },
            {},
        ],
        "execEndpoint": "/",
    }));
    let data = answer["data"].as_array().unwrap();
    assert_eq!(data.len(), 4);
    let dim = data[0]["embedding"].as_array().unwrap().len();
    assert_eq!(dim, 576);
    assert_eq!(data[1]["id"], "mine");
    // Two places of one batch may differ in the last bit.
    let numbers = |document: &Value| -> Vec<f64> {
        let numbers = document["embedding"].as_array().unwrap().iter();
        numbers.map(|number| number.as_f64().unwrap()).collect()
    };
    let pairs = numbers(&data[1]).into_iter().zip(numbers(&data[2]));
    let furthest = pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    assert!(furthest < 1e-5, "{furthest}");
    assert_eq!(data[0]["text"], "hello");
    assert_eq!(data[0]["id"].as_str().unwrap().len(), 32);
    assert_eq!(data[3]["embedding"], Value::Null);
    assert_eq!(answer["header"]["status"], Value::Null);
    let unsaid = post(&json!({ "data": [] }));
    assert_eq!(unsaid["header"]["execEndpoint"], "/");
    let routes = answer["routes"].as_array().unwrap();
    assert_eq!(routes[0]["executor"], "gateway");
    assert_eq!(routes.len(), 2);
    assert!(routes[0]["startTime"].as_str().unwrap().ends_with('Z'));
}

#[test]
fn shared_paths_distinguish_the_two_protocols() {
    let theirs = json!({ "data": [{ "text": "a" }], "exec_endpoint": "/encode" });
    let answer = client().post("/encode", &theirs).expect(200).json();
    assert_eq!(
        answer["data"][0]["embedding"].as_array().unwrap().len(),
        576
    );
    let ours = json!({ "inputs": [{ "text": "a" }] });
    let answer = client().post("/encode", &ours).expect(200).json();
    assert_eq!(answer["dim"], 576);

    let theirs =
        json!({ "data": [{ "id": "far-1", "text": "a lighthouse" }], "execEndpoint": "/index" });
    client().post("/index", &theirs).expect(200);
    let theirs =
        json!({ "header": {}, "data": [{ "text": "a lighthouse" }], "parameters": { "limit": 1 } });
    let answer = client().post("/search", &theirs).expect(200).json();
    assert_eq!(answer["data"][0]["matches"][0]["id"], "far-1", "{answer}");
    let ours = json!({ "text": "a lighthouse", "limit": 1 });
    let answer = client().post("/search", &ours).expect(200).json();
    assert_eq!(answer["hits"][0]["id"], "far-1");
}

#[test]
fn a_failed_call_returns_a_status() {
    let call = |endpoint: &str, parameters: Value| {
        failure(
            &json!({ "data": [{ "text": "a" }], "execEndpoint": endpoint, "parameters": parameters }),
        )
    };
    assert!(call("/encode/none", json!({})).contains("clipdb-multilingual"));
    assert!(call("/delete", json!({})).contains("no_such_call"));
    assert!(call("/search", json!({ "limit": 0 })).contains("'limit'"));
    assert!(call("/", json!({ "access_paths": "@x" })).contains("'@x'"));
    assert!(call("/search", json!({ "collection": "absent" })).contains("absent"));
    assert!(call("/index", json!({ "collection": "absent" })).contains("absent"));
    let tensor = failure(&json!({ "data": [{ "tensor": [[[1, 2, 3, 4, 5]]] }] }));
    assert!(tensor.contains("channels"), "{tensor}");
    for uri in ["/etc/passwd", "file:///etc/passwd"] {
        let refused = failure(&json!({ "data": [{ "uri": uri }] }));
        assert!(refused.contains("path_refused"), "{refused}");
    }
}

#[test]
fn a_failure_quotes_part_of_the_input() {
    let long = "x".repeat(1_000_000);
    for body in [
        json!({ "data": [{ "id": "a", "uri": long }] }),
        json!({ "data": [{ "id": "a", "text": "a" }], "parameters": { "model_name": long } }),
        json!({ "data": [{ "id": "a", "text": "a" }], "parameters": { "access_paths": long } }),
        json!({ "data": [], "execEndpoint": "/search", "parameters": { "collection": long } }),
        json!({ "data": [{ "id": "a", "text": "a" }], "execEndpoint": "/search",
                "parameters": { "filter": { "$regex": long, "a": { long.clone(): 1 } } } }),
    ] {
        let answer = client().post("/post", &body).expect(200);
        assert!(answer.body.len() < 10_000, "{} bytes", answer.body.len());
        let answer = answer.json();
        let status = &answer["header"]["status"];
        assert_eq!(status["code"], 1);
        assert!(!status["exception"].is_null(), "{status}");
        assert_eq!(answer["routes"][1]["status"]["code"], 1);
        assert!(answer["routes"][1]["status"]["exception"].is_null());
    }
    // The id is returned once, because the client identifies its document by it.
    let body = json!({ "data": [{ "id": long, "text": "a" }], "execEndpoint": "/index" });
    let answer = client().post("/post", &body).expect(200);
    assert!(answer.body.len() < 1_010_000, "{} bytes", answer.body.len());
}

#[test]
fn access_paths_apply_index_and_search_to_chunks() {
    client().put("/collections/chunks", &json!({})).expect(201);
    let call = |endpoint: &str, paths: &str, data: Value| {
        post(&json!({
            "data": [data],
            "execEndpoint": endpoint,
            "parameters": { "collection": "chunks", "access_paths": paths, "limit": 1 },
        }))
    };
    let letter = json!({
        "id": "letter",
        "chunks": [
            { "id": "first", "text": "a boat on a lake" },
            { "id": "second", "text": "bread fresh from the oven", "tags": { "n": 2 } },
        ],
    });
    let indexed = call("/index", "@c", letter);
    assert_eq!(indexed["header"]["status"], Value::Null, "{indexed}");
    let root = &indexed["data"][0];
    assert_eq!(root["embedding"], Value::Null);
    assert_eq!(
        root["chunks"][1]["embedding"].as_array().unwrap().len(),
        576
    );
    let stored = client().get("/collections/chunks").expect(200).json();
    assert_eq!(stored["documents"], 2);

    let query =
        json!({ "text": "not looked for", "chunks": [{ "text": "bread fresh from the oven" }] });
    let found = call("/search", "@c", query);
    let root = &found["data"][0];
    assert_eq!(root["matches"], Value::Null, "{found}");
    assert_eq!(root["chunks"][0]["matches"][0]["id"], "second");
    assert_eq!(root["chunks"][0]["matches"][0]["tags"]["n"], 2);
    // The found matches replace a match that the search contains.
    let query = json!({ "text": "a boat on a lake", "matches": [{ "text": "bread" }] });
    let found = call("/search", "@r,m", query);
    assert_eq!(found["data"][0]["matches"][0]["id"], "first", "{found}");
}

#[test]
fn filters_use_the_syntax_of_annlite_and_docarray() {
    client()
        .put("/collections/filtered", &json!({}))
        .expect(201);
    let call = |endpoint: &str, data: Value, filter: Value| {
        json!({
            "data": data,
            "execEndpoint": endpoint,
            "parameters": { "collection": "filtered", "filter": filter },
        })
    };
    let year = |id: &str, year: u32| json!({ "id": id, "text": "a", "tags": { "year": year } });
    let documents = json!([year("old", 1990), year("new", 2020)]);
    post(&call("/index", documents, Value::Null));
    let ids = |filter: Value| -> Vec<String> {
        let answer = post(&call("/search", json!([{ "text": "a" }]), filter));
        assert_eq!(answer["header"]["status"], Value::Null, "{answer}");
        let matches = answer["data"][0]["matches"].as_array().unwrap();
        matches
            .iter()
            .map(|found| found["id"].as_str().unwrap().to_owned())
            .collect()
    };
    for filter in [
        json!({ "year": { "$neq": 1990 } }),
        json!({ "$and": { "year": { "$gt": 1990 }, "tags__year": { "$lt": 2021 } } }),
        json!({ "$or": { "year": 2020, "id": "none" } }),
        json!({ "id": { "$eq": "new" } }),
    ] {
        assert_eq!(ids(filter.clone()), ["new"], "{filter}");
    }
    for (filter, named) in [
        (json!({ "text": { "$eq": "a" } }), "tags__text"),
        (json!({ "year": { "$regex": "2" } }), "$regex"),
        (json!({ "year": { "$size": 2 } }), "$size"),
        (json!({ "year": { "$other": 2 } }), "$other"),
    ] {
        let output = failure(&call("/search", json!([{ "text": "a" }]), filter));
        assert!(output.contains(named), "{output}");
    }
}

#[test]
fn an_unsupported_endpoint_is_refused_by_name() {
    for (method, path, instead) in [
        (Method::POST, "/update", "/index"),
        (Method::PUT, "/update", "/index"),
        (Method::DELETE, "/delete", "DELETE /collections"),
        (
            Method::POST,
            "/backup",
            "POST /collections/{name}/snapshots",
        ),
    ] {
        let problem = client()
            .send(method, path, Some("application/json"), r#"{"data": []}"#)
            .expect_problem(404, "no_such_call");
        assert!(
            problem["detail"].as_str().unwrap().contains(instead),
            "{problem}"
        );
    }
}

#[test]
fn an_invalid_request_is_a_problem() {
    let send = |kind, body: &str| client().send(Method::POST, "/post", kind, body);
    let json = Some("application/json");
    send(json, "{").expect_problem(400, "invalid_json");
    send(json, r#"{"data": 7}"#).expect_problem(422, "invalid_field");
    for positional in ["[]", r#"{"data": [["an id"]]}"#] {
        let problem = send(json, positional).expect_problem(422, "invalid_field");
        assert!(
            problem["detail"].as_str().unwrap().contains("an object"),
            "{problem}"
        );
    }
    send(json, r#"{"data": [{"blob": "*"}]}"#).expect_problem(422, "invalid_field");
    for kind in [Some("text/plain"), None] {
        send(kind, r#"{"data": []}"#).expect_problem(415, "unsupported_media_type");
        // Nor through a path that REST has too.
        client()
            .send(Method::POST, "/search", kind, r#"{"data": []}"#)
            .expect_problem(415, "unsupported_media_type");
    }
    assert_eq!(post(&json!({ "data": [] }))["data"], json!([]));
    client().get("/dry_run").expect(200);
}

#[test]
fn the_key_is_required_with_or_without_a_scheme() {
    let server = Setup::new().key(KEY).start();
    let send = |given: Option<&str>, path: &str| -> Answer {
        let request = server
            .client()
            .with_key(None)
            .request(Method::POST, path)
            .json(&json!({ "data": [{ "text": "a" }], "execEndpoint": "/encode" }));
        let request = match given {
            Some(given) => request.header("authorization", given),
            None => request,
        };
        clipdb_tests::send(request)
    };
    for path in ["/post", "/index", "/encode", "/search"] {
        for wrong in [
            None,
            Some("nothing"),
            Some(""),
            Some("Basic a-key-of-this-test"),
        ] {
            send(wrong, path).expect_problem(401, "unauthorized");
        }
        for right in [KEY, "Bearer a-key-of-this-test"] {
            send(Some(right), path).expect(200);
        }
    }
    // The page loads without the key; a WebSocket at the same path is refused.
    server
        .client()
        .with_key(None)
        .get("/")
        .expect_kind(200, "text/html");
    assert!(WebSocket::open(&server, "").is_err_and(|head| head.contains(" 401 ")));
    let bare = format!("authorization: {KEY}\r\n");
    assert!(WebSocket::open(&server, &bare).is_ok());
}

/// A minimal WebSocket client for these tests.
struct WebSocket(TcpStream);

impl WebSocket {
    /// The head of the response if it is not an upgrade.
    fn open(server: &Server, headers: &str) -> Result<Self, String> {
        Self::open_at(server, "/", headers).map_err(|(head, _)| head)
    }

    /// Head and body of the response if it is not an upgrade.
    fn open_at(server: &Server, path: &str, headers: &str) -> Result<Self, (String, String)> {
        let address = server.client().address();
        let mut stream = TcpStream::connect(address).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(60)))
            .unwrap();
        write!(
            stream,
            "GET {path} HTTP/1.1\r\nhost: {address}\r\nupgrade: websocket\r\nconnection: Upgrade\r\n\
             sec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n{headers}\r\n"
        )
        .unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            head.extend(byte);
        }
        let head = String::from_utf8(head).unwrap();
        if head.starts_with("HTTP/1.1 101 ") {
            return Ok(Self(stream));
        }
        let length = head.lines().find_map(|line| {
            line.to_ascii_lowercase()
                .strip_prefix("content-length: ")?
                .parse()
                .ok()
        });
        let mut body = vec![0; length.unwrap_or_default()];
        stream.read_exact(&mut body).unwrap();
        Err((head, String::from_utf8(body).unwrap()))
    }

    fn send(&mut self, kind: u8, payload: &[u8]) {
        let mut frame = vec![0x80 | kind];
        match payload.len() {
            length @ 0..126 => frame.push(0x80 | length as u8),
            length => {
                frame.push(0x80 | 126);
                frame.extend((length as u16).to_be_bytes());
            }
        }
        // A mask of zeros leaves the payload unchanged.
        frame.extend([0; 4]);
        frame.extend(payload);
        self.0.write_all(&frame).unwrap();
    }

    /// The opcode of the next frame and its payload.
    fn receive(&mut self) -> (u8, Vec<u8>) {
        let mut head = [0; 2];
        self.0.read_exact(&mut head).unwrap();
        let length = match head[1] {
            126 => {
                let mut length = [0; 2];
                self.0.read_exact(&mut length).unwrap();
                u64::from(u16::from_be_bytes(length))
            }
            127 => {
                let mut length = [0; 8];
                self.0.read_exact(&mut length).unwrap();
                u64::from_be_bytes(length)
            }
            length => u64::from(length),
        };
        let mut payload = vec![0; length as usize];
        self.0.read_exact(&mut payload).unwrap();
        (head[0] & 0x0f, payload)
    }
}

const TEXT: u8 = 1;
const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

#[test]
fn a_websocket_answers_json_with_json() {
    let mut socket = WebSocket::open(&SERVER, "").unwrap();
    for (id, text) in [("1", "one"), ("2", "two")] {
        let request = json!({ "header": { "request_id": id }, "data": [{ "text": text }] });
        socket.send(TEXT, request.to_string().as_bytes());
    }
    for id in ["1", "2"] {
        let (kind, payload) = socket.receive();
        assert_eq!(kind, TEXT);
        let answer: Value = serde_json::from_slice(&payload).unwrap();
        assert_eq!(answer["header"]["requestId"], id);
        assert_eq!(
            answer["data"][0]["embedding"].as_array().unwrap().len(),
            576
        );
    }
    socket.send(PING, b"there?");
    assert_eq!(socket.receive(), (PONG, b"there?".to_vec()));
    socket.send(TEXT, b"{}");
    assert_eq!(socket.receive().0, CLOSE);
}

#[test]
fn a_websocket_reports_readiness() {
    let mut socket = WebSocket::open_at(&SERVER, "/dry_run", "").ok().unwrap();
    socket.send(BINARY, b"");
    // A StatusProto of success.
    assert_eq!(socket.receive(), (BINARY, Vec::new()));
    assert_eq!(socket.receive().0, CLOSE);
    let mut socket = WebSocket::open_at(&SERVER, "/dry_run", "").ok().unwrap();
    socket.send(TEXT, b"");
    let status: Value = serde_json::from_slice(&socket.receive().1).unwrap();
    assert_eq!(status["code"], 0);
}

#[test]
fn an_invalid_upgrade_gets_a_complete_response() {
    let gzip = "accept-encoding: gzip\r\n";
    for (path, expected) in [
        ("/nowhere", "no_such_route"),
        ("/collections", "collections"),
        ("/v1/models", "clipdb-multilingual"),
    ] {
        let Err((head, body)) = WebSocket::open_at(&SERVER, path, gzip) else {
            panic!("{path} was upgraded");
        };
        let json: Value = serde_json::from_str(&body).unwrap();
        assert!(json.to_string().contains(expected), "{head}{body}");
        assert!(!head.to_ascii_lowercase().contains("chunked"), "{head}");
    }
}

#[test]
fn an_invalid_message_closes_its_websocket_with_a_reason() {
    for (kind, payload) in [(BINARY, &b"\xff\xff\xff"[..]), (TEXT, b"nonsense")] {
        let mut socket = WebSocket::open(&SERVER, "").unwrap();
        socket.send(kind, payload);
        let (kind, reason) = socket.receive();
        assert_eq!(kind, CLOSE);
        assert_eq!(u16::from_be_bytes([reason[0], reason[1]]), 1011);
        let reason = String::from_utf8_lossy(&reason[2..]).into_owned();
        assert!(
            reason.len() > 10 && !reason.contains("ended early"),
            "{reason}"
        );
    }
    // A frame whose header claims 2^62 bytes.
    let mut socket = WebSocket::open(&SERVER, "").unwrap();
    let length = (1u64 << 62).to_be_bytes();
    socket.0.write_all(&[0x82, 0xff]).unwrap();
    socket.0.write_all(&length).unwrap();
    socket.0.write_all(&[0; 4]).unwrap();
    let (kind, reason) = socket.receive();
    let reason = String::from_utf8_lossy(&reason).into_owned();
    assert!(
        kind == CLOSE
            && reason.contains("the frame is larger")
            && reason.contains("max_body_bytes"),
        "{reason}"
    );
    client().get("/ready").expect(200);
}

#[test]
fn pages_of_other_origins_cannot_open_a_websocket() {
    let own = format!("origin: {}\r\n", client().base());
    assert!(WebSocket::open(&SERVER, &own).is_ok());
    let foreign = WebSocket::open(&SERVER, "origin: https://evil.example\r\n");
    assert!(foreign.is_err_and(|head| head.contains(" 403 ")));
    // Without an upgrade the path serves the page.
    client().get("/").expect_kind(200, "text/html");
}

#[test]
fn open_streams_do_not_delay_a_shutdown() {
    let server = Setup::new().grpc().start();
    let mut socket = WebSocket::open(&server, "").unwrap();
    // HTTP/2's preface and an empty SETTINGS: a gRPC client that sends nothing else.
    let mut grpc = TcpStream::connect(server.grpc()).unwrap();
    grpc.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0")
        .unwrap();
    let asked = Instant::now();
    server.ask_to_stop();
    assert_eq!(socket.receive().0, CLOSE);
    let stopped = server.wait();
    assert!(stopped.status.success());
    // A server that waits for the streams takes its whole grace period, a minute.
    assert!(
        asked.elapsed() < Duration::from_secs(40),
        "{:?}",
        asked.elapsed()
    );
}

#[test]
fn vectors_are_normalised_on_request() {
    let server = Setup::new().switch("--clip-as-service-normalise").start();
    let length = |server: &Server| {
        let body = json!({ "data": [{ "text": "a cat on a mat" }] });
        let answer = server.client().post("/post", &body).expect(200).json();
        let vector = answer["data"][0]["embedding"].as_array().unwrap();
        vector
            .iter()
            .map(|value| value.as_f64().unwrap().powi(2))
            .sum::<f64>()
            .sqrt()
    };
    assert!((length(&server) - 1.0).abs() < 1e-5);
    assert!((length(&SERVER) - 1.0).abs() > 0.01);
}

#[test]
fn the_collection_is_configurable() {
    let server = Setup::new()
        .flag("--clip-as-service-collection", "theirs")
        .start();
    let body = json!({ "data": [{ "id": "a", "text": "words" }], "execEndpoint": "/index" });
    server.client().post("/post", &body).expect(200);
    server
        .client()
        .get("/collections/theirs/documents/a")
        .expect(200);
    server
        .client()
        .get("/collections/default")
        .expect_problem(404, "collection_not_found");
}
