//! A text or a picture in a request that stores nothing.

use serde::Deserialize;

use crate::http::error::ApiError;
use crate::rest::documents::wire::ImageBody;
use crate::rest::multipart::Files;
use clipdb_engine::Input;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct InputBody {
    text: Option<String>,
    image: Option<ImageBody>,
}

impl InputBody {
    /// Decodes the picture: not for an async thread.
    pub(super) fn check(self) -> Result<Input, ApiError> {
        match (self.text, self.image) {
            (Some(text), None) => Ok(Input::Text(text)),
            (None, Some(image)) if image.id.is_none() => {
                Ok(Input::Image(image.into_source(&mut Files::default())?))
            }
            _ => Err(ApiError::InvalidField(
                "an input is exactly one of {\"text\"} and {\"image\": {\"base64\"}}".to_owned(),
            )),
        }
    }
}
