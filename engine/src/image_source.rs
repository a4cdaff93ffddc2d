//! An image in a request: its bytes or its URL.

use bytes::Bytes;

use crate::engine::Engine;
use crate::error::EngineError;

/// An image in a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ImageSource {
    /// The encoded file, such as a PNG or a JPEG.
    Bytes(Bytes),
    /// An http or https URL, fetched when the image is needed if URL ingest is enabled.
    Url(String),
}

impl ImageSource {
    /// The bytes that it occupies in memory.
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
    /// The image's bytes, fetched if `source` is a URL.
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
