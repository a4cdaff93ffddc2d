//! How much is parsed by one task of the thread pool for blocking work.

pub(super) const DOCUMENTS: usize = 128;
/// A batch ends with the document that reaches this size.
pub(super) const BYTES: usize = 1 << 20;
