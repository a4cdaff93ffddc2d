//! Embeds texts and images without storing them.

use clipdb_embed::{Embedding, Encoder, Priority, TextRole};
use futures_util::stream::{StreamExt, TryStreamExt, iter};

use crate::documents::ingest::expect_one;
use crate::engine::Engine;
use crate::error::EngineError;
use crate::image_source::ImageSource;

/// An input to a model.
#[derive(Debug, Clone)]
pub enum Input {
    /// A text, of at most `max_text_bytes`.
    Text(String),
    /// An image.
    Image(ImageSource),
}

/// An embedded input.
#[derive(Debug, Clone)]
pub struct Encoded {
    /// Its unit vector, of the model's dimensions.
    pub embedding: Embedding,
    /// Whether the text was longer than the model's context, so that the vector omits its end.
    pub truncated: bool,
    /// Tokens of the text that the model read; 0 for an image.
    pub tokens: usize,
}

impl Engine {
    /// Embeds `inputs`, and returns their vectors in the same order.
    ///
    /// # Errors
    /// The error of the first input that cannot be embedded.
    pub async fn encode(
        &self,
        encoder: &Encoder,
        inputs: Vec<Input>,
        priority: Priority,
    ) -> Result<Vec<Encoded>, EngineError> {
        self.encode_as(encoder, inputs, TextRole::Other, priority)
            .await
    }

    /// Like [`encode`](Self::encode), for inputs that are all queries or all documents: some models
    /// prefix texts by their role.
    ///
    /// # Errors
    /// The error of the first input that cannot be embedded.
    pub async fn encode_as(
        &self,
        encoder: &Encoder,
        inputs: Vec<Input>,
        role: TextRole,
        priority: Priority,
    ) -> Result<Vec<Encoded>, EngineError> {
        iter(inputs)
            .map(|input| self.encode_one(encoder, input, role, priority))
            .buffered(encoder.max_in_flight())
            .try_collect()
            .await
    }

    /// Embeds one input.
    ///
    /// # Errors
    /// [`EngineError::TooLarge`], the image cannot be fetched, or the input cannot be embedded.
    pub async fn encode_one(
        &self,
        encoder: &Encoder,
        input: Input,
        role: TextRole,
        priority: Priority,
    ) -> Result<Encoded, EngineError> {
        match input {
            Input::Text(text) => {
                self.check_text(&text)?;
                let text = expect_one(encoder.texts_as(vec![text], role, priority).await?)?;
                Ok(Encoded {
                    embedding: text.embedding,
                    truncated: text.truncated,
                    tokens: text.tokens,
                })
            }
            Input::Image(source) => {
                let bytes = self.image_bytes(source).await?;
                Ok(Encoded {
                    embedding: encoder.image(bytes, priority).await?.embedding,
                    truncated: false,
                    tokens: 0,
                })
            }
        }
    }
}
