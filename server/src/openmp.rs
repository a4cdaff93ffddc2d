//! How LibTorch's and FAISS's OpenMP threads wait for work: asleep.
//!
//! By default libgomp's threads spin while they wait. Beside any other busy process
//! on the same cores that costs most of the time: a server on 2 cores at a load of 8
//! embedded 32 pictures in 20 seconds spinning and in 2 to 4 sleeping.

use std::os::unix::process::CommandExt;
use std::process::Command;

const SETTINGS: [&str; 2] = ["OMP_WAIT_POLICY", "GOMP_SPINCOUNT"];

/// Starts this program anew with the setting, unless one is given: libgomp reads it
/// when it is loaded, before `main`. The process keeps its id.
pub fn wait_asleep() {
    if SETTINGS.iter().any(|name| std::env::var_os(name).is_some()) {
        return;
    }
    let mut arguments = std::env::args_os();
    let Ok(program) = std::env::current_exe() else {
        return;
    };
    let mut command = Command::new(program);
    if let Some(name) = arguments.next() {
        command.arg0(name);
    }
    let error = command.args(arguments).env(SETTINGS[0], "passive").exec();
    // Only a failure returns: the server works all the same, and slower.
    eprintln!(
        "clipdb: could not start anew with {}=passive ({error})",
        SETTINGS[0]
    );
}
