//! Reading a tower's part of a model's configuration.

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::EmbedError;

/// Parses `config`, a part of the file `file`.
///
/// # Errors
/// [`EmbedError::ModelFile`] if it does not have the form of a `T`.
pub(crate) fn parse<T: DeserializeOwned>(file: &str, config: Value) -> Result<T, EmbedError> {
    serde_json::from_value(config).map_err(|error| EmbedError::file(file, error))
}
