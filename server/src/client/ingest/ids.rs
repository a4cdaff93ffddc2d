//! The ids of documents that are made of files.
//!
//! A file has one id from wherever and however it is named, and no two files have the same: its
//! full path. With `--id-prefix` it is the prefix and the path below the folder that was named, so
//! that ids do not depend on where the folder lies.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

/// As the server counts them.
const MOST_BYTES: usize = 256;

/// How ids begin.
#[derive(Debug, Clone, Default)]
pub struct Ids {
    prefix: Option<String>,
}

impl Ids {
    pub fn new(prefix: Option<String>) -> Self {
        Self { prefix }
    }

    /// The id of a file or folder that was named on the command line; ids of what is in a folder
    /// begin with the folder's.
    pub fn of_named(&self, path: &Path) -> Result<String, String> {
        let full = full_path(path)?;
        match &self.prefix {
            Some(prefix) if full.is_dir() => Ok(prefix.clone()),
            Some(prefix) => {
                let name = full.file_name().unwrap_or_default();
                let name = name.to_str().ok_or(NOT_UTF8)?;
                Ok(below(prefix, name))
            }
            None => full.to_str().map(str::to_owned).ok_or_else(|| {
                "its full path is not UTF-8, so no id can be made of it: give ids with --id-prefix"
                    .to_owned()
            }),
        }
    }
}

pub const NOT_UTF8: &str = "its name is not UTF-8, so no id can be made of it: rename it";

/// The id of what is called `name` in the folder of this id.
pub fn below(folder: &str, name: &str) -> String {
    format!("{}/{name}", folder.trim_end_matches('/'))
}

/// What a link is called is what the user sees, so only the folder that it lies in is resolved.
fn full_path(path: &Path) -> Result<PathBuf, String> {
    let unreadable = |error: std::io::Error| format!("cannot be read: {error}");
    // Whether it is there at all, and where a path that ends in '..' leads.
    let resolved = path.canonicalize().map_err(unreadable)?;
    let (Some(name), false) = (path.file_name(), resolved.is_dir()) else {
        return Ok(resolved);
    };
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    Ok(folder.canonicalize().map_err(unreadable)?.join(name))
}

/// Whether the server can take it.
pub fn check(id: &str) -> Result<(), String> {
    if id.len() > MOST_BYTES {
        Err(format!(
            "its id has {} bytes, over {MOST_BYTES}: shorten its name, or give ids with --id-prefix",
            id.len()
        ))
    } else if id.chars().any(char::is_control) {
        Err("its name holds a tab, a line break or another control character: rename it".to_owned())
    } else {
        Ok(())
    }
}

/// The same for a document of its own words: its id, and that its metadata are an object.
pub fn check_document(document: &Map<String, Value>) -> Result<(), String> {
    if document.get("metadata").is_some_and(|own| !own.is_object()) {
        return Err("its metadata are no object".to_owned());
    }
    match document.get("id") {
        Some(Value::String(id)) => check(id),
        Some(_) => Err("its id is no string".to_owned()),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_the_full_path_or_what_comes_behind_the_prefix() {
        let top = tempfile::tempdir().unwrap();
        let top = top.path().canonicalize().unwrap();
        std::fs::create_dir_all(top.join("a/photos")).unwrap();
        std::fs::write(top.join("a/photos/1.png"), "").unwrap();
        std::os::unix::fs::symlink(top.join("a/photos/1.png"), top.join("link.png")).unwrap();
        let plain = Ids::default();
        let id = |path: &str| plain.of_named(&top.join(path)).unwrap();
        let full = |path: &str| top.join(path).to_str().unwrap().to_owned();
        assert_eq!(id("a/photos"), full("a/photos"));
        assert_eq!(id("a/photos/"), full("a/photos"));
        assert_eq!(id("a/../a/photos/."), full("a/photos"));
        assert_eq!(id("a/photos/1.png"), full("a/photos/1.png"));
        assert_eq!(id("link.png"), full("link.png"), "as it is called");
        let prefixed = Ids::new(Some("mine/".to_owned()));
        let id = |path: &str| prefixed.of_named(&top.join(path)).unwrap();
        assert_eq!(below(&id("a/photos"), "1.png"), "mine/1.png");
        assert_eq!(id("a/photos/1.png"), "mine/1.png");
        assert!(plain.of_named(&top.join("absent")).is_err());
    }

    #[test]
    fn what_the_server_would_refuse_is_refused_here() {
        assert!(check(&"é".repeat(128)).is_ok());
        for id in [
            "é".repeat(129),
            "a\tb".into(),
            "a\nb".into(),
            "\u{85}".into(),
        ] {
            assert!(check(&id).is_err(), "{id:?}");
        }
    }
}
