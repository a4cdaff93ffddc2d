//! Cleans up after this process, even if it is killed.

use std::path::Path;
use std::process::{Child, Command, Stdio};

/// A shell that kills the server and deletes its folder when this process exits, however it
/// exits: a [`SharedServer`](super::SharedServer) is never dropped. Dropping this ends the shell.
pub(super) struct KillOnExit(Child);

impl KillOnExit {
    pub(super) fn new(server: &Child, folder: &Path) -> Self {
        // `cat` reads a pipe that this process holds open, so it ends when this process does.
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

impl Drop for KillOnExit {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
