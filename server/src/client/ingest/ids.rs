//! The ids of documents that are created from files.
//!
//! The id of a file is its absolute path, which is unique and does not depend on the current folder
//! or on how the file was reached. With `--id-prefix` the id is the prefix and the path relative to
//! the folder on the command line, so it does not depend on the location of the folder.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

/// The limit of the server.
const MAX_BYTES: usize = 256;

/// How ids are made.
#[derive(Debug, Clone, Default)]
pub struct Ids {
    prefix: Option<String>,
}

impl Ids {
    pub fn new(prefix: Option<String>) -> Self {
        Self { prefix }
    }

    /// The id of a file or folder on the command line. The ids of files in a folder begin with the id
    /// of the folder.
    pub fn of_root(&self, path: &Path) -> Result<String, String> {
        let full = absolute_path(path)?;
        match &self.prefix {
            Some(prefix) if full.is_dir() => Ok(prefix.clone()),
            Some(prefix) => {
                let name = full.file_name().unwrap_or_default();
                let name = name.to_str().ok_or(NOT_UTF8)?;
                Ok(below(prefix, name))
            }
            None => full.to_str().map(str::to_owned).ok_or_else(|| {
                "its absolute path is not UTF-8, so it cannot be an id: use --id-prefix".to_owned()
            }),
        }
    }
}

pub const NOT_UTF8: &str = "its name is not UTF-8, so it cannot be an id: rename it";

/// The id of the entry `name` in the folder with this id.
pub fn below(folder: &str, name: &str) -> String {
    format!("{}/{name}", folder.trim_end_matches('/'))
}

/// The absolute path. The name of a link is kept, since that is the one the user sees; only its folder
/// is resolved.
fn absolute_path(path: &Path) -> Result<PathBuf, String> {
    let unreadable = |error: std::io::Error| format!("cannot be read: {error}");
    // Fails if there is no such file, and resolves a path that ends in '..'.
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

/// Fails if the server would reject the id.
pub fn check(id: &str) -> Result<(), String> {
    if id.len() > MAX_BYTES {
        Err(format!(
            "its id has {} bytes, more than {MAX_BYTES}: shorten its name or use --id-prefix",
            id.len()
        ))
    } else if id.chars().any(char::is_control) {
        Err(
            "its name contains a tab, a line break or another control character: rename it"
                .to_owned(),
        )
    } else {
        Ok(())
    }
}

/// Fails if the id of a record is invalid, or its metadata is not an object.
pub fn check_document(document: &Map<String, Value>) -> Result<(), String> {
    if document.get("metadata").is_some_and(|own| !own.is_object()) {
        return Err("its metadata is not an object".to_owned());
    }
    match document.get("id") {
        Some(Value::String(id)) => check(id),
        Some(_) => Err("its id is not a string".to_owned()),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_the_absolute_path_or_a_prefix_and_the_relative_path() {
        let top = tempfile::tempdir().unwrap();
        let top = top.path().canonicalize().unwrap();
        std::fs::create_dir_all(top.join("a/photos")).unwrap();
        std::fs::write(top.join("a/photos/1.png"), "").unwrap();
        std::os::unix::fs::symlink(top.join("a/photos/1.png"), top.join("link.png")).unwrap();
        let plain = Ids::default();
        let id = |path: &str| plain.of_root(&top.join(path)).unwrap();
        let full = |path: &str| top.join(path).to_str().unwrap().to_owned();
        assert_eq!(id("a/photos"), full("a/photos"));
        assert_eq!(id("a/photos/"), full("a/photos"));
        assert_eq!(id("a/../a/photos/."), full("a/photos"));
        assert_eq!(id("a/photos/1.png"), full("a/photos/1.png"));
        assert_eq!(id("link.png"), full("link.png"), "by the name of the link");
        let prefixed = Ids::new(Some("mine/".to_owned()));
        let id = |path: &str| prefixed.of_root(&top.join(path)).unwrap();
        assert_eq!(below(&id("a/photos"), "1.png"), "mine/1.png");
        assert_eq!(id("a/photos/1.png"), "mine/1.png");
        assert!(plain.of_root(&top.join("absent")).is_err());
    }

    #[test]
    fn ids_that_the_server_would_reject_are_rejected() {
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
