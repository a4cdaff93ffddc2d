//! Tokenization as configured by `tokenizer.json`, with Hugging Face's truncation.

use std::borrow::Cow;
use std::sync::OnceLock;

use serde::Deserialize;
use tokenizers::{DecoderWrapper, Encoding, Tokenizer, TruncationParams};

use crate::EmbedError;
use crate::reading::{KnownScripts, Reading};
use crate::sources::{CONFIG, ModelFiles, TOKENIZER, TOKENIZER_CONFIG};

/// Two special tokens and one of the text.
const SHORTEST_CONTEXT: usize = 3;

/// A tokenized text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TextTokens {
    /// Token ids, including special tokens.
    pub ids: Vec<u32>,
    /// The text was longer than the model's context. Special tokens at its end are kept.
    pub truncated: bool,
}

/// A model's tokenizer.
pub struct TextTokenizer {
    tokenizer: Tokenizer,
    lowercase: bool,
    padding: Option<Padding>,
    prompts: Prompts,
    /// Counted when it is first asked for.
    known_scripts: OnceLock<KnownScripts>,
}

/// Padding of every text to the same length.
struct Padding {
    length: usize,
    token: u32,
}

/// The prompts that precede a text, by its role.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Prompts {
    pub query: String,
    pub document: String,
    /// For all other texts.
    pub other: String,
}

/// The purpose of a text. Most models treat all texts alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TextRole {
    /// A search query.
    Query,
    /// A document to be found.
    Document,
    /// Neither, or unknown.
    #[default]
    Other,
}

/// The usual names of the token for unknown parts of a text.
const UNKNOWN: [&str; 2] = ["[UNK]", "<unk>"];

/// Whether to add a model's special tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SpecialTokens {
    Add,
    Omit,
}

/// Files of unsupported tokenizer formats, and their description.
const OTHER_FORMATS: [(&str, &str); 4] = [
    ("merges.txt", "vocab.json and merges.txt"),
    ("spiece.model", "spiece.model"),
    ("sentencepiece.bpe.model", "sentencepiece.bpe.model"),
    ("vocab.txt", "vocab.txt"),
];

impl TextTokenizer {
    /// Reads `tokenizer.json`. Texts are not truncated before [`truncate_at`](Self::truncate_at).
    pub(crate) fn open(files: &ModelFiles) -> Result<Self, EmbedError> {
        let shown = files.display(TOKENIZER);
        let other_format = OTHER_FORMATS.iter().find(|(file, _)| files.has(file));
        if !files.has(TOKENIZER)
            && let Some((_, found)) = other_format
        {
            return Err(EmbedError::file(
                shown,
                format!(
                    "it is missing; {found} does not define how text is normalised. Save the \
                     tokenizer with transformers: \
                     AutoTokenizer.from_pretrained(…).save_pretrained(…)"
                ),
            ));
        }
        Self::parse(&files.bytes(TOKENIZER)?).map_err(|reason| EmbedError::file(shown, reason))
    }

    /// Parses the contents of a `tokenizer.json`, for a model that reads `context_length` tokens,
    /// including special ones.
    ///
    /// # Errors
    /// [`EmbedError::ModelFile`] if it is not a tokenizer, or if `context_length` is too short.
    pub fn from_json(json: &[u8], context_length: usize) -> Result<Self, EmbedError> {
        let mut tokenizer =
            Self::parse(json).map_err(|reason| EmbedError::file(TOKENIZER, reason))?;
        tokenizer.truncate_at(context_length)?;
        Ok(tokenizer)
    }

    fn parse(json: &[u8]) -> tokenizers::Result<Self> {
        let mut tokenizer = Tokenizer::from_bytes(json)?;
        // Overrides the file: batches are padded to their longest text.
        tokenizer.with_padding(None);
        tokenizer.with_truncation(None)?;
        Ok(Self {
            tokenizer,
            lowercase: false,
            padding: None,
            prompts: Prompts::default(),
            known_scripts: OnceLock::new(),
        })
    }

    /// Converts every text to lower case first, character by character.
    pub(crate) fn lowercase(&mut self) {
        self.lowercase = true;
    }

    /// Pads every text to `length` tokens with the padding token of `tokenizer_config.json`.
    pub(crate) fn pad_to(&mut self, length: usize, files: &ModelFiles) -> Result<(), EmbedError> {
        #[derive(Deserialize)]
        struct Config {
            pad_token: PadToken,
        }
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum PadToken {
            Text(String),
            Token { content: String },
        }
        let config: Config = files.json(TOKENIZER_CONFIG)?;
        let (PadToken::Text(text) | PadToken::Token { content: text }) = config.pad_token;
        let token = self.tokenizer.token_to_id(&text).ok_or_else(|| {
            EmbedError::file(
                files.display(TOKENIZER_CONFIG),
                format!("its pad_token '{text}' is not a token of {TOKENIZER}"),
            )
        })?;
        self.padding = Some(Padding { length, token });
        Ok(())
    }

    /// Sets the prompts.
    pub(crate) fn prompt_with(&mut self, prompts: Prompts) {
        self.prompts = prompts;
    }

    /// Truncates texts to `context_length` tokens, including special ones.
    pub(crate) fn truncate_at(&mut self, context_length: usize) -> Result<(), EmbedError> {
        if context_length < SHORTEST_CONTEXT {
            return Err(EmbedError::file(
                CONFIG,
                format!("a context of {context_length} tokens is too short for a text"),
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

    /// Tokenizes a text without a role.
    ///
    /// # Errors
    /// [`EmbedError::Tokens`] if the tokenizer has neither a token for a part of the text nor an
    /// unknown token, or if the result is empty.
    pub fn encode(&self, text: &str) -> Result<TextTokens, EmbedError> {
        self.encode_as(text, TextRole::Other)
    }

    /// Tokenizes a text with the prompt of its role.
    ///
    /// # Errors
    /// As [`encode`](Self::encode).
    pub fn encode_as(&self, text: &str, role: TextRole) -> Result<TextTokens, EmbedError> {
        let text = match self.prompts.of(role) {
            "" => Cow::Borrowed(text),
            prompt => Cow::Owned(format!("{prompt}{text}")),
        };
        let encoding = self.encoding(&text, SpecialTokens::Add)?;
        if encoding.is_empty() {
            return Err(EmbedError::Tokens {
                reason: "the model's tokenizer returns no tokens".to_owned(),
            });
        }
        let mut ids = encoding.get_ids().to_vec();
        if let Some(padding) = &self.padding {
            ids.resize(ids.len().max(padding.length), padding.token);
        }
        Ok(TextTokens {
            ids,
            truncated: !encoding.get_overflowing().is_empty(),
        })
    }

    /// How much of a text the model can read.
    ///
    /// # Errors
    /// As [`encode`](Self::encode).
    pub fn reading(&self, text: &str) -> Result<Reading, EmbedError> {
        let encoding = self.encoding(text, SpecialTokens::Omit)?;
        let overflow = encoding.get_overflowing().iter().map(Encoding::len);
        let tokens = encoding.len() + overflow.sum::<usize>();
        let names = encoding.get_tokens().iter();
        let unknown = names
            .filter(|token| UNKNOWN.contains(&token.as_str()))
            .count();
        let known = self.known_scripts.get_or_init(|| {
            let vocabulary = self.tokenizer.get_vocab(false);
            let by_bytes = self.tokenizer.get_decoder().is_some_and(is_of_bytes);
            KnownScripts::of(vocabulary.keys().map(String::as_str), by_bytes)
        });
        Ok(known.reading(text, tokens, unknown))
    }

    /// The number of tokens of a text, without special tokens and truncation.
    pub(crate) fn count(&self, text: &str) -> Result<usize, EmbedError> {
        let encoding = self.encoding(text, SpecialTokens::Omit)?;
        let truncated = encoding.get_overflowing().iter().map(Encoding::len);
        Ok(encoding.len() + truncated.sum::<usize>())
    }

    /// The number of tokens that a text of this role may have in addition to special tokens and the
    /// prompt; `None` without truncation.
    pub(crate) fn room(&self, role: TextRole) -> Result<Option<usize>, EmbedError> {
        let Some(truncation) = self.tokenizer.get_truncation() else {
            return Ok(None);
        };
        let around =
            self.encoding("", SpecialTokens::Add)?.len() + self.count(self.prompts.of(role))?;
        Ok(Some(truncation.max_length.saturating_sub(around).max(1)))
    }

    fn encoding(&self, text: &str, special: SpecialTokens) -> Result<Encoding, EmbedError> {
        let text = if self.lowercase {
            Cow::Owned(text.chars().flat_map(char::to_lowercase).collect())
        } else {
            Cow::Borrowed(text)
        };
        self.tokenizer
            .encode_fast(&*text, special == SpecialTokens::Add)
            .map_err(|error| EmbedError::Tokens {
                reason: error.to_string(),
            })
    }
}

/// Whether a decoder turns the letters of tokens into bytes.
fn is_of_bytes(decoder: &DecoderWrapper) -> bool {
    match decoder {
        DecoderWrapper::ByteLevel(_) => true,
        DecoderWrapper::Sequence(sequence) => sequence.get_decoders().iter().any(is_of_bytes),
        _ => false,
    }
}

impl Prompts {
    fn of(&self, role: TextRole) -> &str {
        match role {
            TextRole::Query => &self.query,
            TextRole::Document => &self.document,
            TextRole::Other => &self.other,
        }
    }
}
