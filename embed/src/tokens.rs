//! Tokenization as configured by `tokenizer.json`, with Hugging Face's truncation.

use std::borrow::Cow;
use std::sync::OnceLock;

use serde::Deserialize;
use tokenizers::{DecoderWrapper, Encoding, TruncationParams};

use crate::EmbedError;
use crate::reading::{KnownScripts, Reading};
use crate::sources::{CONFIG, ModelFiles, SECOND_TOKENIZER, TOKENIZER, TOKENIZER_CONFIG};
use crate::unigram::Tokenizer;

/// Two special tokens and one of the text.
const SHORTEST_CONTEXT: usize = 3;

/// A tokenized text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TextTokens {
    /// Token ids, including special tokens.
    pub ids: Vec<u32>,
    /// The same by the model's second tokenizer; empty if it has none.
    pub second_ids: Vec<u32>,
    /// The text was longer than the model's context. Special tokens at its end are kept.
    pub truncated: bool,
}

/// A model's tokenizer.
pub struct TextTokenizer {
    tokenizer: Tokenizer,
    /// Of a second network that reads the same texts. Everything but the tokens themselves, such as
    /// lengths and passages, is the first tokenizer's.
    second: Option<Tokenizer>,
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

/// SentencePiece's mark of the start of a word. A token of its own before an ideograph, it says nothing
/// about the word.
const WORD_START: &str = "\u{2581}";

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

impl TextTokens {
    /// A text of this many tokens, all with the number 0.
    pub(crate) fn blank(tokens: usize) -> Self {
        Self {
            ids: vec![0; tokens],
            second_ids: vec![0; tokens],
            truncated: false,
        }
    }
}

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
        Ok(Self {
            tokenizer: tokenizer(json)?,
            second: None,
            lowercase: false,
            padding: None,
            prompts: Prompts::default(),
            known_scripts: OnceLock::new(),
        })
    }

    /// Reads the tokenizer of a second network.
    pub(crate) fn add_second(&mut self, files: &ModelFiles) -> Result<(), EmbedError> {
        let second = tokenizer(&files.bytes(SECOND_TOKENIZER)?);
        self.second = Some(
            second.map_err(|reason| EmbedError::file(files.display(SECOND_TOKENIZER), reason))?,
        );
        Ok(())
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
        for tokenizer in [&mut self.tokenizer].into_iter().chain(&mut self.second) {
            tokenizer
                .with_truncation(Some(truncation.clone()))
                .map_err(|reason| EmbedError::file(TOKENIZER, reason))?;
        }
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
        let text = self.normalised(&text);
        let encoding = encoded(&self.tokenizer, &text, SpecialTokens::Add)?;
        let second = self.second.as_ref();
        let second = second.map(|second| encoded(second, &text, SpecialTokens::Add));
        let second = second.transpose()?;
        if encoding.is_empty() || second.as_ref().is_some_and(Encoding::is_empty) {
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
            second_ids: second.map_or_else(Vec::new, |second| second.get_ids().to_vec()),
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
        let count = |wanted: &[&str]| {
            let names = encoding.get_tokens().iter();
            names
                .filter(|token| wanted.contains(&token.as_str()))
                .count()
        };
        let tokens = encoding.len() + overflow.sum::<usize>() - count(&[WORD_START]);
        let unknown = match self.tokenizer.get_model().unknown() {
            Some(unknown) => encoding
                .get_ids()
                .iter()
                .filter(|id| **id == unknown)
                .count(),
            None => count(&UNKNOWN),
        };
        let known = self.known_scripts.get_or_init(|| {
            let by_bytes = self.tokenizer.get_decoder().is_some_and(is_of_bytes);
            KnownScripts::of(self.tokenizer.get_model().pieces(), by_bytes)
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
        encoded(&self.tokenizer, &self.normalised(text), special)
    }

    fn normalised<'a>(&self, text: &'a str) -> Cow<'a, str> {
        if self.lowercase {
            Cow::Owned(text.chars().flat_map(char::to_lowercase).collect())
        } else {
            Cow::Borrowed(text)
        }
    }
}

/// Parses the contents of a `tokenizer.json`. Its padding does not apply, because batches are padded to
/// their longest text; its truncation neither.
fn tokenizer(json: &[u8]) -> tokenizers::Result<Tokenizer> {
    let mut tokenizer: Tokenizer = serde_json::from_slice(json)?;
    tokenizer.with_padding(None);
    tokenizer.with_truncation(None)?;
    Ok(tokenizer)
}

fn encoded(
    tokenizer: &Tokenizer,
    text: &str,
    special: SpecialTokens,
) -> Result<Encoding, EmbedError> {
    tokenizer
        .encode_fast(text, special == SpecialTokens::Add)
        .map_err(|error| EmbedError::Tokens {
            reason: error.to_string(),
        })
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
