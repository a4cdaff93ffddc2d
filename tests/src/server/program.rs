//! The binary as a program that runs to its end.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

const ENDS_WITHIN: Duration = Duration::from_secs(120);

/// A finished run of a program.
pub struct Finished {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

/// The path in `CLIPDB_BINARY`, or the workspace's release build.
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

/// `clipdb`, without the settings in the environment of the tests.
pub(super) fn bare_command() -> Command {
    without_settings(Command::new(binary()))
}

pub(super) fn without_settings(mut command: Command) -> Command {
    for (name, _) in std::env::vars_os() {
        // tests/run.sh sets the latter.
        if name.to_string_lossy().starts_with("CLIPDB_") || name == "NVIDIA_TF32_OVERRIDE" {
            command.env_remove(name);
        }
    }
    command
}

pub(super) fn finish(mut child: Child) -> Finished {
    let started = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if started.elapsed() > ENDS_WITHIN {
            let _ = child.kill();
            panic!("the program was expected to exit and ran for {ENDS_WITHIN:?}");
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

/// The text of a file; empty if it does not exist.
pub(super) fn read(path: &Path) -> String {
    let mut bytes = Vec::new();
    if let Ok(mut file) = File::open(path) {
        let _ = file.read_to_end(&mut bytes);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
