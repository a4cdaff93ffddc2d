//! The settings of a server: its flags, environment, limits, key and certificate, and the ways to
//! start it.

use std::fs::File;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Instant;

use tempfile::TempDir;

use super::kill_on_exit::KillOnExit;
use super::program::{self, Finished};
use super::{Server, Starting, Stopped};

/// The settings of a server, built up by chaining.
#[derive(Clone, Default)]
pub struct Setup {
    arguments: Vec<String>,
    variables: Vec<(String, String)>,
    limits: Option<String>,
    pub(super) key: Option<String>,
    pub(super) certificate: Option<Certificate>,
}

/// A self-signed certificate for `localhost`, in a folder of its own.
#[derive(Clone)]
pub(super) struct Certificate {
    pub(super) folder: Arc<TempDir>,
    pub(super) pem: String,
}

impl Setup {
    pub fn new() -> Self {
        Self::default()
    }

    #[must_use]
    pub fn flag(mut self, name: &str, value: &str) -> Self {
        self.arguments.extend([name.to_owned(), value.to_owned()]);
        self
    }

    #[must_use]
    pub fn switch(mut self, name: &str) -> Self {
        self.arguments.push(name.to_owned());
        self
    }

    #[must_use]
    pub fn variable(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Runs these shell commands first, such as `ulimit -n 1024`. The last one may be a program that
    /// runs another, as in `exec setpriv … "$0" "$@"`.
    #[must_use]
    pub fn limits(mut self, commands: &str) -> Self {
        self.limits = Some(commands.to_owned());
        self
    }

    /// The server requires this API key, and its client sends it.
    #[must_use]
    pub fn key(mut self, key: &str) -> Self {
        self.key = Some(key.to_owned());
        self.flag("--api-key", key)
    }

    /// gRPC on a free port, which [`Server::grpc`] returns.
    #[must_use]
    pub fn grpc(self) -> Self {
        self.flag("--grpc", "127.0.0.1:0")
    }

    /// TLS on every listener, with a self-signed certificate for `localhost`.
    #[must_use]
    pub fn tls(mut self) -> Self {
        let generated =
            rcgen::generate_simple_self_signed(["localhost".into(), "127.0.0.1".into()]).unwrap();
        let folder = Arc::new(tempfile::tempdir().unwrap());
        let (certificate, key) = (
            folder.path().join("cert.pem"),
            folder.path().join("key.pem"),
        );
        let pem = generated.cert.pem();
        std::fs::write(&certificate, &pem).unwrap();
        std::fs::write(&key, generated.signing_key.serialize_pem()).unwrap();
        self.certificate = Some(Certificate { folder, pem });
        self.flag("--tls-cert", certificate.to_str().unwrap())
            .flag("--tls-key", key.to_str().unwrap())
    }

    /// Starts on a new, empty folder and waits until the server is ready.
    pub fn start(self) -> Server {
        self.start_in(Arc::new(tempfile::tempdir().unwrap()))
    }

    /// Starts with these settings on the folder of a stopped server.
    pub fn start_on(self, stopped: &Stopped) -> Server {
        self.start_in(Arc::clone(&stopped.folder))
    }

    /// Runs `clipdb serve` on a new folder, where startup has to fail.
    pub fn refused(self) -> Finished {
        let folder = tempfile::tempdir().unwrap();
        self.refused_on(&folder.path().join("data"))
    }

    /// Runs `clipdb serve` on an existing folder, where startup has to fail.
    pub fn refused_on(self, data: &Path) -> Finished {
        let mut command = self.command(data);
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        program::finish(child)
    }

    /// Runs `clipdb` with these arguments to its end, for another command than `serve`.
    pub fn run(self) -> Finished {
        let mut command = self.program();
        command.args(&self.arguments).envs(self.variables);
        program::finish(
            command
                .stdin(Stdio::null())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap(),
        )
    }

    fn program(&self) -> Command {
        let Some(limits) = &self.limits else {
            return program::bare_command();
        };
        let mut command = program::without_settings(Command::new("sh"));
        let script = format!("{limits}; exec \"$0\" \"$@\"");
        command.args(["-c", &script]).arg(program::binary());
        command
    }

    fn command(&self, data: &Path) -> Command {
        let mut command = self.program();
        command.arg("serve").arg("--data").arg(data);
        let given = |name| {
            self.arguments.iter().any(|argument| argument == name)
                || self
                    .variables
                    .iter()
                    .any(|(variable, _)| variable == "CLIPDB_LISTEN" || variable == "CLIPDB_CONFIG")
        };
        if !given("--listen") {
            // Port 0: the system picks a free one, which the banner shows.
            command.args(["--listen", "127.0.0.1:0"]);
        }
        if !given("--device") && !given("--config") {
            // The expected values are those of the CPU, also on a machine with a GPU.
            command.args(["--device", "cpu"]);
        }
        command
            .args(&self.arguments)
            .envs(self.variables.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Starts on `folder/data` and waits until the server is ready.
    pub fn start_in(self, folder: Arc<TempDir>) -> Server {
        self.begin_in(folder).until_ready()
    }

    /// Does the same; returns the output if the program exits first.
    pub fn try_start_in(self, folder: Arc<TempDir>) -> Result<Server, Finished> {
        let banner = folder.path().join("stdout");
        self.begin_in(folder)
            .try_until_ready()
            .map_err(|exited| Finished {
                code: exited.status.code(),
                stdout: program::read(&banner),
                stderr: exited.log,
            })
    }

    pub(crate) fn begin_in(self, folder: Arc<TempDir>) -> Starting {
        let (out, log) = (folder.path().join("stdout"), folder.path().join("stderr"));
        let started = Instant::now();
        let child = self
            .command(&folder.path().join("data"))
            .stdin(Stdio::null())
            .stdout(File::create(&out).unwrap())
            .stderr(File::create(&log).unwrap())
            .spawn()
            .unwrap();
        let kill_on_exit = KillOnExit::new(&child, folder.path());
        Starting {
            child,
            folder,
            setup: self,
            started,
            kill_on_exit,
        }
    }
}
