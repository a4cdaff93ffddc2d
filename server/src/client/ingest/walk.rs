//! Lists the files to send in a stable order, without holding all of them in memory.

use super::failure::Failure;
use super::files;
use super::ids::{self, Ids};
use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Image,
    /// A text file; each non-empty line is a document.
    Lines,
    /// NDJSON; each line is a document in the format of the REST API.
    Records,
}

/// A file to send, and the id of its content; see [`ids`].
#[derive(Debug, PartialEq, Eq)]
pub struct SourceFile {
    pub path: PathBuf,
    pub id: String,
    pub kind: Kind,
    pub bytes: u64,
}

/// A folder on the path to the current file.
struct Level {
    path: PathBuf,
    id: String,
    /// The remaining entries, the next one last.
    names: Vec<OsString>,
}

/// Walks files and folders depth first, each folder in the order of names. Skips hidden files, links
/// to folders (they may form cycles) and, inside folders, files of other kinds. A file that cannot be
/// sent fails alone.
pub struct Walk {
    ids: Ids,
    /// The remaining paths of the command line.
    roots: VecDeque<PathBuf>,
    levels: Vec<Level>,
    /// A failure to list a folder whose other entries are sent nevertheless.
    failure: Option<Failure>,
}

impl Walk {
    pub fn new(paths: &[PathBuf], ids: &Ids) -> Self {
        Self {
            ids: ids.clone(),
            roots: paths.iter().cloned().collect(),
            levels: Vec::new(),
            failure: None,
        }
    }

    /// The file of the next entry of the innermost folder; `None` if it is skipped or a folder.
    fn next_entry(&mut self) -> Option<Result<SourceFile, Failure>> {
        let level = self.levels.last_mut()?;
        let Some(name) = level.names.pop() else {
            self.levels.pop();
            return None;
        };
        let path = level.path.join(&name);
        let looked = inspect(&path, Origin::Folder);
        let found = match looked {
            Ok(Some(found)) => found,
            Ok(None) => return None,
            Err(detail) => return Some(Err(failure(&path, detail))),
        };
        let Some(name) = name.to_str() else {
            return Some(Err(failure(&path, ids::NOT_UTF8.to_owned())));
        };
        let id = ids::below(&level.id, name);
        self.take(path, id, found)
    }

    fn next_root(&mut self, path: PathBuf) -> Option<Result<SourceFile, Failure>> {
        let looked = self.ids.of_root(&path).and_then(|id| {
            let found = inspect(&path, Origin::CommandLine)?;
            Ok((id, found))
        });
        match looked {
            Ok((id, Some(found))) => self.take(path, id, found),
            Ok((_, None)) => None,
            Err(detail) => Some(Err(failure(&path, detail))),
        }
    }

    fn take(
        &mut self,
        path: PathBuf,
        id: String,
        found: Found,
    ) -> Option<Result<SourceFile, Failure>> {
        match found {
            Found::Folder => {
                self.enter(path, id);
                None
            }
            Found::File { kind, bytes } => {
                let checked = match kind {
                    Kind::Image => ids::check(&id),
                    // With the number of its first line appended.
                    Kind::Lines => ids::check(&format!("{id}:1")),
                    // Records may have their own ids.
                    Kind::Records => Ok(()),
                };
                Some(match checked {
                    Ok(()) => Ok(SourceFile {
                        path,
                        id,
                        kind,
                        bytes,
                    }),
                    Err(detail) => Err(Failure {
                        weight: bytes,
                        ..failure(&path, detail)
                    }),
                })
            }
        }
    }

    fn enter(&mut self, path: PathBuf, id: String) {
        let mut names = Vec::new();
        let read = std::fs::read_dir(&path).and_then(|children| {
            for child in children {
                let name = child?.file_name();
                if !name.as_encoded_bytes().starts_with(b".") {
                    names.push(name);
                }
            }
            Ok(())
        });
        if let Err(error) = read {
            self.failure = Some(failure(&path, files::unreadable(&error)));
        }
        names.sort_unstable_by(|left, right| right.cmp(left));
        self.levels.push(Level { path, id, names });
    }
}

impl Iterator for Walk {
    type Item = Result<SourceFile, Failure>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(failure) = self.failure.take() {
                return Some(Err(failure));
            }
            let found = if self.levels.is_empty() {
                let path = self.roots.pop_front()?;
                self.next_root(path)
            } else {
                self.next_entry()
            };
            if found.is_some() {
                return found;
            }
        }
    }
}

fn failure(path: &Path, detail: String) -> Failure {
    Failure::new(path.display().to_string(), detail)
}

enum Found {
    Folder,
    File { kind: Kind, bytes: u64 },
}

/// How the walk came to a path.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Origin {
    CommandLine,
    Folder,
}

/// The file or folder at the path; `None` if it is skipped. The kind of a file on the command line is
/// determined by its content if its name is unknown.
fn inspect(path: &Path, origin: Origin) -> Result<Option<Found>, String> {
    let known = kind_by_name(path);
    let about = match std::fs::metadata(path) {
        Ok(about) => about,
        // A dangling link, or a file that was removed in the meantime, that would not be sent anyway.
        Err(error)
            if error.kind() == ErrorKind::NotFound
                && known.is_none()
                && origin == Origin::Folder =>
        {
            return Ok(None);
        }
        Err(error) => return Err(files::unreadable(&error)),
    };
    if about.is_dir() {
        // A folder on the command line is entered even if it is a link.
        let is_link = origin == Origin::Folder
            && std::fs::symlink_metadata(path).is_ok_and(|about| about.is_symlink());
        return Ok((!is_link).then_some(Found::Folder));
    }
    let kind = match (known, origin) {
        (Some(kind), _) => {
            files::check(&about)?;
            kind
        }
        (None, Origin::CommandLine) => {
            files::check(&about)?;
            kind_by_content(path)?
        }
        (None, Origin::Folder) => return Ok(None),
    };
    let bytes = about.len();
    if kind == Kind::Image && bytes == 0 {
        return Err("is empty".to_owned());
    }
    Ok(Some(Found::File { kind, bytes }))
}

fn kind_by_name(path: &Path) -> Option<Kind> {
    let extension = path
        .extension()
        .and_then(OsStr::to_str)?
        .to_ascii_lowercase();
    match extension.as_str() {
        "jpg" | "jpeg" | "jfif" | "png" | "webp" | "gif" | "bmp" | "tif" | "tiff" => {
            Some(Kind::Image)
        }
        "txt" => Some(Kind::Lines),
        "ndjson" | "jsonl" => Some(Kind::Records),
        _ => None,
    }
}

fn kind_by_content(path: &Path) -> Result<Kind, String> {
    const IMAGES: [&[u8]; 6] = [
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
            "is JSON, not NDJSON (one document per line): convert an array with 'jq -c .[] FILE > FILE.ndjson'"
                .to_owned(),
        );
    }
    let mut head = Vec::new();
    files::open(path)?
        .take(4096)
        .read_to_end(&mut head)
        .map_err(|error| files::unreadable(&error))?;
    let is_webp = head.starts_with(b"RIFF") && head.get(8..12) == Some(b"WEBP");
    if is_webp || IMAGES.iter().any(|magic| head.starts_with(magic)) {
        Ok(Kind::Image)
    } else if head.contains(&0) {
        Err("is neither an image (JPEG, PNG, WebP, GIF, BMP, TIFF) nor text".to_owned())
    } else {
        Ok(Kind::Lines)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::symlink;

    fn ids(paths: &[PathBuf]) -> Vec<(String, Kind)> {
        Walk::new(paths, &Ids::new(Some("x".to_owned())))
            .map(|file| file.map(|file| (file.id, file.kind)).unwrap())
            .collect()
    }

    #[test]
    fn a_folder_is_walked_in_order_and_only_known_kinds_are_sent() {
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
        symlink(&photos, photos.join("circle")).unwrap();
        symlink("nowhere", photos.join("nothing")).unwrap();
        let expected = [
            ("x/2024/c.webp", Kind::Image),
            ("x/a.png", Kind::Image),
            ("x/b.JPG", Kind::Image),
            ("x/notes.txt", Kind::Lines),
            ("x/x.ndjson", Kind::Records),
        ]
        .map(|(id, kind)| (id.to_owned(), kind));
        assert_eq!(ids(std::slice::from_ref(&photos)), expected);
        assert_eq!(
            ids(&[photos.join("2024/..")]),
            expected,
            "however it is named"
        );
        assert_eq!(
            ids(&[photos.join("circle")]),
            expected,
            "a link that is named"
        );
        assert_eq!(ids(&[photos.join("a.png")])[0].0, "x/a.png");
    }

    #[test]
    fn ids_are_unique_and_do_not_depend_on_how_a_file_was_reached() {
        let top = tempfile::tempdir().unwrap();
        let folders = ["a/photos", "b/photos"].map(|folder| top.path().join(folder));
        for folder in &folders {
            fs::create_dir_all(folder.join("deep")).unwrap();
            fs::write(folder.join("1.png"), b"x").unwrap();
            fs::write(folder.join("deep/2.png"), b"x").unwrap();
        }
        let found = |paths: &[PathBuf]| -> Vec<String> {
            let files = Walk::new(paths, &Ids::default());
            files.map(|file| file.unwrap().id).collect()
        };
        let mut all = found(&folders);
        assert_eq!(found(&[top.path().to_owned()]), all, "from above");
        let mut one_by_one: Vec<String> = folders
            .iter()
            .flat_map(|f| found(std::slice::from_ref(f)))
            .collect();
        assert_eq!(one_by_one, all);
        one_by_one = found(&[folders[1].join("deep")]);
        assert_eq!(one_by_one[..], all[3..4], "from below");
        one_by_one = found(&[folders[0].join("1.png")]);
        assert_eq!(one_by_one[..], all[0..1], "the file itself");
        all.sort();
        all.dedup();
        assert_eq!(all.len(), 4);
    }

    #[test]
    fn a_file_that_cannot_be_sent_fails_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        for name in [
            "a.png",
            "tab\t.png",
            "line\n.png",
            "z.png",
            "-n.png",
            "--help.png",
        ] {
            fs::write(path(name), b"x").unwrap();
        }
        fs::write(path(&("é".repeat(125) + ".png")), b"x").unwrap();
        fs::write(
            folder.path().join(OsStr::from_bytes(b"latin-\xe9.png")),
            b"x",
        )
        .unwrap();
        fs::write(
            folder.path().join(OsStr::from_bytes(b"latin-\xe9.pdf")),
            b"x",
        )
        .unwrap();
        fs::write(path("empty.png"), b"").unwrap();
        symlink("loop.png", path("loop.png")).unwrap();
        symlink("gone", path("gone.png")).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(path("socket.png")).unwrap();
        let made = std::process::Command::new("mkfifo")
            .arg(path("pipe.png"))
            .status();
        assert!(made.unwrap().success());
        let (mut sent, mut failed) = (Vec::new(), Vec::new());
        for found in Walk::new(
            &[folder.path().to_owned()],
            &Ids::new(Some("xxx".to_owned())),
        ) {
            match found {
                Ok(file) => sent.push(file.id),
                Err(failure) => failed.push(failure.detail),
            }
        }
        assert_eq!(
            sent,
            ["xxx/--help.png", "xxx/-n.png", "xxx/a.png", "xxx/z.png"]
        );
        for reason in [
            "256",
            "control",
            "UTF-8",
            "empty",
            "pipe",
            "socket",
            "No such file",
            "symbolic links",
        ] {
            assert!(
                failed.iter().any(|detail| detail.contains(reason)),
                "{reason}: {failed:#?}"
            );
        }
        assert_eq!(failed.len(), 9);
    }

    #[test]
    fn the_kind_of_a_file_with_an_unknown_name_is_determined_by_its_content() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, content: &[u8]| {
            let path = folder.path().join(name);
            fs::write(&path, content).unwrap();
            path
        };
        let image = write("scan", b"\x89PNG\r\n\x1a\n....");
        let text = write("README", b"Some words");
        assert_eq!(ids(&[image])[0].1, Kind::Image);
        assert_eq!(ids(&[text])[0].1, Kind::Lines);
        for (path, reason) in [
            (write("program", b"\x7fELF\0\0"), "neither an image"),
            (write("all.json", b"[]"), "NDJSON"),
            (folder.path().join("absent.png"), "No such file"),
            (PathBuf::from("/dev/zero"), "a device"),
        ] {
            let failure = Walk::new(&[path], &Ids::default())
                .next()
                .unwrap()
                .unwrap_err();
            assert!(failure.detail.contains(reason), "{}", failure.detail);
        }
    }
}
