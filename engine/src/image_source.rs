//! A picture as a request gives it: its bytes, or where they are.

use bytes::Bytes;

use crate::engine::Engine;
use crate::error::EngineError;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ImageSource {
    Bytes(Bytes),
    /// Fetched when it is needed, where URL ingest is enabled.
    Url(String),
}

impl ImageSource {
    /// What it holds in memory.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Bytes(bytes) => bytes.len(),
            Self::Url(url) => url.len(),
        }
    }
}

impl From<Bytes> for ImageSource {
    fn from(bytes: Bytes) -> Self {
        Self::Bytes(bytes)
    }
}

impl Engine {
    /// The picture's bytes.
    pub(crate) async fn image_bytes(&self, source: ImageSource) -> Result<Bytes, EngineError> {
        match source {
            ImageSource::Bytes(bytes) => Ok(bytes),
            ImageSource::Url(url) => {
                let fetcher = self
                    .fetcher
                    .as_ref()
                    .ok_or(EngineError::UrlIngestDisabled)?;
                fetcher.fetch(&url).await
            }
        }
    }
}
