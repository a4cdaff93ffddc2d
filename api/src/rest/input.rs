//! A text or an image in a request that stores nothing.

use serde::Deserialize;

use crate::http::error::ApiError;
use crate::rest::documents::wire::ImageBody;
use crate::rest::multipart::Files;
use clipdb_engine::{Input, blocking};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct InputBody {
    text: Option<String>,
    image: Option<ImageBody>,
}

/// The most inputs of a request.
const MAX_INPUTS: usize = 1024;

/// Checks that the list `name` has an allowed number of inputs.
pub(super) fn check_count(name: &str, count: usize) -> Result<(), ApiError> {
    if (1..=MAX_INPUTS).contains(&count) {
        return Ok(());
    }
    Err(ApiError::InvalidField(format!(
        "'{name}' has {count} items; it must have 1 to {MAX_INPUTS}"
    )))
}

/// Decodes the inputs on the thread pool for blocking work.
pub(super) async fn resolve(inputs: Vec<InputBody>) -> Result<Vec<Input>, ApiError> {
    blocking(move || inputs.into_iter().map(InputBody::resolve).collect()).await?
}

impl InputBody {
    fn resolve(self) -> Result<Input, ApiError> {
        match (self.text, self.image) {
            (Some(text), None) => Ok(Input::Text(text)),
            (None, Some(image)) if image.id.is_none() => {
                Ok(Input::Image(image.into_source(&mut Files::default())?))
            }
            _ => Err(ApiError::InvalidField(
                "an input must have exactly one of 'text' and 'image', and the image a 'base64'"
                    .to_owned(),
            )),
        }
    }
}
