//! The files of the bundled model, embedded in the binary. They have their own crate because compiling
//! 67 MB takes minutes and they rarely change.

#![warn(missing_docs)]

macro_rules! files {
    ($folder:literal: $($name:literal),+) => {
        &[$(($name, include_bytes!(concat!($folder, "/", $name)))),+]
    };
}

/// The names and bytes of the files in `clipdb-mini/`.
// A function, because the bytes of a public static would be copied into every crate that uses it.
#[inline(never)]
#[must_use]
pub fn clipdb_mini() -> &'static [(&'static str, &'static [u8])] {
    CLIPDB_MINI
}

/// The tokenizer of CLIP with 49,408 tokens, for folders with a CLIP model and no tokenizer. Generated
/// from OpenAI's merges (MIT) by `embed/parity/tokens.py`.
#[must_use]
pub fn clip_tokenizer() -> &'static [u8] {
    include_bytes!("clip-tokenizer.json")
}

static CLIPDB_MINI: &[(&str, &[u8])] = files!("clipdb-mini":
    "config.json",
    "calibration.json",
    "preprocessor_config.json",
    "tokenizer.json",
    "model.safetensors.index.json",
    "text.safetensors",
    "image.safetensors",
    "projection.safetensors"
);
