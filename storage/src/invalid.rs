//! Values that are not what their type allows.

/// The text of a name, an id or a hash is invalid.
#[derive(Debug, thiserror::Error)]
pub enum InvalidValue {
    /// A collection name is invalid.
    #[error(
        "the collection name {given:?} is invalid: it must have 1 to 64 characters of a-z, 0-9, '_' and '-' and start with a letter or digit"
    )]
    CollectionName {
        /// The invalid text.
        given: String,
    },

    /// A document id is invalid.
    #[error("the document id is invalid: {reason}")]
    DocumentId {
        /// The reason.
        reason: &'static str,
    },

    /// An image hash is invalid.
    #[error("{given:?} is not an image hash of 64 lower-case hexadecimal digits")]
    Hash {
        /// The invalid text.
        given: String,
    },
}
