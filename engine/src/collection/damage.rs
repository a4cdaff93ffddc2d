//! Reports of collections whose documents turn out to be corrupt.

/// A collection whose documents are corrupt.
pub(crate) struct DamageReport {
    /// The collection's.
    pub(crate) number: u64,
    pub(crate) reason: String,
}
