//! The bundled model's files as bytes of the binary. A crate of their own, since compiling
//! 67 MB takes minutes and they change seldom.

macro_rules! files {
    ($folder:literal: $($name:literal),+) => {
        &[$(($name, include_bytes!(concat!($folder, "/", $name)))),+]
    };
}

/// Names and bytes of the files in `clipdb-mini/`.
// A function: a public static's bytes would be copied into every crate that names it.
#[inline(never)]
#[must_use]
pub fn clipdb_mini() -> &'static [(&'static str, &'static [u8])] {
    CLIPDB_MINI
}

/// CLIP's own tokenizer, 49,408 tokens, for folders that hold a CLIP model without one. Made
/// from OpenAI's merges (MIT) by `embed/parity/tokens.py`.
#[must_use]
pub fn clip_tokenizer() -> &'static [u8] {
    include_bytes!("clip-tokenizer.json")
}

static CLIPDB_MINI: &[(&str, &[u8])] = files!("clipdb-mini":
    "config.json",
    "preprocessor_config.json",
    "tokenizer.json",
    "model.safetensors.index.json",
    "text.safetensors",
    "image.safetensors",
    "projection.safetensors"
);
