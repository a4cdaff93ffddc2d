//! A model's files, in a folder or inside the binary, read the same way.

use std::borrow::Cow;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use serde::de::DeserializeOwned;

use crate::EmbedError;

/// Names and contents of the files of a model that is part of the binary.
pub(crate) type StaticFiles = &'static [(&'static str, &'static [u8])];

#[derive(Debug, Clone)]
pub(crate) enum ModelFiles {
    Folder(PathBuf),
    Bundled(StaticFiles),
}

/// One file, open for reading at any place.
pub(crate) struct ModelFile {
    name: String,
    content: Content,
    len: u64,
}

enum Content {
    File(File),
    Static(&'static [u8]),
}

impl ModelFiles {
    pub fn has(&self, name: &str) -> bool {
        match self {
            Self::Folder(folder) => folder.join(name).is_file(),
            Self::Bundled(files) => files.iter().any(|(file, _)| *file == name),
        }
    }

    /// A folder inside this one.
    pub fn folder(&self, name: &str) -> Result<Self, EmbedError> {
        let refuse = |reason: &str| EmbedError::file(self.display(name), reason);
        if name.is_empty() || name.contains(['/', '\\', '.']) {
            // Names come from the model's own lists: they must not lead out of it.
            return Err(refuse("it is no plain name of a folder"));
        }
        match self {
            Self::Folder(folder) if folder.join(name).is_dir() => {
                Ok(Self::Folder(folder.join(name)))
            }
            _ => Err(refuse("there is no such folder")),
        }
    }

    /// For messages: where `name` is or ought to be.
    pub fn display(&self, name: &str) -> String {
        match self {
            Self::Folder(folder) => folder.join(name).display().to_string(),
            Self::Bundled(_) => format!("{name} (bundled)"),
        }
    }

    pub fn open(&self, name: &str) -> Result<ModelFile, EmbedError> {
        let shown = self.display(name);
        let missing = |reason: &dyn ToString| EmbedError::file(&shown, reason.to_string());
        match self {
            Self::Folder(folder) => {
                // A shard's name comes from the model's own index: it must not lead
                // out of the folder.
                if name.contains(['/', '\\']) {
                    return Err(missing(&"its name is not a plain file name"));
                }
                let file = File::open(folder.join(name)).map_err(|error| missing(&error))?;
                let len = file.metadata().map_err(|error| missing(&error))?.len();
                Ok(ModelFile {
                    name: shown.clone(),
                    content: Content::File(file),
                    len,
                })
            }
            Self::Bundled(files) => {
                let (_, bytes) = files
                    .iter()
                    .find(|(file, _)| *file == name)
                    .ok_or_else(|| missing(&"it is missing"))?;
                Ok(ModelFile {
                    name: shown.clone(),
                    content: Content::Static(bytes),
                    len: bytes.len() as u64,
                })
            }
        }
    }

    /// The whole of a small file.
    pub fn bytes(&self, name: &str) -> Result<Cow<'static, [u8]>, EmbedError> {
        let file = self.open(name)?;
        let len =
            usize::try_from(file.len()).map_err(|error| EmbedError::file(file.name(), error))?;
        file.read(0, len)
    }

    pub fn json<T: DeserializeOwned>(&self, name: &str) -> Result<T, EmbedError> {
        serde_json::from_slice(&self.bytes(name)?)
            .map_err(|error| EmbedError::file(self.display(name), error))
    }
}

impl ModelFile {
    /// Path or name, for messages.
    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn len(&self) -> u64 {
        self.len
    }

    /// `length` bytes from `offset`.
    pub fn read(&self, offset: u64, length: usize) -> Result<Cow<'static, [u8]>, EmbedError> {
        match &self.content {
            Content::File(file) => {
                let mut buffer = vec![0; length];
                file.read_exact_at(&mut buffer, offset)
                    .map_err(|error| EmbedError::file(&self.name, error))?;
                Ok(Cow::Owned(buffer))
            }
            Content::Static(bytes) => usize::try_from(offset)
                .ok()
                .and_then(|start| bytes.get(start..start.checked_add(length)?))
                .map(Cow::Borrowed)
                .ok_or_else(|| EmbedError::file(&self.name, "it is truncated")),
        }
    }
}
