//! Limits the open HTTP connections, which share the process's file descriptors with the database.
//! Connections without a request must not keep out the others.
//!
//! At most an eighth of the connections may be silent, which means without a request until now;
//! beyond that the oldest silent one is closed. Once more than half of the connections are in use,
//! each is closed after its response.

use std::any::Any;
use std::collections::BTreeMap;
use std::net::{Shutdown, TcpStream};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use actix_web::body::MessageBody;
use actix_web::dev::{Extensions, ServiceRequest, ServiceResponse};
use actix_web::http::{ConnectionType, StatusCode};
use actix_web::middleware::Next;
use parking_lot::Mutex;

/// The connections of all workers.
pub(crate) struct Connections {
    max: usize,
    open: AtomicUsize,
    silent: Mutex<Silent>,
}

/// Connections without a request, the oldest first, each with a handle to close it.
#[derive(Default)]
struct Silent {
    next: u64,
    by_age: BTreeMap<u64, OwnedFd>,
}

/// One connection, counted until it is dropped.
pub(crate) struct Connection {
    all: Arc<Connections>,
    /// Its key in [`Silent::by_age`].
    number: u64,
    silent: AtomicBool,
}

impl Connections {
    pub(crate) fn new(max: usize) -> Arc<Self> {
        Arc::new(Self {
            max,
            open: AtomicUsize::new(0),
            silent: Mutex::default(),
        })
    }

    /// Counts a new connection; called by its worker.
    pub(crate) fn register(self: &Arc<Self>, io: &dyn Any, data: &mut Extensions) {
        self.open.fetch_add(1, Ordering::Relaxed);
        // A TLS connection has sent its handshake already.
        let handle = io
            .downcast_ref::<actix_web::rt::net::TcpStream>()
            .and_then(|io| io.as_fd().try_clone_to_owned().ok());
        let (number, oldest) = match handle {
            Some(handle) => self.silent.lock().add(handle, self.max / 8),
            None => (0, None),
        };
        if let Some(oldest) = oldest {
            // Its worker reads the end and closes it; an error means that it is closed already.
            let _ = TcpStream::from(oldest).shutdown(Shutdown::Both);
        }
        data.insert(Connection {
            all: Arc::clone(self),
            number,
            silent: AtomicBool::new(number > 0),
        });
    }

    fn is_crowded(&self) -> bool {
        self.open.load(Ordering::Relaxed) > self.max / 2
    }
}

impl Silent {
    /// Returns the key of the new connection, and the oldest if there are more than `max`.
    fn add(&mut self, handle: OwnedFd, max: usize) -> (u64, Option<OwnedFd>) {
        self.next += 1;
        self.by_age.insert(self.next, handle);
        let oldest = (self.by_age.len() > max)
            .then(|| self.by_age.pop_first())
            .flatten();
        (self.next, oldest.map(|(_, handle)| handle))
    }
}

impl Connection {
    /// Notes that it has sent a request.
    fn mark_active(&self) {
        if self.silent.swap(false, Ordering::Relaxed) {
            self.all.silent.lock().by_age.remove(&self.number);
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.mark_active();
        self.all.open.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Notes that the connection has sent a request, and closes it after the response if there are
/// many.
pub(crate) async fn watch<B: MessageBody>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<B>, actix_web::Error> {
    let connection = request.request().conn_data::<Connection>();
    let crowded = connection.is_some_and(|connection| {
        connection.mark_active();
        connection.all.is_crowded()
    });
    let mut answer = next.call(request).await?;
    if crowded && answer.status() != StatusCode::SWITCHING_PROTOCOLS {
        let head = answer.response_mut().head_mut();
        head.set_connection_type(ConnectionType::Close);
    }
    Ok(answer)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test")]

    use std::net::TcpListener;

    use super::*;

    #[test]
    fn the_oldest_silent_connection_is_closed() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut silent = Silent::default();
        let handle = || -> OwnedFd {
            TcpStream::connect(listener.local_addr().unwrap())
                .unwrap()
                .into()
        };
        assert!(silent.add(handle(), 2).1.is_none());
        assert!(silent.add(handle(), 2).1.is_none());
        silent.by_age.remove(&1);
        assert!(silent.add(handle(), 2).1.is_none());
        let (number, oldest) = silent.add(handle(), 2);
        assert_eq!((number, oldest.is_some()), (4, true));
        assert_eq!(silent.by_age.keys().collect::<Vec<_>>(), [&3, &4]);
    }
}
