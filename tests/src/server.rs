//! The real binary on a folder of its own: started, waited for, stopped, killed,
//! started again.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::client::Client;

const READY_WITHIN: Duration = Duration::from_secs(120);
const STOPPED_WITHIN: Duration = Duration::from_secs(120);

/// How a server is to be started.
#[derive(Clone, Default)]
pub struct Setup {
    arguments: Vec<String>,
    variables: Vec<(String, String)>,
    limits: Option<String>,
    key: Option<String>,
    certificate: Option<Certificate>,
}

/// One that nobody else trusts, for `localhost`, in files of its own.
#[derive(Clone)]
struct Certificate {
    folder: Arc<TempDir>,
    pem: String,
}

/// A running server; dropping it kills it and deletes its folder.
pub struct Server {
    child: Child,
    client: Client,
    folder: Arc<TempDir>,
    setup: Setup,
    ready_after: Duration,
    _leash: Leash,
}

/// A server that is not waited for until it is ready.
pub struct Starting {
    child: Child,
    folder: Arc<TempDir>,
    setup: Setup,
    started: Instant,
    leash: Leash,
}

/// The folder of a server that no longer runs.
pub struct Stopped {
    folder: Arc<TempDir>,
    setup: Setup,
    /// How its process ended.
    pub status: ExitStatus,
    pub log: String,
}

/// A run of the binary that came to its end.
pub struct Finished {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

/// `CLIPDB_BINARY`, or the workspace's release build.
pub fn binary() -> PathBuf {
    let path = std::env::var_os("CLIPDB_BINARY").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/release/clipdb"),
        PathBuf::from,
    );
    assert!(
        path.is_file(),
        "there is no binary at {}: build it with 'cargo build --release -p clipdb-server'",
        path.display()
    );
    path
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

    /// Runs under what these commands of a shell set, such as `ulimit -n 1024`; the last may be a
    /// program that runs another, as in `exec setpriv … \"$0\" \"$@\"`.
    #[must_use]
    pub fn limits(mut self, commands: &str) -> Self {
        self.limits = Some(commands.to_owned());
        self
    }

    /// The server asks for this key, and its client sends it.
    #[must_use]
    pub fn key(mut self, key: &str) -> Self {
        self.key = Some(key.to_owned());
        self.flag("--api-key", key)
    }

    /// gRPC on a free port, which [`Server::grpc`] tells.
    #[must_use]
    pub fn grpc(self) -> Self {
        self.flag("--grpc", "127.0.0.1:0")
    }

    /// Every address speaks TLS with a certificate of its own making, for `localhost`.
    #[must_use]
    pub fn tls(mut self) -> Self {
        let made =
            rcgen::generate_simple_self_signed(["localhost".into(), "127.0.0.1".into()]).unwrap();
        let folder = Arc::new(tempfile::tempdir().unwrap());
        let (certificate, key) = (
            folder.path().join("cert.pem"),
            folder.path().join("key.pem"),
        );
        let pem = made.cert.pem();
        std::fs::write(&certificate, &pem).unwrap();
        std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
        self.certificate = Some(Certificate { folder, pem });
        self.flag("--tls-cert", certificate.to_str().unwrap())
            .flag("--tls-key", key.to_str().unwrap())
    }

    /// Starts on a new, empty folder and waits until the server is ready.
    pub fn start(self) -> Server {
        self.start_in(Arc::new(tempfile::tempdir().unwrap()))
    }

    /// Starts with these settings on the folder of a server that no longer runs.
    pub fn start_on(self, stopped: &Stopped) -> Server {
        self.start_in(Arc::clone(&stopped.folder))
    }

    /// Runs `clipdb serve`, which is to end by itself.
    pub fn refused(self) -> Finished {
        let folder = tempfile::tempdir().unwrap();
        self.refused_on(&folder.path().join("data"))
    }

    /// The same on a folder that is there.
    pub fn refused_on(self, data: &Path) -> Finished {
        let mut command = self.command(data);
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        finish(child)
    }

    /// `clipdb` with other arguments than `serve`'s, to its end.
    pub fn run(self) -> Finished {
        let mut command = self.program();
        command.args(&self.arguments).envs(self.variables);
        finish(
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
            return bare_command();
        };
        let mut command = without_settings(Command::new("sh"));
        let script = format!("{limits}; exec \"$0\" \"$@\"");
        command.args(["-c", &script]).arg(binary());
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
            // Port 0: the system gives a free one, which the banner tells.
            command.args(["--listen", "127.0.0.1:0"]);
        }
        if !given("--device") && !given("--config") {
            // What is expected is the CPU's, also on a machine with a GPU.
            command.args(["--device", "cpu"]);
        }
        command
            .args(&self.arguments)
            .envs(self.variables.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Starts on the folder `data` in this one.
    pub fn start_in(self, folder: Arc<TempDir>) -> Server {
        self.begin_in(folder).until_ready()
    }

    /// The same; how the program ended, where it ended by itself.
    pub fn try_start_in(self, folder: Arc<TempDir>) -> Result<Server, Finished> {
        let banner = folder.path().join("stdout");
        self.begin_in(folder)
            .try_until_ready()
            .map_err(|ended| Finished {
                code: ended.status.code(),
                stdout: read(&banner),
                stderr: ended.log,
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
        let leash = Leash::on(&child, folder.path());
        Starting {
            child,
            folder,
            setup: self,
            started,
            leash,
        }
    }
}

impl Starting {
    /// Ends the process as a crash would, ready or not.
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
        self.try_until_ready().unwrap_or_else(|ended| {
            panic!(
                "the server ended while starting ({}):\n{}",
                ended.status, ended.log
            )
        })
    }

    fn try_until_ready(mut self) -> Result<Server, Box<Stopped>> {
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
        let client = client.expect("the loop ends with one");
        Ok(Server {
            child: self.child,
            client,
            folder: self.folder,
            setup: self.setup,
            ready_after: self.started.elapsed(),
            _leash: self.leash,
        })
    }
}

/// `clipdb`, without what the tests' own environment would set.
fn bare_command() -> Command {
    without_settings(Command::new(binary()))
}

fn without_settings(mut command: Command) -> Command {
    for (name, _) in std::env::vars_os() {
        // The latter is of tests/run.sh.
        if name.to_string_lossy().starts_with("CLIPDB_") || name == "NVIDIA_TF32_OVERRIDE" {
            command.env_remove(name);
        }
    }
    command
}

fn finish(mut child: Child) -> Finished {
    let started = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if started.elapsed() > READY_WITHIN {
            let _ = child.kill();
            panic!("the program was to end by itself and ran for {READY_WITHIN:?}");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    let output = child.wait_with_output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Finished {
        code: output.status.code(),
        stdout: text(output.stdout),
        stderr: text(output.stderr),
    }
}

/// The address in the banner, on the line of this name.
fn address(banner: &str, name: &str) -> Option<String> {
    let line = banner
        .lines()
        .find(|line| line.trim_start().starts_with(name))?;
    Some(line.split_whitespace().last()?.to_owned())
}

fn read(path: &Path) -> String {
    let mut bytes = Vec::new();
    if let Ok(mut file) = File::open(path) {
        let _ = file.read_to_end(&mut bytes);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

impl Server {
    /// On a new folder, with no other setting than a free port.
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

    /// `HOST:PORT` of the gRPC door.
    pub fn grpc(&self) -> String {
        let url = address(&self.banner(), "gRPC").expect("the server has a gRPC door");
        url.split("://").last().unwrap_or_default().to_owned()
    }

    /// The file of the certificate that a client has to trust.
    pub fn certificate(&self) -> PathBuf {
        let made = self.setup.certificate.as_ref();
        made.expect("the server speaks TLS")
            .folder
            .path()
            .join("cert.pem")
    }

    /// From the start of the process to the first 200 of `/ready`.
    pub fn ready_after(&self) -> Duration {
        self.ready_after
    }

    /// What it printed on standard output.
    pub fn banner(&self) -> String {
        read(&self.folder.path().join("stdout"))
    }

    pub fn log(&self) -> String {
        read(&self.folder.path().join("stderr"))
    }

    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Ends the process as a crash would: it gets no chance to do anything.
    pub fn kill(mut self) -> Stopped {
        self.child.kill().unwrap();
        self.wait()
    }

    /// Asks it to stop, and returns at once.
    pub fn ask_to_stop(&self) {
        let pid = i32::try_from(self.child.id())
            .ok()
            .and_then(Pid::from_raw)
            .unwrap();
        kill_process(pid, Signal::TERM).unwrap();
    }

    /// Asks it to stop and waits until it has.
    pub fn stop(self) -> Stopped {
        self.ask_to_stop();
        self.wait()
    }

    pub fn wait(mut self) -> Stopped {
        let started = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(
                started.elapsed() < STOPPED_WITHIN,
                "still running after {STOPPED_WITHIN:?}:\n{}",
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

    /// Starts again on the same folder with the same settings.
    pub fn start(self) -> Server {
        self.setup.start_in(self.folder)
    }

    /// Starts again and does not wait until it is ready.
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

    /// Starts on the same folder, which is to be refused.
    pub fn refused(&self) -> Finished {
        self.setup.clone().refused_on(&self.data())
    }
}

/// Ends the server and deletes its folder when this process goes, however it goes:
/// a server that a whole test file shares is never dropped.
struct Leash(Child);

impl Leash {
    fn on(server: &Child, folder: &Path) -> Self {
        // Its input is a pipe that this process holds: it ends with this process.
        let script = "cat >/dev/null; kill -9 \"$0\" 2>/dev/null; sleep 0.2; rm -rf -- \"$1\"";
        let child = Command::new("sh")
            .args(["-c", script, &server.id().to_string()])
            .arg(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self(child)
    }
}

impl Drop for Leash {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
