//! Vectors for what is not stored: texts and pictures through a model, in order.

use clipdb_embed::{Embedding, Encoder, Priority, TextRole};
use futures_util::stream::{StreamExt, TryStreamExt, iter};

use crate::documents::ingest::only;
use crate::engine::Engine;
use crate::error::EngineError;
use crate::image_source::ImageSource;

#[derive(Debug, Clone)]
pub enum Input {
    Text(String),
    Image(ImageSource),
}

#[derive(Debug, Clone)]
pub struct Encoded {
    pub embedding: Embedding,
    /// The text was longer than the model reads; its end is not in the vector.
    pub truncated: bool,
    /// Tokens of a text that the model saw; a picture has none.
    pub tokens: usize,
}

impl Engine {
    /// # Errors
    /// The first that any input meets.
    pub async fn encode(
        &self,
        encoder: &Encoder,
        inputs: Vec<Input>,
        priority: Priority,
    ) -> Result<Vec<Encoded>, EngineError> {
        self.encode_as(encoder, inputs, TextRole::Other, priority)
            .await
    }

    /// The same for inputs that are all looked for, or all to be found.
    ///
    /// # Errors
    /// The first that any input meets.
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
                let text = only(encoder.texts_as(vec![text], role, priority).await?)?;
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
