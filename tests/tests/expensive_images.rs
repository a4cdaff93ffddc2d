//! Expensive images never delay a small one, and are abandoned when their client disconnects.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::io::{Cursor, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use clipdb_tests::{Client, Server, pictures};
use image::{ImageFormat, RgbaImage};
use serde_json::{Value, json};

/// An image of 64 million pixels in a small file.
fn large() -> Vec<u8> {
    let mut file = Cursor::new(Vec::new());
    let clear = RgbaImage::new(8_000, 8_000);
    clear.write_to(&mut file, ImageFormat::Png).unwrap();
    file.into_inner()
}

fn inputs(image: &[u8]) -> Value {
    json!({ "inputs": [{ "image": Client::image(image) }] })
}

fn took(client: &Client, image: &[u8]) -> Duration {
    let begun = Instant::now();
    client.post("/encode", &inputs(image)).expect(200);
    begun.elapsed()
}

#[test]
fn a_small_image_overtakes_large_ones() {
    let server = Server::start();
    let (client, large, small) = (server.client(), large(), pictures::png(1));
    let alone = took(client, &large);
    let mut longest = Duration::ZERO;
    thread::scope(|scope| {
        let many: Vec<_> = (0..8)
            .map(|_| scope.spawn(|| took(server.client(), &large)))
            .collect();
        thread::sleep(Duration::from_millis(100));
        while many.iter().any(|large| !large.is_finished()) {
            longest = longest.max(took(client, &small));
            let id = format!("small-{}", longest.as_nanos());
            let begun = Instant::now();
            client
                .post("/documents", &pictures::document(&id, &small))
                .expect(200);
            longest = longest.max(begun.elapsed());
        }
    });
    // Waiting for one of the large images would take several times as long.
    assert!(
        longest < alone.max(Duration::from_secs(1)) * 2,
        "{longest:?}, one large takes {alone:?}"
    );
}

#[test]
fn a_small_thumbnail_overtakes_large_ones() {
    let server = Server::start();
    let client = server.client();
    client
        .post("/documents", &pictures::document("large", &large()))
        .expect(200);
    client
        .post(
            "/documents",
            &pictures::document("small", &pictures::png(1)),
        )
        .expect(200);
    let thumbnail = |client: &Client, id: &str| {
        let begun = Instant::now();
        client
            .get(&format!(
                "/collections/default/documents/{id}/image?width=100"
            ))
            .expect(200);
        begun.elapsed()
    };
    let alone = thumbnail(client, "large");
    let mut longest = Duration::ZERO;
    thread::scope(|scope| {
        let many: Vec<_> = (0..6)
            .map(|_| scope.spawn(|| thumbnail(server.client(), "large")))
            .collect();
        thread::sleep(Duration::from_millis(100));
        while many.iter().any(|large| !large.is_finished()) {
            longest = longest.max(thumbnail(client, "small"));
        }
    });
    assert!(
        longest < alone.max(Duration::from_secs(1)) * 2,
        "{longest:?}, one large takes {alone:?}"
    );
}

#[test]
fn large_images_of_disconnected_clients_are_abandoned() {
    let server = Server::start();
    let (client, large) = (server.client(), large());
    let alone = took(client, &large);
    let body = inputs(&large).to_string();
    let gone: Vec<TcpStream> = (0..40)
        .map(|_| {
            let mut stream = TcpStream::connect(client.address()).unwrap();
            write!(
                stream,
                "POST /encode HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
                body.len()
            )
            .unwrap();
            stream.write_all(body.as_bytes()).unwrap();
            stream
        })
        .collect();
    thread::sleep(Duration::from_millis(300));
    drop(gone);
    let behind = took(client, &large);
    // All of them, two at a time, would take twenty times as long.
    assert!(
        behind < alone.max(Duration::from_secs(1)) * 6,
        "{behind:?}, alone {alone:?}"
    );
}

#[test]
fn too_expensive_images_are_refused_by_name() {
    let server = Server::start();
    let client = server.client();
    // 101 scans: one per marker.
    let mut many_scans = pictures::jpeg(1);
    many_scans.truncate(many_scans.len() - 2);
    for _ in 0..101 {
        many_scans.extend(b"\xFF\xDA\0\x08\x01\x01\0\0\x3F\0");
    }
    many_scans.extend(b"\xFF\xD9");
    client
        .post("/encode", &inputs(&many_scans))
        .expect_problem(413, "image_too_large");
    client
        .post("/documents", &pictures::document("scans", &many_scans))
        .expect_problem(413, "image_too_large");
    // Data for only a corner of the size in the header.
    let mut corner = pictures::jpeg(1);
    let frame = corner
        .windows(2)
        .position(|pair| pair == [0xFF, 0xC0])
        .unwrap();
    corner[frame + 5..frame + 9].copy_from_slice(&[0x1F, 0x40, 0x1F, 0x40]);
    client
        .post("/documents", &pictures::document("corner", &corner))
        .expect_problem(422, "invalid_image");
}
