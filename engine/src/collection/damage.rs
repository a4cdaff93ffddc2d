//! Reports of collections whose documents turn out to be corrupt.

/// A collection whose documents are corrupt.
pub(crate) struct DamageReport {
    /// The collection's number.
    pub(crate) number: u64,
    /// The corrupt part, and how it is corrupt.
    pub(crate) reason: String,
}
