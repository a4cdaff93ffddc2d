//! Reports tests that cannot run on this machine, for example for lack of a GPU, of an
//! instruction set or of the right to mount a disk.
//!
//! Rust's test harness counts such a test as passed. `tests/run.sh` therefore names a file in
//! `CLIPDB_SKIPPED_TESTS`, every skip appends one line to it, and the run ends with the list.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;

const FILE: &str = "CLIPDB_SKIPPED_TESTS";

/// Reports that the current test, or the part of it that `reason` names, cannot run here.
///
/// The test continues: the caller returns from it, or leaves the part out. The test's name is
/// the thread's, so call this on the test's own thread.
///
/// # Panics
///
/// If the file in `CLIPDB_SKIPPED_TESTS` cannot be written: a skip must not pass unnoticed.
pub fn report_skip(reason: &str) {
    let thread = std::thread::current();
    let line = line(&binary(), thread.name().unwrap_or("unnamed"), reason);
    print!("skipped: {line}");
    if let Some(path) = std::env::var_os(FILE) {
        append(Path::new(&path), &line);
    }
}

fn line(binary: &str, test: &str, reason: &str) -> String {
    format!("{reason}: {binary} {test}\n")
}

/// One write for the whole line: tests of several processes share the file.
fn append(path: &Path, line: &str) {
    let written = OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)
        .and_then(|mut file| file.write_all(line.as_bytes()));
    if let Err(error) = written {
        panic!("{FILE} names {}: {error}", path.display());
    }
}

/// The name of the test binary, without the hash that Cargo appends.
fn binary() -> String {
    let path = std::env::current_exe().unwrap_or_default();
    let name = path.file_stem().unwrap_or_default().to_string_lossy();
    match name.rsplit_once('-') {
        Some((name, hash)) if hash.len() == 16 => name.to_owned(),
        _ => name.into_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_skip_appends_a_line_with_its_reason_and_test() {
        let path = std::env::temp_dir().join(format!("clipdb-skip-{}", std::process::id()));
        let own = std::thread::current();
        append(&path, &line(&binary(), own.name().unwrap_or(""), "no GPU"));
        append(&path, &line("storage", "disks::are_full", "no root"));
        let text = std::fs::read_to_string(&path);
        let removed = std::fs::remove_file(&path);
        assert!(removed.is_ok());
        assert_eq!(
            text.ok().as_deref(),
            Some(
                "no GPU: clipdb_skip tests::each_skip_appends_a_line_with_its_reason_and_test\n\
                 no root: storage disks::are_full\n"
            )
        );
    }
}
