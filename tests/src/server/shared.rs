//! One server for the tests of a file.

use std::ops::Deref;
use std::sync::LazyLock;

use super::Server;

/// A server that the tests of a file share, in a `static`.
///
/// The first test that uses it starts it. It runs until the test process exits, however that
/// happens. Each test uses a collection of its own, so that the tests can run in parallel and in
/// any order. A test that stops, kills or fills a server, or counts all of its requests, starts
/// its own.
///
/// ```no_run
/// use clipdb_tests::{Server, SharedServer};
///
/// static SERVER: SharedServer = SharedServer::new(Server::start);
///
/// let collection = SERVER.client().collection("own");
/// ```
pub struct SharedServer(LazyLock<Server>);

impl SharedServer {
    pub const fn new(start: fn() -> Server) -> Self {
        Self(LazyLock::new(start))
    }
}

impl Deref for SharedServer {
    type Target = Server;

    fn deref(&self) -> &Server {
        &self.0
    }
}
