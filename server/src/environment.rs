//! What libraries read from the environment as they are loaded, before `main`.

use std::env;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// How OpenMP's threads, LibTorch's and FAISS's, wait for work: asleep. By default libgomp's
/// spin. Beside any other busy process on the same cores that costs most of the time: a server
/// on 2 cores at a load of 8 embedded 32 pictures in 20 seconds spinning and in 2 to 4 sleeping.
const WAITING: Setting = Setting {
    name: "OMP_WAIT_POLICY",
    value: "passive",
    other: "GOMP_SPINCOUNT",
};

/// LibTorch asks for pages of 2 MiB, where the machine gives them: a text reads every weight
/// once, in 4 KiB pages a tenth slower (`tests/README.md`).
const PAGES: Setting = Setting {
    name: "THP_MEM_ALLOC_ENABLE",
    value: "1",
    other: "THP_MEM_ALLOC_ENABLE",
};

struct Setting {
    name: &'static str,
    value: &'static str,
    /// Says the same.
    other: &'static str,
}

impl Setting {
    fn given(&self) -> bool {
        [self.name, self.other]
            .iter()
            .any(|name| env::var_os(name).is_some())
    }
}

/// Starts this program anew with what is not set by whoever started it. The process keeps its id.
pub fn prepare() {
    let missing: Vec<Setting> = [WAITING, PAGES]
        .into_iter()
        .filter(|setting| !setting.given())
        .collect();
    if missing.is_empty() {
        return;
    }
    let mut arguments = env::args_os();
    let Ok(program) = env::current_exe() else {
        return;
    };
    let mut command = Command::new(program);
    if let Some(name) = arguments.next() {
        command.arg0(name);
    }
    command.args(arguments);
    for setting in &missing {
        command.env(setting.name, setting.value);
    }
    let error = command.exec();
    // Only a failure returns: the server works all the same, and slower.
    eprintln!("clipdb: could not start anew with its settings for OpenMP and LibTorch ({error})");
}
