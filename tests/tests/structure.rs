//! The structure that ARCHITECTURE.md describes: which crate depends on which, and that no two
//! files of a crate import each other in a circle.
#![allow(clippy::expect_used, reason = "a test")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The crates of the product, each with those that it may depend on.
const EDGES: [(&str, &[&str]); 8] = [
    ("clipdb-server", &["clipdb-api", "clipdb-models"]),
    ("clipdb-api", &["clipdb-engine"]),
    (
        "clipdb-engine",
        &["clipdb-embed", "clipdb-index", "clipdb-storage"],
    ),
    ("clipdb-embed", &["clipdb-models"]),
    ("clipdb-index", &[]),
    ("clipdb-storage", &["clipdb-migrations"]),
    ("clipdb-migrations", &[]),
    ("clipdb-models", &[]),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("tests/ lies in the workspace")
        .to_owned()
}

#[test]
fn dependencies_point_one_way() {
    let cargo = option_env!("CARGO").unwrap_or("cargo");
    let metadata = Command::new(cargo)
        .args([
            "metadata",
            "--no-deps",
            "--offline",
            "--format-version",
            "1",
        ])
        .current_dir(root())
        .output()
        .expect("cargo metadata runs");
    let metadata: serde_json::Value =
        serde_json::from_slice(&metadata.stdout).expect("cargo metadata is JSON");
    let packages = metadata["packages"].as_array().expect("a list of packages");
    for (name, allowed) in EDGES {
        let package = packages
            .iter()
            .find(|package| package["name"] == name)
            .unwrap_or_else(|| panic!("there is a crate {name}"));
        let dependencies = package["dependencies"].as_array().expect("a list");
        for dependency in dependencies {
            let of = dependency["name"].as_str().expect("a name");
            let is_for_tests = dependency["kind"] == "dev";
            if of.starts_with("clipdb-") && !is_for_tests {
                assert!(allowed.contains(&of), "{name} must not depend on {of}");
            }
        }
    }
}

#[test]
fn api_is_layered() {
    // A folder, and those that its files may not import.
    let layers = [
        ("http", &["app", "rest", "clip_as_service"][..]),
        ("rest", &["app", "clip_as_service"]),
        ("clip_as_service", &["app", "rest"]),
    ];
    let api = Crate::read(&root().join("api/src"));
    for (folder, others) in layers {
        for (file, imports) in &api.imports {
            if !file.starts_with(folder) {
                continue;
            }
            for import in imports {
                assert!(
                    !others.iter().any(|other| import.starts_with(other)),
                    "{} imports {}",
                    file.display(),
                    import.display()
                );
            }
        }
    }
}

#[test]
fn no_files_import_each_other_in_a_circle() {
    let mut circles = Vec::new();
    for name in [
        "server",
        "api",
        "engine",
        "embed",
        "index",
        "storage",
        "migrations",
    ] {
        let files = Crate::read(&root().join(name).join("src"));
        for circle in files.circles() {
            let circle: Vec<_> = circle
                .iter()
                .map(|file| file.display().to_string())
                .collect();
            circles.push(format!("{name}: {}", circle.join(" <-> ")));
        }
    }
    assert!(circles.is_empty(), "circles:\n{}", circles.join("\n"));
}

/// The source files of a crate and what they import of each other. A name that a `mod.rs` or
/// `lib.rs` merely re-exports counts as its own file.
struct Crate {
    imports: BTreeMap<PathBuf, BTreeSet<PathBuf>>,
}

impl Crate {
    fn read(source: &Path) -> Self {
        let mut texts = BTreeMap::new();
        read_files(source, source, &mut texts);
        let modules: BTreeMap<Vec<String>, PathBuf> = texts
            .keys()
            .map(|file| (module_of(file), file.clone()))
            .collect();
        let exports: BTreeMap<PathBuf, Vec<Vec<String>>> = texts
            .iter()
            .map(|(file, text)| {
                let module = module_of(file);
                let exported = statements(text)
                    .into_iter()
                    .filter(|statement| statement.starts_with("pub"))
                    .flat_map(|statement| paths(&statement))
                    .filter_map(|path| absolute(&path, &module, &modules))
                    .collect();
                (file.clone(), exported)
            })
            .collect();
        let imports = texts
            .iter()
            .map(|(file, text)| {
                let module = module_of(file);
                let imported = statements(text)
                    .into_iter()
                    .filter(|statement| !statement.starts_with("pub"))
                    .flat_map(|statement| paths(&statement))
                    .filter_map(|path| absolute(&path, &module, &modules))
                    .filter_map(|path| resolve(&path, &modules, &exports))
                    .filter(|other| other != file)
                    .collect();
                (file.clone(), imported)
            })
            .collect();
        Self { imports }
    }

    /// Sets of files that reach each other.
    fn circles(&self) -> Vec<BTreeSet<PathBuf>> {
        let reached: BTreeMap<&PathBuf, BTreeSet<&PathBuf>> = self
            .imports
            .keys()
            .map(|file| (file, self.reached_from(file)))
            .collect();
        let mut circles: BTreeSet<BTreeSet<PathBuf>> = BTreeSet::new();
        for (file, others) in &reached {
            let circle: BTreeSet<PathBuf> = others
                .iter()
                .filter(|other| reached[*other].contains(*file))
                .map(|other| (*other).clone())
                .collect();
            if circle.len() > 1 {
                circles.insert(circle);
            }
        }
        circles.into_iter().collect()
    }

    fn reached_from<'a>(&'a self, file: &'a PathBuf) -> BTreeSet<&'a PathBuf> {
        let mut reached = BTreeSet::new();
        let mut open = vec![file];
        while let Some(next) = open.pop() {
            for other in self.imports.get(next).into_iter().flatten() {
                if reached.insert(other) {
                    open.push(other);
                }
            }
        }
        reached
    }
}

fn read_files(root: &Path, folder: &Path, texts: &mut BTreeMap<PathBuf, String>) {
    for entry in fs::read_dir(folder).expect("a folder of sources") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            read_files(root, &path, texts);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).expect("a source file");
            // Tests may look at anything.
            let text = text.split("#[cfg(test)]\nmod ").next().unwrap_or_default();
            let file = path.strip_prefix(root).expect("below the root").to_owned();
            if !file.ends_with("tests.rs") && !file.ends_with("testing.rs") {
                texts.insert(file, text.to_owned());
            }
        }
    }
}

fn module_of(file: &Path) -> Vec<String> {
    let mut module: Vec<String> = file
        .with_extension("")
        .iter()
        .map(|part| part.to_string_lossy().into_owned())
        .collect();
    if module
        .last()
        .is_some_and(|last| ["mod", "lib", "main"].contains(&last.as_str()))
    {
        module.pop();
    }
    module
}

/// The `use` statements of a file, each in one line, from `pub` or `use` to its semicolon.
fn statements(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find("use ") {
        let start = rest[..at].rfind('\n').map_or(0, |line| line + 1);
        let head = rest[start..at].trim();
        let Some(end) = rest[at..].find(';') else {
            break;
        };
        if head.is_empty() || (head.starts_with("pub") && !head.contains(' ')) {
            let body = rest[at + 4..at + end]
                .split_whitespace()
                .collect::<String>();
            found.push(format!("{head} {body}").trim().to_owned());
        }
        rest = &rest[at + end..];
    }
    found
}

/// The paths of a `use` statement.
fn paths(statement: &str) -> Vec<Vec<String>> {
    let tree = statement.rsplit(' ').next().unwrap_or_default();
    let mut all = Vec::new();
    expand(tree, "", &mut all);
    all.into_iter()
        .map(|path| path.split("::").map(str::to_owned).collect())
        .collect()
}

fn expand(tree: &str, prefix: &str, all: &mut Vec<String>) {
    let Some(open) = tree.find('{') else {
        all.push(format!("{prefix}{tree}"));
        return;
    };
    let prefix = format!("{prefix}{}", &tree[..open]);
    let inner = &tree[open + 1..tree.rfind('}').unwrap_or(tree.len())];
    let (mut depth, mut start) = (0, 0);
    for (at, character) in inner.char_indices() {
        match character {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                expand(&inner[start..at], &prefix, all);
                start = at + 1;
            }
            _ => {}
        }
    }
    if start < inner.len() {
        expand(&inner[start..], &prefix, all);
    }
}

/// A path from the root of its crate; `None` if it leads out of it.
fn absolute(
    path: &[String],
    module: &[String],
    modules: &BTreeMap<Vec<String>, PathBuf>,
) -> Option<Vec<String>> {
    let mut base = module.to_vec();
    match path.first()?.as_str() {
        "crate" => Some(path[1..].to_vec()),
        "self" => {
            base.extend_from_slice(&path[1..]);
            Some(base)
        }
        "super" => {
            let up = path.iter().take_while(|part| *part == "super").count();
            base.truncate(base.len().checked_sub(up)?);
            base.extend_from_slice(&path[up..]);
            Some(base)
        }
        first => {
            // A child that is named without `self`.
            base.push(first.to_owned());
            modules.contains_key(&base).then(|| {
                base.extend_from_slice(&path[1..]);
                base
            })
        }
    }
}

/// The file that defines what a path names, through re-exports.
fn resolve(
    path: &[String],
    modules: &BTreeMap<Vec<String>, PathBuf>,
    exports: &BTreeMap<PathBuf, Vec<Vec<String>>>,
) -> Option<PathBuf> {
    let length = (0..=path.len())
        .rev()
        .find(|end| modules.contains_key(&path[..*end]))?;
    let file = &modules[&path[..length]];
    let name = path.get(length).filter(|name| *name != "self");
    let exported = name.and_then(|name| {
        let exported = exports.get(file)?.iter();
        exported
            .clone()
            .find(|export| export.last() == Some(name) && export[..] != *path)
    });
    match exported {
        Some(exported) => resolve(exported, modules, exports),
        None => Some(file.clone()),
    }
}
