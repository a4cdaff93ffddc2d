//! From text to token numbers, as `tokenizer.json` says, cut as Hugging Face cuts.

use tokenizers::{Tokenizer, TruncationParams};

use crate::EmbedError;
use crate::sources::{CONFIG, ModelFiles, TOKENIZER};

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
    /// Reads `tokenizer.json`; until [`cut_at`](Self::cut_at) texts are not cut.
    pub(crate) fn open(files: &ModelFiles) -> Result<Self, EmbedError> {
        let shown = files.display(TOKENIZER);
        if !files.has(TOKENIZER) && files.has("vocab.json") && files.has("merges.txt") {
            return Err(EmbedError::file(
                shown,
                "it is missing; vocab.json and merges.txt alone do not say how text is normalised. \
                 Save it with transformers: CLIPTokenizerFast.from_pretrained(…).save_pretrained(…)",
            ));
        }
        Self::parse(&files.bytes(TOKENIZER)?).map_err(|reason| EmbedError::file(shown, reason))
    }

    /// From the contents of a `tokenizer.json`, for a model that sees `context_length`
    /// tokens, the special ones included.
    ///
    /// # Errors
    /// [`EmbedError::ModelFile`] when it is no tokenizer, or the context holds no text.
    pub fn from_json(json: &[u8], context_length: usize) -> Result<Self, EmbedError> {
        let mut tokens = Self::parse(json).map_err(|reason| EmbedError::file(TOKENIZER, reason))?;
        tokens.cut_at(context_length)?;
        Ok(tokens)
    }

    fn parse(json: &[u8]) -> tokenizers::Result<Self> {
        let mut tokenizer = Tokenizer::from_bytes(json)?;
        // Whatever the file says of it: batches are padded to their own longest text.
        tokenizer.with_padding(None);
        tokenizer.with_truncation(None)?;
        Ok(Self { tokenizer })
    }

    pub(crate) fn cut_at(&mut self, context_length: usize) -> Result<(), EmbedError> {
        if context_length < SHORTEST_CONTEXT {
            return Err(EmbedError::file(
                CONFIG,
                format!("a context of {context_length} tokens holds no text"),
            ));
        }
        let truncation = TruncationParams {
            max_length: context_length,
            ..TruncationParams::default()
        };
        self.tokenizer
            .with_truncation(Some(truncation))
            .map_err(|reason| EmbedError::file(TOKENIZER, reason))?;
        Ok(())
    }

    /// # Errors
    /// [`EmbedError::Tokens`] when the tokenizer has no token for a part of the text
    /// and none for what is unknown either, or makes no token at all.
    pub fn encode(&self, text: &str) -> Result<TextTokens, EmbedError> {
        let encoding =
            self.tokenizer
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
