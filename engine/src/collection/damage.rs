//! Reports of collections whose documents turn out to be corrupt.

/// A collection whose documents are corrupt.
pub(crate) struct DamageReport {
    /// The collection's number.
    pub(crate) number: u64,
    /// What is corrupt, and how.
    pub(crate) reason: String,
}
