//! The verification of a folder after a kill.

use std::path::Path;

use serde_json::Value;

use crate::folder::files;
use crate::server::Stopped;

/// One of this many folders is checked.
const CHECKED: usize = 3;

/// `clipdb check` finds no corruption in it.
pub(in super::super) fn check(stopped: &Stopped, kill: usize) -> Result<(), Vec<String>> {
    if !kill.is_multiple_of(CHECKED) {
        return Ok(());
    }
    let checked = stopped.check(&[]);
    match checked.code {
        Some(0) => Ok(()),
        _ => Err(vec![format!("{}{}", checked.stdout, checked.stderr)]),
    }
}

/// Whether the kill interrupted a seal, a build or a merge: there is a file of a segment that the
/// manifest does not name.
pub(in super::super) fn interrupted_a_build(data: &Path) -> bool {
    let index = data.join("index");
    let all = if index.is_dir() {
        files(&index)
    } else {
        Vec::new()
    };
    all.iter()
        .filter(|path| {
            path.extension()
                .is_some_and(|end| end == "vectors" || end == "index")
        })
        .any(|path| named(path) == Some(false))
}

/// Whether the manifest in the same folder names the file; `None` if that is unknown.
fn named(path: &Path) -> Option<bool> {
    let number: u64 = path.file_stem()?.to_str()?.parse().ok()?;
    let manifest = std::fs::read_to_string(path.with_file_name("manifest")).ok()?;
    let manifest: Value = serde_json::from_str(manifest.lines().next()?).ok()?;
    let is_index = path.extension()? == "index";
    let named = manifest["segments"].as_array()?.iter().any(|segment| {
        let entry = &segment["entry"];
        entry["number"] == number && (!is_index || !entry["index"].is_null())
    });
    Some(named)
}
