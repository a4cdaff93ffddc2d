//! Detects that a client has closed its connection, without reading what it sent before: a long
//! stream of documents in the system's buffers would hide the end until it is processed.
#![allow(unsafe_code, reason = "polls a socket that the server owns")]

use std::any::Any;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::time::Duration;

use actix_tls::accept::rustls_0_23::TlsStream;
use actix_web::HttpRequest;
use actix_web::dev::Extensions;
use actix_web::rt::net::TcpStream;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// How often a connection is polled.
pub(crate) const POLL_INTERVAL: Duration = Duration::from_millis(500);

/// The other end of a request's connection.
#[derive(Clone, Copy)]
pub(crate) struct Peer<'a> {
    socket: RawFd,
    /// The socket stays open while its request is handled.
    _request: &'a HttpRequest,
}

struct Socket(RawFd);

/// Remembers the socket of each new connection.
pub(crate) fn register(io: &dyn Any, data: &mut Extensions) {
    let plain = io.downcast_ref::<TcpStream>();
    let encrypted = io.downcast_ref::<TlsStream<TcpStream>>();
    if let Some(io) = plain.or_else(|| encrypted.map(|io| io.get_ref().0)) {
        data.insert(Socket(io.as_raw_fd()));
    }
}

impl<'a> Peer<'a> {
    /// `None` if there is no connection, as in a test.
    pub(crate) fn of(request: &'a HttpRequest) -> Option<Self> {
        let Socket(socket) = request.conn_data::<Socket>()?;
        Some(Self {
            socket: *socket,
            _request: request,
        })
    }

    pub(crate) fn has_disconnected(self) -> bool {
        // SAFETY: a request's handler is dropped before its connection, which owns the socket, so
        // the descriptor is open and the connection's own while a request is borrowed.
        let socket = unsafe { BorrowedFd::borrow_raw(self.socket) };
        let mut polled = [PollFd::from_borrowed_fd(socket, PollFlags::RDHUP)];
        // An error is left to the connection's own reads.
        poll(&mut polled, Some(&Timespec::default())).is_ok_and(|found| found > 0)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::net::{Shutdown, TcpListener};

    use actix_web::test::TestRequest;

    use super::*;

    #[test]
    fn a_disconnect_is_detected_before_the_data_is_read() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (server, _) = listener.accept().unwrap();
        let request = TestRequest::post().to_http_request();
        let peer = Peer {
            socket: server.as_raw_fd(),
            _request: &request,
        };
        client.write_all(&[7; 1000]).unwrap();
        assert!(!peer.has_disconnected());
        client.shutdown(Shutdown::Write).unwrap();
        let seen = (0..100).any(|_| {
            std::thread::sleep(Duration::from_millis(10));
            peer.has_disconnected()
        });
        assert!(seen);
    }
}
