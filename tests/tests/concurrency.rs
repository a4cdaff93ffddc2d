//! 32 concurrent writers and 32 readers, while collections are created and dropped. No request fails
//! or hangs, and documents and indexes agree afterwards. `make soak` runs it for ten minutes.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use clipdb_tests::{Server, Soak, quantile};

#[test]
fn concurrent_writers_and_readers_all_succeed() {
    let soak = Soak {
        seed: rand::random(),
        writers: 32,
        readers: 32,
        duration: Duration::from_secs(15),
    };
    println!("{soak:?}");
    let server = Server::start();
    let report = soak.run(&server);
    assert!(report.errors.is_empty(), "{:#?}", report.errors);
    // Generous, for a loaded machine: a request that hangs takes longer. Searches have priority
    // over ingest in the model's queue, so writes wait longer.
    let reads = report.reads.iter().map(|read| (read, 20_000.0));
    let writes = report.writes.iter().map(|write| (write, 120_000.0));
    for ((kind, times), limit) in reads.chain(writes) {
        assert!(
            quantile(times, 1.0) < limit,
            "one {kind} took {} ms",
            quantile(times, 1.0)
        );
    }
    let writes: usize = report.writes.values().map(Vec::len).sum();
    let reads: usize = report.reads.values().map(Vec::len).sum();
    assert!(
        writes >= 32 && reads > 100,
        "{writes} writes, {reads} reads"
    );
    assert!(report.collections_dropped > 0 && report.snapshots > 0);
}

/// Clients pool connections. If the server closed idle ones after a few seconds, it would sometimes
/// close one just when a client sends a request on it, and that request would fail.
#[test]
fn an_idle_connection_accepts_another_request() {
    let server = Server::start();
    let mut connection = TcpStream::connect(server.client().address()).unwrap();
    for pause in [0, 8] {
        std::thread::sleep(Duration::from_secs(pause));
        connection
            .write_all(b"GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n")
            .unwrap();
        let mut answer = [0; 15];
        connection.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"HTTP/1.1 200 OK");
        connection
            .set_read_timeout(Some(Duration::from_millis(500)))
            .unwrap();
        while connection.read(&mut [0; 4096]).is_ok_and(|read| read > 0) {}
        connection.set_read_timeout(None).unwrap();
    }
}
