//! The files of the bundled models, embedded in the binary. They have their own crate because compiling
//! more than 200 MB takes minutes and they rarely change.

#![warn(missing_docs)]

/// A file of a model in the binary. Its bytes are constants of the program: nothing writes them, and
/// their pages are the binary's own.
#[derive(Debug)]
pub struct EmbeddedFile {
    name: &'static str,
    bytes: &'static [u8],
}

impl EmbeddedFile {
    /// The name in the model's folder.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The contents.
    #[must_use]
    pub fn bytes(&self) -> &'static [u8] {
        self.bytes
    }
}

/// Files by their names in the model's folder and their paths here.
macro_rules! files {
    ($($name:literal: $path:literal),+ $(,)?) => {
        &[$(EmbeddedFile { name: $name, bytes: include_bytes!($path) }),+]
    };
}

/// The files of `clipdb-multilingual/`.
// A function, because the bytes of a public static would be copied into every crate that uses it.
#[inline(never)]
#[must_use]
pub fn clipdb_multilingual() -> &'static [EmbeddedFile] {
    CLIPDB_MULTILINGUAL
}

/// The files of `clipdb-mini/`.
#[inline(never)]
#[must_use]
pub fn clipdb_mini() -> &'static [EmbeddedFile] {
    CLIPDB_MINI
}

/// The tokenizer of CLIP with 49,408 tokens, for folders with a CLIP model and no tokenizer. Generated
/// from OpenAI's merges (MIT) by `embed/parity/tokens.py`.
#[must_use]
pub fn clip_tokenizer() -> &'static [u8] {
    include_bytes!("clip-tokenizer.json")
}

// The image network is clipdb-mini's.
static CLIPDB_MULTILINGUAL: &[EmbeddedFile] = files!(
    "config.json": "clipdb-multilingual/config.json",
    "calibration.json": "clipdb-multilingual/calibration.json",
    "preprocessor_config.json": "clipdb-mini/preprocessor_config.json",
    "tokenizer.json": "clipdb-multilingual/tokenizer.json",
    "second_tokenizer.json": "clipdb-multilingual/second_tokenizer.json",
    "model.safetensors.index.json": "clipdb-multilingual/model.safetensors.index.json",
    "text.safetensors": "clipdb-multilingual/text.safetensors",
    "text-words.safetensors": "clipdb-multilingual/text-words.safetensors",
    "image.safetensors": "clipdb-mini/image.safetensors",
    "projection.safetensors": "clipdb-multilingual/projection.safetensors",
);

static CLIPDB_MINI: &[EmbeddedFile] = files!(
    "config.json": "clipdb-mini/config.json",
    "calibration.json": "clipdb-mini/calibration.json",
    "preprocessor_config.json": "clipdb-mini/preprocessor_config.json",
    "tokenizer.json": "clipdb-mini/tokenizer.json",
    "model.safetensors.index.json": "clipdb-mini/model.safetensors.index.json",
    "text.safetensors": "clipdb-mini/text.safetensors",
    "image.safetensors": "clipdb-mini/image.safetensors",
    "projection.safetensors": "clipdb-mini/projection.safetensors",
);
