//! Bodies that stall, trickle or are abandoned time out and do not delay other requests. Slow but
//! steady ones are accepted.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use clipdb_tests::{Client, Setup, SharedServer, pictures, wait_until};
use reqwest::Method;
use serde_json::{Value, json};

const MIB: usize = 1 << 20;
/// The server's timeout of a stalled body in these tests, in seconds.
const PATIENCE: u64 = 2;

static SERVER: SharedServer = SharedServer::new(|| {
    let server = Setup::new()
        .flag("--body-timeout-seconds", &PATIENCE.to_string())
        .flag("--min-body-rate", "2000")
        .flag("--ingest-memory-mib", "32")
        .flag("--max-body-bytes", &(12 * MIB).to_string())
        .start();
    server.client().collection("slow");
    server
});

fn client() -> &'static Client {
    SERVER.client()
}

const JSON: &str = "application/json";
const NDJSON: &str = "application/x-ndjson";
const FORM: &str = "multipart/form-data; boundary=bb";
const FORM_HEAD: &str =
    "--bb\r\ncontent-disposition: form-data; name=\"f\"; filename=\"a.jpg\"\r\n\r\n";

/// Every kind of body: path, media type and beginning.
const KINDS: [(&str, &str, &str); 10] = [
    ("/collections/slow/documents", JSON, "[{\"text\": \"half a"),
    ("/collections/slow/documents", NDJSON, "{\"text\": \"half a"),
    ("/collections/slow/documents", FORM, FORM_HEAD),
    ("/collections/slow/search", JSON, "{\"text\": \"half a"),
    ("/collections/slow/search", FORM, FORM_HEAD),
    (
        "/collections/slow/restore",
        "application/octet-stream",
        "half",
    ),
    ("/encode", JSON, "{"),
    ("/rank", JSON, "{"),
    ("/v1/embeddings", JSON, "{"),
    ("/post", JSON, "{"),
];

/// A request whose head announces `length` bytes, or a chunked body.
fn begin(path: &str, kind: &str, length: Option<usize>, beginning: &str) -> TcpStream {
    let mut stream = TcpStream::connect(client().address()).unwrap();
    let size = match length {
        Some(length) => format!("content-length: {length}"),
        None => "transfer-encoding: chunked".to_owned(),
    };
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: {kind}\r\n{size}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).unwrap();
    send(&mut stream, length, beginning.as_bytes()).unwrap();
    stream
}

fn send(stream: &mut TcpStream, length: Option<usize>, bytes: &[u8]) -> std::io::Result<()> {
    if length.is_none() {
        stream.write_all(format!("{:x}\r\n", bytes.len()).as_bytes())?;
    }
    stream.write_all(bytes)?;
    if length.is_none() {
        stream.write_all(b"\r\n")?;
    }
    Ok(())
}

/// Reads until the server closes the connection; sends a byte from time to time.
fn trickle(mut stream: TcpStream, length: Option<usize>) -> (String, Duration) {
    let begun = Instant::now();
    stream
        .set_read_timeout(Some(Duration::from_millis(300)))
        .unwrap();
    let mut answer = Vec::new();
    let mut piece = [0; 4096];
    while begun.elapsed() < Duration::from_secs(30) {
        match stream.read(&mut piece) {
            Ok(0) => break,
            Ok(read) => answer.extend_from_slice(&piece[..read]),
            Err(error) if matches!(error.raw_os_error(), Some(11)) => {
                if send(&mut stream, length, b" ").is_err() {
                    break;
                }
            }
            Err(_) => break,
        }
    }
    (
        String::from_utf8_lossy(&answer).into_owned(),
        begun.elapsed(),
    )
}

#[test]
fn stalled_bodies_do_not_delay_others() {
    let stalled: Vec<TcpStream> = (0..6)
        .flat_map(|_| KINDS)
        .map(|(path, kind, beginning)| begin(path, kind, Some(11 * MIB), beginning))
        .collect();
    let begun = Instant::now();
    let document = json!({ "id": "a", "text": "words of a stalled day" });
    for (path, body) in [
        ("/collections/slow/documents", &document),
        (
            "/collections/slow/search",
            &json!({ "keywords": "stalled" }),
        ),
        ("/encode", &json!({ "inputs": [{ "text": "a" }] })),
        ("/v1/embeddings", &json!({ "input": "a" })),
    ] {
        client().post(path, body).expect(200);
    }
    let large = json!({ "text": "large", "metadata": { "fill": "x".repeat(9 * MIB) } });
    client().post("/collections/slow/documents", &large);
    // A request that waits for memory behind the stalled bodies waits for a minute.
    assert!(
        begun.elapsed() < Duration::from_secs(40),
        "{:?}",
        begun.elapsed()
    );
    drop(stalled);
}

#[test]
fn a_trickling_body_times_out() {
    let threads: Vec<_> = KINDS
        .into_iter()
        .flat_map(|kind| [(kind, Some(11 * MIB)), (kind, None)])
        .map(|((path, kind, beginning), length)| {
            std::thread::spawn(move || {
                let stream = begin(path, kind, length, beginning);
                let (answer, took) = trickle(stream, length);
                let what = format!("{path}, {kind}, {length:?}: {answer}");
                assert!(answer.contains("\"body_too_slow\""), "{what}");
                assert!(answer.starts_with("HTTP/1.1 408"), "{what}");
                // `trickle` gives up after 30 seconds.
                let least = Duration::from_millis(PATIENCE * 1000 - 100);
                assert!(
                    took > least && took < Duration::from_secs(25),
                    "{took:?}: {what}"
                );
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
}

#[test]
fn slow_and_steady_bodies_are_accepted() {
    let lines: String = (0..30)
        .map(|number| {
            let fill = "y".repeat(1000);
            format!("{{\"id\":\"n{number}\",\"metadata\":{{\"fill\":\"{fill}\"}},\"text\":\"slow {number}\"}}\n")
        })
        .collect();
    let form = format!(
        "--bb\r\ncontent-disposition: form-data; name=\"documents\"\r\n\r\n{lines}\r\n--bb--\r\n"
    );
    let threads = [(NDJSON, lines), (FORM, form)].map(|(kind, body)| {
        std::thread::spawn(move || {
            let length = Some(body.len());
            let mut stream = begin("/collections/slow/documents", kind, length, "");
            // With pauses, about five times the timeout in total.
            for piece in body.as_bytes().chunks(body.len() / 8 + 1) {
                stream.write_all(piece).unwrap();
                std::thread::sleep(Duration::from_millis(1300));
            }
            let mut answer = vec![0; 4096];
            let read = stream.read(&mut answer).unwrap();
            let answer = String::from_utf8_lossy(&answer[..read]).into_owned();
            assert!(answer.starts_with("HTTP/1.1 200"), "{kind}: {answer}");
        })
    });
    for thread in threads {
        thread.join().unwrap();
    }
    assert_eq!(client().existing("slow").document("n29").status, 200);
}

#[test]
fn bodies_beyond_the_memory_budget_wait_for_each_other() {
    let threads: Vec<_> = (0..12)
        .map(|number| {
            std::thread::spawn(move || {
                let fill = "z".repeat(1000);
                let documents: Vec<Value> = (0..5)
                    .map(|part| {
                        json!({ "id": format!("m{number}-{part}"), "text": fill, "vectors": null })
                    })
                    .collect();
                // Spaces count like any other bytes.
                let body = format!("{}{}", " ".repeat(10 * MIB), json!(documents));
                client()
                    .send(
                        Method::POST,
                        "/collections/slow/documents",
                        Some(JSON),
                        body,
                    )
                    .expect(200)
                    .json()
            })
        })
        .collect();
    for thread in threads {
        assert_eq!(thread.join().unwrap()["failed"], 0);
    }
}

#[test]
fn a_websocket_message_has_a_timeout() {
    let mut stream = TcpStream::connect(client().address()).unwrap();
    stream
        .write_all(
            b"GET / HTTP/1.1\r\nhost: localhost\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
              sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        )
        .unwrap();
    let mut head = [0; 12];
    stream.read_exact(&mut head).unwrap();
    assert_eq!(&head, b"HTTP/1.1 101");
    // It may be idle between messages.
    std::thread::sleep(Duration::from_millis(PATIENCE * 1000 + 500));
    // A text of 1000 bytes, of which only ten arrive.
    stream
        .write_all(b"\x81\xfe\x03\xe8\0\0\0\0{\"data\": [")
        .unwrap();
    let (answer, took) = trickle(stream, Some(1000));
    assert!(answer.contains("too slowly"), "{answer}");
    // `trickle` gives up after 30 seconds.
    assert!(took < Duration::from_secs(25), "{took:?}");
}

#[test]
fn the_empty_fragments_of_a_websocket_message_are_limited() {
    let mut stream = TcpStream::connect(client().address()).unwrap();
    stream
        .write_all(
            b"GET / HTTP/1.1\r\nhost: localhost\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
              sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        )
        .unwrap();
    stream.write_all(b"\x01\x80\0\0\0\0").unwrap();
    let many = b"\x00\x80\0\0\0\0".repeat(10_000);
    let refused = (0..100).any(|_| stream.write_all(&many).is_err());
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    assert!(refused || String::from_utf8_lossy(&answer).contains("frames"));
}

/// Work that has not begun is not done after its client disconnects.
#[test]
fn abandoned_requests_are_not_started() {
    let picture = pictures::encoded(&pictures::discs(7, 900), image::ImageFormat::Jpeg);
    let image = Client::image(&picture);
    let documents: Vec<Value> = (0..60).map(|_| json!({ "image": image })).collect();
    let inputs = json!({ "inputs": documents });
    let lines: String = documents.iter().map(|line| format!("{line}\n")).collect();
    let part = "--bb\r\ncontent-disposition: form-data; name=\"f\"; filename=\"a.jpg\"\r\ncontent-type: image/jpeg\r\n\r\n";
    let form = [part.as_bytes(), &picture, b"\r\n"].concat().repeat(60);
    let form = [form, b"--bb--\r\n".to_vec()].concat();
    for (path, kind, body) in [
        (
            "/collections/slow/documents",
            JSON,
            json!(documents).to_string().into_bytes(),
        ),
        ("/encode", JSON, inputs.to_string().into_bytes()),
        ("/collections/slow/documents", NDJSON, lines.into_bytes()),
        ("/collections/slow/documents", FORM, form),
    ] {
        let done = || client().metric("clipdb_model_images_total");
        let before = done();
        let mut stream = begin(path, kind, Some(body.len()), "");
        stream.write_all(&body).unwrap();
        assert!(wait_until(|| done() > before), "{path}, {kind}");
        drop(stream);
        // Work in progress is finished; then nothing else begins.
        let mut seen = done();
        assert!(
            wait_until(|| {
                std::thread::sleep(Duration::from_millis(700));
                std::mem::replace(&mut seen, done()) == seen
            }),
            "{path}, {kind}"
        );
        let count = done() - before;
        assert!(count < 45.0, "{path}, {kind}: {count} of 60 were embedded");
    }
}
