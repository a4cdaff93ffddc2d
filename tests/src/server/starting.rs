//! A server that is starting up: waits until it is ready, or kills it before that.

use std::process::Child;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::kill_on_exit::KillOnExit;
use super::program::read;
use super::{Server, Setup, Stopped, address};
use crate::client::Client;

const READY_WITHIN: Duration = Duration::from_secs(120);

/// A server that may not be ready yet.
pub struct Starting {
    pub(super) child: Child,
    pub(super) folder: Arc<TempDir>,
    pub(super) setup: Setup,
    pub(super) started: Instant,
    pub(super) kill_on_exit: KillOnExit,
}

impl Starting {
    /// Kills the process with SIGKILL, ready or not.
    pub fn kill(mut self) -> Stopped {
        self.child.kill().unwrap();
        let status = self.child.wait().unwrap();
        let log = read(&self.folder.path().join("stderr"));
        Stopped {
            folder: self.folder,
            setup: self.setup,
            status,
            log,
        }
    }

    pub(crate) fn until_ready(self) -> Server {
        self.try_until_ready().unwrap_or_else(|exited| {
            panic!(
                "the server exited during startup ({}):\n{}",
                exited.status, exited.log
            )
        })
    }

    pub(super) fn try_until_ready(mut self) -> Result<Server, Box<Stopped>> {
        let (out, log) = (
            self.folder.path().join("stdout"),
            self.folder.path().join("stderr"),
        );
        let mut client: Option<Client> = None;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return Err(Box::new(Stopped {
                    folder: self.folder,
                    setup: self.setup,
                    status,
                    log: read(&log),
                }));
            }
            client = client.or_else(|| {
                address(&read(&out), "address").map(|base| {
                    let trusted = self.setup.certificate.as_ref();
                    let trusted = trusted.map(|made| made.pem.as_str());
                    Client::new(base, self.setup.key.clone(), trusted)
                })
            });
            if client
                .as_ref()
                .is_some_and(|client| client.get("/ready").status == 200)
            {
                break;
            }
            assert!(
                self.started.elapsed() < READY_WITHIN,
                "not ready after {READY_WITHIN:?}:\n{}",
                read(&log)
            );
            std::thread::sleep(Duration::from_millis(10));
        }
        let client = client.expect("the loop breaks only with a client");
        Ok(Server {
            child: self.child,
            client,
            folder: self.folder,
            setup: self.setup,
            ready_after: self.started.elapsed(),
            _kill_on_exit: self.kill_on_exit,
        })
    }
}
