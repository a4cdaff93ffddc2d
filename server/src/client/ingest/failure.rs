//! A document or file that could not be ingested.

#[derive(Debug)]
pub struct Failure {
    /// The file, or file and line.
    pub origin: String,
    pub detail: String,
    /// Bytes of the file that are consumed by the failed document.
    pub weight: u64,
}

impl Failure {
    pub fn new(origin: String, detail: String) -> Self {
        Self {
            origin,
            detail,
            weight: 0,
        }
    }
}
