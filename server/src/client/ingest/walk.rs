//! Which files there are to send, in a stable order and without holding a
//! list of them.

use super::Failure;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Picture,
    /// A text file: each line that is not empty is a document.
    Lines,
    /// NDJSON: each line is a document as the REST API takes it.
    Records,
}

/// One file to send. `id` is its path from the folder above the one that was
/// named, so the same file has the same id from wherever it is sent.
#[derive(Debug, PartialEq, Eq)]
pub struct SourceFile {
    pub path: PathBuf,
    pub id: String,
    pub kind: Kind,
    pub bytes: u64,
}

struct Entry {
    path: PathBuf,
    id: String,
    /// Named on the command line: it is sent whatever its name ends in.
    named: bool,
}

/// Walks files and folders depth first, each folder by name. Hidden files,
/// links to folders (they may lead in circles) and, inside folders, files of
/// other kinds are passed over.
pub struct Walk {
    pending: Vec<Entry>,
    unreadable: Vec<Failure>,
}

impl Walk {
    pub fn new(paths: &[PathBuf]) -> Self {
        let mut walk = Self {
            pending: Vec::new(),
            unreadable: Vec::new(),
        };
        for path in paths.iter().rev() {
            match stable_id(path) {
                Ok(id) => walk.pending.push(Entry {
                    path: path.clone(),
                    id,
                    named: true,
                }),
                Err(detail) => walk
                    .unreadable
                    .push(Failure::new(path.display().to_string(), detail)),
            }
        }
        walk
    }

    fn enter(&mut self, folder: &Entry) -> Result<(), std::io::Error> {
        let mut children = Vec::new();
        for child in std::fs::read_dir(&folder.path)? {
            let child = child?;
            let path = child.path();
            let Ok(name) = child.file_name().into_string() else {
                self.unreadable.push(Failure::new(
                    path.display().to_string(),
                    "its name is not UTF-8, so no id can be made of it: rename it".to_owned(),
                ));
                continue;
            };
            let leads_away = child.file_type()?.is_symlink() && path.is_dir();
            if !name.starts_with('.') && !leads_away {
                children.push(Entry {
                    id: format!("{}/{name}", folder.id),
                    path,
                    named: false,
                });
            }
        }
        children.sort_unstable_by(|left, right| right.id.cmp(&left.id));
        self.pending.append(&mut children);
        Ok(())
    }

    fn look_at(&mut self, entry: &Entry) -> Result<Option<SourceFile>, String> {
        let unreadable = |error: std::io::Error| format!("cannot be read: {error}");
        let about = std::fs::metadata(&entry.path).map_err(unreadable)?;
        if about.is_dir() {
            self.enter(entry).map_err(unreadable)?;
            return Ok(None);
        }
        let kind = match (kind_by_name(&entry.path), entry.named) {
            (Some(kind), _) => kind,
            (None, true) => kind_by_content(&entry.path)?,
            (None, false) => return Ok(None),
        };
        Ok(Some(SourceFile {
            path: entry.path.clone(),
            id: entry.id.clone(),
            kind,
            bytes: about.len(),
        }))
    }
}

impl Iterator for Walk {
    type Item = Result<SourceFile, Failure>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(failure) = self.unreadable.pop() {
                return Some(Err(failure));
            }
            let entry = self.pending.pop()?;
            match self.look_at(&entry) {
                Ok(Some(file)) => return Some(Ok(file)),
                Ok(None) => {}
                Err(detail) => {
                    return Some(Err(Failure::new(entry.path.display().to_string(), detail)));
                }
            }
        }
    }
}

/// A folder's own name; for a file, its folder's name and its own.
fn stable_id(path: &Path) -> Result<String, String> {
    let full = path
        .canonicalize()
        .map_err(|error| format!("cannot be read: {error}"))?;
    // What a link is called is what the user sees, so only its folder is resolved.
    let name = match path.file_name() {
        Some(name) => name,
        None => full.file_name().unwrap_or_default(),
    };
    let name = name
        .to_str()
        .ok_or("its name is not UTF-8, so no id can be made of it: rename it")?;
    let above = path
        .parent()
        .filter(|_| !full.is_dir())
        .map(|parent| {
            if parent.as_os_str().is_empty() {
                Path::new(".")
            } else {
                parent
            }
        })
        .and_then(|parent| parent.canonicalize().ok());
    let above = above
        .as_deref()
        .and_then(Path::file_name)
        .and_then(std::ffi::OsStr::to_str);
    Ok(match above {
        Some(folder) => format!("{folder}/{name}"),
        None => name.to_owned(),
    })
}

fn kind_by_name(path: &Path) -> Option<Kind> {
    let extension = path.extension()?.to_str()?.to_ascii_lowercase();
    match extension.as_str() {
        "jpg" | "jpeg" | "jfif" | "png" | "webp" | "gif" | "bmp" | "tif" | "tiff" => {
            Some(Kind::Picture)
        }
        "txt" => Some(Kind::Lines),
        "ndjson" | "jsonl" => Some(Kind::Records),
        _ => None,
    }
}

fn kind_by_content(path: &Path) -> Result<Kind, String> {
    const PICTURES: [&[u8]; 6] = [
        b"\xff\xd8\xff",
        b"\x89PNG\r\n\x1a\n",
        b"GIF8",
        b"BM",
        b"II*\0",
        b"MM\0*",
    ];
    if path
        .extension()
        .is_some_and(|extension| extension == "json")
    {
        return Err(
            "only NDJSON is read, one document a line: 'jq -c .[] FILE > FILE.ndjson' turns an array into it"
                .to_owned(),
        );
    }
    let mut head = Vec::new();
    File::open(path)
        .and_then(|file| file.take(4096).read_to_end(&mut head))
        .map_err(|error| format!("cannot be read: {error}"))?;
    let is_webp = head.starts_with(b"RIFF") && head.get(8..12) == Some(b"WEBP");
    if is_webp || PICTURES.iter().any(|magic| head.starts_with(magic)) {
        Ok(Kind::Picture)
    } else if head.contains(&0) {
        Err("it is neither a picture (JPEG, PNG, WebP, GIF, BMP, TIFF) nor text".to_owned())
    } else {
        Ok(Kind::Lines)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn ids(paths: &[PathBuf]) -> Vec<(String, Kind)> {
        Walk::new(paths)
            .map(|file| file.map(|file| (file.id, file.kind)).unwrap())
            .collect()
    }

    #[test]
    fn a_folder_is_walked_by_name_and_only_what_is_known_is_taken() {
        let folder = tempfile::tempdir().unwrap();
        let photos = folder.path().join("photos");
        fs::create_dir_all(photos.join("2024")).unwrap();
        for name in [
            "b.JPG",
            "a.png",
            "2024/c.webp",
            "notes.txt",
            "x.ndjson",
            "x.pdf",
            ".hidden.png",
        ] {
            fs::write(photos.join(name), b"x").unwrap();
        }
        std::os::unix::fs::symlink(&photos, photos.join("circle")).unwrap();
        let expected = [
            ("photos/2024/c.webp", Kind::Picture),
            ("photos/a.png", Kind::Picture),
            ("photos/b.JPG", Kind::Picture),
            ("photos/notes.txt", Kind::Lines),
            ("photos/x.ndjson", Kind::Records),
        ]
        .map(|(id, kind)| (id.to_owned(), kind));
        assert_eq!(ids(std::slice::from_ref(&photos)), expected);
        assert_eq!(
            ids(&[photos.join("2024/..")]),
            expected,
            "however it is named"
        );
        assert_eq!(ids(&[photos.join("a.png")])[0].0, "photos/a.png");
    }

    #[test]
    fn a_named_file_of_no_known_name_is_judged_by_its_content() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, content: &[u8]| {
            let path = folder.path().join(name);
            fs::write(&path, content).unwrap();
            path
        };
        let picture = write("scan", b"\x89PNG\r\n\x1a\n....");
        let text = write("README", b"Some words");
        assert_eq!(ids(&[picture])[0].1, Kind::Picture);
        assert_eq!(ids(&[text])[0].1, Kind::Lines);
        for (path, reason) in [
            (write("program", b"\x7fELF\0\0"), "neither a picture"),
            (write("all.json", b"[]"), "NDJSON"),
            (folder.path().join("absent.png"), "No such file"),
        ] {
            let failure = Walk::new(&[path]).next().unwrap().unwrap_err();
            assert!(failure.detail.contains(reason), "{}", failure.detail);
        }
    }
}
