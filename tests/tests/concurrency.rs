//! 32 writers and 32 readers at once, while collections come and go: nobody is refused, nobody
//! waits for ever, documents and indexes agree afterwards. `make crowd` does it for ten minutes.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use clipdb_tests::{Crowd, Server, quantile};

#[test]
fn writers_and_readers_get_on_with_each_other() {
    let crowd = Crowd {
        seed: rand::random(),
        writers: 32,
        readers: 32,
        lasts: Duration::from_secs(15),
    };
    println!("{crowd:?}");
    let server = Server::start();
    let report = crowd.run(&server);
    assert!(report.errors.is_empty(), "{:#?}", report.errors);
    // Searches go ahead of ingest in the model's queue, and writes wait the longer.
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

/// Clients keep connections in pools: one that the server closes after a few seconds is closed
/// now and then just when a request is sent on it, and that request fails.
#[test]
fn a_connection_that_was_idle_for_a_while_takes_another_request() {
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
