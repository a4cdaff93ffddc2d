//! A folder of an older format, whose first startups are killed: the next one finds all of it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::keep;
use crate::folder;
use crate::server::Setup;

/// Documents of the saved folder; `migrations/examples/write_format_1.rs` wrote it.
const DOCUMENTS: usize = 150;

type Faults = (Vec<String>, PathBuf, String);

pub(super) fn kill_during(after: Duration, again: Duration) -> Result<(), Faults> {
    let saved = Path::new(env!("CARGO_MANIFEST_DIR")).join("../migrations/tests/format-1");
    let home = Arc::new(tempfile::tempdir().unwrap());
    folder::copy(&saved, &home.path().join("data"));
    let mut starting = Setup::new().begin_in(home);
    for pause in [after, again] {
        std::thread::sleep(pause);
        starting = starting.kill().begin();
    }
    let server = starting.until_ready();
    let collection = server.client().existing("pictures");
    let mut faults = Vec::new();
    let listed = collection.list(500);
    if listed.len() != DOCUMENTS {
        faults.push(format!("{} documents, not {DOCUMENTS}", listed.len()));
    }
    for (number, document) in listed.iter().enumerate() {
        let expected = match number {
            3 | 7 => None,
            149 => Some("text 149 ".repeat(10_000)),
            _ => Some(format!("text {number} ")),
        };
        if document["id"] != format!("doc-{number:03}")
            || document["text"].as_str() != expected.as_deref()
        {
            faults.push(format!("{} has changed", document["id"]));
        }
    }
    let checked = collection.check();
    if checked["agrees"] != true {
        faults.push(format!("the indexes and the documents disagree: {checked}"));
    }
    if faults.is_empty() {
        Ok(())
    } else {
        Err((faults, keep(&server.data()), server.log()))
    }
}
