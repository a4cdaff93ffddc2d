//! From text to token numbers, as `tokenizer.json` says, cut as Hugging Face cuts.

use tokenizers::{Tokenizer, TruncationParams};

use crate::EmbedError;
use crate::sources::ModelFiles;

const FILE: &str = "tokenizer.json";
/// Two special tokens around a text, and one of its own.
const SHORTEST_CONTEXT: usize = 3;

/// A text's token numbers, the special ones included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TextTokens {
    pub ids: Vec<u32>,
    /// The text had more than the context holds; special tokens at its end are kept.
    pub truncated: bool,
}

/// A model's tokenizer.
pub struct Tokens {
    tokenizer: Tokenizer,
}

impl Tokens {
    pub(crate) fn open(files: &ModelFiles, context_length: usize) -> Result<Self, EmbedError> {
        let shown = files.display(FILE);
        if !files.has(FILE) && files.has("vocab.json") && files.has("merges.txt") {
            return Err(EmbedError::file(
                shown,
                "it is missing; vocab.json and merges.txt alone do not say how text is normalised. \
                 Save it with transformers: CLIPTokenizerFast.from_pretrained(…).save_pretrained(…)",
            ));
        }
        Self::from_json(&files.bytes(FILE)?, context_length)
            .map_err(|reason| EmbedError::file(shown, reason))
    }

    /// Whatever the file itself says of padding and truncation is replaced: batches
    /// are padded to their own longest text, and cut at the model's context.
    fn from_json(json: &[u8], context_length: usize) -> tokenizers::Result<Self> {
        if context_length < SHORTEST_CONTEXT {
            return Err(format!("a context of {context_length} tokens holds no text").into());
        }
        let mut tokenizer = Tokenizer::from_bytes(json)?;
        tokenizer.with_padding(None);
        tokenizer.with_truncation(Some(TruncationParams {
            max_length: context_length,
            ..TruncationParams::default()
        }))?;
        Ok(Self { tokenizer })
    }

    /// # Errors
    /// [`EmbedError::Tokens`] when the tokenizer has no token for a part of the text
    /// and none for what is unknown either, or makes no token at all.
    pub fn encode(&self, text: &str) -> Result<TextTokens, EmbedError> {
        let encoding = self
            .tokenizer
            .encode_fast(text, true)
            .map_err(|error| EmbedError::Tokens {
                reason: error.to_string(),
            })?;
        if encoding.is_empty() {
            return Err(EmbedError::Tokens {
                reason: "the model's tokenizer makes nothing of it".to_owned(),
            });
        }
        Ok(TextTokens {
            ids: encoding.get_ids().to_vec(),
            truncated: !encoding.get_overflowing().is_empty(),
        })
    }
}
