//! Python programs that use the server: unmodified clients of other systems. Each set of packages
//! has a virtual environment of its own in the cache folder.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::Finished;

/// A Python with pinned packages.
#[derive(Clone)]
pub struct Python {
    interpreter: PathBuf,
    variables: Vec<(String, String)>,
}

impl Python {
    /// The environment `<cache>/<name>-venv` with the packages in `requirements`. It is created the
    /// first time and whenever the list changes. Python 3.12 and newer use
    /// `requirements-3.12.txt` in the same folder instead, if it exists; that list is complete.
    pub fn environment(name: &str, requirements: &Path) -> Self {
        let complete = requirements.with_file_name("requirements-3.12.txt");
        let is_complete = complete.exists() && is_new();
        let requirements = if is_complete { &complete } else { requirements };
        let folder = cache().join(format!("{name}-venv"));
        fs::create_dir_all(&folder).unwrap();
        // Test binaries may run in parallel: one creates it, the others wait.
        let lock = File::create(folder.with_extension("lock")).unwrap();
        lock.lock().unwrap();
        let pins = fs::read_to_string(requirements).unwrap();
        let done = folder.join(".pins");
        let interpreter = folder.join("bin/python");
        if fs::read_to_string(&done).ok().as_deref() != Some(pins.as_str()) {
            let venv = ["-m", "venv", "--clear"];
            expect(Command::new("python3").args(venv).arg(&folder));
            let install = ["-m", "pip", "install", "--quiet", "--requirement"];
            let mut install_all = Command::new(&interpreter);
            install_all.args(install).arg(requirements);
            if is_complete {
                install_all.arg("--no-deps");
            }
            expect(&mut install_all);
            fs::write(&done, pins).unwrap();
        }
        Self {
            interpreter,
            variables: Vec::new(),
        }
    }

    /// Sets an environment variable for its programs.
    #[must_use]
    pub fn variable(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Runs `script` to its end.
    pub fn run(&self, script: &Path, arguments: &[&str]) -> Finished {
        let output = Command::new(&self.interpreter)
            .arg(script)
            .args(arguments)
            // The server is on this machine: no proxy applies.
            .env("NO_PROXY", "*")
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Finished {
            code: output.status.code(),
            stdout: text(output.stdout),
            stderr: text(output.stderr),
        }
    }
}

/// Whether this machine's Python is 3.12 or newer.
fn is_new() -> bool {
    let question = "import sys; sys.exit(sys.version_info < (3, 12))";
    let answer = Command::new("python3").args(["-c", question]).status();
    answer.unwrap().success()
}

fn cache() -> PathBuf {
    let given = std::env::var_os("CLIPDB_CACHE").map(PathBuf::from);
    given.unwrap_or_else(|| {
        let home = std::env::var_os("HOME").expect("there is a home folder");
        Path::new(&home).join(".cache/clipdb")
    })
}

fn expect(command: &mut Command) {
    let output = command.stdin(Stdio::null()).output().unwrap();
    assert!(
        output.status.success(),
        "{command:?} failed:\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
}
