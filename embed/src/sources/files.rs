//! Uniform access to a model's files in a folder or in the binary.

use std::borrow::Cow;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use clipdb_models::EmbeddedFile;
use serde::de::DeserializeOwned;

use crate::EmbedError;

/// The files of a bundled model.
pub(crate) type StaticFiles = &'static [EmbeddedFile];

#[derive(Debug, Clone)]
pub(crate) enum ModelFiles {
    Folder(PathBuf),
    Bundled(StaticFiles),
}

/// A file that is open for reads at any offset.
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
            Self::Bundled(files) => files.iter().any(|file| file.name() == name),
        }
    }

    /// Opens a subfolder.
    pub fn folder(&self, name: &str) -> Result<Self, EmbedError> {
        let refuse = |reason: &str| EmbedError::file(self.display(name), reason);
        if name.is_empty() || name.contains(['/', '\\', '.']) {
            // Names come from the model's own files: they must not leave the folder.
            return Err(refuse("its name is not a plain folder name"));
        }
        match self {
            Self::Folder(folder) if folder.join(name).is_dir() => {
                Ok(Self::Folder(folder.join(name)))
            }
            _ => Err(refuse("there is no such folder")),
        }
    }

    /// The path of `name` for messages, whether the file exists or not.
    pub fn display(&self, name: &str) -> String {
        match self {
            Self::Folder(folder) => folder.join(name).display().to_string(),
            Self::Bundled(_) => format!("{name} (bundled)"),
        }
    }

    pub fn open(&self, name: &str) -> Result<ModelFile, EmbedError> {
        let shown = self.display(name);
        let refuse = |reason: &dyn ToString| EmbedError::file(&shown, reason.to_string());
        match self {
            Self::Folder(folder) => {
                // A shard's name comes from the model's own index: it must not leave the folder.
                if name.contains(['/', '\\']) {
                    return Err(refuse(&"its name is not a plain file name"));
                }
                let file = File::open(folder.join(name)).map_err(|error| refuse(&error))?;
                let len = file.metadata().map_err(|error| refuse(&error))?.len();
                Ok(ModelFile {
                    name: shown.clone(),
                    content: Content::File(file),
                    len,
                })
            }
            Self::Bundled(files) => {
                let bytes = files
                    .iter()
                    .find(|file| file.name() == name)
                    .ok_or_else(|| refuse(&"it is missing"))?
                    .bytes();
                Ok(ModelFile {
                    name: shown.clone(),
                    content: Content::Static(bytes),
                    len: bytes.len() as u64,
                })
            }
        }
    }

    /// Reads a small file completely.
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

    /// Gives the memory of a bundled model's files back to the kernel. A page that is read again comes
    /// from the binary.
    pub fn release_pages(&self) {
        if let Self::Bundled(files) = self {
            files.iter().for_each(crate::allocation::release_pages);
        }
    }
}

impl ModelFile {
    /// The path or name for messages.
    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn len(&self) -> u64 {
        self.len
    }

    /// Reads `length` bytes from `offset`.
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
