//! The real binary on a folder of its own: startup, shutdown, `kill -9`, restart.

mod kill_on_exit;
mod program;
mod setup;
mod shared;
mod starting;

use std::path::PathBuf;
use std::process::{Child, ExitStatus};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

pub use program::{Finished, binary};
pub use setup::Setup;
pub use shared::SharedServer;
pub use starting::Starting;

use crate::client::Client;
use kill_on_exit::KillOnExit;
use program::read;

const STOPS_WITHIN: Duration = Duration::from_secs(120);

/// A running server. Dropping it kills the process and deletes the folder.
pub struct Server {
    child: Child,
    client: Client,
    folder: Arc<TempDir>,
    setup: Setup,
    ready_after: Duration,
    _kill_on_exit: KillOnExit,
}

/// A server that is no longer running, and its folder.
pub struct Stopped {
    folder: Arc<TempDir>,
    setup: Setup,
    /// The exit status of the process.
    pub status: ExitStatus,
    pub log: String,
}

impl Server {
    /// Starts on a new folder and a free port, with default settings.
    pub fn start() -> Self {
        Setup::new().start()
    }

    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The server's data folder.
    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// `HOST:PORT` of the gRPC listener.
    pub fn grpc(&self) -> String {
        let url = address(&self.banner(), "gRPC").expect("the server has a gRPC listener");
        url.split("://").last().unwrap_or_default().to_owned()
    }

    /// The PEM file of the certificate that a client has to trust.
    pub fn certificate(&self) -> PathBuf {
        let made = self.setup.certificate.as_ref();
        made.expect("the server speaks TLS")
            .folder
            .path()
            .join("cert.pem")
    }

    /// The time from the start of the process to the first 200 from `/ready`.
    pub fn ready_after(&self) -> Duration {
        self.ready_after
    }

    /// Its standard output.
    pub fn banner(&self) -> String {
        read(&self.folder.path().join("stdout"))
    }

    /// Its standard error.
    pub fn log(&self) -> String {
        read(&self.folder.path().join("stderr"))
    }

    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Kills the process with SIGKILL.
    pub fn kill(mut self) -> Stopped {
        self.child.kill().unwrap();
        self.wait()
    }

    /// Sends SIGTERM and returns at once.
    pub fn ask_to_stop(&self) {
        let pid = i32::try_from(self.child.id())
            .ok()
            .and_then(Pid::from_raw)
            .unwrap();
        kill_process(pid, Signal::TERM).unwrap();
    }

    /// Sends SIGTERM and waits until the process exits.
    pub fn stop(self) -> Stopped {
        self.ask_to_stop();
        self.wait()
    }

    /// Waits until the process exits.
    pub fn wait(mut self) -> Stopped {
        let started = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(
                started.elapsed() < STOPS_WITHIN,
                "still running after {STOPS_WITHIN:?}:\n{}",
                self.log()
            );
            std::thread::sleep(Duration::from_millis(5));
        };
        Stopped {
            folder: Arc::clone(&self.folder),
            setup: self.setup.clone(),
            status,
            log: self.log(),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let log = self.log();
            let tail: Vec<&str> = log.lines().rev().take(30).collect();
            eprintln!(
                "the server's last lines:\n{}",
                tail.into_iter().rev().collect::<Vec<_>>().join("\n")
            );
        }
    }
}

impl Stopped {
    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Starts on the same folder with the same settings.
    pub fn start(self) -> Server {
        self.setup.start_in(self.folder)
    }

    /// Starts without waiting until the server is ready.
    pub fn begin(self) -> Starting {
        self.setup.begin_in(self.folder)
    }

    /// Runs `clipdb check` on the folder.
    pub fn check(&self, more: &[&str]) -> Finished {
        let data = self.data();
        let data = data.to_str().unwrap();
        let setup = Setup::new().switch("check").flag("--data", data);
        more.iter()
            .fold(setup, |setup, more| setup.switch(more))
            .run()
    }

    /// Starts on the same folder, where startup has to fail.
    pub fn refused(&self) -> Finished {
        self.setup.clone().refused_on(&self.data())
    }
}

/// The address on the line `name` of the banner.
fn address(banner: &str, name: &str) -> Option<String> {
    let line = banner
        .lines()
        .find(|line| line.trim_start().starts_with(name))?;
    Some(line.split_whitespace().last()?.to_owned())
}
