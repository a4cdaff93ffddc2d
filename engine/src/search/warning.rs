//! Remarks about a search that was answered, but not as the client may expect.

use std::fmt;

/// A remark about a search.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Warning {
    /// The model does not read a part of the query.
    UnreadableQuery {
        /// The model.
        model: String,
        /// The scripts of that part, by their Unicode names.
        scripts: Vec<String>,
    },
}

impl Warning {
    /// The stable code of its kind.
    pub fn code(&self) -> &'static str {
        match self {
            Self::UnreadableQuery { .. } => "unreadable_query",
        }
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnreadableQuery { model, scripts } => write!(
                out,
                "the model '{model}' knows hardly any words in the script {}, so it cannot find what \
                 they mean; documents that contain the same words are still found. A collection with \
                 a multilingual model can find more",
                scripts.join(", ")
            ),
        }
    }
}
