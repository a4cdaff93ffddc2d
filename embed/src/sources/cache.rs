//! Downloaded models: `<cache>/models/<owner>--<name>/`. A folder gets its final name once every
//! file in it is complete and verified.

use std::path::{Path, PathBuf};

use super::file_names::is_model;

/// A model in the cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CachedModel {
    /// Its name on the hub: `owner/name`.
    pub name: String,
    /// The folder with its files.
    pub path: PathBuf,
    /// The size of its files.
    pub bytes: u64,
}

/// The models in the cache, sorted by name. A missing cache folder counts as empty.
#[must_use]
pub fn cached_models(cache: &Path) -> Vec<CachedModel> {
    let entries = std::fs::read_dir(models(cache)).into_iter().flatten();
    let mut found: Vec<_> = entries
        .flatten()
        .filter_map(|entry| {
            let folder = entry.file_name().into_string().ok()?;
            let name = folder.replacen("--", "/", 1);
            let path = find(&name, cache)?;
            let bytes = std::fs::read_dir(&path)
                .into_iter()
                .flatten()
                .flatten()
                .filter_map(|file| Some(file.metadata().ok()?.len()))
                .sum();
            Some(CachedModel { name, path, bytes })
        })
        .collect();
    found.sort_by(|one, other| one.name.cmp(&other.name));
    found
}

pub(super) fn find(name: &str, cache: &Path) -> Option<PathBuf> {
    let path = folder(name, cache)?;
    is_model(&path).then_some(path)
}

/// The folder of `owner/name`, whether it exists or not; `None` if `name` is not a hub name.
pub(super) fn folder(name: &str, cache: &Path) -> Option<PathBuf> {
    let (owner, model) = name.split_once('/')?;
    let plain = |part: &str| {
        !part.is_empty()
            && !part.starts_with('.')
            && part
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
    };
    (plain(owner) && plain(model) && !owner.contains("--"))
        .then(|| models(cache).join(format!("{owner}--{model}")))
}

fn models(cache: &Path) -> PathBuf {
    cache.join("models")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_hub_names_have_a_folder() {
        let cache = Path::new("/cache");
        assert_eq!(
            folder("openai/clip-vit-base-patch32", cache),
            Some(PathBuf::from("/cache/models/openai--clip-vit-base-patch32"))
        );
        for name in [
            "clip", "a/b/c", "../x", "x/..", "a/", "/b", "a b/c", "a--b/c",
        ] {
            assert_eq!(folder(name, cache), None, "{name}");
        }
    }

    #[test]
    fn lists_complete_models() {
        let cache = tempfile::tempdir().unwrap();
        assert_eq!(cached_models(cache.path()), []);
        let complete = folder("a/b--c", cache.path()).unwrap();
        std::fs::create_dir_all(&complete).unwrap();
        std::fs::write(complete.join("config.json"), "{}").unwrap();
        std::fs::create_dir_all(folder("a/empty", cache.path()).unwrap()).unwrap();
        let expected = CachedModel {
            name: "a/b--c".to_owned(),
            path: complete,
            bytes: 2,
        };
        assert_eq!(cached_models(cache.path()), [expected]);
    }
}
