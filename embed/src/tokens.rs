//! From text to token numbers, as `tokenizer.json` says, cut as Hugging Face cuts.

use std::borrow::Cow;

use serde::Deserialize;
use tokenizers::{Encoding, Tokenizer, TruncationParams};

use crate::EmbedError;
use crate::sources::{CONFIG, ModelFiles, TOKENIZER, TOKENIZER_CONFIG};

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
    lowercase: bool,
    padding: Option<Padding>,
    prompts: Prompts,
}

/// Every text is brought to one length.
struct Padding {
    length: usize,
    token: u32,
}

/// What a model wants to read before a text, by what the text is for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Prompts {
    pub query: String,
    pub document: String,
    /// When it is for neither.
    pub other: String,
}

/// What a text is for; most models do not ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TextRole {
    /// Something to look for.
    Query,
    /// Something to be found.
    Document,
    #[default]
    Other,
}

/// Where a tokenizer may lie that is none of ours, and what is missing there.
const ELSEWHERE: [(&str, &str); 4] = [
    ("merges.txt", "vocab.json and merges.txt"),
    ("spiece.model", "spiece.model"),
    ("sentencepiece.bpe.model", "sentencepiece.bpe.model"),
    ("vocab.txt", "vocab.txt"),
];

impl Tokens {
    /// Reads `tokenizer.json`; until [`cut_at`](Self::cut_at) texts are not cut.
    pub(crate) fn open(files: &ModelFiles) -> Result<Self, EmbedError> {
        let shown = files.display(TOKENIZER);
        let elsewhere = ELSEWHERE.iter().find(|(file, _)| files.has(file));
        if !files.has(TOKENIZER)
            && let Some((_, found)) = elsewhere
        {
            return Err(EmbedError::file(
                shown,
                format!(
                    "it is missing; {found} alone does not say how text is normalised. Save it \
                     with transformers: AutoTokenizer.from_pretrained(…).save_pretrained(…)"
                ),
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
        Ok(Self {
            tokenizer,
            lowercase: false,
            padding: None,
            prompts: Prompts::default(),
        })
    }

    /// Makes every text small letters first, each letter by itself.
    pub(crate) fn lowercase(&mut self) {
        self.lowercase = true;
    }

    /// Pads every text to `length` with what `tokenizer_config.json` names.
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
                format!("its pad_token '{text}' is no token of {TOKENIZER}"),
            )
        })?;
        self.padding = Some(Padding { length, token });
        Ok(())
    }

    pub(crate) fn prompt_with(&mut self, prompts: Prompts) {
        self.prompts = prompts;
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
        self.encode_as(text, TextRole::Other)
    }

    /// The same, behind what the model wants to read before a text of that role.
    ///
    /// # Errors
    /// As [`encode`](Self::encode).
    pub fn encode_as(&self, text: &str, role: TextRole) -> Result<TextTokens, EmbedError> {
        let text = match self.prompts.of(role) {
            "" => Cow::Borrowed(text),
            prompt => Cow::Owned(format!("{prompt}{text}")),
        };
        let encoding = self.encoding(&text, true)?;
        if encoding.is_empty() {
            return Err(EmbedError::Tokens {
                reason: "the model's tokenizer makes nothing of it".to_owned(),
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

    /// How many tokens the text has by itself, also beyond the context.
    pub(crate) fn count(&self, text: &str) -> Result<usize, EmbedError> {
        let encoding = self.encoding(text, false)?;
        let beyond = encoding.get_overflowing().iter().map(Encoding::len);
        Ok(encoding.len() + beyond.sum::<usize>())
    }

    /// How many tokens a text of that role may have beside the special ones and what the
    /// model reads before it; `None` where texts are not cut.
    pub(crate) fn room(&self, role: TextRole) -> Result<Option<usize>, EmbedError> {
        let Some(truncation) = self.tokenizer.get_truncation() else {
            return Ok(None);
        };
        let around = self.encoding("", true)?.len() + self.count(self.prompts.of(role))?;
        Ok(Some(truncation.max_length.saturating_sub(around).max(1)))
    }

    fn encoding(&self, text: &str, special: bool) -> Result<Encoding, EmbedError> {
        let text = if self.lowercase {
            Cow::Owned(text.chars().flat_map(char::to_lowercase).collect())
        } else {
            Cow::Borrowed(text)
        };
        self.tokenizer
            .encode_fast(&*text, special)
            .map_err(|error| EmbedError::Tokens {
                reason: error.to_string(),
            })
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
