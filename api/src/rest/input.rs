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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::{body, problem};

    #[test]
    fn an_input_is_a_text_or_an_image() {
        let input = |json: &str| {
            body::parse::<InputBody>(json.as_bytes())
                .and_then(InputBody::resolve)
                .map_err(|error| problem::code(&error))
        };
        assert!(matches!(input(r#"{"text": "a"}"#), Ok(Input::Text(text)) if text == "a"));
        let image = input(r#"{"image": {"base64": "aGk="}}"#);
        assert!(matches!(image, Ok(Input::Image(_))));
        for (json, code) in [
            ("{}", "invalid_field"),
            (r#"{"text": "a", "image": {"base64": ""}}"#, "invalid_field"),
            (r#"{"image": {"id": "a"}}"#, "invalid_field"),
            (r#"{"image": {}}"#, "invalid_field"),
            (r#"{"image": {"file": "a"}}"#, "missing_part"),
            (r#"{"image": {"base64": "*"}}"#, "invalid_base64"),
            (r#"{"vector": [1]}"#, "unknown_field"),
        ] {
            assert_eq!(input(json).err(), Some(code), "{json}");
        }
    }

    #[test]
    fn the_number_of_inputs_is_limited() {
        for (count, is_allowed) in [
            (0, false),
            (1, true),
            (MAX_INPUTS, true),
            (MAX_INPUTS + 1, false),
        ] {
            assert_eq!(check_count("inputs", count).is_ok(), is_allowed, "{count}");
        }
    }
}
