//! What the benchmarks feed the server with: drawings of openly licensed sets, made
//! by `tests/drawings.py`, and sentences of a novel.

use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;

/// A drawing and what it shows.
#[derive(Debug, Clone, Deserialize)]
pub struct Drawing {
    pub set: String,
    pub name: String,
    /// The same for the same thing drawn by several hands; the name where it has none.
    pub concept: String,
    /// Words that people use for it, none of which is in its name.
    pub tags: Vec<String>,
    /// Its Unicode code points, empty for icons.
    pub code: String,
    file: PathBuf,
    #[serde(skip)]
    folder: PathBuf,
}

impl Drawing {
    pub fn id(&self) -> String {
        format!("{}/{}", self.set, self.name)
    }

    /// PNG.
    pub fn bytes(&self) -> Vec<u8> {
        let path = self.folder.join(&self.file);
        fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    /// `red-apple` in words.
    pub fn words(&self) -> String {
        self.concept.replace('-', " ")
    }
}

/// `$CLIPDB_CACHE`, or `~/.cache/clipdb`.
fn cache() -> PathBuf {
    let home = || PathBuf::from(std::env::var_os("HOME").unwrap_or_else(|| "/root".into()));
    std::env::var_os("CLIPDB_CACHE")
        .map_or_else(|| home().join(".cache").join("clipdb"), PathBuf::from)
}

/// All drawings, in the order in which the script lists them.
pub fn drawings() -> Vec<Drawing> {
    let folder = cache().join("drawings");
    let list = folder.join("drawings.ndjson");
    let text = fs::read_to_string(&list).unwrap_or_else(|_| {
        panic!(
            "there are no drawings at {}: run tests/drawings.sh, which makes them",
            list.display()
        )
    });
    text.lines()
        .map(|line| {
            let drawing: Drawing = serde_json::from_str(line).unwrap();
            Drawing {
                folder: folder.clone(),
                ..drawing
            }
        })
        .collect()
}

/// The novel's place beside the repository, unless `CLIPDB_NOVEL` tells another.
pub fn novel() -> PathBuf {
    std::env::var_os("CLIPDB_NOVEL").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/pride_and_prejudice.txt"),
        PathBuf::from,
    )
}

/// The sentences of a book in plain text, of 40 to 300 characters, each once.
pub fn sentences(path: &Path) -> Vec<String> {
    let text = fs::read_to_string(path).unwrap_or_else(|error| {
        panic!(
            "the novel {} ({error}): tell its place in CLIPDB_NOVEL",
            path.display()
        )
    });
    let flowing = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut seen = std::collections::HashSet::new();
    split(&flowing)
        .filter(|sentence| {
            (40..=300).contains(&sentence.chars().count()) && seen.insert(sentence.to_owned())
        })
        .map(str::to_owned)
        .collect()
}

fn split(text: &str) -> impl Iterator<Item = &str> {
    text.split_inclusive(['.', '!', '?', ';'])
        .map(str::trim)
        .filter(|sentence| !sentence.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentences_end_where_their_marks_stand() {
        let found: Vec<_> = split("It is a truth. Is it? Yes; it is!").collect();
        assert_eq!(found, ["It is a truth.", "Is it?", "Yes;", "it is!"]);
    }
}
