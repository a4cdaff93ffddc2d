//! The documents of the benchmarks: drawings of openly licensed sets, created by
//! `tests/drawings.py`, and sentences of a novel.

use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;

/// A drawing and its concept.
#[derive(Debug, Clone, Deserialize)]
pub struct Drawing {
    pub set: String,
    pub name: String,
    /// The same for all drawings of one thing; the name if it has none.
    pub concept: String,
    /// Words that people use for it. None of them is in its name.
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

    /// The concept as words: `red apple` for `red-apple`.
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
            "there are no drawings at {}: run tests/drawings.sh to create them",
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

/// The path of the novel: `CLIPDB_NOVEL`, or the default place next to the repository.
pub fn novel() -> PathBuf {
    std::env::var_os("CLIPDB_NOVEL").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/pride_and_prejudice.txt"),
        PathBuf::from,
    )
}

/// The sentences of 40 to 300 characters in a plain text, without duplicates.
pub fn sentences(path: &Path) -> Vec<String> {
    let text = fs::read_to_string(path).unwrap_or_else(|error| {
        panic!(
            "cannot read the novel {} ({error}): set its path in CLIPDB_NOVEL",
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
    fn sentences_end_at_punctuation_marks() {
        let found: Vec<_> = split("It is a truth. Is it? Yes; it is!").collect();
        assert_eq!(found, ["It is a truth.", "Is it?", "Yes;", "it is!"]);
    }
}
