//! The error of an invalid filter.

/// An invalid filter.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid filter{}: {reason}", location(.at))]
pub struct FilterError {
    /// The path from the filter's root, such as `$or[1].year.$gte`; empty at the root.
    pub at: String,
    /// Why it is invalid and what would be valid.
    pub reason: String,
}

fn location(at: &str) -> String {
    if at.is_empty() {
        String::new()
    } else {
        format!(" at '{at}'")
    }
}
